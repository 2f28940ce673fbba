/* What a hostile guest's root tries, for tests/hostile: static, so that it runs in any guest. It prints a line "HOLE ..." for whatever works
 * and must not. usage: strike WHAT [ARGUMENT...]; run as init it does what its own name says (reboot, deaf, quits, liar). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define hole(...) (printf("HOLE " __VA_ARGS__), putchar('\n'), fflush(stdout))

/* ---- system calls */

static void refused(const char *what, long result, int expected)
{
	int num = errno;

	if (result >= 0)
		hole("%s works", what);
	else if (expected && num != expected)
		hole("%s fails with %s, not %s", what, strerror(num), strerror(expected));
}

#define TRY(expected, call)                           \
	do {                                          \
		errno = 0;                            \
		refused(#call, (long)(call), expected); \
	} while (0)

static void try_module_calls(void)
{
	TRY(EPERM, syscall(SYS_init_module, "", 0, ""));
	TRY(EPERM, syscall(SYS_finit_module, 0, "", 0));
	TRY(EPERM, syscall(SYS_delete_module, "dummy", O_NONBLOCK));
	TRY(EPERM, syscall(SYS_kexec_load, 0, 0, NULL, 0));
	TRY(EPERM, syscall(SYS_kexec_file_load, 0, 0, 0, NULL, 0));
	TRY(EPERM, syscall(SYS_bpf, 0, NULL, 0));
	TRY(EPERM, syscall(SYS_bpf, 5, &(char[128]){0}, 128));
}

static void try_observing_calls(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CPU_CLOCK};

	TRY(EPERM, syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
	TRY(EPERM, syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0));
	TRY(EPERM, syscall(SYS_syslog, 3, &(char[256]){0}, 256));
	TRY(ENOSYS, syscall(SYS_userfaultfd, 0));
	TRY(ENOSYS, syscall(SYS_userfaultfd, 1));
	TRY(ENOSYS, syscall(SYS_io_uring_setup, 8, &(char[256]){0}));
	TRY(EPERM, syscall(SYS_fanotify_init, 4, O_RDONLY)); /* FAN_CLASS_CONTENT */
}

static void try_machine_calls(void)
{
	struct timeval now = {.tv_sec = 1};
	struct timespec then = {.tv_sec = 1};
	struct timex timex = {.modes = ADJ_OFFSET};

	TRY(EPERM, settimeofday(&now, NULL));
	TRY(EPERM, clock_settime(CLOCK_REALTIME, &then));
	TRY(EPERM, adjtimex(&timex));
	TRY(EPERM, clock_adjtime(CLOCK_REALTIME, &timex));
	TRY(EPERM, swapon("/etc/passwd", 0));
	TRY(EPERM, swapoff("/etc/passwd"));
	TRY(EPERM, syscall(SYS_acct, "/etc/passwd"));
	TRY(EPERM, syscall(SYS_quotactl, 0x80000700 << 8, "/", 0, NULL));
#ifdef __x86_64__
	TRY(EPERM, syscall(SYS_iopl, 3));
	TRY(EPERM, syscall(SYS_ioperm, 0x70, 2, 1));
#endif
	TRY(0, setpriority(PRIO_PROCESS, 0, -20));
	TRY(EPERM, sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}));
	TRY(0, syscall(SYS_ioprio_set, 1, 0, 1 << 13)); /* real time */
	struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY}, seen = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &core);
	(void)getrlimit(RLIMIT_CORE, &seen);
	if (seen.rlim_cur != 1 || seen.rlim_max != 1)
		hole("RLIMIT_CORE is %llu %llu: the host's core handler runs", (unsigned long long)seen.rlim_cur,
		     (unsigned long long)seen.rlim_max);
}

static void try_handles(void)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + 128];
	} any = {.handle.handle_bytes = 8, .handle.handle_type = 1};
	int root = open("/", O_RDONLY | O_DIRECTORY);
	unsigned inode = 2; /* the root of an ext4 */

	memcpy(any.handle.f_handle, &inode, sizeof(inode));
	TRY(EPERM, open_by_handle_at(root, &any.handle, O_RDONLY));
	close(root);
}

static void try_namespaces(void)
{
	static const int kinds[] = {CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWCGROUP, 0x80};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (unshare(kinds[i]) == 0)
			hole("unshare %x works in a guest that can be checkpointed", (unsigned)kinds[i]);
		if (unshare(kinds[i] | CLONE_NEWNS) == 0)
			hole("unshare %x with a mount namespace works", (unsigned)kinds[i]);
	}
	TRY(ENOSYS, syscall(SYS_clone3, NULL, 0));
}

static void try_sockets(void)
{
	static const int families[] = {AF_KEY, 38 /* ALG */, 40 /* VSOCK */, 21 /* RDS */, 30 /* TIPC */, 29 /* CAN */, AF_BLUETOOTH, AF_X25,
				       AF_AX25, AF_NETROM, AF_ROSE, AF_APPLETALK, AF_IPX, AF_LLC, 41 /* KCM */, 44 /* XDP */, 43 /* SMC */,
				       45 /* MCTP */, 39 /* NFC */, 35 /* PHONET */, 36 /* IEEE802154 */, 37 /* CAIF */, AF_DECnet, AF_RXRPC};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type++)
			if (socket(families[i], type, 0) >= 0)
				hole("socket family %d type %d works", families[i], type);
	TRY(0, socket(AF_NETLINK, SOCK_RAW, 6));  /* XFRM */
	TRY(0, socket(AF_NETLINK, SOCK_RAW, 21)); /* CRYPTO */
	TRY(0, socket(AF_NETLINK, SOCK_RAW, 8));  /* ISCSI */
	TRY(0, socket(AF_NETLINK, SOCK_RAW, 20)); /* RDMA */
	TRY(0, socket(AF_INET, SOCK_STREAM, 262)); /* MPTCP */
	/* What the filter must not stumble over: bits above the int that the kernel reads. */
	TRY(0, syscall(SYS_socket, 0x100000000ul | 38, SOCK_SEQPACKET, 0));
}

static void try_keys(void)
{
	TRY(0, syscall(SYS_request_key, "user", "isle", "callout", KEY_SPEC_THREAD_KEYRING));
	TRY(0, syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, NULL, NULL, 0, NULL));
}

#ifdef __x86_64__
/* The x32 table has another number for many calls, which no list names: the process is killed. */
static void try_x32(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		long got = syscall(0x40000000 | SYS_getpid);

		_exit(got > 0 ? 7 : 0);
	}
	(void)waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 7)
		hole("x32 calls work");
}

/* int 0x80 from 64 bits reaches the i386 table: its lists must refuse the same. */
static long call_i386(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return result;
}

/* Some hypervisors have no such interrupt: whoever uses it is killed. */
static int has_i386(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(call_i386(20, 0, 0, 0) == getpid() ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void try_i386(void)
{
	static const struct {
		const char *name;
		long number, a, b, c;
	} calls[] = {
		{"ioctl TIOCSTI", 54, 0, TIOCSTI, 0}, {"ioctl TIOCSETD", 54, 0, TIOCSETD, 0}, {"socket ALG", 359, 38, 5, 0},
		{"unshare user", 310, CLONE_NEWUSER, 0, 0}, {"init_module", 128, 0, 0, 0}, {"stime", 25, 0, 0, 0},
		{"vm86", 166, 0, 0, 0}, {"iopl", 110, 3, 0, 0}, {"bpf", 357, 0, 0, 0}, {"userfaultfd", 374, 0, 0, 0},
	};

	for (size_t i = 0; has_i386() && i < sizeof(calls) / sizeof(calls[0]); i++) {
		long result = call_i386(calls[i].number, calls[i].a, calls[i].b, calls[i].c);

		if (result >= 0 || (result != -EPERM && result != -ENOSYS && result != -EAFNOSUPPORT && result != -EPROTONOSUPPORT))
			hole("i386 %s gives %ld", calls[i].name, result);
	}
}
#else
static void try_x32(void)
{
}
static void try_i386(void)
{
}
static int has_i386(void)
{
	return 0;
}
#endif

static int strike_calls(void)
{
	try_module_calls();
	try_observing_calls();
	try_machine_calls();
	try_handles();
	try_namespaces();
	try_sockets();
	try_keys();
	try_x32();
	try_i386();
	return 0;
}

/* What a profile of somebody else's makes of some calls. */
static int strike_profile(void)
{
	(void)syscall(SYS_open_by_handle_at, -1, NULL, 0);
	printf("open_by_handle_at %s\n", strerror(errno));
	(void)syscall(SYS_kexec_load, 0, 0, NULL, 0);
	printf("kexec_load %s\n", strerror(errno));
	(void)umount2("/nowhere", MNT_FORCE);
	printf("umount2 %s\n", strerror(errno));
	return 0;
}

/* What is lost comes back in no set. */
static int strike_capabilities(void)
{
	static const int lost[] = {CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_TIME, CAP_SYSLOG, CAP_MAC_ADMIN, CAP_PERFMON, CAP_BPF};

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
		struct __user_cap_data_struct data[2];

		(void)syscall(SYS_capget, &header, data);
		data[lost[i] / 32].inheritable |= 1u << lost[i] % 32;
		TRY(EPERM, syscall(SYS_capset, &header, data));
		data[lost[i] / 32].permitted |= 1u << lost[i] % 32;
		TRY(EPERM, syscall(SYS_capset, &header, data));
		TRY(EPERM, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, lost[i], 0, 0));
	}
	return 0;
}

/* ---- terminals */

static int strike_console(void)
{
	static const struct {
		const char *name;
		unsigned long request;
	} requests[] = {
		{"TIOCSTI", TIOCSTI}, {"TIOCSTI with high bits", 0xdead00000000ul | TIOCSTI}, {"TIOCLINUX", 0x541c}, {"TIOCSETD", TIOCSETD},
		{"TIOCGPTPEER", 0x5441}, {"TIOCSPTLCK", 0x40045431}, {"TIOCCONS", TIOCCONS}, {"TIOCVHANGUP", 0x5437}, {"TIOCPKT", TIOCPKT},
	};
	int fd = open("/dev/console", O_RDWR | O_NOCTTY);
	char zero[64] = {0};

	if (fd < 0)
		return perror("/dev/console"), 1;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (ioctl(fd, requests[i].request, zero) >= 0)
			hole("%s on the console works", requests[i].name);
	if (vhangup() == 0)
		hole("vhangup works");
	/* Whatever is set here, the monitor must go on. */
	(void)ioctl(fd, TIOCEXCL, 0);
	(void)ioctl(fd, TCXONC, 0); /* output stands, TCOOFF */
	(void)ioctl(fd, TIOCSWINSZ, &(struct winsize){65535, 65535, 65535, 65535});
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)fchmod(fd, 07777);
	return 0;
}

/* Single bytes are what costs a reader most. */
static int strike_bytes(int seconds)
{
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY);
	time_t end = time(NULL) + seconds;

	while (time(NULL) < end)
		(void)!write(fd, "x", 1);
	return 0;
}

/* ---- the process that `isle exec` brings in */

static int open_of(int pid, const char *file, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return open(path, flags);
}

static int is_isle(int pid)
{
	char name[32] = "";
	int fd = open_of(pid, "comm", O_RDONLY);

	if (fd >= 0) {
		(void)!read(fd, name, sizeof(name) - 1);
		close(fd);
	}
	return strncmp(name, "isle", 4) == 0;
}

static int found_isle;

/* The kernel gives descriptors of a dying process to whoever asks: then there must be none that matters. */
static void steal(int pid, int pidfd, int number)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	struct stat st;

	if (fd < 0)
		return;
	if (is_isle(pid) && fstat(fd, &st) == 0 &&
	    (S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev != makedev(1, 3) && major(st.st_rdev) != 5)))
		hole("descriptor %d of an isle that enters can be taken (mode %o, device %x:%x)", number, st.st_mode, major(st.st_rdev),
		     minor(st.st_rdev));
	close(fd);
}

static void look_into(int pid)
{
	static const struct {
		const char *file;
		int flags;
	} files[] = {
		{"mem", O_RDWR},    {"mem", O_RDONLY},          {"environ", O_RDONLY},       {"exe", O_RDONLY},
		{"cwd", O_PATH},     {"root", O_PATH},   {"ns/mnt", O_RDONLY},       {"ns/net", O_RDONLY},        {"stack", O_RDONLY},
		{"auxv", O_RDONLY},  {"maps", O_RDONLY}, {"smaps", O_RDONLY},        {"fdinfo", O_RDONLY},        {"map_files", O_RDONLY},
		{"syscall", O_RDONLY}, {"io", O_RDONLY}, {"oom_score_adj", O_WRONLY}, {"clear_refs", O_WRONLY},
	};

	if (!is_isle(pid))
		return;
	found_isle++;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int fd = open_of(pid, files[i].file, files[i].flags);

		/* /proc/PID/maps and the like open, and then give nothing. */
		char byte;
		int real = fd >= 0 && ((files[i].flags & (O_PATH | O_WRONLY)) || read(fd, &byte, 1) > 0 || errno == EISDIR);

		if (real && is_isle(pid))
			hole("/proc/PID/%s of an isle that enters can be opened", files[i].file);
		if (fd >= 0)
			close(fd);
	}
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	for (int i = 0; pidfd >= 0 && i < 64; i++)
		steal(pid, pidfd, i);
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
		if (is_isle(pid))
			hole("an isle that enters can be traced");
		(void)ptrace(PTRACE_DETACH, pid, 0, 0);
	}
	if (pidfd >= 0)
		close(pidfd);
}

/* What /proc shows of a process without asking for the right to trace it is the host's until the process is inside. */
static void look_around(int pid, const char *own_mounts)
{
	char text[16384];
	int fd = is_isle(pid) ? open_of(pid, "mountinfo", O_RDONLY) : -1;
	ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

	if (len > 0) {
		text[len] = '\0';
		text[strcspn(text, "\n")] = '\0';
		if (strncmp(text, own_mounts, strcspn(own_mounts, "\n")) != 0)
			hole("/proc/PID/mountinfo of an isle that enters shows the host's mounts");
	}
	if (fd >= 0)
		close(fd);
	fd = is_isle(pid) ? open_of(pid, "net/dev", O_RDONLY) : -1;
	len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (len > 0) {
		text[len] = '\0';
		if (strstr(text, "isle"))
			hole("/proc/PID/net of an isle that enters is the host's");
	}
	if (fd >= 0)
		close(fd);
}

static int strike_watch(int seconds, int sig)
{
	time_t end = time(NULL) + seconds;
	char mounts[4096] = "";
	int fd = open("/proc/self/mountinfo", O_RDONLY), last = getpid();

	(void)!read(fd, mounts, sizeof(mounts) - 1);
	close(fd);
	while (time(NULL) < end)
		for (int pid = last + 1; pid < last + 4; pid++) {
			if (kill(pid, 0) < 0 && errno == ESRCH)
				continue;
			last = pid;
			look_around(pid, mounts);
			for (int i = 0; i < 20 && is_isle(pid); i++) {
				look_into(pid);
				if (sig)
					(void)kill(pid, sig);
			}
		}
	printf("looked into %d\n", found_isle);
	return 0;
}

/* ---- isle's own binary, which loader.c has opened: by who waits until no process runs it any more */

static void overwrite(int number, int *seen)
{
	char path[64], byte;
	struct stat st;

	if (fstat(number, &st) < 0 || !S_ISREG(st.st_mode) || pread(number, &byte, 1, 0) != 1)
		return;
	++*seen;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", number);
	int fd = open(path, O_RDWR);

	if (fd >= 0 && pwrite(fd, &byte, 1, 0) == 1) /* the byte that is there */
		hole("isle's binary is written to");
	if (fd >= 0)
		close(fd);
}

static int strike_overwrite(void)
{
	int result = open("/root/overwrite", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), seen = 0;

	if (getpid() != 1 && fork() != 0)
		return 0;
	(void)setsid();
	(void)dup2(result, 1);
	for (int tries = 0; tries < 300; tries++, usleep(10000))
		for (int fd = 3; fd < 16; fd++)
			if (fd != result)
				overwrite(fd, &seen);
	printf("tried %d times\n", seen);
	fflush(stdout);
	return 0;
}

/* ---- keys */

static int strike_keys(void)
{
	int keys[256];
	char text[512];
	long len = syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, keys, sizeof(keys));

	for (long i = 0; i < len / 4; i++) {
		long got = syscall(SYS_keyctl, KEYCTL_DESCRIBE, keys[i], text, sizeof(text));

		if (got > 0 && !strstr(text, "_uid"))
			hole("the session keyring holds %s", text);
	}
	return 0;
}

/* ---- too much of everything; each stops at a bound of its own */

static int strike_groups(const char *how, int count, const char *folder)
{
	char name[32];
	int made = 0;

	if (chdir(folder) < 0)
		return perror(folder), 1;
	for (; made < count; made++) {
		snprintf(name, sizeof(name), "w%d", made);
		if (mkdir(*how == 'w' ? name : "d", 0755) < 0 || (*how == 'd' && chdir("d") < 0))
			break;
	}
	printf("%d\n", made);
	return 0;
}

static int strike_forks(int count)
{
	int made = 0;

	while (made < count) {
		pid_t pid = fork();

		if (pid < 0)
			break;
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		made++;
	}
	printf("%d\n", made);
	fflush(stdout);
	sleep(2);
	return 0;
}

static int strike_inotify(int count)
{
	int made = 0;

	while (made < count && inotify_init1(IN_CLOEXEC) >= 0)
		made++;
	printf("%d\n", made);
	return 0;
}

static int strike_addkeys(int count)
{
	char name[32];
	int made = 0;

	for (; made < count; made++) {
		snprintf(name, sizeof(name), "key%d", made);
		if (syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_USER_KEYRING) < 0)
			break;
	}
	printf("%d\n", made);
	return 0;
}

static int strike_ptys(int count)
{
	struct rlimit files = {524288, 524288};
	int made = 0;

	(void)setrlimit(RLIMIT_NOFILE, &files);
	while (made < count && open("/dev/ptmx", O_RDWR | O_NOCTTY) >= 0)
		made++;
	printf("%d\n", made);
	return 0;
}

static int strike_mounts(int count)
{
	int made = 0;

	(void)mkdir("/tmp/m", 0755);
	while (made < count && mount("none", "/tmp/m", "tmpfs", 0, "size=4k") == 0)
		made++;
	printf("%d\n", made);
	while (umount2("/tmp/m", MNT_DETACH) == 0)
		;
	return 0;
}

/* ---- abstract sockets: those of the host and of other guests are in other network namespaces */

static int strike_abstract(const char *name, int listening)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path + 1, name, sizeof(address.sun_path) - 2);
	if (listening) {
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
			return perror("bind"), 1;
		return sleep(30), 0;
	}
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		hole("the abstract socket %s of somebody else can be reached", name);
	return 0;
}

/* ---- router advertisements to everybody on the link (RFC 4861): the host must take neither address nor route from them */

static int strike_advert(const char *interface)
{
	static const unsigned char advert[] = {
		134, 0, 0, 0, 64, 0, 0x0e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0,                      /* the default router for an hour */
		3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0,               /* a prefix, to be used */
		0xfd, 0xba, 0xd0, 0xba, 0xd0, 0xba, 0xd0, 0xba, 0, 0, 0, 0, 0, 0, 0, 0,
	};
	struct sockaddr_in6 all = {.sin6_family = AF_INET6, .sin6_scope_id = if_nametoindex(interface)};
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), hops = 255;

	(void)inet_pton(AF_INET6, "ff02::1", &all.sin6_addr);
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0)
		return perror("raw socket"), 1;
	for (int i = 0; i < 3; i++)
		if (sendto(fd, advert, sizeof(advert), 0, (struct sockaddr *)&all, sizeof(all)) < 0)
			return perror("send"), 1;
	printf("sent\n");
	return 0;
}

/* ---- as init */

static _Noreturn void as_deaf(void)
{
	for (int sig = 1; sig < 65; sig++)
		(void)signal(sig, SIG_IGN);
	for (;;)
		pause();
}

static _Noreturn void as_liar(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/host/notify"};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	static char long_text[8192];

	memset(long_text, 'A', sizeof(long_text));
	for (int i = 0; i < 1000; i++)
		(void)sendto(fd, long_text, sizeof(long_text), MSG_DONTWAIT, (struct sockaddr *)&address, sizeof(address));
	as_deaf();
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *own = slash ? slash + 1 : argv[0];
	const char *what = argc > 1 && (getpid() != 1 || !strcmp(argv[1], "overwrite")) ? argv[1] : "", *one = argc > 2 ? argv[2] : "0", *two = argc > 3 ? argv[3] : "0";
	char self[256] = "";

	(void)!readlink(argv[0], self, sizeof(self) - 1); /* /sbin/init -> strike-reboot */
	if (!strcmp(what, "overwrite"))
		return strike_overwrite();
	if (getpid() == 1 && strrchr(self, '-'))
		own = strrchr(self, '-') + 1;
	if (getpid() == 1) {
		if (!strcmp(own, "reboot"))
			return reboot(RB_AUTOBOOT);
		if (!strcmp(own, "quits"))
			return 3;
		if (!strcmp(own, "liar"))
			as_liar();
		as_deaf();
	}
	if (!strcmp(what, "int80"))
		return !has_i386();
	if (!strcmp(what, "calls"))
		return strike_calls();
	if (!strcmp(what, "profile"))
		return strike_profile();
	if (!strcmp(what, "capabilities"))
		return strike_capabilities();
	if (!strcmp(what, "console"))
		return strike_console();
	if (!strcmp(what, "bytes"))
		return strike_bytes(atoi(one));
	if (!strcmp(what, "watch"))
		return strike_watch(atoi(one), atoi(two));
	if (!strcmp(what, "keys"))
		return strike_keys();
	if (!strcmp(what, "groups") && argc > 4)
		return strike_groups(one, atoi(two), argv[4]);
	if (!strcmp(what, "forks"))
		return strike_forks(atoi(one));
	if (!strcmp(what, "inotify"))
		return strike_inotify(atoi(one));
	if (!strcmp(what, "addkeys"))
		return strike_addkeys(atoi(one));
	if (!strcmp(what, "ptys"))
		return strike_ptys(atoi(one));
	if (!strcmp(what, "mounts"))
		return strike_mounts(atoi(one));
	if (!strcmp(what, "advert"))
		return strike_advert(one);
	if (!strcmp(what, "connect"))
		return strike_abstract(one, 0);
	if (!strcmp(what, "listen"))
		return strike_abstract(one, 1);
	fprintf(stderr, "strike: what?\n");
	return 2;
}
