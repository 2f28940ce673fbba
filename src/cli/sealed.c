/* For privileged guests isle runs from a sealed copy of itself. */
#include "config.h"

#include <fcntl.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/self.h"
#include "sealed.h"

#define WORD       "privileged" /* of a file that lacks it, no guest is privileged; to run sealed without need does no harm */
#define CONFIG_MAX (1 << 20)

static bool mentioned_in(const char *file)
{
	auto_free char *text = NULL;

	return file_read(AT_FDCWD, file, CONFIG_MAX, &text, NULL) == 0 && strstr(text, WORD) != NULL;
}

static bool guest_mentions(const struct store *store, const char *name)
{
	auto_free char *file = store_name_valid(name) ? str_format("%s/%s/config", store->guests, name) : NULL;

	return file && mentioned_in(file);
}

static bool any_guest_mentions(const struct store *store)
{
	char **names = NULL;
	bool found = false;

	if (store_names(store, &names, NULL) < 0)
		return false;
	for (size_t i = 0; !found && names[i]; i++)
		found = guest_mentions(store, names[i]);
	store_names_free(names);
	return found;
}

static bool is_wanted(const struct call *call, const struct store *store, char *const program_argv[])
{
	bool found = mentioned_in(store->conf);

	if (call->verb->makes_guests) {
		found = found || call_has(call, "config");
		for (size_t i = 1; !found && program_argv[i]; i++)
			found = strstr(program_argv[i], WORD) != NULL;
		return found;
	}
	for (int i = 0; !found && i < call->argc; i++)
		found = guest_mentions(store, call->argv[i]);
	return found || (call->argc == 0 && any_guest_mentions(store));
}

int sealed_run(struct call *call, char *const program_argv[], struct err *err)
{
	const struct store *store;

	if (!call->verb->enters_guests || self_is_sealed())
		return 0;
	int r = call_store(call, &store, err);

	return r < 0 || !is_wanted(call, store, program_argv) ? r : self_seal(program_argv, err);
}
