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

/* One kind of namespace a row: its clone flag, its name below /proc/PID/ns, and how messages call it. */
static const struct {
	uint64_t flag;
	const char *file;
	const char *name;
} kinds[] = {
	{CLONE_NEWUSER, "user", "user"},       {CLONE_NEWNS, "mnt", "mount"},   {CLONE_NEWPID, "pid", "pid"},
	{CLONE_NEWNET, "net", "network"},      {CLONE_NEWUTS, "uts", "uts"},    {CLONE_NEWIPC, "ipc", "ipc"},
	{CLONE_NEWCGROUP, "cgroup", "cgroup"}, {CLONE_NEWTIME, "time", "time"},
};

/* The user namespace's owner is the effective uid of the moment (user_namespaces(7)), and to both ids belongs the mqueue file
 * system that comes with the IPC namespace (ipc/mqueue.c, mqueue_get_inode); capabilities are raised again because clone3 needs
 * them for the other namespaces and for CLONE_INTO_CGROUP. */
static int become(uid_t uid, struct err *err)
{
	/* Only root may change its group. */
	if ((uid && setresgid((gid_t)-1, uid, (gid_t)-1) < 0) || setresuid((uid_t)-1, uid, (uid_t)-1) < 0 ||
	    (!uid && setresgid((gid_t)-1, 0, (gid_t)-1) < 0))
		return err_sys(err, "take uid %u", uid);
	int r = privs_raise(err);

	if (r < 0 && uid)
		(void)setresuid((uid_t)-1, 0, (uid_t)-1); /* with it the powers to undo what was done come back (capabilities(7)) */
	return r;
}

pid_t ns_clone(const struct ns_clone *how, int *ret_pidfd, struct err *err)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = how->flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = how->flags & CLONE_PARENT ? 0 : SIGCHLD, /* with CLONE_PARENT: the caller's own */
	};

	if (how->cgroup_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)how->cgroup_fd;
	}
	if (how->creator && become(how->creator, err) < 0)
		return -EPERM;
	if (how->creator)
		(void)prctl(PR_SET_DUMPABLE,
			    1); /* the change of uid cleared it; without it the child cannot open its own /proc files */
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

/* What must be added to a clock so that it shows nought now. */
static int offset_of(clockid_t clock, const char *name, struct buf *out)
{
	struct timespec now;

	if (clock_gettime(clock, &now) < 0)
		return -errno;
	buf_addf(out, "%s -%lld 0\n", name, (long long)now.tv_sec);
	return 0;
}

int ns_own_clocks(struct err *err)
{
	auto_buf struct buf offsets = {0};

	if (unshare(CLONE_NEWTIME) < 0)
		return err_sys(err, "make the time namespace");
	int r = offset_of(CLOCK_MONOTONIC, "monotonic", &offsets);
	if (r == 0)
		r = offset_of(CLOCK_BOOTTIME, "boottime", &offsets);
	if (r == 0)
		r = offsets.failed ? -ENOMEM : file_poke(AT_FDCWD, "/proc/self/timens_offsets", offsets.data);
	if (r < 0)
		return err_num(err, r, "set the clocks of the time namespace");
	/* So far it is only our children's, and an exec takes us there since Linux 6.2 alone. */
	auto_close int made = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);

	if (made < 0 || setns(made, CLONE_NEWTIME) < 0)
		return err_sys(err, "enter the time namespace");
	return 0;
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
	char path[32];

	(void)str_print(path, sizeof(path), "/proc/%d/ns", pid);
	auto_close int ours = open("/proc/self/ns", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_close int its = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (ours < 0 || its < 0)
		return err_sys(err, "look at the namespaces of process %d", pid);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct stat mine, theirs;

		if (!(mask & kinds[i].flag))
			continue;
		if (fstatat(ours, kinds[i].file, &mine, 0) < 0)
			continue; /* a kind that this kernel lacks */
		if (fstatat(its, kinds[i].file, &theirs, 0) < 0)
			return err_sys(err, "look at the %s namespace of process %d", kinds[i].name, pid);
		if (mine.st_ino != theirs.st_ino)
			found |= kinds[i].flag;
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
