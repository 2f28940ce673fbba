/* Makes one of isle's calls into the C library fail: LD_PRELOAD this and set
 *
 *   FAULT_FILE  a file of 8 bytes: the number of calls so far, shared by all processes of the command
 *   FAULT_AT    which call fails, counted from 1; 0: none, they are only counted
 *   FAULT_SAY   a file that gets a line with the call that was made to fail
 *
 * Counted are the calls that ask something of the kernel which it may refuse for want of space, memory or descriptors. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic uint64_t *counter;
static uint64_t fail_at;
static int say_fd = -1;

/* By the system call, not by open(): that one is counted. */
static int raw_open(const char *path, int flags)
{
	long (*raw)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");

	return path ? (int)raw(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600) : -1;
}

__attribute__((constructor)) static void begin(void)
{
	const char *at = getenv("FAULT_AT");
	int fd = raw_open(getenv("FAULT_FILE"), O_RDWR);

	if (fd < 0)
		return;
	void *map = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (map == MAP_FAILED)
		return;
	counter = map;
	fail_at = at ? strtoull(at, NULL, 10) : 0;
	say_fd = raw_open(getenv("FAULT_SAY"), O_WRONLY | O_APPEND);
	/* Out of the way of the low numbers that programs count on. */
	if (say_fd >= 0) {
		int high = fcntl(say_fd, F_DUPFD_CLOEXEC, 900);

		close(say_fd);
		say_fd = high;
	}
}

static bool fails(const char *name, int error)
{
	char line[128];

	if (!counter)
		return false;
	uint64_t now = atomic_fetch_add(counter, 1) + 1;

	if (now != fail_at)
		return false;
	int len = snprintf(line, sizeof(line), "call %llu, %s by process %d: %s\n", (unsigned long long)now, name, getpid(), strerror(error));
	long (*raw)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");

	if (say_fd >= 0)
		(void)raw(SYS_write, say_fd, line, len);
	errno = error;
	return true;
}

#define WRAP(type, name, error, declared, passed)                     \
	type name declared                                            \
	{                                                             \
		static type(*real) declared;                          \
		if (!real)                                            \
			real = (type(*) declared)dlsym(RTLD_NEXT, #name); \
		if (fails(#name, error))                              \
			return (type)-1;                              \
		return real passed;                                   \
	}

/* open and its like take a mode only with O_CREAT. */
#define WRAP_OPEN(name)                                                            \
	int name(const char *path, int flags, ...)                                 \
	{                                                                          \
		static int (*real)(const char *, int, ...);                        \
		mode_t mode = 0;                                                   \
		if (flags & (O_CREAT | O_TMPFILE)) {                               \
			va_list args;                                              \
			va_start(args, flags);                                     \
			mode = va_arg(args, mode_t);                               \
			va_end(args);                                              \
		}                                                                  \
		if (!real)                                                         \
			real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
		return fails(#name, EMFILE) ? -1 : real(path, flags, mode);        \
	}

#define WRAP_OPENAT(name)                                                               \
	int name(int dir, const char *path, int flags, ...)                             \
	{                                                                               \
		static int (*real)(int, const char *, int, ...);                        \
		mode_t mode = 0;                                                        \
		if (flags & (O_CREAT | O_TMPFILE)) {                                    \
			va_list args;                                                   \
			va_start(args, flags);                                          \
			mode = va_arg(args, mode_t);                                    \
			va_end(args);                                                   \
		}                                                                       \
		if (!real)                                                              \
			real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name); \
		return fails(#name, EMFILE) ? -1 : real(dir, path, flags, mode);        \
	}

WRAP_OPEN(open)
WRAP_OPEN(open64)
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)
WRAP(int, mkdir, ENOSPC, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, ENOSPC, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(int, mknodat, ENOSPC, (int dir, const char *path, mode_t mode, dev_t dev), (dir, path, mode, dev))
WRAP(int, symlinkat, ENOSPC, (const char *target, int dir, const char *path), (target, dir, path))
WRAP(int, linkat, EIO, (int from, const char *old, int to, const char *new, int flags), (from, old, to, new, flags))
WRAP(int, unlinkat, EIO, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(int, rename, EIO, (const char *old, const char *new), (old, new))
WRAP(int, renameat, EIO, (int from, const char *old, int to, const char *new), (from, old, to, new))
WRAP(int, renameat2, EIO, (int from, const char *old, int to, const char *new, unsigned int flags), (from, old, to, new, flags))
WRAP(int, fsync, EIO, (int fd), (fd))
WRAP(int, fdatasync, EIO, (int fd), (fd))
WRAP(int, syncfs, EIO, (int fd), (fd))
WRAP(int, ftruncate, EIO, (int fd, off_t size), (fd, size))
WRAP(int, chown, EIO, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
WRAP(int, chmod, EIO, (const char *path, mode_t mode), (path, mode))
WRAP(int, fchown, EIO, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, fchmod, EIO, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchownat, EIO, (int dir, const char *path, uid_t uid, gid_t gid, int flags), (dir, path, uid, gid, flags))
WRAP(ssize_t, read, EIO, (int fd, void *data, size_t size), (fd, data, size))
WRAP(ssize_t, write, ENOSPC, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(ssize_t, pwrite, ENOSPC, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
WRAP(int, pipe2, EMFILE, (int fds[2], int flags), (fds, flags))
WRAP(int, dup2, EMFILE, (int from, int to), (from, to))
WRAP(int, socket, EMFILE, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, socketpair, EMFILE, (int domain, int type, int protocol, int fds[2]), (domain, type, protocol, fds))
WRAP(int, bind, ENOMEM, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(int, listen, ENOMEM, (int fd, int backlog), (fd, backlog))
WRAP(int, connect, ENOMEM, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size))
WRAP(ssize_t, sendmsg, ENOBUFS, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(ssize_t, recvmsg, ENOMEM, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(int, posix_openpt, ENOSPC, (int flags), (flags))
WRAP(int, mount, ENOMEM, (const char *source, const char *target, const char *type, unsigned long flags, const void *data),
     (source, target, type, flags, data))
WRAP(int, umount2, EIO, (const char *target, int flags), (target, flags))
WRAP(int, open_tree, ENOMEM, (int dir, const char *path, unsigned int flags), (dir, path, flags))
WRAP(int, move_mount, ENOMEM, (int from, const char *old, int to, const char *new, unsigned int flags), (from, old, to, new, flags))
WRAP(int, fsopen, ENOMEM, (const char *name, unsigned int flags), (name, flags))
WRAP(int, fsmount, ENOMEM, (int fd, unsigned int flags, unsigned int attributes), (fd, flags, attributes))
WRAP(int, fsconfig, ENOMEM, (int fd, unsigned int command, const char *key, const void *value, int aux), (fd, command, key, value, aux))
WRAP(int, mount_setattr, ENOMEM, (int dir, const char *path, unsigned int flags, struct mount_attr *attributes, size_t size),
     (dir, path, flags, attributes, size))
WRAP(int, setns, ENOMEM, (int fd, int kind), (fd, kind))
WRAP(int, unshare, ENOMEM, (int flags), (flags))
WRAP(pid_t, fork, EAGAIN, (void), ())
WRAP(int, epoll_create1, EMFILE, (int flags), (flags))
WRAP(int, epoll_ctl, ENOMEM, (int epoll, int op, int fd, struct epoll_event *event), (epoll, op, fd, event))
WRAP(int, signalfd, EMFILE, (int fd, const void *mask, int flags), (fd, mask, flags))

/* clone3, openat2, pidfd_open, the mount calls of an older C library... A close_range or pidfd_send_signal that fails has no
 * meaning in real life. */
long syscall(long number, ...)
{
	static long (*real)(long, ...);
	va_list args;
	long a[6];

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number != SYS_close_range && number != SYS_pidfd_send_signal && number != SYS_gettid && number != SYS_getrandom) {
		char name[32];

		(void)snprintf(name, sizeof(name), "syscall %ld", number);
		if (fails(name, number == SYS_clone3 ? EAGAIN : ENOMEM))
			return -1;
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
