/* Holds one odd object of the kernel: zoo NAME. Prints "ready" once it has it, or "refused: why"; at SIGUSR1 prints "whole" when the
 * object is still what it was, else "broken: why". Static, so that it runs in any guest. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define GHOST_SIZE (8u << 20)
#define AF_VSOCK_  40
#define MPTCP      262

/* What a making leaves for the check. */
static struct {
	int fd, other;
	char *memory;
	pid_t child;
} had = {.fd = -1, .other = -1};

static const char *wrong;

static bool must(bool good, const char *what)
{
	if (!good && !wrong)
		wrong = what;
	return good;
}
#define CHECK(condition) must(condition, #condition)

static void give_up(const char *what)
{
	printf("refused: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(7);
}

static int tried(long result, const char *what)
{
	if (result < 0)
		give_up(what);
	return (int)result;
}
#define TRY(call) tried((long)(call), #call)

static int open_new(const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/root/zoo-%s", name);
	return TRY(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static void waiting_child(void)
{
	for (;;)
		pause();
}

/* Files */
static void make_ghost(void)
{
	static char block[4096];

	had.fd = open_new("ghost");
	for (size_t at = 0; at < GHOST_SIZE; at += sizeof(block)) {
		memset(block, 'a' + (int)(at / sizeof(block) % 26), sizeof(block));
		TRY(write(had.fd, block, sizeof(block)));
	}
	TRY(unlink("/root/zoo-ghost"));
}

static void check_ghost(void)
{
	struct stat st;
	char c = 0;

	CHECK(fstat(had.fd, &st) == 0 && st.st_nlink == 0 && st.st_size == GHOST_SIZE);
	for (size_t at = 0; at < GHOST_SIZE; at += 4096)
		CHECK(pread(had.fd, &c, 1, (off_t)at + 17) == 1 && c == 'a' + (int)(at / 4096 % 26));
}

static void make_ghostmap(void)
{
	int fd = open_new("ghostmap");

	TRY(ftruncate(fd, 8192));
	had.memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(had.memory, "mapped");
	TRY(unlink("/root/zoo-ghostmap"));
	close(fd);
}

static void check_memory(void)
{
	CHECK(strcmp(had.memory, "mapped") == 0);
}

static void make_linked(void)
{
	(void)unlink("/root/zoo-linked-too");
	had.fd = open_new("linked");
	TRY(write(had.fd, "text", 4));
	TRY(link("/root/zoo-linked", "/root/zoo-linked-too"));
	TRY(unlink("/root/zoo-linked"));
}

static void check_linked(void)
{
	struct stat a, b;

	CHECK(fstat(had.fd, &a) == 0 && stat("/root/zoo-linked-too", &b) == 0 && a.st_ino == b.st_ino && a.st_nlink == 1);
	(void)unlink("/root/zoo-linked-too");
}

static void make_flock(void)
{
	had.fd = open_new("flock");
	TRY(flock(had.fd, LOCK_EX));
}

static void check_flock(void)
{
	CHECK(flock(open_new("flock"), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
}

static void make_ofd(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = 5, .l_len = 7};

	had.fd = open_new("ofd");
	TRY(fcntl(had.fd, F_OFD_SETLK, &lock));
}

static void check_ofd(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_len = 20};

	CHECK(fcntl(open_new("ofd"), F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_start == 5 && lock.l_len == 7);
}

static void make_posix(void)
{
	struct flock lock = {.l_type = F_RDLCK, .l_len = 7};

	had.fd = open_new("posix");
	TRY(fcntl(had.fd, F_SETLK, &lock));
}

static void check_posix(void)
{
	int status = 1;
	pid_t child = fork();

	if (child == 0) {
		struct flock lock = {.l_type = F_WRLCK};

		_exit(fcntl(open_new("posix"), F_GETLK, &lock) < 0 || lock.l_type != F_RDLCK || lock.l_pid != getppid());
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void make_lease(void)
{
	had.fd = open_new("lease");
	TRY(fcntl(had.fd, F_SETLEASE, F_WRLCK));
}

static void check_lease(void)
{
	CHECK(fcntl(had.fd, F_GETLEASE) == F_WRLCK);
}

static void make_memfd(void)
{
	had.fd = TRY(memfd_create("zoo", MFD_ALLOW_SEALING));
	TRY(write(had.fd, "sealed", 6));
	TRY(fcntl(had.fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
}

static void check_memfd(void)
{
	char text[6];

	CHECK(pread(had.fd, text, 6, 0) == 6 && memcmp(text, "sealed", 6) == 0);
	CHECK(fcntl(had.fd, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW));
}

static void make_inotify(void)
{
	TRY(mkdir("/root/zoo-watched", 0700) < 0 && errno != EEXIST ? -1 : 0);
	had.fd = TRY(inotify_init1(IN_NONBLOCK));
	TRY(inotify_add_watch(had.fd, "/root/zoo-watched", IN_CREATE));
}

static void check_inotify(void)
{
	char event[512];

	close(open("/root/zoo-watched/new", O_WRONLY | O_CREAT, 0600));
	CHECK(read(had.fd, event, sizeof(event)) > 0);
	(void)unlink("/root/zoo-watched/new");
}

static void make_fanotify(void)
{
	had.fd = TRY(fanotify_init(FAN_NONBLOCK, O_RDONLY));
	TRY(fanotify_mark(had.fd, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "/etc/passwd"));
}

static void check_fanotify(void)
{
	char event[512];

	close(open("/etc/passwd", O_RDONLY));
	CHECK(read(had.fd, event, sizeof(event)) > 0);
}

/* Processes */
static void make_zombie(void)
{
	siginfo_t info;

	had.child = TRY(fork());
	if (had.child == 0)
		_exit(3);
	TRY(waitid(P_PID, (id_t)had.child, &info, WEXITED | WNOWAIT));
}

static void check_zombie(void)
{
	int status = 0;

	CHECK(waitpid(had.child, &status, WNOHANG) == had.child && WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

static void make_traced(void)
{
	had.child = TRY(fork());
	if (had.child == 0)
		waiting_child();
	TRY(ptrace(PTRACE_SEIZE, had.child, 0, 0));
}

static void make_stopped(void)
{
	int status;

	had.child = TRY(fork());
	if (had.child == 0) {
		(void)raise(SIGSTOP);
		waiting_child();
	}
	TRY(waitpid(had.child, &status, WUNTRACED));
}

static void make_ttou(void)
{
	int status;

	had.child = TRY(fork());
	if (had.child == 0) {
		(void)setpgid(0, 0);
		(void)raise(SIGTTOU);
		waiting_child();
	}
	TRY(waitpid(had.child, &status, WUNTRACED));
}

static void make_vfork(void)
{
	static char stack[16384];
	/* Not sleep: one that a signal interrupts, as criu's looks to it, ends with some busyboxes. */
	static char *const argv[] = {(char *)"tail", (char *)"-f", (char *)"/dev/null", NULL};

	(void)stack;
	had.child = vfork();
	if (had.child == 0) {
		execvp(argv[0], argv);
		_exit(1);
	}
	TRY(had.child);
}

static void check_child(void)
{
	CHECK(kill(had.child, 0) == 0 && waitpid(had.child, NULL, WNOHANG) == 0);
}

static void make_pidfd(void)
{
	had.child = TRY(fork());
	if (had.child == 0)
		waiting_child();
	had.fd = TRY(syscall(SYS_pidfd_open, had.child, 0));
}

static void check_pidfd(void)
{
	CHECK(syscall(SYS_pidfd_send_signal, had.fd, SIGKILL, NULL, 0) == 0);
	CHECK(waitpid(had.child, NULL, 0) == had.child);
}

static void make_niced(void)
{
	cpu_set_t cpus;
	struct sched_param idle = {0};

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	TRY(sched_setaffinity(0, sizeof(cpus), &cpus));
	TRY(sched_setscheduler(0, SCHED_BATCH, &idle));
	errno = 0;
	TRY(nice(5) == -1 && errno ? -1 : 0);
}

static void check_niced(void)
{
	CHECK(sched_getscheduler(0) == SCHED_BATCH);
	errno = 0;
	CHECK(nice(0) == 5);
}

/* Memory */
static void make_shared(void)
{
	had.memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(had.memory, "mapped");
	had.child = TRY(fork());
	if (had.child == 0)
		waiting_child();
}

static void make_mlock(void)
{
	had.memory = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TRY(mlock(had.memory, 1 << 16));
	strcpy(had.memory, "mapped");
}

/* 48 MiB that stay, 1 MiB of a child's that is written all the time, and as much that goes and comes. */
enum { BIG = 48 << 20, BUSY = 1 << 20 };

static _Noreturn void write_on(void)
{
	static unsigned char busy[BUSY];

	for (unsigned char round = 0;; round++) {
		unsigned char *other = mmap(NULL, BUSY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(busy, round, BUSY);
		memset(other, round, BUSY);
		usleep(1000);
		for (size_t i = 0; i < BUSY; i++)
			if (busy[i] != round || other[i] != round)
				_exit(1);
		munmap(other, BUSY);
	}
}

static void make_big(void)
{
	had.child = TRY(fork());
	if (had.child == 0)
		write_on();
	had.memory = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < BIG; i += sizeof(size_t))
		*(size_t *)(void *)(had.memory + i) = i * 2654435761u;
}

static void check_big(void)
{
	size_t bad = 0;

	for (size_t i = 0; i < BIG; i += sizeof(size_t))
		bad += *(size_t *)(void *)(had.memory + i) != i * 2654435761u;
	CHECK(bad == 0);
	CHECK(kill(had.child, 0) == 0 && waitpid(had.child, NULL, WNOHANG) == 0);
}

static void make_secret(void)
{
	had.fd = TRY(syscall(447, 0));
}

/* System V and POSIX IPC */
static void make_shm(void)
{
	int id = TRY(shmget(0x1234, 1 << 16, IPC_CREAT | 0600));

	had.memory = shmat(id, NULL, 0);
	strcpy(had.memory, "mapped");
}

static void check_shm(void)
{
	CHECK(shmget(0x1234, 1 << 16, 0600) >= 0);
	check_memory();
}

struct message {
	long type;
	char text[8];
};

static void make_msg(void)
{
	struct message message = {.type = 7, .text = "hello"};
	int queue = TRY(msgget(0x4321, IPC_CREAT | 0600));

	TRY(msgsnd(queue, &message, sizeof(message.text), 0));
}

static void check_msg(void)
{
	struct message message = {0};
	int queue = msgget(0x4321, 0600);

	CHECK(queue >= 0 && msgrcv(queue, &message, sizeof(message.text), 7, IPC_NOWAIT) == sizeof(message.text));
	CHECK(strcmp(message.text, "hello") == 0);
	(void)msgctl(queue, IPC_RMID, NULL);
}

static void make_sem(void)
{
	int set = TRY(semget(0x7777, 3, IPC_CREAT | 0600));

	TRY(semctl(set, 1, SETVAL, 42));
}

static void check_sem(void)
{
	int set = semget(0x7777, 3, 0600);

	CHECK(set >= 0 && semctl(set, 1, GETVAL) == 42);
	(void)semctl(set, 0, IPC_RMID);
}

static void make_mq(void)
{
	had.fd = TRY(mq_open("/zoo", O_CREAT | O_RDWR, 0600, NULL));
	TRY(mq_send(had.fd, "hi", 2, 0));
}

/* Descriptors on the way, pipes, timers */
static void make_flight(void)
{
	int pair[2], fd = TRY(open("/etc/passwd", O_RDONLY));
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {.iov_base = (char *)"x", .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	TRY(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	*header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	TRY(sendmsg(pair[0], &message, 0));
	close(fd);
	had.fd = pair[1];
	had.other = pair[0];
}

static void check_flight(void)
{
	char byte, text[4];
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd = -1;

	if (!CHECK(recvmsg(had.fd, &message, MSG_DONTWAIT) == 1 && CMSG_FIRSTHDR(&message)))
		return;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	CHECK(read(fd, text, 4) == 4 && memcmp(text, "root", 4) == 0);
}

static void make_pipe(void)
{
	int ends[2];

	TRY(pipe2(ends, O_NONBLOCK));
	TRY(fcntl(ends[1], F_SETPIPE_SZ, 1 << 18));
	for (int i = 0; i < 200; i++)
		TRY(write(ends[1], "0123456789abcdef", 16));
	had.fd = ends[0];
	had.other = ends[1];
}

static void check_pipe(void)
{
	char text[8192];

	CHECK(read(had.fd, text, sizeof(text)) == 3200 && memcmp(text + 3184, "0123456789abcdef", 16) == 0);
	CHECK(fcntl(had.other, F_GETPIPE_SZ) == 1 << 18);
}

static void make_timers(void)
{
	struct itimerspec hour = {.it_value = {.tv_sec = 3600}, .it_interval = {.tv_sec = 60}};

	had.fd = TRY(timerfd_create(CLOCK_MONOTONIC, 0));
	TRY(timerfd_settime(had.fd, 0, &hour, NULL));
	had.other = TRY(eventfd(5, EFD_NONBLOCK));
}

static void check_timers(void)
{
	struct itimerspec left;
	uint64_t value = 0;

	CHECK(timerfd_gettime(had.fd, &left) == 0 && left.it_value.tv_sec > 3000 && left.it_interval.tv_sec == 60);
	CHECK(read(had.other, &value, sizeof(value)) == sizeof(value) && value == 5);
}

static void make_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = 77};
	sigset_t set;

	had.fd = TRY(epoll_create1(0));
	had.other = TRY(eventfd(1, 0));
	TRY(epoll_ctl(had.fd, EPOLL_CTL_ADD, had.other, &event));
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	event.data.u32 = 78;
	TRY(epoll_ctl(had.fd, EPOLL_CTL_ADD, TRY(signalfd(-1, &set, 0)), &event));
}

static void check_epoll(void)
{
	struct epoll_event event = {0};

	CHECK(epoll_wait(had.fd, &event, 1, 0) == 1 && event.data.u32 == 77);
}

/* Sockets */
static void make_tcp(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int listener = TRY(socket(AF_INET, SOCK_STREAM, 0));

	TRY(bind(listener, (struct sockaddr *)&at, sizeof(at)));
	TRY(listen(listener, 5));
	TRY(getsockname(listener, (struct sockaddr *)&at, &len));
	had.fd = TRY(socket(AF_INET, SOCK_STREAM, 0));
	TRY(connect(had.fd, (struct sockaddr *)&at, sizeof(at)));
	had.other = TRY(accept(listener, NULL, NULL));
	TRY(write(had.fd, "on its way", 10));
}

static void check_stream(void)
{
	char text[16];

	CHECK(recv(had.other, text, sizeof(text), 0) == 10 && memcmp(text, "on its way", 10) == 0);
	CHECK(send(had.other, "back", 4, 0) == 4 && recv(had.fd, text, sizeof(text), 0) == 4 && memcmp(text, "back", 4) == 0);
}

/* A server on port 7777 that says each connection's bytes again. */
static void serve(int listener)
{
	char text[4096];

	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t len;

		if (fd < 0 || fork() != 0) {
			close(fd);
			continue;
		}
		while ((len = read(fd, text, sizeof(text))) > 0)
			for (ssize_t at = 0, sent; at < len; at += sent)
				if ((sent = write(fd, text + at, (size_t)(len - at))) <= 0)
					_exit(1);
		_exit(0);
	}
}

static void make_echo(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7777)};
	int listener = TRY(socket(AF_INET, SOCK_STREAM, 0)), on = 1;

	TRY(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	TRY(bind(listener, (struct sockaddr *)&at, sizeof(at)));
	TRY(listen(listener, 50));
	had.child = TRY(fork());
	if (had.child == 0)
		serve(listener);
	close(listener);
}

static void make_unix(void)
{
	int pair[2];

	TRY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	TRY(write(pair[0], "on its way", 10));
	had.fd = pair[0];
	had.other = pair[1];
}

static void make_udp(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(5555), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	had.fd = TRY(socket(AF_INET, SOCK_DGRAM, 0));
	TRY(bind(had.fd, (struct sockaddr *)&at, sizeof(at)));
	had.other = TRY(socket(AF_INET, SOCK_DGRAM, 0));
	TRY(connect(had.other, (struct sockaddr *)&at, sizeof(at)));
}

static void check_udp(void)
{
	char text[4];

	CHECK(send(had.other, "udp", 3, 0) == 3 && recv(had.fd, text, 4, 0) == 3);
}

/* Without a group: what is sent to groups waits there, and then criu refuses. */
static void make_netlink(void)
{
	struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_pid = 4711};

	had.fd = TRY(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	TRY(bind(had.fd, (struct sockaddr *)&at, sizeof(at)));
}

static void check_netlink(void)
{
	struct sockaddr_nl at = {0};
	socklen_t len = sizeof(at);

	CHECK(getsockname(had.fd, (struct sockaddr *)&at, &len) == 0 && at.nl_pid == 4711);
}

static void make_packet(void)
{
	had.fd = TRY(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(3)));
}

static void make_icmp(void)
{
	had.fd = TRY(socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, 1));
}

static void check_socket(void)
{
	char packet[64];

	CHECK(recv(had.fd, packet, sizeof(packet), 0) >= 0 || errno == EAGAIN);
}

static void make_vsock(void)
{
	had.fd = TRY(socket(AF_VSOCK_, SOCK_STREAM, 0));
}

static void make_alg(void)
{
	had.fd = TRY(socket(38, SOCK_SEQPACKET, 0));
}

static void make_sctp(void)
{
	had.fd = TRY(socket(AF_INET, SOCK_STREAM, 132));
}

static void make_mptcp(void)
{
	had.fd = TRY(socket(AF_INET, SOCK_STREAM, MPTCP));
}

static void make_tun(void)
{
	struct ifreq request = {.ifr_name = "tun9", .ifr_flags = IFF_TUN | IFF_NO_PI};

	had.fd = TRY(open("/dev/net/tun", O_RDWR));
	TRY(ioctl(had.fd, TUNSETIFF, &request));
}

/* Namespaces */
static void make_netns(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	TRY(unshare(CLONE_NEWNET));
	had.fd = TRY(socket(AF_INET, SOCK_DGRAM, 0));
	TRY(ioctl(had.fd, SIOCSIFFLAGS, &lo));
}

static void check_netns(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	struct stat own, init;

	CHECK(ioctl(had.fd, SIOCGIFFLAGS, &lo) == 0 && lo.ifr_flags & IFF_UP);
	CHECK(stat("/proc/self/ns/net", &own) == 0 && stat("/proc/1/ns/net", &init) == 0 && own.st_ino != init.st_ino);
}

static void make_mntns(void)
{
	TRY(unshare(CLONE_NEWNS));
	TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	TRY(mount("zoo", "/mnt", "tmpfs", 0, "size=1m"));
	close(TRY(open("/mnt/inside", O_WRONLY | O_CREAT, 0600)));
}

static void check_mntns(void)
{
	CHECK(access("/mnt/inside", F_OK) == 0);
	CHECK(access("/proc/1/root/mnt/inside", F_OK) < 0);
}

static void make_bindns(void)
{
	TRY(mkdir("/root/zoo-bind", 0700) < 0 && errno != EEXIST ? -1 : 0);
	TRY(unshare(CLONE_NEWNS));
	TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	TRY(mount("/etc", "/root/zoo-bind", NULL, MS_BIND, NULL));
	TRY(mount(NULL, "/root/zoo-bind", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NODEV, NULL));
}

/* As whoever does not look at the flags that a mount has. */
static void make_barens(void)
{
	make_bindns();
	TRY(mount(NULL, "/root/zoo-bind", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
}

static void check_bindns(void)
{
	CHECK(access("/root/zoo-bind/passwd", R_OK) == 0);
	CHECK(open("/root/zoo-bind/new", O_WRONLY | O_CREAT, 0600) < 0 && errno == EROFS);
}

static void make_userns(void)
{
	TRY(unshare(CLONE_NEWUSER));
}

static void make_utsns(void)
{
	TRY(unshare(CLONE_NEWUTS));
}

static void make_ipcns(void)
{
	TRY(unshare(CLONE_NEWIPC));
}

static void make_cgroupns(void)
{
	TRY(unshare(CLONE_NEWCGROUP));
}

static void make_timens(void)
{
	TRY(unshare(CLONE_NEWTIME));
}

/* By clone(2), where a filter of unshare alone would not see it. */
static void make_pidns(void)
{
	had.child = TRY(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0));
	if (had.child == 0)
		waiting_child();
}

static void make_uring(void)
{
	char params[256] = {0};

	had.fd = TRY(syscall(425, 8, params));
}

static void make_bpf(void)
{
	char attributes[128] = {2, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 1}; /* a map: array, key 4, value 4, 1 entry */

	had.fd = TRY(syscall(SYS_bpf, 0, attributes, sizeof(attributes)));
}

static void make_perf(void)
{
	char attributes[128] = {1, 0, 0, 0, 64};

	had.fd = TRY(syscall(SYS_perf_event_open, attributes, 0, -1, -1, 0));
}

static void make_uffd(void)
{
	had.fd = TRY(syscall(SYS_userfaultfd, 1));
}

static void make_kmsg(void)
{
	had.fd = TRY(open("/dev/kmsg", O_WRONLY));
}

static void make_proc(void)
{
	had.fd = TRY(open("/proc/1/status", O_RDONLY));
}

static void check_proc(void)
{
	char text[5];

	CHECK(pread(had.fd, text, 5, 0) == 5 && memcmp(text, "Name:", 5) == 0);
}

static void make_nsfd(void)
{
	had.fd = TRY(open("/proc/self/ns/net", O_RDONLY));
}

static void check_nsfd(void)
{
	struct stat held, own;

	CHECK(fstat(had.fd, &held) == 0 && stat("/proc/self/ns/net", &own) == 0 && held.st_ino == own.st_ino);
}

static const struct animal {
	const char *name;
	void (*make)(void);
	void (*check)(void);
} animals[] = {
	{"ghost", make_ghost, check_ghost},          {"ghostmap", make_ghostmap, check_memory},
	{"linked", make_linked, check_linked},       {"flock", make_flock, check_flock},
	{"ofd", make_ofd, check_ofd},                {"posix", make_posix, check_posix},
	{"lease", make_lease, check_lease},          {"memfd", make_memfd, check_memfd},
	{"inotify", make_inotify, check_inotify},    {"fanotify", make_fanotify, check_fanotify},
	{"zombie", make_zombie, check_zombie},       {"traced", make_traced, NULL},
	{"stopped", make_stopped, NULL},             {"ttou", make_ttou, NULL},
	{"vfork", make_vfork, check_child},          {"pidfd", make_pidfd, check_pidfd},
	{"niced", make_niced, check_niced},          {"shared", make_shared, check_memory},
	{"big", make_big, check_big},
	{"mlock", make_mlock, check_memory},         {"secret", make_secret, NULL},
	{"shm", make_shm, check_shm},                {"msg", make_msg, check_msg},
	{"sem", make_sem, check_sem},                {"mq", make_mq, NULL},
	{"flight", make_flight, check_flight},       {"pipe", make_pipe, check_pipe},
	{"timers", make_timers, check_timers},       {"epoll", make_epoll, check_epoll},
	{"tcp", make_tcp, check_stream},             {"unix", make_unix, check_stream},
	{"udp", make_udp, check_udp},                {"netlink", make_netlink, check_netlink},
	{"packet", make_packet, check_socket},       {"icmp", make_icmp, check_socket},
	{"vsock", make_vsock, NULL},                 {"alg", make_alg, NULL},
	{"sctp", make_sctp, NULL},                   {"mptcp", make_mptcp, NULL},
	{"tun", make_tun, NULL},                     {"netns", make_netns, check_netns},
	{"mntns", make_mntns, check_mntns},          {"bindns", make_bindns, check_bindns},
	{"barens", make_barens, NULL},
	{"userns", make_userns, NULL},               {"utsns", make_utsns, NULL},
	{"ipcns", make_ipcns, NULL},                 {"cgroupns", make_cgroupns, NULL},
	{"timens", make_timens, NULL},               {"pidns", make_pidns, NULL},
	{"uring", make_uring, NULL},                 {"bpf", make_bpf, NULL},
	{"perf", make_perf, NULL},                   {"uffd", make_uffd, NULL},
	{"kmsg", make_kmsg, NULL},                   {"proc", make_proc, check_proc},
	{"nsfd", make_nsfd, check_nsfd},             {"echo", make_echo, check_child},
};

int main(int argc, char **argv)
{
	const struct animal *animal = NULL;
	sigset_t set;
	int got;

	for (size_t i = 0; argc == 2 && i < sizeof(animals) / sizeof(animals[0]); i++)
		if (strcmp(animals[i].name, argv[1]) == 0)
			animal = &animals[i];
	if (!animal) {
		fprintf(stderr, "usage: zoo NAME\n");
		return 2;
	}
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)setsid();
	animal->make();
	printf("ready\n");
	fflush(stdout);
	while (sigwait(&set, &got) == 0) {
		wrong = NULL;
		if (animal->check)
			animal->check();
		printf("%s%s\n", wrong ? "broken: " : "whole", wrong ? wrong : "");
		fflush(stdout);
	}
	return 0;
}
