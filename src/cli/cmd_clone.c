/* isle clone. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../run/clone.h"
#include "../run/create.h"
#include "verbs.h"

#define CRIU_MS   60000ul
#define COUNT_MAX 1000

static struct clone_request request_of(const struct call *call, const char *name)
{
	struct clone_request request = {.name = name};

	request.setting_count = call_values(call, "set", &request.settings);
	return request;
}

static int clone_one(struct call *call, const char *name, struct err *err)
{
	const struct clone_source *source = call->data;
	const struct clone_request request = request_of(call, name);
	int r = clone_make(source, &request, err);

	if (r < 0)
		return r;
	if (call->json) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "name", json_object_new_string(name));
		json_object_object_add(object, "source", json_object_new_string(source->guest->name));
		json_object_object_add(object, "live", json_object_new_boolean(source->live));
		json_object_object_add(object, "frozen_seconds",
				       source->live ? json_object_new_double((double)source->checkpoint.frozen / 1e6) : NULL);
		printf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
		json_object_put(object);
	} else if (!call->quiet) {
		printf("%s: cloned from %s%s\n", name, source->guest->name, source->live ? ", and runs" : "");
	}
	fflush(stdout);
	return 0;
}

/* NAME-1 to NAME-N. */
static char **numbered(const char *name, unsigned long count)
{
	char **names = calloc(count + 1, sizeof(*names));

	for (unsigned long i = 0; names && i < count; i++) {
		names[i] = str_format("%s-%lu", name, i + 1);
		if (!names[i]) {
			store_names_free(names);
			return NULL;
		}
	}
	return names;
}

static char **copied(char *const *from, size_t count)
{
	char **names = calloc(count + 1, sizeof(*names));

	for (size_t i = 0; names && i < count; i++) {
		names[i] = strdup(from[i]);
		if (!names[i]) {
			store_names_free(names);
			return NULL;
		}
	}
	return names;
}

static int find_names(const struct call *call, char ***ret, struct err *err)
{
	char *lxc_name = (char *)call_value(call, "new-name");
	char *const *given = lxc_name ? &lxc_name : call->argv + 1;
	size_t given_count = lxc_name ? 1 : (size_t)call->argc - 1;
	unsigned long count;
	int r = call_number(call, "count", 0, 1, COUNT_MAX, &count, err);

	if (r < 0)
		return r;
	if (given_count == 0 || (lxc_name && call->argc > 1))
		return call_usage(call, err, "clone a guest: the names of the clones are needed, once");
	if (count && given_count > 1)
		return call_usage(call, err, "--count wants one name, to which it adds the numbers");
	for (size_t i = 0; i < given_count; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(given[i], given[k]) == 0)
				return call_usage(call, err, "clone a guest: '%s' is named twice", given[i]);
	*ret = count ? numbered(given[0], count) : copied(given, given_count);
	return *ret ? 0 : err_num(err, ENOMEM, "list the clones' names");
}

/* All that can be told before the guest has stood still for them. */
static int check(const struct call *call, struct clone_source *source, char *const *names, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && names[i]; i++) {
		const struct clone_request request = request_of(call, names[i]);

		r = clone_check(source, &request, err);
	}
	return r;
}

static int run_clone(struct call *call, struct err *err)
{
	struct clone_source source = {.image_fd = -1, .place = {.parent = -1, .fd = -1}};
	const struct store *store;
	char **names = NULL;
	unsigned long timeout;
	int r = call_duration(call, "timeout", CRIU_MS, &timeout, err);

	if (r == 0)
		r = find_names(call, &names, err);
	if (r == 0)
		r = call_store(call, &store, err);
	if (r == 0)
		r = create_sweep(store, err);
	if (r == 0)
		r = clone_open(store, call->argv[0], call_has(call, "live"), (unsigned)timeout, &source, err);
	if (r == 0)
		r = check(call, &source, names, err);
	source.single = r == 0 && !names[1];
	if (r == 0)
		r = clone_begin(&source, err);
	if (r == 0 && source.live && !call->quiet && !call->json)
		printf("%s: frozen for %llu ms\n", call->argv[0], (unsigned long long)(source.checkpoint.frozen / 1000));
	call->data = &source;
	if (r == 0)
		r = call_each(call, names, clone_one, err);
	if (r == 0)
		r = clone_sync(&source, err);
	clone_end(&source);
	store_names_free(names);
	return r;
}

static const struct option_row clone_options[] = {
	{.name = "live",
	 .doc = "Clone a running guest: the clones come up where it was at one moment, with all its processes, and it runs on."},
	{.name = "count", .arg = "N", .doc = "Make N clones, called NAME-1 to NAME-N."},
	{"set", 's', "KEY=VALUE", "Set a config key of the clones, such as limits.memory=512M; may be given several times.", NULL,
	 true, COMPLETE_KEY},
	{.name = "new-name", .arg = "NAME", .doc = "The clone's name, in LXC's manner.", .lxc = "-N --newname"},
	{.name = "timeout", .letter = 't', .arg = "DURATION", .doc = "With --live: give up after this long; 60 s by default."},
	{NULL},
};

const struct verb verb_clone = {
	.name = "clone",
	.aliases = "copy",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] GUEST NAME...",
	.summary = "Make copies of a guest, stopped or running, each with an identity of its own.",
	.headline = "clone guest %",
	.text = "A clone has the files and the config of its source, and its own ids, host name, machine-id, SSH host keys, MAC and IP addresses. A "
		"host name, MAC or address that the source's config sets is not taken over: the clone gets its own, or what --set says. What [mount] and [device] sections name of the host all of them have. The source must "
		"be stopped; with storage overlay only what it changed of its image is copied.\n\n"
		"With --live it must run. It stands still for a moment, as for isle checkpoint --leave-running, in which its processes and files are "
		"saved; then it runs on, and the clones come up from that moment, booted already. Their TCP connections are closed, listening sockets "
		"stay. Their interfaces get new addresses before a process runs, and the default route; other IPv4 routes the guest must set again. sshd "
		"reads its new host keys at once. What else a process has read of the host name, machine-id or address it keeps until it is "
		"restarted, and what it made of random numbers all of them have: a program's own generator goes on with the same numbers in each clone, and "
		"keys of sessions are the same. Restart what depends on its secrets. With storage dir the guest stands still while all its files are copied.\n\n"
		"A clone that fails or is killed leaves no guest; its source is not changed.",
	.examples = "isle clone web1 web2\nisle clone --live web1 web2\nisle clone --live --count 10 web1 worker\n"
		    "isle clone web1 big --set limits.memory=4G\nisle-clone -n web1 -N web2",
	.options = clone_options,
	.min = 1,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.args = "GUEST NOTHING",
	.needs_root = true,
	.enters_guests = true,
	.run = run_clone,
};
