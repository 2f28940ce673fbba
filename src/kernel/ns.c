/* Namespaces: one clone3 that makes them, one setns that enters them. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/sched.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "ns.h"
#include "privs.h"

#define IDS_SPAN 65536u

const struct ns_kind ns_kinds[] = {
	{CLONE_NEWUSER, "user", "user"}, {CLONE_NEWNS, "mnt", "mount"},        {CLONE_NEWPID, "pid", "pid"},
	{CLONE_NEWNET, "net", "network"}, {CLONE_NEWUTS, "uts", "uts"},        {CLONE_NEWIPC, "ipc", "ipc"},
	{CLONE_NEWCGROUP, "cgroup", "cgroup"}, {CLONE_NEWTIME, "time", "time"},
};
const size_t ns_kind_count = sizeof(ns_kinds) / sizeof(ns_kinds[0]);

/* The user namespace's owner is the effective uid of the moment (user_namespaces(7)); capabilities are raised again because clone3 needs
 * them for the other namespaces and for CLONE_INTO_CGROUP. */
static int become(uid_t uid, struct err *err)
{
	if (setresuid((uid_t)-1, uid, (uid_t)-1) < 0)
		return err_sys(err, "take uid %u", uid);
	return privs_raise(err);
}

/* Makes a time namespace whose clocks begin now, for the children of this process; a namespace that somebody is in keeps its clocks
 * (time_namespaces(7)), so clone3 must not make it. *ret_own: the way back. */
static int prepare_clocks(int *ret_own, struct err *err)
{
	struct timespec monotonic, boot;
	char text[96];
	auto_close int own = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);

	if (own < 0 || unshare(CLONE_NEWTIME) < 0)
		return err_sys(err, "make a time namespace");
	(void)clock_gettime(CLOCK_MONOTONIC, &monotonic);
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)str_print(text, sizeof(text), "monotonic -%lld 0\nboottime -%lld 0\n", (long long)monotonic.tv_sec, (long long)boot.tv_sec);
	int r = file_poke(AT_FDCWD, "/proc/self/timens_offsets", text);

	if (r < 0) {
		(void)setns(own, CLONE_NEWTIME); /* the caller ends with this failure */
		return err_num(err, r, "set the clocks of a time namespace");
	}
	*ret_own = take_fd(&own);
	return 0;
}

/* Else what this process executes would be in the guest's time, too. */
static int leave_clocks(int own, struct err *err)
{
	return own < 0 || setns(own, CLONE_NEWTIME) == 0 ? 0 : err_sys(err, "return to the host's time namespace");
}

static pid_t clone_first(const struct ns_clone *how, int *ret_pidfd, struct err *err)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = (how->flags & ~(uint64_t)CLONE_NEWTIME) | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};

	if (how->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)how->cgroup_fd;
	}
	if (how->creator && become(how->creator, err) < 0)
		return -EPERM;
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	int saved = errno;

	if (pid == 0)
		return 0;
	if (how->creator) {
		struct err back = {0};

		if (become(0, &back) < 0) {
			if (pid > 0)
				(void)kill(pid, SIGKILL); /* nothing may go on with half of the powers */
			return err_num(err, EPERM, "become root again");
		}
		(void)prctl(PR_SET_DUMPABLE, 1); /* a change of uid cleared it, and with it root's access to /proc/self */
	}
	if (pid < 0) {
		errno = saved;
		return err_sys(err, "clone the guest's first process");
	}
	*ret_pidfd = pidfd;
	return pid;
}

pid_t ns_clone(const struct ns_clone *how, int *ret_pidfd, struct err *err)
{
	auto_close int own = -1;
	int r = how->flags & CLONE_NEWTIME ? prepare_clocks(&own, err) : 0;

	if (r < 0)
		return r;
	pid_t pid = clone_first(how, ret_pidfd, err);

	if (pid != 0 && leave_clocks(own, pid > 0 ? err : NULL) < 0 && pid > 0) {
		(void)kill(pid, SIGKILL);
		return -EPERM;
	}
	return pid;
}

int ns_write_maps(pid_t pid, uint64_t first, struct err *err)
{
	static const char *const files[] = {"uid_map", "gid_map"};
	char path[48], map[48];

	(void)str_print(map, sizeof(map), "0 %llu %u\n", (unsigned long long)first, IDS_SPAN);
	for (size_t i = 0; i < 2; i++) {
		(void)str_print(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		int r = file_poke(AT_FDCWD, path, map);
		if (r < 0)
			return err_num(err, r, "write the guest's %s (%llu..%llu)", files[i], (unsigned long long)first,
				       (unsigned long long)first + IDS_SPAN - 1);
	}
	return 0;
}

int ns_open(pid_t pid, const char *file, struct err *err)
{
	char path[48];

	(void)str_print(path, sizeof(path), "/proc/%d/ns/%s", pid, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open the %s namespace of process %d", file, pid);
	return fd;
}

int ns_differing(pid_t pid, uint64_t mask, uint64_t *ret, struct err *err)
{
	uint64_t found = 0;

	for (size_t i = 0; i < ns_kind_count; i++) {
		struct stat mine, theirs;
		char path[48];

		if (!(mask & ns_kinds[i].flag))
			continue;
		(void)str_print(path, sizeof(path), "/proc/self/ns/%s", ns_kinds[i].file);
		if (stat(path, &mine) < 0)
			continue; /* a kind that this kernel lacks */
		(void)str_print(path, sizeof(path), "/proc/%d/ns/%s", pid, ns_kinds[i].file);
		if (stat(path, &theirs) < 0)
			return err_sys(err, "look at the %s namespace of process %d", ns_kinds[i].name, pid);
		if (mine.st_ino != theirs.st_ino)
			found |= ns_kinds[i].flag;
	}
	*ret = found;
	return 0;
}

int ns_enter(int pidfd, uint64_t flags, struct err *err)
{
	if (setns(pidfd, (int)flags) < 0)
		return err_sys(err, "enter the guest's namespaces");
	return 0;
}
