/* Devices of a running guest: added and removed while it runs, and what a killed command had begun of that. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <linux/magic.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/message.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "../kernel/privs.h"
#include "devices.h"
#include "devnode.h"

#define INSIDE_MS 5000 /* what takes longer is held up by the guest */

/* Inside */

/* What a throw-away process does in the guest's /dev. */
struct job {
	const struct record_device *device;
	int tree; /* the node to place, -1: to remove */
	mode_t mode;
	bool userns; /* the guest has one of its own */
};

static int work(const struct job *job, struct err *err)
{
	const mode_t kind = job->device->kind == 'b' ? S_IFBLK : S_IFCHR;
	const dev_t device = makedev((unsigned)job->device->major, (unsigned)job->device->minor);
	const struct devnode node = {.mode = kind, .device = device};
	struct statfs fs;
	auto_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int dev = root < 0 ? -errno : path_open_beneath(root, "dev", O_RDONLY | O_DIRECTORY, 0);

	if (dev < 0)
		return err_num(err, dev, "open /dev in the guest");
	if (fstatfs(dev, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return err_set(err, ERR_FAILED, "open /dev in the guest: it is not the one that isle made");
	if (job->tree < 0)
		return devnode_remove(dev, devices_path(job->device), kind, device, err);
	return devnode_place(dev, job->tree, devices_path(job->device), &node, err);
}

/* As the guest's root, but in the host's process namespace, where nobody inside sees it. */
static int enter(const struct job *job, int init_pidfd, struct err *err)
{
	int r = privs_own_keyring(err);

	if (r == 0)
		r = privs_hide(err);
	if (r == 0)
		r = ns_enter(init_pidfd, CLONE_NEWNS | (job->userns ? CLONE_NEWUSER : 0), err);
	if (r == 0 && job->userns && (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		r = err_sys(err, "become root of the guest");
	return r == 0 ? privs_hide(err) : r;
}

struct word {
	int32_t result;
	struct err err;
};

static _Noreturn void inside(const struct job *job, int init_pidfd, int socket)
{
	const int keep[] = {job->tree, init_pidfd, socket};
	struct word word = {0};

	word.result = fds_alone(keep, 3);
	if (word.result == 0)
		word.result = enter(job, init_pidfd, &word.err);
	if (word.result == 0)
		word.result = work(job, &word.err);
	_exit(message_send(socket, &word, sizeof(word), NULL, 0) < 0);
}

/* Only a throw-away process goes in. What it meets there is the guest's doing: a FUSE of its own on /dev may never answer. */
static int do_inside(const struct job *job, const struct record *record, struct err *err)
{
	const struct timeval patience = {.tv_sec = INSIDE_MS / 1000};
	struct ns_clone how = {.cgroup_fd = -1};
	struct word word;
	size_t none = 0;
	int pair[2], pidfd = -1;
	auto_close int init = record_init_pidfd(record);

	if (init < 0)
		return err_set(err, ERR_STATE, "enter the guest: it has just ended");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	auto_close int ours = pair[0];
	pid_t pid = ns_clone(&how, &pidfd, err);

	if (pid == 0)
		inside(job, init, pair[1]);
	close(pair[1]);
	if (pid < 0)
		return pid;
	auto_close int watch = pidfd;

	(void)setsockopt(ours, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)); /* else a guest that hangs hangs us */
	int r = message_receive(ours, &word, sizeof(word), NULL, &none);

	if (r < 0)
		(void)proc_signal(watch, SIGKILL);
	if (proc_wait_gone(watch, INSIDE_MS) == 0)
		(void)waitpid(pid, NULL, 0);
	if (r < 0)
		return err_set(err, r == -EAGAIN ? ERR_TIMEOUT : ERR_FAILED, "change /dev in the guest: %s",
			       r == -EAGAIN ? "it holds that up" : "the process that does so ended");
	err_seal(&word.err);
	if (word.result < 0 && err)
		*err = word.err;
	return word.result;
}

/* Live */

static int load_record(const struct guest *guest, struct record *ret, struct err *err)
{
	int r = record_load(guest->store, guest->name, ret);

	return r < 0 ? err_num(err, r, "read the run record of '%s'", guest->name) : 0;
}

static int allow(const struct guest *guest, const struct record *record, struct err *err)
{
	struct err why = {0};
	int r = devices_allow(record, &why);

	if (r == -EOPNOTSUPP && !guest->spec->security.privileged)
		return 0;
	if (r < 0 && err)
		*err = why;
	return r;
}

static void forget(struct record *record, const char *name)
{
	struct record_device *device = record_device(record, name);

	if (!device)
		return;
	size_t behind = record->device_count - (size_t)(device - record->devices) - 1;

	memmove(device, device + 1, behind * sizeof(*device));
	record->device_count--;
}

static int give_node(const struct guest *guest, const struct spec *spec, struct record *record, const char *name, struct err *err)
{
	struct record only = {.ids = record->ids, .device_count = 1, .devices = {*record_device(record, name)}};
	struct job job = {.device = &only.devices[0], .tree = -1, .userns = !guest->spec->security.privileged};
	int r = allow(guest, record, err);

	if (r == 0)
		r = devices_make_nodes(spec, &only, &job.tree, err);
	if (r == 0)
		r = do_inside(&job, record, err);
	clean_close(&job.tree);
	return r;
}

static int give(const struct guest *guest, const struct spec *spec, struct record *record, const char *name, struct err *err)
{
	struct record_device *device = record_device(record, name);

	if (device->kind != 'n')
		return give_node(guest, spec, record, name, err);
	int r = devices_nic_give(device, record->init_pid, err);

	return r < 0 ? r : record_save(guest->store, guest->name, record, err); /* with its number in the guest */
}

static int find(const struct spec *spec, const char *name, struct record_device *ret, struct err *err)
{
	const struct spec_device *section = spec_device(spec, name);
	struct netlink *netlink = NULL;
	int r = section->type == DEVICE_NIC ? netlink_open(-1, &netlink, err) : 0;

	if (r == 0)
		r = devices_find(section, netlink, ret, err);
	netlink_free(netlink);
	return r;
}

int devices_live_add(struct guest *guest, const struct spec *spec, const char *name, struct err *err)
{
	struct record record;
	struct record_device found;
	int r = load_record(guest, &record, err);

	if (r == 0)
		r = find(spec, name, &found, err);
	if (r < 0)
		return r;
	if (record_device(&record, name))
		return err_set(err, ERR_STATE, "add device '%s': the running guest has it already", name);
	if (record.device_count == SPEC_DEVICES_MAX)
		return err_set(err, ERR_FAILED, "add device '%s': the running guest has %d already", name, SPEC_DEVICES_MAX);
	found.phase = '+';
	record.devices[record.device_count++] = found;
	r = record_save(guest->store, guest->name, &record, err);
	if (r == 0)
		r = give(guest, spec, &record, name, err);
	if (r < 0)
		(void)devices_live_remove(guest, name, NULL); /* the first failure is the one to tell */
	return r;
}

int devices_live_note(struct guest *guest, const char *name, char phase, struct err *err)
{
	struct record record;
	int r = load_record(guest, &record, err);
	struct record_device *device = r < 0 ? NULL : record_device(&record, name);

	if (!device)
		return r;
	device->phase = phase;
	r = record_save(guest->store, guest->name, &record, err);
	return r < 0 || device->kind == 'n' ? r : allow(guest, &record, err);
}

/* An interface that is at home, or nowhere, has been taken. */
static int take_nic(const struct record *record, const struct record_device *device, struct err *err)
{
	auto_close int netns = ns_open(record->init_pid, "net", err);

	if (netns < 0)
		return netns;
	int r = devices_nic_take_back(device, netns, err);

	if (r == -ENODEV) {
		err_clear(err);
		r = 0;
	}
	return r;
}

int devices_live_remove(struct guest *guest, const char *name, struct err *err)
{
	struct record record;
	int r = load_record(guest, &record, err);
	struct record_device *device = r < 0 ? NULL : record_device(&record, name);

	if (!device)
		return r;
	const struct record_device gone = *device;
	const struct job job = {.device = &gone, .tree = -1, .userns = !guest->spec->security.privileged};

	device->phase = '-';
	r = record_save(guest->store, guest->name, &record, err);
	/* First what counts: from here on it cannot be opened. */
	if (r == 0)
		r = gone.kind == 'n' ? take_nic(&record, &gone, err) : allow(guest, &record, err);
	if (r < 0)
		return r;
	if (gone.kind != 'n')
		(void)do_inside(&job, &record, NULL); /* a node that the guest has hidden, or keeps us from, opens nothing */
	forget(&record, name);
	return record_save(guest->store, guest->name, &record, err);
}

/* Repair */

int devices_repair(struct guest *guest, const struct record *record, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < record->device_count; i++) {
		const struct record_device *device = &record->devices[i];

		if (device->phase == '=')
			continue;
		r = spec_device(guest->spec, device->name) ? devices_live_note(guest, device->name, '=', err)
							   : devices_live_remove(guest, device->name, err);
	}
	return r;
}
