/* isle-criu.so, preloaded into criu: lends it the guest's own user of the host, to make the guest's user namespace and, where root
 * lacks CAP_SYS_RESOURCE, to read the limits of processes in it; has it join that namespace instead where it was kept; has it carry
 * what a ramfs holds; and lets what it restores not outlive it. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <linux/sched.h>

#include "../run/criu_shim.h"
#include "shim.h"

#define ARGUMENTS 6

typedef int (*execvp_function)(const char *file, char *const argv[]);
typedef long (*syscall_function)(long number, ...);
typedef int (*openat_function)(int folder, const char *path, int flags, ...);
typedef long (*ptrace_function)(enum __ptrace_request request, ...);

long syscall(long number, ...);

/* libc's own. Not looked up beforehand: other libraries' constructors make calls too. */
static void *own_of_libc(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		_exit(127); /* criu without what it is to have from here must not run */
	return found;
}

static syscall_function libc_syscall(void)
{
	static syscall_function known;
	void *found = known ? NULL : own_of_libc("syscall");

	if (!known)
		__builtin_memcpy(&known, &found, sizeof(found)); /* a data pointer is no function pointer to C */
	return known;
}

static ptrace_function libc_ptrace(void)
{
	static ptrace_function known;
	void *found = known ? NULL : own_of_libc("ptrace");

	if (!known)
		__builtin_memcpy(&known, &found, sizeof(found));
	return known;
}

static openat_function libc_openat(void)
{
	static openat_function known;
	void *found = known ? NULL : own_of_libc("openat64");

	if (!known)
		__builtin_memcpy(&known, &found, sizeof(found));
	return known;
}

static execvp_function libc_execvp(void)
{
	static execvp_function known;
	void *found = known ? NULL : own_of_libc("execvp");

	if (!known)
		__builtin_memcpy(&known, &found, sizeof(found));
	return known;
}

static long pass(long number, const long arg[ARGUMENTS])
{
	return libc_syscall()(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* An effective uid but root's takes the effective capabilities along (capabilities(7)). */
static int raise_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (libc_syscall()(SYS_capget, &header, data) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	return (int)libc_syscall()(SYS_capset, &header, data);
}

/* A change of uid clears both: criu looks into its own /proc files, and ends with isle (prctl(2)). */
struct traits {
	int dumpable, death_signal;
};

static void keep_traits(struct traits *ret)
{
	ret->dumpable = prctl(PR_GET_DUMPABLE);
	if (prctl(PR_GET_PDEATHSIG, &ret->death_signal) < 0)
		ret->death_signal = 0;
}

static void give_traits(const struct traits *traits)
{
	if (traits->dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, 1);
	if (traits->death_signal)
		(void)prctl(PR_SET_PDEATHSIG, traits->death_signal);
}

static int set_effective(uid_t uid)
{
	return (int)libc_syscall()(SYS_setresuid, -1L, (long)uid, -1L);
}

/* Does the call as somebody else; criu must not go on as him. */
static long as(uid_t uid, long number, const long arg[ARGUMENTS])
{
	struct traits traits;
	int num;

	keep_traits(&traits);
	if (set_effective(uid) < 0)
		return -1;
	if (raise_capabilities() < 0)
		_exit(1);
	give_traits(&traits);
	long result = pass(number, arg);

	num = errno;
	if (number == SYS_clone3 && result == 0)
		return 0; /* in the new user namespace, where it becomes root by itself */
	if (set_effective(0) < 0)
		_exit(1);
	give_traits(&traits);
	errno = num;
	return result;
}

/* What the process between the two tells. */
struct born {
	long pid;
	int num;
};

/* In a process that ends at once: nobody comes back from a user namespace. */
static long bear(int userns, const struct clone_args *args, int tell)
{
	struct clone_args less = *args;
	struct born born = {.pid = -1};

	less.flags = args->flags & ~(uint64_t)CLONE_NEWUSER;
	if (setns(userns, CLONE_NEWUSER) == 0) {
		(void)prctl(PR_SET_DUMPABLE, 1); /* the change of user namespace cleared it */
		born.pid = libc_syscall()(SYS_clone3, &less, sizeof(less));
	}
	if (born.pid == 0)
		return 0;
	born.num = errno;
	(void)!write(tell, &born, sizeof(born));
	_exit(0);
}

/* For a child of criu's own parent: it is as one with a user namespace of its own would be. The process between is left for that
 * parent to reap, like it. */
static long clone_in(int userns, const struct clone_args *args)
{
	int word[2], middle = -1;
	struct clone_args half = {.flags = CLONE_PARENT | CLONE_PIDFD, .pidfd = (uintptr_t)&middle};
	struct born born = {.pid = -1, .num = EPIPE};

	if (pipe2(word, O_CLOEXEC) < 0)
		return -1;
	long pid = libc_syscall()(SYS_clone3, &half, sizeof(half));

	if (pid == 0) {
		close(word[0]);
		return bear(userns, args, word[1]);
	}
	close(word[1]);
	if (pid < 0 || read(word[0], &born, sizeof(born)) != (ssize_t)sizeof(born))
		born.num = pid < 0 ? errno : born.num;
	close(word[0]);
	if (middle >= 0) {
		struct pollfd gone = {.fd = middle, .events = POLLIN};

		while (poll(&gone, 1, -1) < 0 && errno == EINTR)
			;
		close(middle);
	}
	errno = born.num;
	return born.pid;
}

/* By the kernel's budgets for each user the guest's namespaces, inotify, message queues... count for whoever made its user
 * namespace (user_namespaces(7)): never for the host's root. */
static long clone_for_guest(const long arg[ARGUMENTS])
{
	const struct clone_args *args = (const void *)(uintptr_t)arg[0]; /* NOLINT(performance-no-int-to-ptr) */
	const char *owner = getenv(CRIU_SHIM_OWNER), *join = getenv(CRIU_SHIM_JOIN);

	if (!owner || !args || !(args->flags & CLONE_NEWUSER))
		return pass(SYS_clone3, arg);
	if (join && args->flags & CLONE_PARENT)
		return clone_in((int)strtoul(join, NULL, 10), args);
	return as((uid_t)strtoul(owner, NULL, 10), SYS_clone3, arg);
}

/* The powers of whoever made the guest's user namespace: that user has all capabilities in it. */
static long read_limit(const long arg[ARGUMENTS])
{
	char path[48];
	uid_t owner;

	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/user", arg[0]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int asked = fd < 0 ? -1 : ioctl(fd, NS_GET_OWNER_UID, &owner);

	if (fd >= 0)
		close(fd);
	if (asked == 0)
		return as(owner, SYS_prlimit64, arg);
	errno = EPERM;
	return -1;
}

/* In libc's place. Only a look at limits is done again with other powers, never a change. */
long syscall(long number, ...)
{
	long arg[ARGUMENTS];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < ARGUMENTS; i++)
		arg[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_clone3)
		return clone_for_guest(arg);
	long result = pass(number, arg);

	return number == SYS_prlimit64 && result < 0 && errno == EPERM && arg[2] == 0 ? read_limit(arg) : result;
}

/* In libc's place. A restore that is killed must not let its processes go half made, or without having been looked at: they end
 * with it, unless it has detached from them (ptrace(2), PTRACE_O_EXITKILL). */
long ptrace(enum __ptrace_request request, ...)
{
	va_list args;

	va_start(args, request);
	long pid = va_arg(args, long), address = va_arg(args, long), data = va_arg(args, long);

	va_end(args);
	if ((request == PTRACE_SEIZE || request == PTRACE_SETOPTIONS) && getenv(CRIU_SHIM_RESTORES))
		data |= PTRACE_O_EXITKILL;
	return libc_ptrace()(request, pid, address, data);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_id_map(const char *path)
{
	const char *name = last_part(path);

	return strcmp(name, "uid_map") == 0 || strcmp(name, "gid_map") == 0;
}

/* In libc's place. The id maps of a user namespace that was joined are what criu is about to write, and can be written once only.
 * And what a process had open may be a fifo now: to wait for its other end would be to wait for ever. */
int openat64(int folder, const char *path, int flags, ...)
{
	mode_t mode = 0;

	if (flags & O_CREAT) {
		va_list args;

		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if ((flags & O_ACCMODE) != O_RDONLY && getenv(CRIU_SHIM_JOIN) && is_id_map(path))
		return libc_openat()(AT_FDCWD, "/dev/null", flags);
	if (getenv(CRIU_SHIM_DUMPS) && (flags & (O_ACCMODE | O_PATH)) == O_RDONLY && strcmp(last_part(path), "mountinfo") == 0) {
		int mounts = libc_openat()(folder, path, flags);

		return mounts < 0 ? mounts : mounts_for_dump(mounts, flags);
	}
	if (!getenv(CRIU_SHIM_RESTORES) || flags & (O_NONBLOCK | O_PATH | O_CREAT | O_DIRECTORY))
		return libc_openat()(folder, path, flags, mode);
	int fd = libc_openat()(folder, path, flags | O_NONBLOCK);

	if (fd >= 0 && fcntl(fd, F_SETFL, flags) < 0)
		_exit(1); /* criu's own work would be another then */
	return fd;
}

/* The same in a criu that was built with _FORTIFY_SOURCE. */
int openat64_2(int folder, const char *path, int flags) __asm__("__openat64_2");

int openat64_2(int folder, const char *path, int flags)
{
	return openat64(folder, path, flags);
}

/* In libc's place, in a child of criu's that is to become a program. */
int execvp(const char *file, char *const argv[])
{
	if (strcmp(file, "tar") == 0)
		tar_prepare((char **)argv);
	return libc_execvp()(file, argv);
}
