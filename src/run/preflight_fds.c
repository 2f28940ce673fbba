/* What a process holds open that criu cannot carry, by the names of its descriptors, and by kinds of files and sockets. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/major.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "criu.h"
#include "preflight_fds.h"

#define MOUNTS_MAX (4u << 20)

/* How descriptors of what criu cannot carry are called by /proc/PID/fd. */
static const struct handle {
	const char *sign, *what, *remedy;
} handle_table[] = {
	{"anon_inode:[io_uring]", "it uses io_uring", "switch io_uring off in its configuration, or stop it"},
	{"anon_inode:bpf", "it holds a BPF program or map", "stop it"},
	{"anon_inode:[perf_event]", "it holds a performance counter", "stop perf"},
	{"anon_inode:[userfaultfd]", "it uses userfaultfd", "stop it"},
	{"/secretmem", "it uses memfd_secret", "stop it"},
	{"anon_inode:[vfio", "it holds a device (VFIO)", "stop it"},
	{"/dev/fuse", "it serves a FUSE file system", "unmount it"},
	{"/dev/net/tun", "it holds a TUN or TAP interface", "stop it"},
};

/* Sockets that criu knows: all else cannot be carried. protocol 0: any. */
static const struct family {
	int domain, type, protocol;
} family_table[] = {
	{AF_UNIX, 0, 0},
	{AF_NETLINK, 0, 0},
	{AF_PACKET, 0, 0},
	{AF_INET, SOCK_STREAM, IPPROTO_TCP},
	{AF_INET6, SOCK_STREAM, IPPROTO_TCP},
	{AF_INET, SOCK_DGRAM, 0},
	{AF_INET6, SOCK_DGRAM, 0},
	{AF_INET, SOCK_RAW, 0},
	{AF_INET6, SOCK_RAW, 0},
};

/* Words for those that are met. */
static const struct odd_socket {
	int domain, protocol;
	const char *what;
} odd_socket_table[] = {
	{AF_VSOCK, 0, "it has a vsock socket"},
	{AF_ALG, 0, "it uses the kernel's cryptography (AF_ALG)"},
	{AF_INET, IPPROTO_MPTCP, "it has a multipath TCP connection"},
	{AF_INET6, IPPROTO_MPTCP, "it has a multipath TCP connection"},
	{AF_INET, IPPROTO_SCTP, "it has an SCTP socket"},
	{AF_INET6, IPPROTO_SCTP, "it has an SCTP socket"},
	{-1, 0, "it has a socket of a kind that criu does not know"},
};
#define ODD_SOCKETS (sizeof(odd_socket_table) / sizeof(odd_socket_table[0]))

struct look {
	pid_t pid;
	int pidfd;
	dev_t queues;
	unsigned told; /* one word a kind is enough */
	void (*tell)(void *arg, const char *what, const char *remedy);
	void *arg;
};

static void tell_once(struct look *look, unsigned kind, const char *what, const char *remedy)
{
	if (!(look->told & 1u << kind))
		look->tell(look->arg, what, remedy);
	look->told |= 1u << kind;
}

static bool is_known(int domain, int type, int protocol)
{
	for (size_t i = 0; i < sizeof(family_table) / sizeof(family_table[0]); i++) {
		const struct family *family = &family_table[i];

		if (family->domain == domain && (!family->type || family->type == type) &&
		    (!family->protocol || family->protocol == protocol))
			return true;
	}
	return false;
}

static int socket_number(int fd, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

/* /proc does not tell what a socket is; a copy of its descriptor does. */
static void look_at_socket(struct look *look, int number)
{
	auto_close int copy = (int)syscall(SYS_pidfd_getfd, look->pidfd, number, 0);

	if (copy < 0)
		return;
	int domain = socket_number(copy, SO_DOMAIN), protocol = socket_number(copy, SO_PROTOCOL);

	if (domain < 0 || is_known(domain, socket_number(copy, SO_TYPE), protocol))
		return;
	for (size_t i = 0; i < ODD_SOCKETS; i++) {
		const struct odd_socket *odd = &odd_socket_table[i];

		if (odd->domain != -1 && (odd->domain != domain || (odd->protocol && odd->protocol != protocol)))
			continue;
		tell_once(look, 16 + (unsigned)i, odd->what, "stop it");
		return;
	}
}

/* A terminal of the host's whose other side was closed has no name any more by which it could be found again. */
static bool is_lost_terminal(const struct statx *st, const char *target)
{
	return S_ISCHR(st->stx_mode) && st->stx_rdev_major >= UNIX98_PTY_SLAVE_MAJOR &&
	       st->stx_rdev_major < UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT && strstr(target, " (deleted)");
}

static void look_at_file(struct look *look, int dir, const char *name, const char *target)
{
	struct statx st;

	if (statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return;
	if (look->queues && makedev(st.stx_dev_major, st.stx_dev_minor) == look->queues && S_ISREG(st.stx_mode))
		tell_once(look, 15, "it has a POSIX message queue open", "stop it");
	if (is_lost_terminal(&st, target))
		tell_once(look, 14, "it has a terminal open that is gone", "restart it, or the guest");
}

/* Of memory files (memfd_create(2), System V) the images hold what they hold of all memory. */
static void look_at_ghost(struct look *look, int dir, const char *name)
{
	struct statx st;

	if (statx(dir, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_NLINK | STATX_SIZE, &st) == 0 && S_ISREG(st.stx_mode) &&
	    st.stx_nlink == 0 && st.stx_size > CRIU_GHOST_LIMIT)
		tell_once(look, 13, "it has a file open that was removed, of more than 1 GiB", "end or restart it");
}

static bool is_removed(const char *target)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(target);

	return len >= sizeof(mark) && strcmp(target + len - (sizeof(mark) - 1), mark) == 0 && target[0] == '/' &&
	       !str_starts(target, "/memfd:") && !str_starts(target, "/SYSV");
}

/* Who may write there has set a trigger, or can. */
static void look_at_pressure(struct look *look, int dir, const char *name, const char *target)
{
	const char *dot = strrchr(target, '.');
	bool of_group = str_starts(target, "/sys/fs/cgroup/") && dot && strcmp(dot, ".pressure") == 0;
	struct stat st;

	if ((of_group || str_starts(target, "/proc/pressure/")) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_mode & S_IWUSR)
		tell_once(look, 12, "it watches for pressure (PSI)",
			  "stop it, or for a unit set MemoryPressureWatch=off, CPUPressureWatch=off and IOPressureWatch=off");
}

static void look_at_fd(struct look *look, int dir, const char *name)
{
	char target[256];
	uint64_t number;
	ssize_t len = readlinkat(dir, name, target, sizeof(target) - 1);

	if (len <= 0)
		return;
	target[len] = '\0';
	for (size_t i = 0; i < sizeof(handle_table) / sizeof(handle_table[0]); i++)
		if (str_starts(target, handle_table[i].sign))
			tell_once(look, (unsigned)i, handle_table[i].what, handle_table[i].remedy);
	if (str_starts(target, "socket:") && str_to_u64(name, 0, INT32_MAX, &number) == 0)
		look_at_socket(look, (int)number);
	else if (target[0] == '/' && !strchr(target + 1, '/'))
		look_at_file(look, dir, name, target);
	look_at_pressure(look, dir, name, target);
	if (is_removed(target))
		look_at_ghost(look, dir, name);
}

void preflight_fds(pid_t pid, dev_t queues, void (*tell)(void *arg, const char *what, const char *remedy), void *arg)
{
	char path[48];
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct look look = {.pid = pid, .pidfd = pidfd, .queues = queues, .tell = tell, .arg = arg};

	(void)str_print(path, sizeof(path), "/proc/%d/fd", pid);
	auto_closedir DIR *fds = pidfd < 0 ? NULL : opendir(path);

	for (struct dirent *entry; fds && (entry = readdir(fds));)
		look_at_fd(&look, dirfd(fds), entry->d_name);
}

dev_t preflight_queues(pid_t init)
{
	char path[48];
	auto_free char *text = NULL;
	unsigned major, minor;

	(void)str_print(path, sizeof(path), "/proc/%d/mountinfo", init);
	if (file_read(AT_FDCWD, path, MOUNTS_MAX, &text, NULL) < 0)
		return 0;
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));) {
		uint64_t number[2];
		char *device = line, *colon;

		if (!strstr(line, " - mqueue "))
			continue;
		for (int i = 0; i < 2 && device; i++) /* proc(5): the third field is MAJOR:MINOR */
			device = strchr(device, ' ') ? strchr(device, ' ') + 1 : NULL;
		colon = device ? strchr(device, ':') : NULL;
		if (!colon)
			continue;
		*colon++ = '\0';
		colon[strcspn(colon, " ")] = '\0';
		if (str_to_u64(device, 0, UINT32_MAX, &number[0]) == 0 && str_to_u64(colon, 0, UINT32_MAX, &number[1]) == 0) {
			major = (unsigned)number[0];
			minor = (unsigned)number[1];
			return makedev(major, minor);
		}
	}
	return 0;
}
