/* The shipped filter, applied in children that then make the calls, and the cache of compiled filters. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/str.h"
#include "../../src/kernel/seccomp.h"
#include "bpf_run.h"

#define OTHER_CALL 999 /* no kernel has it */

static char *make_cache(void)
{
	char *folder = strdup("/tmp/isle-test-seccomp-XXXXXX");

	assert_non_null(folder);
	assert_non_null(mkdtemp(folder));
	return folder;
}

static void remove_cache(char *folder)
{
	auto_closedir DIR *dir = opendir(folder);

	for (struct dirent *entry; dir && (entry = readdir(dir));)
		(void)unlinkat(dirfd(dir), entry->d_name, 0); /* "." and ".." refuse */
	assert_int_equal(rmdir(folder), 0);
	free(folder);
}

/* Runs fn in a child under the filter of request; its exit status, or 256 + the signal that killed it. */
static int under(const struct seccomp_request *request, int (*fn)(void))
{
	struct seccomp_program program;
	struct err err = {0};
	int status;

	if (seccomp_prepare(request, &program, &err) < 0)
		fail_msg("%s: %s", err.where, err.what);

	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core of a child that is killed on purpose */
		if (geteuid() != 0)
			(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		_exit(seccomp_apply(&program, &err) < 0 ? 255 : fn());
	}
	seccomp_free(&program);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* Expectations inside a child: the number of the line that failed is its exit status, modulo 250. */
#define WANT(condition)                                                                           \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
			return 1 + __LINE__ % 250;                                                \
		}                                                                                 \
	} while (0)
#define FAILS(call, number) WANT((errno = 0, (call) < 0) && errno == (number))
#define ALLOWED(call)       WANT((errno = 0, (call) >= 0) || (errno != ENOSYS && errno != EPERM))

static const struct seccomp_request plain = {.list = NULL};
static const struct seccomp_request ready = {.list = "default", .checkpoint_ready = true};

static int calls_refused(void)
{
	FAILS(syscall(OTHER_CALL), ENOSYS);
	FAILS(syscall(SYS_bpf, 0, 0, 0), EPERM);
	FAILS(syscall(SYS_open_by_handle_at, -1, NULL, 0), EPERM);
	FAILS(syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM);
	FAILS(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0), EPERM);
	FAILS(syscall(SYS_init_module, NULL, 0, ""), EPERM);
	FAILS(syscall(SYS_finit_module, -1, "", 0), EPERM);
	FAILS(syscall(SYS_delete_module, "none", 0), EPERM);
	FAILS(syscall(SYS_perf_event_open, NULL, 0, 0, -1, 0), EPERM);
	FAILS(syscall(SYS_swapon, NULL, 0), EPERM);
	FAILS(syscall(SYS_swapoff, NULL), EPERM);
	FAILS(syscall(SYS_acct, "/nowhere"), EPERM);
	FAILS(syscall(SYS_syslog, 10, NULL, 0), EPERM);
	FAILS(syscall(SYS_settimeofday, NULL, NULL), EPERM);
	FAILS(syscall(SYS_clock_settime, 0, NULL), EPERM);
	FAILS(syscall(SYS_quotactl, 0, NULL, 0, NULL), EPERM);
	FAILS(syscall(SYS_userfaultfd, 0), ENOSYS);
	FAILS(syscall(425, 1, NULL), ENOSYS); /* io_uring_setup */
	FAILS(syscall(SYS_fanotify_init, 8, 0), EPERM);
	FAILS(syscall(SYS_fanotify_init, 0x10, 0), EPERM);
#ifdef __x86_64__
	FAILS(syscall(SYS_iopl, 3), EPERM);
	FAILS(syscall(SYS_ioperm, 0, 1, 1), EPERM);
#endif
	return 0;
}

static int calls_allowed(void)
{
	char handle[256] = {0};
	int mount_id;

	ALLOWED(syscall(SYS_unshare, CLONE_NEWNS));
	ALLOWED(syscall(SYS_unshare, CLONE_NEWNET));
	ALLOWED(syscall(SYS_mount, "none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	ALLOWED(syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL));
	ALLOWED(syscall(SYS_umount2, "/mnt", MNT_DETACH));
	ALLOWED(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
	ALLOWED(syscall(SYS_personality, 0x40000));
	ALLOWED(syscall(SYS_ptrace, 7 /* PTRACE_CONT, of nobody */, 0, 0, 0));
	ALLOWED(syscall(SYS_clone3, NULL, 0));
	ALLOWED(syscall(SYS_seccomp, 2 /* GET_ACTION_AVAIL */, 0, &(uint32_t){SECCOMP_RET_ALLOW}));
	*(uint32_t *)handle = 128;
	ALLOWED(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", handle, &mount_id, 0));
	WANT(fork() >= 0);
	return 0;
}

static void test_calls(void **state)
{
	assert_int_equal(under(&plain, calls_refused), 0);
	assert_int_equal(under(&ready, calls_refused), 0);
	assert_int_equal(under(&plain, calls_allowed), 0);
}

static int tty_ioctls(void)
{
	/* on a descriptor that is no terminal the kernel itself says ENOTTY or EBADF */
	FAILS(syscall(SYS_ioctl, -1, (unsigned long)TIOCSTI, "x"), EPERM);
	FAILS(syscall(SYS_ioctl, -1, 0xdeadbeef00000000ul | TIOCSTI, "x"), EPERM);
	FAILS(syscall(SYS_ioctl, -1, 0x100000000ul | 0x541C /* TIOCLINUX */, "x"), EPERM);
	FAILS(syscall(SYS_ioctl, -1, (unsigned long)TIOCGWINSZ, NULL), EBADF);
	FAILS(syscall(SYS_ioctl, -1, 0xdeadbeef00000000ul | TIOCGWINSZ, NULL), EBADF);
	FAILS(syscall(SYS_ioctl, -1, ~0ul, NULL), EBADF);
	FAILS(umount2("/nowhere", MNT_FORCE), EPERM);
	FAILS(syscall(SYS_umount2, "/nowhere", 0xffffffff00000003ul), EPERM);
	FAILS(umount2("/nowhere", MNT_DETACH), ENOENT);
	return 0;
}

static int socket_families(void)
{
	WANT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
	WANT(socket(AF_INET, SOCK_STREAM, 0) >= 0);
	WANT(syscall(SYS_socket, 0x500000000ul | AF_INET, SOCK_DGRAM, 0) >= 0);
	ALLOWED(socket(AF_INET6, SOCK_DGRAM, 0));
	WANT(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0);
	ALLOWED(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER));
	FAILS(socket(AF_NETLINK, SOCK_RAW, NETLINK_XFRM), EPROTONOSUPPORT);
	FAILS(socket(AF_NETLINK, SOCK_RAW, NETLINK_CRYPTO), EPROTONOSUPPORT);
	FAILS(syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0xffff00000000ul | NETLINK_XFRM), EPROTONOSUPPORT);
	FAILS(socket(AF_INET, SOCK_STREAM, 33 /* DCCP */), EPROTONOSUPPORT);
	for (int family = 0; family < 64; family++) {
		if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK || family == AF_PACKET)
			continue;
		FAILS(socket(family, SOCK_DGRAM, 0), EAFNOSUPPORT);
		FAILS(syscall(SYS_socket, 0x100000000ul | (unsigned)family, SOCK_SEQPACKET, 0), EAFNOSUPPORT);
	}
	FAILS(socket(-1, SOCK_STREAM, 0), EAFNOSUPPORT);

	int pair[2];

	WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	FAILS(socketpair(AF_INET, SOCK_STREAM, 0, pair), EAFNOSUPPORT);
	FAILS(socketpair(30 /* TIPC */, SOCK_STREAM, 0, pair), EAFNOSUPPORT);
	return 0;
}

static int core_limit(void)
{
	struct rlimit limit, wish = {0, RLIM_INFINITY};

	/* as it was, whatever is asked, also with a structure whose address has 32 zeros at its end */
	WANT(getrlimit(RLIMIT_CORE, &limit) == 0);
	WANT(setrlimit(RLIMIT_CORE, &wish) == 0);
	WANT(syscall(SYS_prlimit64, 0, 0xf00000000ul | RLIMIT_CORE, &wish, NULL) == 0);
	WANT(syscall(SYS_prlimit64, 0, RLIMIT_CORE, (void *)0x700000000ul, NULL) == 0);
	WANT(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, &wish) == 0);
	WANT(wish.rlim_cur == limit.rlim_cur && wish.rlim_max == limit.rlim_max);
	wish = (struct rlimit){50, 60};
	WANT(setrlimit(RLIMIT_NOFILE, &wish) == 0);
	WANT(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 50);
	return 0;
}

static int keys(void)
{
	FAILS(syscall(SYS_request_key, "user", "isle-test", "x", 0), ENOKEY);
	FAILS(syscall(SYS_request_key, "user", "isle-test", (void *)0x100000000ul, 0), ENOKEY);
	FAILS(syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, 0, 0, 0, 0), EOPNOTSUPP);
	FAILS(syscall(SYS_keyctl, KEYCTL_PKEY_SIGN, 0, 0, 0, 0), EOPNOTSUPP);
	ALLOWED(syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_PROCESS_KEYRING, NULL, 0));
	return 0;
}

static void test_arguments(void **state)
{
	assert_int_equal(under(&plain, tty_ioctls), 0);
	assert_int_equal(under(&plain, socket_families), 0);
	assert_int_equal(under(&plain, core_limit), 0);
	assert_int_equal(under(&plain, keys), 0);
}

static int no_keys(void)
{
	FAILS(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1), ENOSYS);
	FAILS(syscall(SYS_add_key, "user", "x", "x", 1, KEY_SPEC_PROCESS_KEYRING), ENOSYS);
	FAILS(syscall(SYS_fanotify_mark, -1, 0x101, 0, AT_FDCWD, "/"), EPERM);
	return 0;
}

static int nesting_calls(void)
{
	ALLOWED(syscall(SYS_clone3, NULL, 0));
	WANT((errno = 0, syscall(SYS_bpf, -1, NULL, 0)) < 0 && errno != ENOSYS);
	FAILS(syscall(SYS_open_by_handle_at, -1, NULL, 0), EPERM);
	FAILS(socket(38 /* ALG */, SOCK_SEQPACKET, 0), EAFNOSUPPORT);
	WANT(unshare(CLONE_NEWUTS | CLONE_NEWIPC) == 0);
	return 0;
}

static void test_options(void **state)
{
	struct seccomp_request privileged = {.privileged = true};
	struct seccomp_request nesting = {.nesting = true, .checkpoint_ready = true};

	assert_int_equal(under(&privileged, no_keys), 0);
	if (geteuid() == 0)
		assert_int_equal(under(&nesting, nesting_calls), 0);
}

static int ready_namespaces(void)
{
	static const unsigned long refused[] = {CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWUSER, 0x02000000 /* cgroup */};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		FAILS(syscall(SYS_unshare, refused[i]), EPERM);
		FAILS(syscall(SYS_unshare, 0x4500000000ul | refused[i] | CLONE_NEWNS), EPERM);
		FAILS(syscall(SYS_clone, SIGCHLD | refused[i], 0, 0, 0, 0), EPERM);
		FAILS(syscall(SYS_clone, 0xff00000000ul | SIGCHLD | CLONE_NEWNET | refused[i], 0, 0, 0, 0), EPERM);
	}
	FAILS(syscall(SYS_unshare, 0x80 /* time */), EPERM);
	FAILS(syscall(SYS_clone3, NULL, 0), ENOSYS);
	FAILS(socket(AF_INET, SOCK_STREAM, 262 /* MPTCP */), EPROTONOSUPPORT);
	ALLOWED(syscall(SYS_unshare, CLONE_NEWNS | CLONE_NEWNET));

	long pid = syscall(SYS_clone, SIGCHLD | CLONE_NEWNS, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	WANT(pid > 0);
	WANT(fork() >= 0); /* libc has its way without clone3 */
	return 0;
}

static void test_checkpoint_ready(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(under(&ready, ready_namespaces), 0);
}

#ifdef __x86_64__
static int x32_call(void)
{
	(void)syscall(0x40000000 | 39); /* x32's getpid */
	return 0;
}

/* int 0x80 enters as i386 from a 64-bit program too; pointers must lie low, so only calls without any are tried. */
static long call_i386(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return (int)ret;
}

/* A kernel without its 32-bit table answers ENOSYS; some, and some hypervisors, have no such interrupt: SIGSEGV. */
static bool has_i386(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(call_i386(20, 0, 0, 0) == getpid() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static int i386_calls(void)
{
	WANT(call_i386(20, 0, 0, 0) == getpid());
	WANT(call_i386(OTHER_CALL, 0, 0, 0) == -ENOSYS);
	WANT(call_i386(54, -1, TIOCSTI, 0) == -EPERM);
	WANT(call_i386(54, -1, TIOCGWINSZ, 0) == -EBADF);
	WANT(call_i386(359, 38, SOCK_SEQPACKET, 0) == -EAFNOSUPPORT);
	WANT(call_i386(359, AF_INET, SOCK_STREAM, 0) >= 0);
	WANT(call_i386(102, 1, 0, 0) == -EAFNOSUPPORT);
	WANT(call_i386(102, 8, 0, 0) == -EAFNOSUPPORT);
	WANT(call_i386(102, 2, 0, 0) == -EFAULT); /* bind: the kernel reads its arguments */
	WANT(call_i386(310, CLONE_NEWUTS, 0, 0) == -EPERM);
	WANT(call_i386(357, 0, 0, 0) == -EPERM);      /* bpf */
	WANT(call_i386(25, 0, 0, 0) == -EPERM);       /* stime */
	WANT(call_i386(110, 3, 0, 0) == -EPERM);      /* iopl */
	WANT(call_i386(425, 1, 0, 0) == -ENOSYS);     /* io_uring_setup */
	WANT(call_i386(75, RLIMIT_CORE, 16, 0) == 0); /* setrlimit pretends, or it would fail on the address */
	WANT(call_i386(75, RLIMIT_NOFILE, 16, 0) == -EFAULT);
	WANT(call_i386(340, 0, RLIMIT_CORE, 16) == 0);
	return 0;
}

static int i386_socketcall(void)
{
	WANT(call_i386(102, 1, 0, 0) == -EFAULT);
	return 0;
}

static void test_x32(void **state)
{
	assert_int_equal(under(&plain, x32_call), 256 + SIGSYS);
}

static void test_i386(void **state)
{
	struct seccomp_request i386 = {.checkpoint_ready = true, .arch32 = true};

	if (!has_i386())
		skip();
	assert_int_equal(under(&ready, i386_calls), 0);
	assert_int_equal(under(&i386, i386_socketcall), 0);
}
#endif

static uint32_t answer(const struct seccomp_program *program, uint32_t arch, uint32_t nr)
{
	struct seccomp_data data = {.nr = (int)nr, .arch = arch};

	return bpf_run(program->filter, program->count, &data);
}

/* Every combination of options compiles and keeps the promises that hold for all of them. */
static void test_combinations(void **state)
{
	for (unsigned bits = 0; bits < 16; bits++) {
		struct seccomp_request request = {
			.nesting = bits & 1, .checkpoint_ready = bits & 2, .privileged = bits & 4, .arch32 = bits & 8};
		struct seccomp_program program;
		struct err err = {0};

		assert_int_equal(seccomp_prepare(&request, &program, &err), 0);
		assert_true(program.count > 200 && program.count < 2000);
		assert_int_equal(answer(&program, 0, 0), SECCOMP_RET_KILL_PROCESS);
		assert_int_equal(answer(&program, AUDIT_ARCH_S390, 0), SECCOMP_RET_KILL_PROCESS);
#ifdef __x86_64__
		static const uint32_t eperm[] = {SYS_init_module, SYS_kexec_load, SYS_open_by_handle_at, SYS_syslog, SYS_iopl};

		for (size_t i = 0; i < sizeof(eperm) / sizeof(eperm[0]); i++)
			assert_int_equal(answer(&program, AUDIT_ARCH_X86_64, eperm[i]), SECCOMP_RET_ERRNO | EPERM);
		assert_int_equal(answer(&program, AUDIT_ARCH_X86_64, SYS_getpid), SECCOMP_RET_ALLOW);
		assert_int_equal(answer(&program, AUDIT_ARCH_X86_64, 0x40000000), SECCOMP_RET_KILL_PROCESS);
		assert_int_equal(answer(&program, AUDIT_ARCH_X86_64, 0xfffffffe), SECCOMP_RET_KILL_PROCESS);
		/* a tracer's way to skip a call must not kill the traced */
		assert_int_equal(answer(&program, AUDIT_ARCH_X86_64, 0xffffffff), SECCOMP_RET_ERRNO | ENOSYS);
		assert_int_equal(answer(&program, AUDIT_ARCH_X86_64, 0x3fffffff), SECCOMP_RET_ERRNO | ENOSYS);
		assert_int_equal(answer(&program, AUDIT_ARCH_I386, 0xffffffff), SECCOMP_RET_ERRNO | ENOSYS);
		assert_int_equal(answer(&program, AUDIT_ARCH_I386, 20), SECCOMP_RET_ALLOW);
#endif
		seccomp_free(&program);
		assert_null(program.filter);
	}
}

static void test_none(void **state)
{
	struct seccomp_request request = {.list = "none", .cache = "/nowhere"};
	struct seccomp_program program = {.count = 9};
	struct err err = {0};

	assert_int_equal(seccomp_prepare(&request, &program, &err), 0);
	assert_int_equal(program.count, 0);
	assert_int_equal(seccomp_apply(&program, &err), 0);
	seccomp_free(&program);
}

static char *only_file(const char *folder)
{
	auto_closedir DIR *dir = opendir(folder);
	char *name = NULL;

	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		assert_null(name);
		name = str_format("%s/%s", folder, entry->d_name);
	}
	return name;
}

static void prepare_equal(const struct seccomp_request *request, const struct seccomp_program *expected)
{
	struct seccomp_program program;
	struct err err = {0};

	assert_int_equal(seccomp_prepare(request, &program, &err), 0);
	assert_int_equal(program.count, expected->count);
	assert_memory_equal(program.filter, expected->filter, program.count * sizeof(struct sock_filter));
	seccomp_free(&program);
}

static void write_at(const char *file, off_t at, const void *data, size_t len)
{
	auto_close int fd = open(file, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, at), (ssize_t)len);
}

static void test_cache(void **state)
{
	char *cache = make_cache();
	struct seccomp_request request = {.checkpoint_ready = true, .cache = cache};
	struct seccomp_program first;
	struct err err = {0};
	struct stat before, after;

	assert_int_equal(seccomp_prepare(&request, &first, &err), 0);

	auto_free char *file = only_file(cache);

	assert_non_null(file);
	assert_int_equal(stat(file, &before), 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	prepare_equal(&request, &first);
	assert_int_equal(stat(file, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* it was read, not made again */

	/* an instruction changed into "allow all", at several places */
	for (off_t at = before.st_size - 8; at > before.st_size - 200; at -= 40) {
		write_at(file, at, "\x06\0\0\0\0\0\xff\x7f", 8);
		prepare_equal(&request, &first);
	}
	/* cut short, emptied, grown */
	for (off_t size = 0; size < before.st_size + 16; size += 8) {
		if (size == before.st_size)
			continue;
		assert_int_equal(truncate(file, size), 0);
		prepare_equal(&request, &first);
	}
	/* every byte of the header's beginning */
	for (off_t at = 0; at < 40; at++) {
		write_at(file, at, "\xa5", 1);
		prepare_equal(&request, &first);
	}
	assert_int_equal(stat(file, &after), 0);
	assert_int_equal(after.st_size, before.st_size);

	seccomp_free(&first);
	remove_cache(cache);
}

static void test_cache_trust(void **state)
{
	char *cache = make_cache();
	struct seccomp_request request = {.cache = cache};
	struct seccomp_program first;
	struct err err = {0};
	struct stat st;

	assert_int_equal(seccomp_prepare(&request, &first, &err), 0);

	auto_free char *file = only_file(cache);
	auto_free char *aside = str_format("%s/aside", cache);

	/* writable by others, another's, a link, a fifo, a folder: never read, replaced where that is possible */
	assert_int_equal(chmod(file, 0622), 0);
	prepare_equal(&request, &first);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	if (geteuid() == 0) {
		assert_int_equal(chown(file, 65534, 65534), 0);
		prepare_equal(&request, &first);
		assert_int_equal(stat(file, &st), 0);
		assert_int_equal(st.st_uid, 0);
	}
	assert_int_equal(rename(file, aside), 0);
	assert_int_equal(symlink("aside", file), 0);
	prepare_equal(&request, &first);
	assert_int_equal(lstat(file, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	prepare_equal(&request, &first);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	prepare_equal(&request, &first);
	assert_int_equal(rmdir(file), 0);

	seccomp_free(&first);
	remove_cache(cache);

	struct seccomp_request nowhere = {.cache = "/proc/isle-no-cache"};

	assert_int_equal(seccomp_prepare(&nowhere, &first, &err), 0); /* costs time, nothing else */
	seccomp_free(&first);
}

static void test_two_at_once(void **state)
{
	char *cache = make_cache();
	struct seccomp_request request = {.cache = cache};
	pid_t pids[8];

	for (size_t i = 0; i < 8; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct seccomp_program program;
			struct err err = {0};

			for (int n = 0; n < 20; n++)
				if (seccomp_prepare(&request, &program, &err) < 0 || program.count < 200)
					_exit(1);
				else
					seccomp_free(&program);
			_exit(0);
		}
	}
	for (size_t i = 0; i < 8; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	free(only_file(cache)); /* one file, nothing half written beside it */
	remove_cache(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),        cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_options),      cmocka_unit_test(test_checkpoint_ready),
#ifdef __x86_64__
		cmocka_unit_test(test_x32),          cmocka_unit_test(test_i386),
#endif
		cmocka_unit_test(test_combinations), cmocka_unit_test(test_none),
		cmocka_unit_test(test_cache),        cmocka_unit_test(test_cache_trust),
		cmocka_unit_test(test_two_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
