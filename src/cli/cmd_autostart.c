/* isle autostart: starts the guests that are marked for it, level by level, and ends them the other way round. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../guest/record.h"
#include "../run/shutdown.h"
#include "../run/start.h"
#include "../run/stop.h"
#include "report.h"
#include "verbs.h"

#define DEFAULT_GROUPS "onboot,"

enum action { ACTION_START, ACTION_SHUTDOWN, ACTION_REBOOT, ACTION_KILL };

struct entry {
	char *name;
	uint64_t order, delay; /* ms */
	char *groups;
	bool done;
};

/* A group's name as it stands in an option; text NULL: whatever the groups are, len 0: guests without one. */
struct group {
	const char *text;
	size_t len;
};

struct plan {
	struct call *call;
	enum action action;
	struct entry *entries;
	size_t count;
	uint64_t pause;           /* ms, before the next guest is started */
	struct json_object *list; /* with --list and --json; else NULL */
};

static bool has_group(const char *groups, const struct group *group)
{
	size_t word;

	if (!group->text)
		return true;
	if (group->len == 0)
		return !groups[strspn(groups, " ,\t")];
	for (const char *at = groups, *one; (one = types_next_word(&at, &word));)
		if (word == group->len && strncmp(one, group->text, word) == 0)
			return true;
	return false;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int compare_backwards(const void *a, const void *b)
{
	return compare_entries(b, a);
}

static int add_entry(struct plan *plan, const struct store *store, const char *name)
{
	struct guest *guest = NULL;
	struct err err = {0};

	if ((plan->action == ACTION_START ? guest_open(store, name, &guest, &err) : guest_open_any(store, name, &guest, &err)) <
	    0) {
		err_print(&err, name); /* one guest's broken config keeps no other from starting */
		return 0;
	}
	struct entry *entry = &plan->entries[plan->count];

	if (guest->spec->guest.autostart || guest->faulty || call_has(plan->call, "ignore-auto")) {
		*entry = (struct entry){
			.name = strdup(name), .order = guest->spec->guest.start_order, .delay = guest->spec->guest.start_delay};
		entry->groups = strdup(guest->spec->guest.groups ? guest->spec->guest.groups : "");
		plan->count++;
	}
	bool failed = plan->count && (!plan->entries[plan->count - 1].name || !plan->entries[plan->count - 1].groups);

	guest_free(guest);
	return failed ? -ENOMEM : 0;
}

static void free_plan(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free(plan->entries[i].name);
		free(plan->entries[i].groups);
	}
	free(plan->entries);
}

static int make_plan(struct plan *plan, struct err *err)
{
	const struct store *store;
	char **names = NULL;
	size_t count = 0;
	int r = call_store(plan->call, &store, err);

	if (r == 0)
		r = store_names(store, &names, err);
	if (r < 0)
		return r;
	while (names[count])
		count++;
	plan->entries = calloc(count + 1, sizeof(*plan->entries));
	if (!plan->entries)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_entry(plan, store, names[i]);
	store_names_free(names);
	if (r < 0)
		return err_num(err, r, "plan what to start");
	qsort(plan->entries, plan->count, sizeof(*plan->entries),
	      plan->action == ACTION_START ? compare_entries : compare_backwards);
	return 0;
}

/* Whether the action has anything to do for a guest in that state: the others are passed over in silence. */
static bool concerns(enum action action, enum state state)
{
	bool up = state == STATE_RUNNING || state == STATE_FROZEN || state == STATE_STARTING;

	return action == ACTION_START ? !up : up;
}

static int act(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	struct start_request start = {0};
	bool reboot = call_has(call, "reboot"), kill = call_has(call, "kill");
	bool end = reboot || kill || call_has(call, "shutdown");
	unsigned long timeout = 0;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = end && !reboot ? guest_open_any(store, name, &guest, err) : guest_open(store, name, &guest, err);
	if (r == 0)
		r = guest_lock(guest, STORE_LOCK_MS, err);
	if (r == 0)
		r = call_duration(call, "timeout", (unsigned long)guest->spec->guest.stop_timeout, &timeout, err);
	struct stop_request stop = {.kill = kill, .timeout_ms = (unsigned)timeout};

	if (r == 0 && end)
		r = reboot ? stop_guest(guest, &stop, err) : shutdown_guest(guest, &stop, err);
	if (r == 0 && (!end || reboot))
		r = start_guest(guest, &start, err);
	guest_free(guest);
	return r;
}

static void pause_for(uint64_t ms)
{
	struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void list_guest(const struct plan *plan, const char *name, uint64_t order, uint64_t delay)
{
	/* Whole seconds as LXC has them, when they are whole. */
	auto_free char *seconds = delay % 1000 ? str_format("%" PRIu64 ".%03" PRIu64, delay / 1000, delay % 1000)
					       : str_format("%" PRIu64, delay / 1000);
	if (!plan->list) {
		printf("%s %s\n", name, seconds ? seconds : "?");
		return;
	}
	struct json_object *guest = json_object_new_object();

	json_object_object_add(guest, "name", json_object_new_string(name));
	json_object_object_add(guest, "order", json_object_new_uint64(order));
	json_object_object_add(guest, "delay", seconds ? json_object_new_double_s((double)delay / 1000, seconds) : NULL);
	json_object_array_add(plan->list, guest);
}

/* The guests of one order and group, at once; the longest of their delays is before whichever come next. */
static int do_level(struct plan *plan, size_t first, const struct group *group, struct err *err)
{
	auto_free char **names = calloc(plan->count + 1, sizeof(*names));
	const struct store *store;
	uint64_t delay = 0;
	size_t count = 0;
	int r = names ? call_store(plan->call, &store, err) : err_num(err, ENOMEM, "start a level of guests");

	for (size_t i = first; r == 0 && i < plan->count; i++) {
		struct entry *entry = &plan->entries[i];

		if (entry->order != plan->entries[first].order)
			break;
		if (entry->done || !has_group(entry->groups, group))
			continue;
		entry->done = true;
		if (!concerns(plan->action, guest_state(store, entry->name, NULL)))
			continue;
		names[count++] = entry->name;
		if (plan->action == ACTION_START && entry->delay > delay)
			delay = entry->delay;
	}
	if (r < 0 || count == 0)
		return r;
	if (call_has(plan->call, "list")) {
		for (size_t i = 0; i < count; i++)
			list_guest(plan, names[i], plan->entries[first].order, delay);
		return 0;
	}
	pause_for(plan->pause);
	plan->pause = delay;
	r = call_each(plan->call, names, act, err);
	if (r < 0 && count == 1) {
		/* A guest alone in its level is no child's, and its failure no less its own: the levels after it go on. */
		report_error(plan->call, err, names[0]);
		r = report_status(err);
		*err = (struct err){0};
	}
	return r;
}

/* A signal ended it (see call_each), and with it all that was to follow. */
static bool is_over(int status)
{
	return status < 0 || status > 128;
}

static int do_group(struct plan *plan, const struct group *group, struct err *err)
{
	int worst = 0;

	for (size_t i = 0; i < plan->count; i++) {
		if (i > 0 && plan->entries[i].order == plan->entries[i - 1].order)
			continue;
		int r = do_level(plan, i, group, err);

		if (is_over(r))
			return r;
		if (r > worst)
			worst = r; /* one that fails keeps no other from starting */
	}
	return worst;
}

static int do_groups(struct plan *plan, struct err *err)
{
	const char *const *asked = NULL;
	size_t count = call_values(plan->call, "groups", &asked);
	static const char *const fallback[] = {DEFAULT_GROUPS};
	int worst = 0;

	if (call_has(plan->call, "all-groups"))
		return do_group(plan, &(struct group){0}, err);
	if (count == 0) {
		asked = fallback;
		count = 1;
	}
	for (size_t i = 0; i < count; i++) {
		const char *at = asked[i];

		for (;;) {
			struct group group = {.text = at, .len = strcspn(at, ",")};
			int r = do_group(plan, &group, err);

			if (is_over(r))
				return r;
			worst = r > worst ? r : worst;
			if (!at[group.len])
				break;
			at += group.len + 1;
		}
	}
	return worst;
}

static int run_autostart(struct call *call, struct err *err)
{
	struct plan plan = {.call = call};

	plan.action = call_has(call, "reboot")     ? ACTION_REBOOT
		      : call_has(call, "kill")     ? ACTION_KILL
		      : call_has(call, "shutdown") ? ACTION_SHUTDOWN
						   : ACTION_START;
	plan.list = call->json && call_has(call, "list") ? json_object_new_array() : NULL;
	int r = make_plan(&plan, err);
	if (r == 0)
		r = do_groups(&plan, err);
	if (r == 0 && plan.list)
		puts(json_object_to_json_string_ext(plan.list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(plan.list);
	free_plan(&plan);
	return r;
}

static const struct option_row autostart_options[] = {
	{.name = "shutdown",
	 .letter = 's',
	 .doc = "Ask the guests to shut down, the last order first; those with guest.on-shutdown = checkpoint are put to sleep.",
	 .lxc = "-s --shutdown"},
	{.name = "kill", .letter = 'k', .doc = "Kill them.", .lxc = "-k --kill"},
	{.name = "reboot", .letter = 'r', .doc = "Stop and start them.", .lxc = "-r --reboot"},
	{.name = "list",
	 .letter = 'L',
	 .doc = "Only print the guests that are concerned, and the seconds waited after each order.",
	 .lxc = "-L --list"},
	{.name = "timeout",
	 .letter = 't',
	 .arg = "DURATION",
	 .doc = "How long a guest may take to shut down before it is killed.",
	 .lxc = "-t --timeout"},
	{.name = "groups",
	 .letter = 'g',
	 .arg = "GROUP[,GROUP...]",
	 .repeats = true,
	 .lxc = "-g --groups",
	 .doc = "The groups, in this order; an empty one stands for guests without a group. By default 'onboot,': first the group onboot, "
		"then guests without one."},
	{.name = "all-groups", .letter = 'a', .doc = "Whatever their groups are.", .lxc = "-a --all"},
	{.name = "ignore-auto", .letter = 'A', .doc = "Also guests whose guest.autostart is no.", .lxc = "-A --ignore-auto"},
	{NULL},
};

const struct verb verb_autostart = {
	.name = "autostart",
	.group = GROUP_HOST,
	.synopsis = "[OPTIONS]",
	.summary = "Start the guests that are to start with the host.",
	.headline = "start or end guest %",
	.text = "Starts every stopped guest whose key guest.autostart is yes: those of a lower guest.start-order first, those of one order in parallel, with "
		"the pause of guest.start-delay between an order and the next. A guest that sleeps in a checkpoint wakes. A guest that fails keeps no "
		"other from starting; the exit status tells.\n\n"
		"On a systemd host the unit isle.service does this at boot, and isle-shutdown.service ends all guests in parallel before the host goes "
		"down, within 90 seconds, or puts them to sleep where guest.on-shutdown says so. isle@NAME.service is one guest as a unit.\n\n"
		"With --list and --json the result is an array of objects with name, order and delay (seconds waited after the order).",
	.examples = "isle autostart\nisle autostart --list\nisle autostart --groups dns,web,\nisle-autostart -s -t 60",
	.options = autostart_options,
	.needs_root = true,
	.enters_guests = true,
	.run = run_autostart,
};
