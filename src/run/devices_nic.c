/* Interfaces of the host that a guest was given: into its network, and back. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "devices.h"
#include "steps.h"

#define HOME_TRIES 100 /* of 20 ms each: the kernel ends a network namespace in its own time */
#define HOME_PACE  20

static bool has_nic(const struct record *record)
{
	for (size_t i = 0; i < record->device_count; i++)
		if (record->devices[i].kind == 'n')
			return true;
	return false;
}

/* Both sockets and the namespace to move to. */
struct way {
	struct netlink *host, *inside;
	int host_netns;
};

static int way_open(int netns_fd, struct way *ret, struct err *err)
{
	struct way way = {.host_netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
	int r = way.host_netns < 0 ? err_sys(err, "open /proc/thread-self/ns/net") : netlink_open(-1, &way.host, err);

	if (r == 0)
		r = netlink_open(netns_fd, &way.inside, err);
	*ret = way;
	return r;
}

static void way_close(struct way *way)
{
	netlink_free(way->inside);
	netlink_free(way->host);
	clean_close(&way->host_netns);
}

/* What the interface hangs on, which tells it from those that are made inside. Those that hang on nothing are told by their kind.
 */
static int note_lower(const struct way *way, struct record_device *device, struct err *err)
{
	struct netlink_link link;
	char name[IFNAMSIZ];
	int r = netlink_get_by_index(way->inside, (int)device->major, name, &link, err);

	if (r == 0)
		device->minor = 1 + (uint64_t)link.lower;
	return r;
}

int devices_nic_give(struct record_device *device, pid_t init_pid, struct err *err)
{
	struct way way;
	int index = 0;
	auto_close int netns = ns_open(init_pid, "net", err);

	if (netns < 0)
		return netns;
	int r = way_open(netns, &way, err);

	if (r == 0)
		r = netlink_move(way.host, (int)device->major, way.inside, netns, device->inside, &index, err);
	if (r == 0)
		device->major = (uint64_t)index, device->minor = 1;
	if (r == 0)
		r = note_lower(&way, device, err);
	way_close(&way);
	return r;
}

/* Whether the guest's root has power over the network that has this number in its own, and so may have made it. Asked as he would
 * ask, by a process that has entered his user namespace. */
static bool is_of_guest(const struct way *way, int netns_fd, int namespace)
{
	auto_close int user = ioctl(netns_fd, NS_GET_USERNS);
	int status = 0;
	struct stat own, theirs;

	if (user < 0 || stat("/proc/self/ns/user", &own) < 0 || fstat(user, &theirs) < 0 || own.st_ino == theirs.st_ino)
		return false; /* a privileged guest's, which is trusted */
	pid_t pid = fork();

	if (pid == 0)
		_exit(setns(user, CLONE_NEWUSER) < 0 || netlink_may_administer(way->inside, namespace));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 || status != 0;
}

/* Not of the guest's making: of the kind, on what it hung on, and that is in a network that is none of the guest's. What is
 * hardware nobody inside can make. */
static bool is_given(const struct way *way, const struct record_device *device, int netns_fd, const struct netlink_link *link)
{
	if (strcmp(link->kind, device->access) != 0)
		return false;
	if (device->minor <= 1)
		return true;
	return (uint64_t)link->lower == device->minor - 1 && link->lower_namespace >= 0 &&
	       !is_of_guest(way, netns_fd, link->lower_namespace);
}

/* The guest may have renamed it, or put another of its own making in its place, which must not come to the host. *ret: its index.
 */
static int find_inside(const struct way *way, const struct record_device *device, int netns_fd, int *ret, struct err *err)
{
	const int indexes[] = {device->minor ? (int)device->major : 0, netlink_index(way->inside, device->inside)};

	for (size_t i = 0; i < 2; i++) {
		struct netlink_link link;
		char name[IFNAMSIZ];

		if (indexes[i] <= 0 || netlink_get_by_index(way->inside, indexes[i], name, &link, NULL) < 0 ||
		    !is_given(way, device, netns_fd, &link))
			continue;
		*ret = indexes[i];
		return 0;
	}
	return err_num(err, ENODEV, "find interface %s in the guest", device->host);
}

/* The kernel sends hardware home by itself when its namespace ends, by the name that it had last, or another if that was taken. */
static int find_at_home(const struct way *way, const struct record_device *device)
{
	struct netlink_link link;
	char name[IFNAMSIZ];

	if (netlink_index(way->host, device->host) > 0)
		return 0;
	if (netlink_get_by_index(way->host, (int)device->major, name, &link, NULL) == 0 && strcmp(link.kind, device->access) == 0 &&
	    strcmp(name, device->inside) == 0)
		return netlink_move(way->host, (int)device->major, way->host, way->host_netns, device->host, NULL, NULL);
	int index = netlink_index(way->host, device->inside);

	if (index > 0 && netlink_get_by_index(way->host, index, name, &link, NULL) == 0 && strcmp(link.kind, device->access) == 0)
		return netlink_move(way->host, index, way->host, way->host_netns, device->host, NULL, NULL);
	return -ENODEV;
}

/* Without other names of the guest's choice: the host may have one of them already, or give it to another link later. */
static int bring_home(const struct way *way, int index, const struct record_device *device, struct err *err)
{
	int r = netlink_strip(way->inside, index, err), home = 0;

	if (r == 0)
		r = netlink_move(way->inside, index, way->host, way->host_netns, device->host, &home, err);
	return r < 0 ? r : netlink_strip(way->host, home, err); /* what was put on it meanwhile */
}

int devices_nic_take_back(const struct record_device *device, int netns_fd, struct err *err)
{
	struct way way = {.host_netns = -1};
	int index = 0, r = way_open(netns_fd, &way, err);

	if (r < 0) {
		way_close(&way);
		return r;
	}
	/* It never left: a name and a kind like its own in the guest are another's. */
	if (!device->minor && netlink_index(way.host, device->host) == (int)device->major) {
		way_close(&way);
		return 0;
	}
	r = netns_fd < 0 ? -ENODEV : find_inside(&way, device, netns_fd, &index, NULL);
	if (r == 0)
		r = bring_home(&way, index, device, err);
	/* One with a driver of its own kind ends with its namespace; only hardware comes home. */
	for (int i = 0; r == -ENODEV && i < HOME_TRIES; i++) {
		r = find_at_home(&way, device);
		if (r != -ENODEV || device->access[0] || netns_fd >= 0)
			break;
		(void)poll(NULL, 0, HOME_PACE);
	}
	way_close(&way);
	return r == -ENODEV ? err_num(err, r, "take interface %s back: the guest has it no more", device->host) : r;
}

/* Holding the namespace */

/* A descriptor of a network namespace that the process has open, -ENOENT. */
static int netns_of_process(pid_t pid)
{
	auto_free char *path = str_format("/proc/%d/fd", (int)pid);
	auto_closedir DIR *dir = path ? opendir(path) : NULL;
	struct dirent *entry;
	struct stat own, other;

	if (!dir || stat("/proc/self/ns/net", &own) < 0)
		return -ENOENT;
	while ((entry = readdir(dir))) {
		char text[64] = "";

		if (readlinkat(dirfd(dir), entry->d_name, text, sizeof(text) - 1) < 0 || !str_starts(text, "net:["))
			continue;
		int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && fstat(fd, &other) == 0 && other.st_ino != own.st_ino)
			return fd;
		clean_close(&fd);
	}
	return -ENOENT;
}

void devices_hold_network(struct run *run)
{
	auto_close int init = record_init_pidfd(&run->record);
	auto_close int monitor = record_monitor_pidfd(&run->record);

	if (run->netns_fd >= 0 || (!has_nic(&run->record) && run->record.link_count == 0))
		return;
	if (init >= 0)
		run->netns_fd = ns_open(run->record.init_pid, "net", NULL);
	if (run->netns_fd < 0 && (monitor >= 0 || run->record.monitor_pid == getpid()))
		run->netns_fd = netns_of_process(run->record.monitor_pid);
}

/* The row */

int step_interfaces(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->record.device_count; i++)
		if (run->record.devices[i].kind == 'n')
			r = devices_nic_give(&run->record.devices[i], run->init_pid, err);
	/* While they are on their way back their numbers inside are needed. */
	run->netns_fd = ns_open(run->init_pid, "net", NULL);
	return r;
}

void step_interfaces_undo(struct run *run)
{
	struct err err = {0};

	devices_hold_network(run);
	for (size_t i = 0; i < run->record.device_count; i++) {
		const struct record_device *device = &run->record.devices[i];

		/* An interface that is nowhere cannot be waited for: the guest is stopped all the same. */
		if (device->kind == 'n' && devices_nic_take_back(device, run->netns_fd, &err) < 0)
			run_log(run, "%s", err.what);
	}
	run->record.device_count = 0;
	clean_close(&run->netns_fd);
	run->netns_fd = -1;
}
