/* Shuts the unpacking process in. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../kernel/privs.h"
#include "unpack.h"

#define MEMORY_MAX (2048ull << 20) /* xz -9 and zstd --long take several hundred MiB */
#define FILES_MAX  64

/* The address sanitizer needs terabytes of addresses and system calls of its own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

int sandbox_open(int dir_fd, int *ret_fd, struct err *err)
{
	auto_close int root_fd = open_tree(dir_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	/* Not shared with the mount that it copies: what is shared cannot be pivoted to. */
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, .propagation = MS_PRIVATE};

	if (root_fd < 0)
		return err_sys(err, "open the target as a mount");
	if (mount_setattr(root_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return err_sys(err, "set up the target's mount");
	*ret_fd = take_fd(&root_fd);
	return 0;
}

/* The new root is attached somewhere, then the old one is let go: after it no path leads to a file of the host. */
static int change_root(int root_fd, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make mounts private");
	if (move_mount(root_fd, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "attach the target");
	if (fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "make the target the root");
	return 0;
}

static int limit(int resource, uint64_t value, struct err *err)
{
	const struct rlimit rlimit = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(resource, &rlimit) < 0 ? err_sys(err, "limit the unpacking process") : 0;
}

static int set_limits(const struct unpack_limits *limits, struct err *err)
{
	/* Not 0, with which the kernel does run a core handler, as the host's root (core(5)). */
	int r = limit(RLIMIT_CORE, 1, err);

	if (r == 0 && !SANITIZED)
		r = limit(RLIMIT_AS, MEMORY_MAX, err);
	if (r == 0)
		r = limit(RLIMIT_NOFILE, FILES_MAX, err);
	if (r == 0)
		r = limit(RLIMIT_FSIZE, limits->bytes, err);
	if (r == 0)
		r = limit(RLIMIT_CPU, limits->seconds, err);
	/* A file over the limit is an error with a name, not a death. */
	(void)signal(SIGXFSZ, SIG_IGN);
	return r;
}

static int set_filter(struct err *err)
{
	static const int calls[] = {
		SCMP_SYS(read),
		SCMP_SYS(readv),
		SCMP_SYS(pread64),
		SCMP_SYS(write),
		SCMP_SYS(pwrite64),
		SCMP_SYS(lseek),
		SCMP_SYS(close),
		SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(statx),
		SCMP_SYS(openat2),
		SCMP_SYS(openat),
		SCMP_SYS(mkdirat),
		SCMP_SYS(linkat),
		SCMP_SYS(symlinkat),
		SCMP_SYS(unlinkat),
		SCMP_SYS(mknodat),
		SCMP_SYS(fchown),
		SCMP_SYS(fchownat),
		SCMP_SYS(fchmod),
		SCMP_SYS(fchmodat),
		SCMP_SYS(utimensat),
		SCMP_SYS(fsetxattr),
		SCMP_SYS(ftruncate),
		SCMP_SYS(fcntl),
		SCMP_SYS(brk),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(madvise),
		SCMP_SYS(futex),
		SCMP_SYS(getrandom),
		SCMP_SYS(clock_gettime),
		SCMP_SYS(gettimeofday),
		SCMP_SYS(time),
		SCMP_SYS(rt_sigreturn),
		SCMP_SYS(rt_sigprocmask),
		SCMP_SYS(rt_sigaction),
		SCMP_SYS(getpid),
		SCMP_SYS(gettid),
		SCMP_SYS(tgkill),
		SCMP_SYS(restart_syscall),
		SCMP_SYS(exit),
		SCMP_SYS(exit_group),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = filter ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	/* Memory, but no new code. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return r < 0 ? err_num(err, r, "filter the unpacking process's system calls") : 0;
}

int sandbox_enter(int root_fd, const struct unpack_limits *limits, struct err *err)
{
	/* No MKNOD: isle makes /dev itself, and fifos need no capability. */
	const uint64_t keep =
		1ull << CAP_CHOWN | 1ull << CAP_FOWNER | 1ull << CAP_FSETID | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_SETFCAP;
	int r = change_root(root_fd, err);

	if (r == 0)
		r = set_limits(limits, err);
	if (r == 0)
		r = privs_apply(keep, err);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_sys(err, "give up new privileges");
	return r < 0 || SANITIZED ? r : set_filter(err);
}
