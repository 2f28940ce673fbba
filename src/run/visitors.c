/* Finds, stops and ends the processes in a guest that came in by isle exec. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "../base/status.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "visitors.h"

#define STILL_MS 1000
#define LOOK_MS  1

static ino_t namespace_of(pid_t pid)
{
	char path[48];
	struct stat st;

	(void)str_print(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

bool visitors_has(const char *status, ino_t namespace)
{
	pid_t parent = status_last(status, "PPid");
	ino_t theirs = parent > 0 ? namespace_of(parent) : 0;

	return status_last(status, "NSpid") != 1 && namespace && theirs && theirs != namespace;
}

/* Stopped, or ended but for its parent's word. A process whose first thread has ended goes on with the others. */
static bool thread_is_still(pid_t pid, pid_t thread)
{
	auto_free char *status = NULL;
	const char *state = status_read(pid, thread, &status) == 0 ? status_field(status, "State") : NULL;

	return !state || strchr("TtZX", state[0]);
}

static bool is_still(pid_t pid)
{
	char path[48];

	(void)str_print(path, sizeof(path), "/proc/%d/task", pid);
	auto_closedir DIR *threads = opendir(path);
	bool still = true;

	for (struct dirent *entry; still && threads && (entry = readdir(threads));) {
		uint64_t thread;

		still = str_to_u64(entry->d_name, 1, INT32_MAX, &thread) < 0 || thread_is_still(pid, (pid_t)thread);
	}
	return still;
}

static bool is_known(const struct visitors *held, pid_t pid)
{
	for (size_t i = 0; i < held->count; i++)
		if (held->one[i].pid == pid && proc_wait_gone(held->one[i].pidfd, 0) < 0)
			return true;
	return false;
}

/* One round of visitors_stop. */
struct round {
	pid_t keeper;
	struct visitors *held;
	int moving; /* how many did not stand still when they were looked at */
	pid_t who;  /* one of them */
};

static int stop_one(void *arg, pid_t pid)
{
	struct round *round = arg;
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	auto_free char *status = NULL;

	if (pidfd < 0 || status_read(pid, pid, &status) < 0 || status_last(status, "TracerPid") == round->keeper || is_still(pid))
		return 0;
	round->moving++;
	round->who = status_last(status, "NSpid");
	if (proc_signal(pidfd, SIGSTOP) < 0)
		return 0; /* it has just ended */
	if (is_known(round->held, pid))
		return 0;
	if (round->held->count == VISITORS_MAX)
		return -E2BIG;
	round->held->one[round->held->count++] = (struct visitor){.pid = pid, .pidfd = take_fd(&pidfd)};
	return 0;
}

/* One that is not stopped yet may make another, or wake one that is: until a whole round meets none that moves. */
int visitors_stop(const struct record *record, pid_t keeper, struct visitors *held, struct err *err)
{
	uint64_t end = proc_now_ms() + STILL_MS;
	size_t before = held->count;

	for (;;) {
		struct round round = {.keeper = keeper, .held = held};
		int r = cgroup_each_pid(record->cgroup, stop_one, &round);

		if (r == -E2BIG) {
			(void)err_set(err, ERR_FAILED, "stop what came in by isle exec: more than %d processes", VISITORS_MAX);
			return err_hint(err, "end some of them first");
		}
		if (r < 0)
			return err_num(err, r, "stop what came in by isle exec");
		if (round.moving == 0)
			return (int)(held->count - before);
		if (proc_now_ms() > end) {
			(void)err_set(err, ERR_FAILED, "stop process %d, which came in by isle exec: it does not stand still",
				      round.who);
			return err_hint(err, "end it, or wait for its end");
		}
		(void)poll(NULL, 0, LOOK_MS); /* nobody tells of another's child that it has stopped */
	}
}

void visitors_forget(struct visitors *held)
{
	while (held->count > 0)
		close(held->one[--held->count].pidfd);
}

void visitors_go_on(struct visitors *held)
{
	for (size_t i = 0; i < held->count; i++)
		(void)proc_signal(held->one[i].pidfd, SIGCONT);
	visitors_forget(held);
}

static int end_one(void *arg, pid_t pid)
{
	const ino_t *namespace = arg;
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	auto_free char *status = NULL;

	if (pidfd >= 0 && status_read(pid, pid, &status) == 0 && visitors_has(status, *namespace))
		(void)proc_signal(pidfd, SIGKILL); /* it may have ended by itself */
	return 0;
}

void visitors_kill(const struct record *record)
{
	ino_t namespace = namespace_of(record->init_pid);

	(void)cgroup_each_pid(record->cgroup, end_one, &namespace);
}
