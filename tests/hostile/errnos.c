/* Which answer each refused system call gets, exactly: freestanding, so that one source serves the 64-bit and the 32-bit table. Prints
 * a line "HOLE ..." for another answer than the expected, and the number of calls tried. */
#if defined(__x86_64__)
#include <asm/unistd_64.h>
#else
#include <asm/unistd_32.h>
#endif
#include <asm-generic/errno.h>
#include <linux/sched.h>
#include <linux/wait.h>

typedef unsigned long word;

enum { FAMILY_NETLINK = 16, STREAM = 1, DGRAM = 2, RAW = 3, SIGNAL_SYS = 31 };

static long call(word number, const word *a)
{
	long result;

#if defined(__x86_64__)
	register word r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#else
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4]) : "memory");
#endif
	return result;
}

static long call3(word number, word a, word b, word c)
{
	const word arguments[6] = {a, b, c};

	return call(number, arguments);
}

static void print(const char *text)
{
	word length = 0;

	while (text[length])
		length++;
	(void)call3(__NR_write, 1, (word)text, length);
}

static void print_number(long value)
{
	char text[24], *at = text + sizeof(text) - 1;
	word rest = value < 0 ? (word)-value : (word)value;

	*at = '\0';
	do
		*--at = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		*--at = '-';
	print(at);
}

/* What is not of the kernel's own headers without libc's. */
#define ANY    0
#define HIGH   0xdead000000000000ul
#define SOCKET(family, type, protocol, expected) {"socket " #family " " #type " " #protocol, __NR_socket, {family, type, protocol}, expected}
#define CALL(name, expected, ...)                {#name " " #__VA_ARGS__, __NR_##name, {__VA_ARGS__}, expected}

static const struct {
	const char *name;
	word number;
	word arguments[6];
	long expected;
} calls[] = {
	CALL(init_module, -EPERM),
	CALL(finit_module, -EPERM),
	CALL(delete_module, -EPERM),
	CALL(create_module, -EPERM),
	CALL(query_module, -EPERM),
	CALL(get_kernel_syms, -EPERM),
	CALL(kexec_load, -EPERM),
	CALL(open_by_handle_at, -EPERM),
	CALL(bpf, -EPERM),
	CALL(perf_event_open, -EPERM),
	CALL(swapon, -EPERM),
	CALL(swapoff, -EPERM),
	CALL(acct, -EPERM),
	CALL(settimeofday, -EPERM),
	CALL(clock_settime, -EPERM),
	CALL(iopl, -EPERM, 3),
	CALL(ioperm, -EPERM, 0, 1, 1),
	CALL(syslog, -EPERM, 3),
	CALL(quotactl, -EPERM),
	CALL(quotactl_fd, -EPERM),
	CALL(fanotify_init, -EPERM, 4),
	CALL(fanotify_init, -EPERM, 8),
	CALL(fanotify_init, -EPERM, 0x10),
	CALL(fanotify_init, -EPERM, 0x20),
	CALL(fanotify_init, -EPERM, 0x40),
	CALL(lookup_dcookie, -EPERM),
	CALL(nfsservctl, -EPERM),
	CALL(userfaultfd, -ENOSYS),
	CALL(io_uring_setup, -ENOSYS, 8),
	CALL(io_uring_enter, -ENOSYS),
	CALL(io_uring_register, -ENOSYS),
	CALL(memfd_secret, -ENOSYS),
	CALL(clone3, -ENOSYS),
	{"a call of the future", 9999, {0}, -ENOSYS},
	CALL(ioctl, -EPERM, 0, 0x5412),
	CALL(ioctl, -EPERM, 0, 0x541c),
	CALL(ioctl, -EPERM, 0, 0x5423),
	CALL(umount2, -EPERM, 0, 1),
	CALL(umount2, -EPERM, 0, 3),
	CALL(unshare, -EPERM, CLONE_NEWUSER),
	CALL(unshare, -EPERM, CLONE_NEWUTS),
	CALL(unshare, -EPERM, CLONE_NEWIPC),
	CALL(unshare, -EPERM, CLONE_NEWPID),
	CALL(unshare, -EPERM, CLONE_NEWCGROUP),
	CALL(unshare, -EPERM, CLONE_NEWTIME),
	CALL(unshare, -EPERM, CLONE_NEWNS | CLONE_NEWUSER),
	CALL(clone, -EPERM, CLONE_NEWUSER),
	CALL(clone, -EPERM, CLONE_NEWUTS),
	CALL(clone, -EPERM, CLONE_NEWIPC),
	CALL(clone, -EPERM, CLONE_NEWPID),
	CALL(clone, -EPERM, CLONE_NEWCGROUP),
	CALL(clone, -EPERM, CLONE_NEWNS | CLONE_NEWPID),
	SOCKET(15 /* KEY */, RAW, 2, -EAFNOSUPPORT),
	SOCKET(38 /* ALG */, 5, 0, -EAFNOSUPPORT),
	SOCKET(40 /* VSOCK */, STREAM, 0, -EAFNOSUPPORT),
	SOCKET(44 /* XDP */, RAW, 0, -EAFNOSUPPORT),
	SOCKET(29 /* CAN */, RAW, 1, -EAFNOSUPPORT),
	SOCKET(30 /* TIPC */, DGRAM, 0, -EAFNOSUPPORT),
	SOCKET(31 /* BLUETOOTH */, RAW, 1, -EAFNOSUPPORT),
	SOCKET(21 /* RDS */, 5, 0, -EAFNOSUPPORT),
	SOCKET(43 /* SMC */, STREAM, 0, -EAFNOSUPPORT),
	SOCKET(999, STREAM, 0, -EAFNOSUPPORT),
	SOCKET(FAMILY_NETLINK, RAW, 6 /* XFRM */, -EPROTONOSUPPORT),
	SOCKET(FAMILY_NETLINK, RAW, 8 /* ISCSI */, -EPROTONOSUPPORT),
	SOCKET(FAMILY_NETLINK, RAW, 20 /* RDMA */, -EPROTONOSUPPORT),
	SOCKET(FAMILY_NETLINK, RAW, 21 /* CRYPTO */, -EPROTONOSUPPORT),
	SOCKET(2 /* INET */, STREAM, 262 /* MPTCP */, -EPROTONOSUPPORT),
	SOCKET(2, STREAM, 132 /* SCTP */, -EPROTONOSUPPORT),
	SOCKET(10, 5, 132, -EPROTONOSUPPORT),
	SOCKET(2, 6, 33 /* DCCP */, -EPROTONOSUPPORT),
	SOCKET(2, DGRAM, 115 /* L2TP */, -EPROTONOSUPPORT),
	SOCKET(10, STREAM, 256 /* SMC */, -EPROTONOSUPPORT),
	SOCKET(2, DGRAM, 77, -EPROTONOSUPPORT),
	CALL(socketpair, -EAFNOSUPPORT, 2, STREAM, 0),
	CALL(keyctl, -EOPNOTSUPP, 23 /* DH_COMPUTE */),
#if defined(__x86_64__)
	CALL(kexec_file_load, -EPERM),
	/* The kernel takes 32 bits of these: what lies above plays no part. */
	CALL(ioctl, -EPERM, 0, HIGH | 0x5412),
	CALL(ioctl, -EPERM, 0, 0x100000000ul | 0x541c),
	CALL(umount2, -EPERM, 0, HIGH | 1),
	CALL(unshare, -EPERM, HIGH | CLONE_NEWUSER),
	CALL(socket, -EAFNOSUPPORT, HIGH | 38, 5, 0),
	CALL(socket, -EPROTONOSUPPORT, FAMILY_NETLINK, RAW, HIGH | 6),
	CALL(socket, -EPROTONOSUPPORT, 2, STREAM, HIGH | 132),
#else
	CALL(stime, -EPERM),
	CALL(vm86, -EPERM),
	CALL(vm86old, -EPERM),
	CALL(clock_settime64, -EPERM),
	CALL(socketcall, -EAFNOSUPPORT, 1),
	CALL(socketcall, -EAFNOSUPPORT, 8),
#endif
};

#if defined(__x86_64__)
/* Each x32 call ends its process, by the signal of a filter. */
static void try_x32(void)
{
	int status = 0;
	long pid = call3(__NR_fork, 0, 0, 0);

	if (pid == 0) {
		(void)call3(0x40000000u | __NR_getpid, 0, 0, 0);
		(void)call3(__NR_exit_group, 0, 0, 0);
	}
	const word arguments[6] = {(word)pid, (word)&status};

	(void)call(__NR_wait4, arguments);
	if ((status & 0x7f) != SIGNAL_SYS)
		print("HOLE x32 calls do not kill\n");
}
#endif

__attribute__((force_align_arg_pointer, noreturn)) void _start(void)
{
	word tried = 0;

	for (; tried < sizeof(calls) / sizeof(calls[0]); tried++) {
		long result = call(calls[tried].number, calls[tried].arguments);

		if (result == calls[tried].expected)
			continue;
		print("HOLE ");
		print(calls[tried].name);
		print(": ");
		print_number(result);
		print(", not ");
		print_number(calls[tried].expected);
		print("\n");
	}
#if defined(__x86_64__)
	try_x32();
#endif
	print_number((long)tried);
	print(" calls tried\n");
	(void)call3(__NR_exit_group, 0, 0, 0);
	__builtin_unreachable();
}
