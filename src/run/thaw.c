/* Frees a running guest of what a criu that was killed left in it: stopped processes, sockets in repair, a packet filter. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/aside.h"
#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "../kernel/nft.h"
#include "../kernel/ns.h"
#include "eventlog.h"
#include "thaw.h"

#define SOCKETS_MS 10000
#define LOCKS_MS   10000
#define LOCK_TABLE "CRIU-" /* and a UUID, or with older ones the init's process id */

static bool is_lock(const char *table)
{
	return str_starts(table, LOCK_TABLE) &&
	       strspn(table + strlen(LOCK_TABLE), "0123456789abcdef-") == strlen(table + strlen(LOCK_TABLE));
}

/* A process's socket that criu was reading sends and takes nothing in the ordinary way. */
static void repair_socket(int pidfd, int number)
{
	int mode = 0, off = 0;
	socklen_t len = sizeof(mode);
	auto_close int copy = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	if (copy >= 0 && getsockopt(copy, IPPROTO_TCP, TCP_REPAIR, &mode, &len) == 0 && mode)
		(void)setsockopt(copy, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)); /* on a closed one it changes nothing */
}

static int look_at_sockets(void *arg, pid_t pid)
{
	char path[48], target[32];
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	(void)arg;
	(void)str_print(path, sizeof(path), "/proc/%d/fd", pid);
	auto_closedir DIR *fds = pidfd < 0 ? NULL : opendir(path);

	for (struct dirent *entry; fds && (entry = readdir(fds));) {
		ssize_t len = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
		uint64_t number;

		target[len > 0 ? len : 0] = '\0';
		if (str_starts(target, "socket:") && str_to_u64(entry->d_name, 0, INT32_MAX, &number) == 0)
			repair_socket(pidfd, (int)number);
	}
	return 0;
}

static int repair_sockets(void *arg)
{
	const struct record *record = arg;
	int r = fds_alone(NULL, 0);

	return r < 0 ? r : cgroup_each_pid(record->cgroup, look_at_sockets, NULL);
}

static int let_go_on(void *arg, pid_t pid)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	(void)arg;
	if (pidfd >= 0)
		(void)proc_signal(pidfd, SIGCONT);
	return 0;
}

/* The rules are in the guest's network namespace. */
static int remove_locks(void *arg)
{
	const int *netns = arg;
	int r = fds_alone(netns, 1);

	if (r == 0)
		r = setns(*netns, CLONE_NEWNET) < 0 ? -errno : nft_delete_tables("inet", is_lock);
	return r == -EPROTONOSUPPORT || r == -EOPNOTSUPP ? 0 : r; /* without nftables there are none */
}

/* A guest can hold up what looks at its sockets and its packet filter, and spoils only its own connections by it: it must not keep
 * every later command from its work. */
int thaw_guest(const struct guest *guest, const struct record *record, struct err *err)
{
	auto_close int netns = ns_open(record->init_pid, "net", NULL);

	(void)aside_run(repair_sockets, (void *)record, SOCKETS_MS);
	int r = cgroup_each_pid(record->cgroup, let_go_on, NULL);

	if (r < 0)
		return err_num(err, r, "let the guest go on");
	r = netns < 0 ? netns : aside_run(remove_locks, &netns, LOCKS_MS);
	if (r < 0)
		eventlog_write(guest->dir_fd, "isle",
			       "its packet filter could not be searched for what criu left: look for tables " LOCK_TABLE "* in it");
	return 0;
}
