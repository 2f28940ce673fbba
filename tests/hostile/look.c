/* What the root of a container finds by its defaults, for tests/hostile/peers: static, so that it runs in any.
 * usage: look inside DISK NAMESPACE...     prints lines "QUESTION<tab>ANSWER", then `end`, and waits; DISK is MAJOR:MINOR of a disk of the host's, each NAMESPACE
 *                                          one of the host's, as a link in /proc/PID/ns reads. Nothing that it tries changes the host.
 *        look filters PID                  counts the system calls that the filters of a process let pass, by reading these
 *        look programs PID                 a line for each of them, with the hash of its program */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

static void __attribute__((format(printf, 2, 3))) say(const char *question, const char *format, ...)
{
	va_list list;

	printf("%s\t", question);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	fflush(stdout);
}

static const char *answer(long result)
{
	return result >= 0 ? "works" : strerrorname_np(errno);
}

#define ASK(question, call)                    \
	do {                                   \
		errno = 0;                     \
		long result_ = (long)(call);   \
		say(question, "%s", answer(result_)); \
	} while (0)

/* ---- who it is */

static void ask_namespaces(char **host)
{
	static const char *const kinds[] = {"user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time"};
	char shared[128] = "";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[64], own[64] = "";

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		(void)!readlink(path, own, sizeof(own) - 1);
		char **at = host;

		while (*at && strcmp(*at, own) != 0)
			at++;
		if (*at)
			snprintf(shared + strlen(shared), sizeof(shared) - strlen(shared), "%s%s", *shared ? " " : "", kinds[i]);
	}
	say("namespaces of the host's", "%s", *shared ? shared : "none");
}

static void ask_ids(void)
{
	unsigned long inside = 0, outside = 0, count = 0;
	FILE *map = fopen("/proc/self/uid_map", "re");

	if (!map || fscanf(map, "%lu %lu %lu", &inside, &outside, &count) != 3)
		return say("root is", "?");
	if (outside)
		say("root is", "another user, %lu ids", count);
	else
		say("root is", "the host's root");
}

static void ask_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	int held = 0, bounding = 0, last = 0;

	(void)syscall(SYS_capget, &header, data);
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++, last++) {
		held += data[cap / 32].effective >> cap % 32 & 1;
		bounding += prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0;
	}
	say("capabilities", "%d of %d, %d in the bounding set", held, last, bounding);
	say("inheritable, ambient", "%s, %s", data[0].inheritable | data[1].inheritable ? "some" : "none",
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) > 0 ? "some" : "none");
}

static void ask_limits(void)
{
	struct rlimit core = {RLIM_INFINITY, RLIM_INFINITY}, seen = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &core);
	(void)getrlimit(RLIMIT_CORE, &seen);
	say("the host's core handler runs", "%s", seen.rlim_cur == 1 ? "no" : "yes");
	ASK("priority -20", setpriority(PRIO_PROCESS, 0, -20));
	ASK("real time scheduling", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}));
	(void)sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0});
	(void)setpriority(PRIO_PROCESS, 0, 0);
	char text[16] = "?";
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	ssize_t len = read(fd, text, sizeof(text) - 1);

	text[len > 0 ? len - 1 : 0] = '\0';
	say("oom_score_adj", "%s, lowering it %s", text, answer(pwrite(fd, "-600", 4, 0)));
	close(fd);
}

/* ---- system calls, with arguments that are refused after the question whether the caller may */

static void ask_machine(void)
{
	struct timex tick = {.modes = ADJ_TICK};

	ASK("init_module", syscall(SYS_init_module, "", 0, ""));
	ASK("kexec_load", syscall(SYS_kexec_load, 0, 17, NULL, 0));
	ASK("adjtimex, to set", adjtimex(&tick));
	ASK("swapon", swapon("/nowhere", 0));
	ASK("acct", syscall(SYS_acct, "/nowhere"));
	ASK("syslog, to read", syscall(SYS_syslog, 3, (char[64]){0}, 64));
#ifdef __x86_64__
	ASK("iopl", syscall(SYS_iopl, 3));
#endif
	struct {
		struct file_handle handle;
		unsigned number[2];
	} any = {.handle = {.handle_bytes = 8, .handle_type = 1}, .number = {2}};
	int disk = open("/", O_RDONLY | O_CLOEXEC); /* inode 2 is the root of an ext4 */
	int found = open_by_handle_at(disk, &any.handle, O_RDONLY | O_PATH);

	say("open_by_handle_at", "%s", answer(found));
	close(found);
	close(disk);
}

static void ask_kernel(void)
{
	struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(event), .config = PERF_COUNT_SW_CPU_CLOCK};
	unsigned map[18] = {2, 4, 4, 1}; /* an array of one */

	ASK("bpf, a map", syscall(SYS_bpf, 0, map, sizeof(map)));
	ASK("perf_event_open, of others", syscall(SYS_perf_event_open, &event, -1, 0, -1, 0));
	ASK("userfaultfd", syscall(SYS_userfaultfd, 0));
	ASK("io_uring_setup", syscall(SYS_io_uring_setup, 8, (char[256]){0}));
	ASK("io_setup", syscall(SYS_io_setup, 1, &(unsigned long){0}));
	ASK("fanotify_init, to decide", fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
	ASK("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
	ASK("a key of the caller's", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "host-secret", 0));
	ASK("an unknown call", syscall(9999));
	ASK("ioctl TIOCSTI, on no terminal", ioctl(-1, TIOCSTI, ""));
	ASK("ioctl TIOCSTI, high bits set", syscall(SYS_ioctl, -1, 0xdead00000000ul | TIOCSTI, ""));
	ASK("ioctl TIOCLINUX, on no terminal", ioctl(-1, TIOCLINUX, ""));
	ASK("umount2 MNT_FORCE", umount2("/nowhere", MNT_FORCE));
}

/* In a child, which the answer may kill. */
static void ask_child(const char *question, long (*call)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		errno = 0;
		_exit(call() >= 0 ? 0 : errno);
	}
	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		say(question, "killed");
	else
		say(question, "%s", WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "works");
}

static long new_user(void)
{
	return unshare(CLONE_NEWUSER);
}

#ifdef __x86_64__
static long call_x32(void)
{
	return syscall(0x40000000 | SYS_getpid);
}

/* The table of 32 bits by int 0x80: getpid. */
static long call_i386(void)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	errno = result < 0 ? (int)-result : 0;
	return result;
}
#endif

static void ask_sockets(void)
{
	static const struct {
		const char *name;
		int family, type, protocol;
	} kinds[] = {
		{"packet", AF_PACKET, SOCK_RAW, 0},  {"raw", AF_INET, SOCK_RAW, 1},     {"XFRM", AF_NETLINK, SOCK_RAW, 6},
		{"ALG", AF_ALG, SOCK_SEQPACKET, 0},  {"VSOCK", AF_VSOCK, SOCK_STREAM, 0}, {"KEY", AF_KEY, SOCK_RAW, 2},
		{"SCTP", AF_INET, SOCK_STREAM, 132}, {"CAN", AF_CAN, SOCK_RAW, 1},      {"TIPC", AF_TIPC, SOCK_DGRAM, 0},
		{"XDP", AF_XDP, SOCK_RAW, 0},        {"RDS", AF_RDS, SOCK_SEQPACKET, 0},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char question[32];

		snprintf(question, sizeof(question), "socket %s", kinds[i].name);
		ASK(question, socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol));
	}
}

/* ---- files: opened as if to be written, never written */

enum { READ = O_RDONLY, WRITE = O_WRONLY, OPEN = O_RDONLY | O_APPEND /* reading it would take lines from the host */ };

static void ask_open(const char *question, const char *path, int flags)
{
	char byte;
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	long result = fd;
	struct statfs place;

	if (fd >= 0 && fstatfs(fd, &place) == 0 && place.f_type != PROC_SUPER_MAGIC && place.f_type != SYSFS_MAGIC && place.f_type != CGROUP_SUPER_MAGIC)
		say(question, "masked");
	else if (fd >= 0 && flags == READ && (result = read(fd, &byte, 1)) == 0)
		say(question, "empty");
	else
		say(question, "%s", answer(result));
	if (fd >= 0)
		close(fd);
}

static void ask_files(const char *when, const char *proc, const char *sys)
{
	static const struct {
		const char *question, *file;
		int flags, sys;
	} files[] = {
		{"core_pattern, to write", "sys/kernel/core_pattern", WRITE, 0}, {"vm.swappiness, to write", "sys/vm/swappiness", WRITE, 0},
		{"ip_forward, to write", "sys/net/ipv4/ip_forward", WRITE, 0},   {"sysrq-trigger, to write", "sysrq-trigger", WRITE, 0},
		{"/proc/kcore", "kcore", READ, 0},                              {"/proc/kmsg", "kmsg", OPEN, 0},
		{"/proc/timer_list", "timer_list", READ, 0},                    {"huge pages in /sys, to write", "kernel/mm/transparent_hugepage/enabled", WRITE, 1},
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[128], question[96];

		snprintf(path, sizeof(path), "%s/%s", files[i].sys ? sys : proc, files[i].file);
		snprintf(question, sizeof(question), "%s%s", files[i].question, when);
		ask_open(question, path, files[i].flags);
	}
}

static void ask_node(const char *question, mode_t kind, dev_t number)
{
	(void)unlink("/tmp/look/node");
	if (mknod("/tmp/look/node", kind | 0600, number) < 0)
		return say(question, "%s", strerrorname_np(errno));
	int fd = open("/tmp/look/node", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	say(question, "made, opening it: %s", answer(fd));
	if (fd >= 0)
		close(fd);
}

/* In a mount namespace of its own: what is mounted goes with it. */
static void ask_mounts(const char *disk)
{
	unsigned major = 0, minor = 0;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		say("a mount namespace", "%s", strerrorname_np(errno));
	(void)mkdir("/tmp", 0755);
	(void)mkdir("/tmp/look", 0700);
	ASK("mount a tmpfs", mount("none", "/tmp/look", "tmpfs", 0, NULL));
	ask_node("a node for /dev/mem", S_IFCHR, makedev(1, 1));
	if (sscanf(disk, "%u:%u", &major, &minor) == 2)
		ask_node("a node for the host's disk", S_IFBLK, makedev(major, minor));
	(void)mkdir("/tmp/look/proc", 0700);
	(void)mkdir("/tmp/look/sys", 0700);
	(void)mkdir("/tmp/look/group", 0700);
	ASK("mount a /proc of its own", mount("none", "/tmp/look/proc", "proc", 0, NULL));
	ASK("mount a /sys of its own", mount("none", "/tmp/look/sys", "sysfs", 0, NULL));
	(void)mount(NULL, "/tmp/look/sys", NULL, MS_REMOUNT | MS_BIND, NULL);
	ask_files(", masks away", "/tmp/look/proc", "/tmp/look/sys");
	if (mount("none", "/tmp/look/group", "cgroup", 0, "pids") < 0)
		say("release_agent of cgroup v1, to write", "%s", strerrorname_np(errno));
	else
		ask_open("release_agent of cgroup v1, to write", "/tmp/look/group/release_agent", WRITE);
}

static int look_inside(char **arg)
{
	ask_namespaces(arg + 1);
	ask_ids();
	ask_capabilities();
	say("no_new_privs", "%s", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) ? "yes" : "no");
	ask_limits();
	ask_machine();
	ask_kernel();
	ask_child("a user namespace inside", new_user);
#ifdef __x86_64__
	ask_child("x32 getpid", call_x32);
	ask_child("i386 getpid", call_i386);
#endif
	ask_sockets();
	ask_files("", "/proc", "/sys");
	ask_mounts(*arg);
	puts("end");
	fflush(stdout);
	/* To be looked at from outside: it is ended there. */
	return (int)sleep(60);
}

/* ---- filters, as the kernel has them: classic BPF over struct seccomp_data, see seccomp(2) */

enum { FILTER_MAX = 32, CALL_MAX = 480, GAP = 335, GAP_END = 424 };

static struct sock_fprog filters[FILTER_MAX];
static size_t filter_count;

static unsigned compute(unsigned op, unsigned a, unsigned b)
{
	switch (BPF_OP(op)) {
	case BPF_ADD: return a + b;
	case BPF_SUB: return a - b;
	case BPF_OR: return a | b;
	case BPF_AND: return a & b;
	case BPF_LSH: return a << (b & 31);
	case BPF_RSH: return a >> (b & 31);
	case BPF_NEG: return -a;
	default: return a;
	}
}

static int jumps(unsigned op, unsigned a, unsigned b)
{
	switch (BPF_OP(op)) {
	case BPF_JEQ: return a == b;
	case BPF_JGT: return a > b;
	case BPF_JGE: return a >= b;
	default: return (a & b) != 0;
	}
}

static unsigned run_filter(const struct sock_fprog *program, const struct seccomp_data *data)
{
	unsigned a = 0, x = 0, memory[BPF_MEMWORDS] = {0};

	for (const struct sock_filter *at = program->filter; at < program->filter + program->len; at++) {
		unsigned operand = BPF_SRC(at->code) == BPF_X ? x : at->k;

		switch (BPF_CLASS(at->code)) {
		case BPF_LD:
			if (BPF_MODE(at->code) == BPF_ABS)
				memcpy(&a, (const char *)data + at->k, sizeof(a));
			else
				a = BPF_MODE(at->code) == BPF_MEM ? memory[at->k] : at->k;
			break;
		case BPF_LDX: x = BPF_MODE(at->code) == BPF_MEM ? memory[at->k] : at->k; break;
		case BPF_ST: memory[at->k] = a; break;
		case BPF_STX: memory[at->k] = x; break;
		case BPF_ALU: a = compute(at->code, a, operand); break;
		case BPF_JMP:
			if (BPF_OP(at->code) == BPF_JA)
				at += at->k;
			else
				at += jumps(at->code, a, operand) ? at->jt : at->jf;
			break;
		case BPF_MISC: *(BPF_MISCOP(at->code) == BPF_TAX ? &x : &a) = BPF_MISCOP(at->code) == BPF_TAX ? a : x; break;
		default: return BPF_RVAL(at->code) == BPF_A ? a : at->k;
		}
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* Whether every filter lets it pass, with one set of arguments at least: none, or small numbers in the first. */
static int passes(unsigned architecture, unsigned number)
{
	for (unsigned first = 0; first < 4; first++) {
		struct seccomp_data data = {.nr = (int)number, .arch = architecture, .args = {first}};
		size_t i = 0;

		while (i < filter_count && (run_filter(&filters[i], &data) & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ALLOW)
			i++;
		if (i == filter_count)
			return 1;
	}
	return 0;
}

static int count(unsigned architecture, unsigned bits, unsigned end)
{
	int allowed = 0;

	for (unsigned number = 0; number < end; number++)
		if (bits || architecture != AUDIT_ARCH_X86_64 || number < GAP || number >= GAP_END)
			allowed += passes(architecture, number | bits);
	return allowed;
}

static int read_filters(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0 || waitpid(pid, NULL, __WALL) < 0)
		return perror("look: attach"), 1;
	for (; filter_count < FILTER_MAX; filter_count++) {
		long len = ptrace(PTRACE_SECCOMP_GET_FILTER, pid, filter_count, NULL);

		if (len < 0 && errno == ENOENT)
			break;
		if (len < 0 && errno == EINVAL && !filter_count)
			break; /* it has none */
		struct sock_filter *code = len > 0 ? calloc((size_t)len, sizeof(*code)) : NULL;

		if (!code || ptrace(PTRACE_SECCOMP_GET_FILTER, pid, filter_count, code) < 0)
			return perror("look: read a filter"), 1;
		filters[filter_count] = (struct sock_fprog){.len = (unsigned short)len, .filter = code};
	}
	(void)ptrace(PTRACE_DETACH, pid, 0, 0);
	return 0;
}

static int look_programs(pid_t pid)
{
	if (read_filters(pid) != 0)
		return 1;
	for (size_t i = 0; i < filter_count; i++) {
		const unsigned char *at = (const unsigned char *)filters[i].filter, *end = (const unsigned char *)(filters[i].filter + filters[i].len);
		unsigned long hash = 0xcbf29ce484222325ul; /* FNV-1a */

		while (at < end)
			hash = (hash ^ *at++) * 0x100000001b3ul;
		printf("filter %zu: %hu instructions, %lx\n", i + 1, filters[i].len, hash);
	}
	return 0;
}

static int look_filters(pid_t pid)
{
	if (read_filters(pid) != 0)
		return 1;
	say("filters of system calls", "%zu", filter_count);
#ifdef __x86_64__
	say("calls that pass, 64 bits", "%d of %d", count(AUDIT_ARCH_X86_64, 0, CALL_MAX - 10), CALL_MAX - 10 - (GAP_END - GAP));
	say("calls that pass, 32 bits", "%d of %d", count(AUDIT_ARCH_I386, 0, CALL_MAX - 10), CALL_MAX - 10);
	say("calls that pass, x32", "%d of %d", count(AUDIT_ARCH_X86_64, 0x40000000, 512 + 36), 512 + 36);
#endif
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "inside"))
		return look_inside(argv + 2);
	if (argc == 3 && !strcmp(argv[1], "filters"))
		return look_filters((pid_t)strtol(argv[2], NULL, 10));
	if (argc == 3 && !strcmp(argv[1], "programs"))
		return look_programs((pid_t)strtol(argv[2], NULL, 10));
	fprintf(stderr, "look: at what?\n");
	return 2;
}
