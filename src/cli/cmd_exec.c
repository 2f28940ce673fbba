/* isle exec and isle shell. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "../base/clean.h"
#include "../run/attach.h"
#include "../run/repair.h"
#include "report.h"
#include "verbs.h"

/* The values of --env as a list of their own with an end: those of other options stand right behind them. */
static int read_variables(const struct call *call, const char ***ret, struct err *err)
{
	const char *const *given;
	size_t count = call_values(call, "env", &given);
	const char **list = calloc(count + 1, sizeof(*list));

	if (!list)
		return err_num(err, ENOMEM, "read the variables");
	for (size_t i = 0; i < count; i++) {
		if (!strchr(given[i], '=') || given[i][0] == '=') {
			free(list);
			return call_usage(call, err, "set the variable '%.60s': it must be NAME=VALUE", given[i]);
		}
		list[i] = given[i];
	}
	*ret = list;
	return 0;
}

static int attach_to(struct call *call, const char *const *argv, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	auto_free const char **env = NULL;
	int status = 1;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = store_check_name(call->argv[0], err);
	if (r < 0)
		return r;
	r = read_variables(call, &env, err);
	if (r < 0)
		return r;
	struct attach_request request = {
		.argv = argv,
		.user = call_value(call, "user"),
		.cwd = call_value(call, "cwd"),
		.env = env,
		.clear_env = call_has(call, "clear-env"),
		.tty = call_has(call, "tty")      ? ATTACH_TTY_YES
		       : call_has(call, "no-tty") ? ATTACH_TTY_NO
						  : ATTACH_TTY_AUTO,
	};

	repair_unwatched(store, call->argv[0]);
	r = guest_open(store, call->argv[0], &guest, err);
	if (r == 0)
		r = attach_run(guest, &request, &status, err);
	guest_free(guest);
	if (r < 0)
		return r;
	if (err->code != ERR_NONE)
		report_error(call, err,
			     call->argv[0]); /* the status is the one that sh gives, so main must not make its own of it */
	return status;
}

static int run_exec(struct call *call, struct err *err)
{
	if (call->rest_argc == 0 && !call->lxc)
		return call_usage(call, err, "run a command in '%.64s': none was given", call->argv[0]);
	return attach_to(call, call->rest_argc ? (const char *const *)call->rest : NULL, err);
}

static int run_shell(struct call *call, struct err *err)
{
	return attach_to(call, NULL, err);
}

#define ATTACH_OPTIONS                                                                                                     \
	{.name = "user",                                                                                                   \
	 .letter = 'u',                                                                                                    \
	 .arg = "USER",                                                                                                    \
	 .doc = "Run as this user of the guest, by name or number; root by default.",                                      \
	 .lxc = "-u --uid"},                                                                                               \
		{.name = "cwd", .arg = "FOLDER", .doc = "Run in this folder of the guest."},                               \
		{.name = "env",                                                                                            \
		 .letter = 'e',                                                                                            \
		 .arg = "NAME=VALUE",                                                                                      \
		 .repeats = true,                                                                                          \
		 .doc = "Set a variable.",                                                                                 \
		 .lxc = "-v --set-var"},                                                                                   \
		{.name = "clear-env",                                                                                      \
		 .doc = "Take nothing of the caller's environment along, not even TERM, LANG and LC_*.",                   \
		 .lxc = "--clear-env"},                                                                                    \
		{.name = "tty", .letter = 't', .doc = "Give it a terminal even when standard input and output are none."}, \
	{                                                                                                                  \
		.name = "no-tty", .letter = 'T', .doc = "Give it none."                                                    \
	}

static const struct option_row exec_options[] = {
	ATTACH_OPTIONS,
	{.name = "keep-env", .doc = "Taken for LXC's sake: TERM, LANG and LC_* are kept.", .lxc = "--keep-env"},
	{NULL},
};
static const struct option_row shell_options[] = {ATTACH_OPTIONS, {NULL}};

const struct verb verb_exec = {
	.name = "exec",
	.aliases = "attach",
	.group = GROUP_INSIDE,
	.synopsis = "[OPTIONS] NAME [--] COMMAND [ARGUMENT...]",
	.summary = "Run a command in a running guest.",
	.headline = "run a command in guest %",
	.text = "Enters all of the guest's namespaces and its control groups, takes on its limits, capabilities and system call filter, and runs the command. "
		"With standard input and output on a terminal the command gets a terminal of the guest's own, which follows the window's size; otherwise "
		"bytes pass through unchanged. Nothing of the host's comes along but TERM, COLORTERM, LANG and LC_*: no descriptor, no folder, no group.\n\n"
		"The exit status is the command's, 128+N when signal N ended it, 127 when there is no such command and 126 when it could not be executed. "
		"SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to it.",
	.examples =
		"isle exec web1 -- systemctl status\ntar c data | isle exec web1 -- tar x -C /srv\nisle exec -u www-data --cwd /var/www web1 -- id\n"
		"isle-attach -n web1 -- id",
	.options = exec_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_RUNNING,
	.rest = true,
	.stop_at_first = true,
	.needs_root = true,
	.enters_guests = true,
	.run = run_exec,
};

const struct verb verb_shell = {
	.name = "shell",
	.group = GROUP_INSIDE,
	.synopsis = "[OPTIONS] NAME",
	.summary = "Open a user's login shell in a running guest.",
	.headline = "open a shell in guest %",
	.text = "The shell is the one that the guest's /etc/passwd names for the user, started as a login shell in the user's home folder.",
	.examples = "isle shell web1\nisle shell --user postgres db1",
	.options = shell_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_RUNNING,
	.needs_root = true,
	.enters_guests = true,
	.run = run_shell,
};
