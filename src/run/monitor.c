/* Becoming the monitor. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/self.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "monitor.h"

enum { GUEST, RUN, INIT, CONSOLE, CONTROL, NEEDED, OOM_WATCH = NEEDED, OOM_COUNT, KEPT };

/* Marks every descriptor from 3 up close-on-exec, except those kept. */
static int mark_others(const int kept[KEPT], struct err *err)
{
	int r = fds_close_others(kept, KEPT, CLOSE_RANGE_CLOEXEC);

	if (r < 0)
		return err_num(err, r, "close descriptors before the monitor runs");
	for (size_t i = 0; i < KEPT; i++)
		if (kept[i] >= 0 && fcntl(kept[i], F_SETFD, 0) < 0)
			return err_sys(err, "pass descriptor %d to the monitor", kept[i]);
	return 0;
}

static void unmark(const int kept[KEPT])
{
	for (size_t i = 0; i < KEPT; i++)
		if (kept[i] >= 0)
			(void)fcntl(kept[i], F_SETFD, FD_CLOEXEC);
}

/* The build tree has isle-monitor beside isle; an installed one is alone in libexec. Of the caller's environment nothing stays:
 * what an administrator asks of one start (ISLE_HOLD) is not asked of those that reboots make, and the secrets of a session are not
 * kept. */
static int exec_program(char *const *argv, struct err *err)
{
	static const char name[] = "isle-monitor";
	static char *const environment[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	char path[PATH_MAX];

	if (self_path(path, sizeof(path)) == 0) {
		char *slash = strrchr(path, '/');

		if (slash && str_copy(slash + 1, sizeof(path) - (slash + 1 - path), name) == 0)
			execve(path, argv, environment);
	}
	execve(ISLE_LIBEXECDIR "/isle-monitor", argv, environment);
	return err_sys(err, "run %s", ISLE_LIBEXECDIR "/isle-monitor");
}

void monitor_hold_term(void)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &term, NULL);
}

int monitor_exec(const struct monitor_args *args, struct err *err)
{
	const struct cgroup_oom *oom = args->oom;
	int kept[KEPT] = {args->guest_fd,   args->run_fd,          args->init_pidfd,     args->console_fd,
			  args->control_fd, oom ? oom->watch : -1, oom ? oom->count : -1};
	int copies[KEPT] = {-1, -1, -1, -1, -1, -1, -1};
	char numbers[KEPT][12], pid[12], log_max[24], ids[24];
	int r = 0;

	for (size_t i = 0; i < KEPT && r == 0; i++) {
		if (kept[i] < 0 && i < NEEDED)
			r = err_num(err, EBADF, "pass descriptors to the monitor");
		else if (kept[i] >= 0 && kept[i] < 3) { /* 0 to 2 become /dev/null */
			kept[i] = copies[i] = fcntl(kept[i], F_DUPFD_CLOEXEC, 3);
			if (kept[i] < 0)
				r = err_sys(err, "copy a descriptor for the monitor");
		}
		if (r == 0)
			r = str_print(numbers[i], sizeof(numbers[i]), "%d", kept[i]);
	}
	if (r == 0)
		r = str_print(pid, sizeof(pid), "%d", (int)args->init_pid);
	if (r == 0)
		r = str_print(log_max, sizeof(log_max), "%lu", args->log_max);
	if (r == 0)
		r = str_print(ids, sizeof(ids), "%lu", args->ids);
	if (r == 0)
		r = mark_others(kept, err);
	if (r == 0 && args->netns_fd > 2 && fcntl(args->netns_fd, F_SETFD, 0) < 0)
		r = err_sys(err, "pass descriptor %d to the monitor", args->netns_fd);
	if (r == 0) {
		char *argv[] = {
			(char *)"isle-monitor",
			(char *)args->name,
			(char *)(args->store_root ? args->store_root : ""),
			(char *)args->isle,
			pid,
			(char *)(args->is_child ? "child" : "other"),
			log_max,
			numbers[GUEST],
			numbers[RUN],
			numbers[INIT],
			numbers[CONSOLE],
			numbers[CONTROL],
			oom ? numbers[OOM_WATCH] : NULL,
			numbers[OOM_COUNT],
			ids,
			(char *)(args->cgroup ? args->cgroup : ""),
			NULL,
		};

		r = exec_program(argv, err);
	}
	unmark(kept);
	if (args->netns_fd > 2)
		(void)fcntl(args->netns_fd, F_SETFD, FD_CLOEXEC);
	for (size_t i = 0; i < KEPT; i++)
		clean_close(&copies[i]);
	return r;
}
