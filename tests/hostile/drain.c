/* What a hostile guest's root takes too much of, for tests/hostile/exhaust.bats: static, so that it runs in any guest. It takes up to COUNT
 * of something, prints how much it got, and holds it for SECONDS. usage: drain WHAT COUNT [SECONDS] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1 << 20)

/* Each takes its n-th piece: 0, or -1 when there is no more to be had. */

static int take_fork(long n)
{
	pid_t pid = fork();

	(void)n;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	return pid < 0 ? -1 : 0;
}

static int take_inotify(long n)
{
	(void)n;
	return inotify_init1(IN_CLOEXEC);
}

static int take_watch(long n)
{
	static int fd = -1;
	char name[64];

	if (fd < 0 && (fd = inotify_init1(IN_CLOEXEC)) < 0)
		return -1;
	snprintf(name, sizeof(name), "/tmp/w%ld", n);
	close(open(name, O_CREAT | O_WRONLY, 0600));
	int got = inotify_add_watch(fd, name, IN_MODIFY);

	(void)unlink(name);
	return got;
}

static int take_pty(long n)
{
	(void)n;
	return open("/dev/ptmx", O_RDWR | O_NOCTTY);
}

/* In an instance of its own making, which the limit on /dev/pts does not cover. */
static int take_pty_elsewhere(long n)
{
	if (n == 0) {
		(void)mkdir("/tmp/pts", 0755);
		if (mount("none", "/tmp/pts", "devpts", 0, "ptmxmode=666,newinstance") < 0)
			return -1;
	}
	return open("/tmp/pts/ptmx", O_RDWR | O_NOCTTY);
}

static int take_key(long n)
{
	char name[32];

	snprintf(name, sizeof(name), "key%ld", n);
	return (int)syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_USER_KEYRING) < 0 ? -1 : 0;
}

static int take_mount(long n)
{
	(void)n;
	(void)mkdir("/tmp/m", 0755);
	return mount("none", "/tmp/m", "tmpfs", 0, "size=4k");
}

static int take_space(int kind, const char *file)
{
	return unshare(kind) < 0 ? -1 : open(file, O_RDONLY | O_CLOEXEC);
}

static int take_netns(long n)
{
	(void)n;
	return take_space(CLONE_NEWNET, "/proc/self/ns/net");
}

static int take_mntns(long n)
{
	(void)n;
	return take_space(CLONE_NEWNS, "/proc/self/ns/mnt");
}

/* A MiB each, touched. */
static int take_shm(long n)
{
	int id = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
	char *at = id < 0 ? (char *)-1 : shmat(id, NULL, 0);

	(void)n;
	if (at == (char *)-1)
		return -1;
	memset(at, 1, MIB);
	(void)shmctl(id, IPC_RMID, NULL);
	return 0;
}

static int take_sem(long n)
{
	(void)n;
	return semget(IPC_PRIVATE, 250, IPC_CREAT | 0600);
}

static int take_mqueue(long n)
{
	struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
	char name[32];

	snprintf(name, sizeof(name), "/q%ld", n);
	return (int)mq_open(name, O_CREAT | O_RDWR, 0600, &attr);
}

static int fill(int fd)
{
	static char text[65536];

	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, text, sizeof(text)) > 0)
		;
	return 0;
}

static int take_unix(long n)
{
	int pair[2], size = 16 * MIB;

	(void)n;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -1;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return fill(pair[0]);
}

/* A connection to itself that holds what nobody reads. */
static int take_tcp(long n)
{
	static struct sockaddr_in self = {.sin_family = AF_INET};
	static int listener = -1;
	socklen_t len = sizeof(self);
	int size = 16 * MIB;

	if (n == 0) {
		self.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listener, (struct sockaddr *)&self, len) < 0 || listen(listener, 16) < 0 ||
		    getsockname(listener, (struct sockaddr *)&self, &len) < 0)
			return -1;
	}
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (fd < 0 || connect(fd, (struct sockaddr *)&self, len) < 0 || accept(listener, NULL, NULL) < 0)
		return -1;
	return fill(fd);
}

static int take_pipe(long n)
{
	int pair[2];

	(void)n;
	if (pipe(pair) < 0)
		return -1;
	(void)fcntl(pair[1], F_SETPIPE_SZ, MIB);
	return fill(pair[1]);
}

static int take_tmpfs(long n)
{
	static char text[MIB];
	static int fd = -1;

	if (n == 0)
		fd = open("/dev/shm/much", O_CREAT | O_WRONLY, 0600);
	return write(fd, text, sizeof(text)) == (ssize_t)sizeof(text) ? 0 : -1;
}

static int take_memory(long n)
{
	char *at = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -1;
	memset(at, (int)n | 1, MIB);
	return 0;
}

static int take_lock(long n)
{
	static int fd = -1;
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2 * n, .l_len = 1};

	if (n == 0)
		fd = open("/tmp/locked", O_CREAT | O_RDWR, 0600);
	return fcntl(fd, F_SETLK, &lock);
}

static int take_epoll(long n)
{
	static int fd = -1;
	struct epoll_event event = {.events = EPOLLIN};

	if (n == 0)
		fd = epoll_create1(EPOLL_CLOEXEC);
	int one = eventfd(0, EFD_CLOEXEC);

	return one < 0 ? -1 : epoll_ctl(fd, EPOLL_CTL_ADD, one, &event);
}

/* Names that are not there are remembered too. */
static int take_name(long n)
{
	char name[256];

	snprintf(name, sizeof(name), "/tmp/%0200ld", n);
	return access(name, F_OK) < 0 && errno == ENOENT ? 0 : -1;
}

static int take_aio(long n)
{
	unsigned long context = 0;

	(void)n;
	return (int)syscall(SYS_io_setup, 128, &context);
}

static const struct drain {
	const char *name;
	int (*take)(long n);
} drains[] = {
	{"forks", take_fork},   {"inotify", take_inotify}, {"watches", take_watch}, {"ptys", take_pty},
	{"own-ptys", take_pty_elsewhere}, {"keys", take_key}, {"mounts", take_mount}, {"netns", take_netns},
	{"mntns", take_mntns},  {"shm", take_shm},         {"sems", take_sem},      {"mqueues", take_mqueue},
	{"unix", take_unix},    {"tcp", take_tcp},         {"pipes", take_pipe},      {"tmpfs", take_tmpfs},   {"memory", take_memory},
	{"locks", take_lock},   {"epoll", take_epoll},     {"names", take_name},    {"aio", take_aio},
};

int main(int argc, char **argv)
{
	struct rlimit files = {0};
	long count = argc > 2 ? atol(argv[2]) : 0, made = 0;
	unsigned hold = argc > 3 ? (unsigned)atoi(argv[3]) : 0;

	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	for (size_t i = 0; argc > 2 && i < sizeof(drains) / sizeof(drains[0]); i++) {
		if (strcmp(drains[i].name, argv[1]) != 0)
			continue;
		while (made < count && drains[i].take(made) >= 0)
			made++;
		printf("%ld\n", made);
		fflush(stdout);
		(void)sleep(hold);
		return 0;
	}
	fprintf(stderr, "usage: drain WHAT COUNT [SECONDS]\n");
	return 2;
}
