/* isle console: a terminal on a guest's console. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../guest/record.h"
#include "../run/console.h"
#include "../run/repair.h"
#include "verbs.h"

#define DEFAULT_PREFIX 1 /* Ctrl-a */

/* "^a", "a", "none". */
static int parse_prefix(const char *text, int *ret, struct err *err)
{
	const char *key = text[0] == '^' && text[1] ? text + 1 : text;
	int c = (unsigned char)key[0];

	if (!strcmp(text, "none")) {
		*ret = -1;
		return 0;
	}
	if (c >= 'a' && c <= 'z')
		c -= 'a' - 'A';
	if (key[0] == '\0' || key[1] != '\0' || c < '@' || c > '_')
		return err_set(err, ERR_USAGE, "escape key '%s': give a letter, as in '^a', or 'none'", text);
	*ret = c & 0x1f;
	return 0;
}

static int parse_options(struct call *call, struct console_session *session, struct err *err)
{
	const char *prefix = call_value(call, "escape");
	unsigned long tty;
	int r;

	*session = (struct console_session){.prefix = DEFAULT_PREFIX, .keep_ring = !call_has(call, "new"), .out = 1};
	r = call_number(call, "tty", 0, 0, 1, &tty, err);
	if (r < 0)
		return err_hint(err, "guests have one terminal, their console: give 0 or leave it out");
	return prefix ? parse_prefix(prefix, &session->prefix, err) : 0;
}

/* A monitor that was killed left the guest running: it gets a new one, and the guest a new console. */
static int need_monitor(const struct store *store, const char *name, const struct record *record, struct err *err)
{
	auto_close int monitor = record_monitor_pidfd(record);
	struct guest *guest = NULL;
	int r;

	if (monitor >= 0)
		return 0;
	r = guest_open(store, name, &guest, err);
	if (r == 0)
		r = guest_lock(guest, STORE_LOCK_MS, err);
	if (r == 0)
		r = repair_as_needed(guest, err);
	guest_free(guest);
	return r;
}

static int open_run(const struct store *store, const char *name, struct err *err)
{
	struct record record;
	enum state state = guest_state(store, name, &record);
	int fd;

	if (state == STATE_STOPPED || state == STATE_CHECKPOINTED || state == STATE_BROKEN) {
		struct guest *guest = NULL;
		int r = guest_open(store, name, &guest, err); /* there may be no such guest at all */

		guest_free(guest);
		if (r < 0)
			return r;
		(void)err_set(err, ERR_STATE, "guest '%s' is %s, not running", name, state_names[state]);
		return err_hint(err, "isle start %s; what was on the console: isle log %s --console", name, name);
	}
	if (state == STATE_RUNNING || state == STATE_FROZEN) {
		int r = need_monitor(store, name, &record, err);

		if (r < 0)
			return r;
	}
	fd = openat(store->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open the run folder of guest '%s'", name);
	return fd;
}

static void say_connected(const struct call *call, const char *name, int prefix)
{
	char key[32] = "";

	if (call->quiet || !isatty(STDIN_FILENO))
		return;
	if (prefix >= 0)
		snprintf(key, sizeof(key), "; Ctrl-%c q detaches", prefix >= 1 && prefix <= 26 ? prefix + 'a' - 1 : prefix + '@');
	fprintf(stderr, "Connected to %s%s\n", name, key);
}

static int run_console(struct call *call, struct err *err)
{
	const struct store *store;
	struct console_session session;
	auto_close int run_fd = -1;
	char **names = NULL;
	int r = parse_options(call, &session, err);

	if (r == 0)
		r = call_names(call, CALL_ANY_STATE, &names, err);
	if (r == 0)
		r = call_store(call, &store, err);
	if (r == 0)
		r = run_fd = open_run(store, names[0], err);
	if (r >= 0) {
		say_connected(call, names[0], session.prefix);
		r = console_attach(run_fd, &session, err);
		if (r == -ECONNREFUSED || r == -ENOENT)
			err_hint(err, "its monitor ended just now; see: isle list %s", names[0]);
		if (r >= 0 && !call->quiet && isatty(STDIN_FILENO))
			fprintf(stderr, r == CONSOLE_GUEST_ENDED ? "\nGuest %s has ended.\n" : "\nDetached from %s.\n", names[0]);
	}
	store_names_free(names);
	return r < 0 ? r : 0;
}

static const struct option_row console_options[] = {
	{"escape", 'e', "KEY", "The escape key: a letter for Ctrl and that letter ('a' or '^a', the default), or 'none'.",
	 "-e --escape"},
	{"new", 0, NULL, "Do not show recent output first."},
	{"tty", 't', "N", "Taken for LXC's sake: 0 or 1, the console is the only terminal.", "-t --tty"},
	{NULL},
};

const struct verb verb_console = {
	.name = "console",
	.group = GROUP_INSIDE,
	.synopsis = "[OPTIONS] NAME",
	.summary = "Attach the terminal to a guest's console.",
	.headline = "attach to the console of guest %",
	.text = "Shows the last 64 KiB of the console's output and then connects the terminal with it, until Ctrl-a "
		"q is typed or the guest ends. Ctrl-a Ctrl-a sends one Ctrl-a. Through a reboot of the guest the "
		"terminal stays connected. Several terminals may be attached to one console; each sees all output, "
		"and the size of the terminal that was attached or resized last counts.\n\nWhen standard input is no "
		"terminal, its bytes go to the console as they are and the console's come to standard output; the "
		"command ends soon after the end of input, when the console is quiet. To only watch, use 'isle log "
		"--console --follow'.\n\nA terminal that takes output too slowly holds the guest up for at most a "
		"second; then output is left out and it is told how much.",
	.examples = "isle console web1\nisle console -e ^b web1\nprintf 'root\\n' | isle console web1\nisle-console -n web1",
	.options = console_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_RUNNING,
	.needs_root = true,
	.run = run_console,
};
