/* The isle program: finds the verb and runs it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "cli/help.h"
#include "cli/options.h"
#include "cli/report.h"
#include "cli/sealed.h"

/* What stands before the verb: global options only; the verb begins the rest. */
static const struct verb before_verb = {.name = "", .max = 0, .rest = true, .stop_at_first = true};

/* A closed stdin, stdout or stderr would be taken by the next file opened. */
static void fill_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR); /* not O_CLOEXEC: 0, 1 and 2 are for children too */
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static int find_verb(struct call *before, const char *name, const struct verb **ret, struct err *err)
{
	*ret = verb_find(name);
	if (*ret)
		return 0;
	char near[64];

	if (help_near_verb(name, near))
		call_usage(before, err, "there is no command '%s', did you mean '%s'?", name, near);
	else
		call_usage(before, err, "there is no command '%s'", name);
	return -EINVAL;
}

static enum log_level level_by_name(const char *name, enum log_level fallback)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{"FATAL", LOG_LEVEL_ERROR}, {"ALERT", LOG_LEVEL_ERROR}, {"CRIT", LOG_LEVEL_ERROR},
		{"ERROR", LOG_LEVEL_ERROR}, {"WARN", LOG_LEVEL_WARN},   {"NOTICE", LOG_LEVEL_INFO},
		{"INFO", LOG_LEVEL_INFO},   {"DEBUG", LOG_LEVEL_DEBUG}, {"TRACE", LOG_LEVEL_DEBUG},
	};

	for (size_t i = 0; name && i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcasecmp(levels[i].name, name))
			return levels[i].level;
	}
	return fallback;
}

static int open_log(const struct call *call, struct err *err)
{
	enum log_level level = call->verbose > 1 ? LOG_LEVEL_DEBUG
			       : call->verbose   ? LOG_LEVEL_INFO
			       : call->quiet     ? LOG_LEVEL_ERROR
						 : LOG_LEVEL_WARN;
	const char *file = call->lxc ? call_value(call, "logfile") : NULL;
	int fd = STDERR_FILENO;

	if (file) {
		fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
		if (fd < 0)
			return err_sys(err, "open the log file %s", file);
		level = level_by_name(call_value(call, "logpriority"), level);
	}
	log_open(fd, level);
	return 0;
}

static int run_verb(struct call *call, char **program_argv, struct err *err)
{
	const struct verb *verb = call->verb;

	if (call_has(call, "help"))
		return help_verb(verb, call->lxc);
	if (call_has(call, "version"))
		return help_version();
	int rc = open_log(call, err);

	if (rc < 0)
		return rc;
	if (verb->needs_root && geteuid() != 0) {
		err_num(err, EPERM, "only root may run 'isle %s'", verb->name);
		return err_hint(err, "sudo isle %s ...", verb->name);
	}
	rc = sealed_run(call, program_argv, err);
	return rc < 0 ? rc : verb->run(call, err);
}

/* Output that did not arrive is a failure too: a full disk behind "isle list > file". */
static int flush_output(int rc, struct err *err)
{
	if (rc < 0)
		return rc;
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	if (errno == EPIPE) { /* the pipe's reader has had enough: ends as every program does then */
		(void)signal(SIGPIPE, SIG_DFL);
		(void)raise(SIGPIPE);
	}
	return err_sys(err, "write to standard output");
}

static int run(struct call *before, struct call *call, int argc, char **argv, struct err *err)
{
	const char *base = strrchr(argv[0], '/');
	char **const program_argv = argv;
	const struct verb *verb = NULL;
	bool lxc = str_starts(base ? base + 1 : argv[0], "isle-");
	int rc;

	before->verb = &before_verb;
	call->verb = &before_verb;
	if (lxc) {
		rc = find_verb(before, (base ? base + 1 : argv[0]) + strlen("isle-"), &verb, err);
	} else {
		rc = call_parse(&before_verb, false, argc - 1, argv + 1, before, err);
		call->path = before->path;
		call->json = before->json;
		call->quiet = before->quiet;
		call->verbose = before->verbose;
		if (rc < 0)
			return rc;
		if (call_has(before, "version"))
			return help_version();
		if (before->rest_argc == 0)
			return help_overview(!call_has(before, "help"));
		argc = before->rest_argc;
		argv = before->rest;
		rc = call_has(before, "help") ? 0 : find_verb(before, argv[0], &verb, err);
		if (rc == 0 && !verb)
			return help_overview(false);
	}
	if (rc == 0)
		rc = call_parse(verb, lxc, argc - 1, argv + 1, call, err);
	call->color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	return rc < 0 ? rc : run_verb(call, program_argv, err);
}

int main(int argc, char **argv)
{
	struct call before = {0}, call = {0};
	struct err err = {0};

	if (argc < 1)
		return ERR_USAGE;
	fill_standard_fds();
	(void)umask(022);               /* what is private says so itself; what a guest reads must not depend on who started it */
	(void)signal(SIGPIPE, SIG_IGN); /* a message that nobody reads must not end a stop or start in the middle */
	log_open(STDERR_FILENO, LOG_LEVEL_WARN);
	int rc = flush_output(run(&before, &call, argc, argv, &err), &err);

	if (rc < 0)
		report_error(&call, &err, NULL);
	call_free(&call);
	call_free(&before);
	return rc < 0 ? report_status(&err) : rc;
}
