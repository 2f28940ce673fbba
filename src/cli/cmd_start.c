/* isle start. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../guest/record.h"
#include "../run/console.h"
#include "../run/start.h"
#include "../run/steps.h"
#include "verbs.h"

#define WAIT_MS 120000ul

static const char *side_of(const struct step *step)
{
	return step->side == HOST ? "host" : "guest";
}

/* steps: a JSON array to add it to; NULL: printed. */
static void show_step(void *steps, const struct step *step)
{
	if (!steps) {
		printf("%-6s %-24s %s\n", side_of(step), step->name, step->doc);
		return;
	}
	struct json_object *row = json_object_new_object();

	json_object_object_add(row, "name", json_object_new_string(step->name));
	json_object_object_add(row, "side", json_object_new_string(side_of(step)));
	json_object_object_add(row, "does", json_object_new_string(step->doc));
	json_object_array_add(steps, row);
}

static int show_plan(struct call *call, const struct store *store, const char *name, struct err *err)
{
	struct json_object *plan = call->json ? json_object_new_object() : NULL, *steps = plan ? json_object_new_array() : NULL;
	struct guest *guest = NULL;
	int r = guest_open(store, name, &guest, err);

	if (r == 0)
		r = start_plan(guest, call_has(call, "cold"), show_step, steps, err);
	guest_free(guest);
	if (plan) {
		json_object_object_add(plan, "name", json_object_new_string(name));
		json_object_object_add(plan, "steps", steps);
	}
	if (r == 0 && plan)
		puts(json_object_to_json_string_ext(plan, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(plan);
	return r;
}

static int start_one(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	unsigned long timeout;
	int r = call_duration(call, "timeout", WAIT_MS, &timeout, err);

	if (r == 0)
		r = call_store(call, &store, err);
	if (r < 0)
		return r;
	if (call_has(call, "plan"))
		return show_plan(call, store, name, err);
	struct start_request request = {
		.wait = call_has(call, "wait"), .wait_ms = (unsigned)timeout, .cold = call_has(call, "cold")};

	r = guest_open(store, name, &guest, err);
	if (r == 0)
		r = guest_lock(guest, STORE_LOCK_MS, err);
	if (r == 0)
		r = start_guest(guest, &request, err);
	guest_free(guest);
	return r;
}

static int follow_console(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	struct console_session session = {.prefix = 1, .keep_ring = true, .in = STDIN_FILENO, .out = STDOUT_FILENO};
	int r = call_store(call, &store, err);

	if (r < 0)
		return r;
	auto_close int run_fd = openat(store->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (run_fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, "open %s/%s", store->run, name); /* it has ended already */
	r = console_attach(run_fd, &session, err);
	return r < 0 ? r : 0;
}

/* With --all. */
#define DOWN (CALL_STATE(STATE_STOPPED) | CALL_STATE(STATE_CHECKPOINTED))

static int run_start(struct call *call, struct err *err)
{
	char **names = NULL;
	int r = call_names(call, call_has(call, "plan") ? CALL_ANY_STATE : DOWN, &names, err);

	if (r < 0)
		return r;
	if (call_has(call, "foreground") && (!names[0] || names[1]))
		r = call_usage(call, err, "start several guests in the foreground");
	else
		r = call_each(call, names, start_one, err);
	if (r == 0 && call_has(call, "foreground"))
		r = follow_console(call, names[0], err);
	store_names_free(names);
	return r;
}

static const struct option_row start_options[] = {
	{.name = "wait",
	 .letter = 'w',
	 .doc = "Return when the guest's init says that its boot is complete (systemd does; for other inits the "
		"start's own end counts)."},
	{.name = "timeout",
	 .letter = 't',
	 .arg = "DURATION",
	 .doc = "How long --wait waits; 120 s by default. The guest runs on when the time is over."},
	{.name = "foreground",
	 .letter = 'F',
	 .doc = "Connect the terminal with the console until the guest ends or Ctrl-a q is typed.",
	 .lxc = "-F --foreground"},
	{.name = "cold", .doc = "Start a checkpointed guest anew instead of waking it; its checkpoint is removed."},
	{.name = "plan", .doc = "Print the steps that a start would take, and take none."},
	{.name = "daemon",
	 .letter = 'd',
	 .doc = "Taken for LXC's sake: a guest always runs in the background.",
	 .lxc = "-d --daemon"},
	{.name = "close-all-fds",
	 .letter = 'C',
	 .doc = "Taken for LXC's sake: no descriptor of the caller's is ever left open.",
	 .lxc = "-C --close-all-fds"},
	{NULL},
};

const struct verb verb_start = {
	.name = "start",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Start guests.",
	.headline = "start guest %",
	.text = "Boots each guest with its own init in its own namespaces, under its limits. The command returns when init runs. What is left of an "
		"earlier start or stop that was killed is cleared up first.\n\n"
		"A start is a row of steps; isle start --plan NAME prints them. With ISLE_TRACE=1 in the environment each step is told with its time, "
		"with ISLE_HOLD=STEP the start waits before that step until its process gets SIGCONT. A step that fails undoes those before it.\n\n"
		"With --plan and --json the result is an object with name and steps, an array of objects with name, side (host or guest: which "
		"process does it) and does.",
	.examples = "isle start web1\nisle start --wait web1 db1\nisle start --all\nisle start --plan web1\nisle-start -n web1 -F",
	.options = start_options,
	.min = 0,
	.max = -1,
	.complete = COMPLETE_STOPPED,
	.takes_all = true,
	.needs_root = true,
	.enters_guests = true,
	.run = run_start,
};
