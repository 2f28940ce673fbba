/* A FUSE of a hostile guest's root that answers until there is a file /tmp/mute, for tests/hostile/fuse.bats: static, so that it runs in any
 * guest.
 *
 * usage: mire mount FOLDER [OVER]   it is mounted on FOLDER, and through an overlay, by which the host's root gets there too, on OVER
 *        mire stuck FOLDER          a process that holds the lock of a socket in repair while it waits for a page of FOLDER/file
 *
 * FUSE=FILE is the device by another name, ASIDE=yes makes the daemon a child of isle's: who works on init's children does not know it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE  (1 << 20)
#define FILES (1ull << 32) /* nodes from here on are files, those below are folders */

static uint64_t next_node = 2;

static void reply(int fd, const struct fuse_in_header *in, int error, const void *data, size_t size)
{
	static char out[8192];
	struct fuse_out_header header = {.len = sizeof(header) + size, .error = -error, .unique = in->unique};

	memcpy(out, &header, sizeof(header));
	memcpy(out + sizeof(header), data, size);
	(void)!write(fd, out, header.len);
}

static struct fuse_attr attr_of(uint64_t node)
{
	return (struct fuse_attr){.ino = node, .mode = node >= FILES ? S_IFREG | 0644 : S_IFDIR | 0755, .nlink = 1, .size = 4096, .blksize = 4096};
}

static void answer_lookup(int fd, const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out entry = {.nodeid = next_node++};

	if (strcmp(name, "file") == 0)
		entry.nodeid |= FILES;
	entry.attr = attr_of(entry.nodeid);
	reply(fd, in, 0, &entry, sizeof(entry));
}

static void answer(int fd, const char *request)
{
	const struct fuse_in_header *in = (const void *)request;
	const struct fuse_init_in *asked = (const void *)(in + 1);
	struct fuse_init_out init = {.major = 7, .minor = 31, .max_readahead = 65536, .max_write = 65536};
	struct fuse_attr_out attr = {.attr = attr_of(in->nodeid)};
	struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
	struct fuse_open_out opened = {0};

	switch (in->opcode) {
	case FUSE_INIT:
		init.minor = asked->minor < init.minor ? asked->minor : init.minor;
		reply(fd, in, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer_lookup(fd, in, (const char *)(in + 1));
		break;
	case FUSE_GETATTR:
		reply(fd, in, 0, &attr, sizeof(attr));
		break;
	case FUSE_STATFS:
		reply(fd, in, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		reply(fd, in, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_ACCESS:
		reply(fd, in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(fd, in, ENOSYS, NULL, 0);
	}
}

static void serve(int fd)
{
	char *request = malloc(SIZE);

	for (;;) {
		ssize_t len = read(fd, request, SIZE);

		if (len < 0 && errno == ENODEV)
			return;
		if (len >= (ssize_t)sizeof(struct fuse_in_header) && access("/tmp/mute", F_OK) < 0)
			answer(fd, request);
	}
}

static int fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static int mount_mire(const char *folder, const char *over)
{
	char options[160];
	int fd = open(getenv("FUSE") ? getenv("FUSE") : "/dev/fuse", O_RDWR | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return fail("/dev/fuse");
	(void)unlink("/tmp/mute");
	(void)mkdir(folder, 0755);
	(void)mkdir("/tmp/under", 0755);
	if (syscall(SYS_clone, (getenv("ASIDE") ? CLONE_PARENT : 0) | SIGCHLD, 0, 0, 0, 0) == 0) {
		setsid();
		for (int i = 0; i < 3; i++)
			(void)dup2(null, i);
		serve(fd);
		return 0;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", fd);
	if (mount("mire", folder, "fuse", 0, options) < 0)
		return fail("mount it");
	snprintf(options, sizeof(options), "lowerdir=%s:/tmp/under", folder);
	return over && mount("over", over, "overlay", 0, options) < 0 ? fail("mount an overlay") : 0;
}

/* send(2) copies with the socket's lock held. One in repair is connected at once, and what it sends to its own queue it need not have
 * received. */
static int get_stuck(const char *folder)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct sockaddr *to = (const struct sockaddr *)&address;
	int on = 1, queue = TCP_RECV_QUEUE, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (chdir(folder) < 0)
		return fail(folder);
	int file = open("file", O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);

	if (page == MAP_FAILED || chdir("/") < 0 || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ||
	    connect(fd, to, sizeof(address)) < 0 || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) < 0)
		return fail("a socket in repair");
	close(open("/tmp/mute", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	(void)send(fd, page, 4096, 0);
	return fail("it was answered");
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "stuck") == 0)
		return get_stuck(argv[2]);
	return argc >= 3 ? mount_mire(argv[2], argv[3]) : 2;
}
