/* What verbs ask of their call: the store and the guests that were named. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../guest/record.h"
#include "verbs.h"

int call_store(struct call *call, const struct store **ret, struct err *err)
{
	if (!call->store) {
		int rc = store_open(call->path, call->verb->makes_store, &call->store, err);

		if (rc < 0)
			return rc;
	}
	*ret = call->store;
	return 0;
}

int call_guest(struct call *call, const char *name, struct guest **ret, struct err *err)
{
	const struct store *store;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = guest_open(store, name, ret, err);
	return r == 0 ? guest_lock(*ret, STORE_LOCK_MS, err) : r;
}

static int named(struct call *call, char ***ret, struct err *err)
{
	char **names = calloc((size_t)call->argc + 1, sizeof(*names));

	if (!names)
		return err_num(err, ENOMEM, "read the arguments");
	for (int i = 0; i < call->argc; i++) {
		int rc = store_check_name(call->argv[i], err);

		for (int k = 0; rc == 0 && k < i; k++) {
			if (!strcmp(names[k], call->argv[i]))
				rc = call_usage(call, err, "guest '%s' is named twice", names[k]);
		}
		if (rc == 0 && !(names[i] = strdup(call->argv[i])))
			rc = err_num(err, ENOMEM, "read the arguments");
		if (rc < 0) {
			store_names_free(names);
			return rc;
		}
	}
	*ret = names;
	return 0;
}

int call_names(struct call *call, unsigned states, char ***ret, struct err *err)
{
	const struct store *store;
	size_t kept = 0;

	if (!call_has(call, "all"))
		return call->argc ? named(call, ret, err) : call_usage(call, err, "no guest was named");
	if (call->argc)
		return call_usage(call, err, "names and --all exclude each other");

	int rc = call_store(call, &store, err);

	if (rc == 0)
		rc = store_names(store, ret, err);
	if (rc < 0 || states == CALL_ANY_STATE)
		return rc;
	char **names = *ret;

	for (size_t i = 0; names[i]; i++) {
		if (states & CALL_STATE(guest_state(store, names[i], NULL)))
			names[kept++] = names[i];
		else
			free(names[i]);
	}
	names[kept] = NULL;
	return 0;
}
