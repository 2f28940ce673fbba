/* The API mount table: proc, sys, dev, run and the control groups of a guest, its device nodes, and what is masked. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "../kernel/mount.h"
#include "devices.h"
#include "devnode.h"
#include "steps.h"
#include "system_mounts.h"

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* Every row is a new file system instance, owned by the guest's user namespace (systemd's CONTAINER_INTERFACE says which must be
 * there before init). sysfs is read-only so that the guest's udev leaves the host's devices alone. */
static const struct system_mount {
	const char *target;
	const char *type;
	uint64_t attributes;
	const char *const *options;
} mount_table[] = {
	{"proc", "proc", SAFE, NULL},
	{"sys", "sysfs", SAFE | MOUNT_ATTR_RDONLY, NULL},
	{"sys/fs/cgroup", "cgroup2", SAFE, NULL},
	{"dev", "tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	 (const char *const[]){"mode", "0755", "size", "4m", "nr_inodes", "64k", NULL}},
	{"dev/pts", "devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
	 (const char *const[]){"ptmxmode", "0666", "mode", "0620", "gid", "5", "max", "1024", NULL}},
	{"dev/shm", "tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, (const char *const[]){"mode", "1777", "size", "50%", NULL}},
	{"dev/mqueue", "mqueue", SAFE, NULL},
	{"run", "tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	 (const char *const[]){"mode", "0755", "size", "20%", "nr_inodes", "800k", NULL}},
};

/* Nodes of the host bound into the fresh /dev: a user namespace may not make its own. The optional ones are safe to hand out
 * because the kernel judges their use by the guest's own namespaces. */
static const struct node {
	const char *name;
	bool optional;
} node_table[] = {
	{"null", false},    {"zero", false}, {"full", false}, {"random", false},
	{"urandom", false}, {"tty", false},  {"fuse", true},  {"net/tun", true},
};

static const struct link {
	const char *name, *to;
} link_table[] = {
	{"ptmx", "pts/ptmx"},          {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},
};

/* What of the host shows through proc and sys and is no guest's business; one that this kernel lacks is passed over. */
static const struct mask {
	const char *path;
	bool folder;
} mask_table[] = {
	{"proc/kcore", false},       {"proc/keys", false},       {"proc/key-users", false},    {"proc/sysrq-trigger", false},
	{"proc/timer_list", false},  {"proc/kallsyms", false},   {"proc/kmsg", false},         {"proc/latency_stats", false},
	{"proc/sched_debug", false}, {"proc/scsi", true},        {"proc/acpi", true},          {"proc/asound", true},
	{"sys/firmware", true},      {"sys/kernel/debug", true}, {"sys/kernel/tracing", true}, {"sys/fs/pstore", true},
	{"sys/fs/bpf", true},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define MASKS        "run/host/.empty"

bool system_mounts_node(const char *name)
{
	for (size_t i = 0; i < COUNT(node_table); i++)
		if (strcmp(node_table[i].name, name) == 0)
			return true;
	return false;
}

#define OPTIONS_MAX 12

/* The terminals that the config grants stand for those of the table. */
static void own_options(const struct spec *spec, const struct system_mount *row, char number[24], const char *ret[OPTIONS_MAX])
{
	size_t i = 0;

	(void)str_print(number, 24, "%llu", (unsigned long long)spec->limits.terminals);
	for (; row->options && row->options[i] && i < OPTIONS_MAX - 1; i++)
		ret[i] = i % 2 == 1 && strcmp(row->options[i - 1], "max") == 0 ? number : row->options[i];
	ret[i] = NULL;
}

static int mount_one(int root, const struct spec *spec, const struct system_mount *row, struct err *err)
{
	const char *options[OPTIONS_MAX];
	char number[24];

	own_options(spec, row, number, options);

	auto_close int target = path_make_in_root(root, row->target, 0755);

	if (target < 0)
		return err_num(err, target, "make /%s in the guest", row->target);
	auto_close int mount = mount_new(row->type, options, row->attributes, err);

	if (mount < 0)
		return mount;
	return mount_attach(mount, target, row->target, err);
}

int step_system_mounts(struct run *run, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < COUNT(mount_table); i++)
		r = mount_one(run->root, run->spec, &mount_table[i], err);
	return r;
}

/* Binds a file of the host (still reachable before the pivot) on /dev/NAME. */
static int bind_node(int dev, const char *source, const char *name, bool optional, struct err *err)
{
	auto_close int tree = mount_copy(AT_FDCWD, source, false, NULL);

	if (tree < 0)
		return optional ? 0 : err_num(err, tree, "bind %s into the guest", source);
	auto_close int target = openat(dev, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);

	if (target < 0)
		return err_sys(err, "make /dev/%s in the guest", name);
	return mount_attach(tree, target, source, err);
}

static int bind_console(struct run *run, int dev, struct err *err)
{
	if (!run->record.console[0])
		return 0;
	return bind_node(dev, run->record.console, "console", false, err);
}

/* What the config gives. The folders and files below are the guest's from here on, as all of its /dev. */
static int place_devices(struct run *run, int dev, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->record.device_count; i++) {
		const struct record_device *device = &run->record.devices[i];
		auto_close int tree = take_fd(&run->fd[RUN_FD_DEVICE + i]);
		const struct devnode node = {.mode = S_IFMT}; /* nothing can be there yet */

		if (tree >= 0)
			r = devnode_place(dev, tree, devices_path(device), &node, err);
	}
	return r;
}

int step_devices(struct run *run, struct err *err)
{
	auto_close int dev = path_open_in_root(run->root, "dev", O_RDONLY | O_DIRECTORY, 0);
	mode_t mask = umask(0);
	int r = 0;

	if (dev < 0)
		return err_num(err, dev, "open /dev in the guest");
	if (mkdirat(dev, "net", 0755) < 0)
		return err_sys(err, "make /dev/net in the guest");
	for (size_t i = 0; r == 0 && i < COUNT(node_table); i++) {
		char source[32];

		(void)str_print(source, sizeof(source), "/dev/%s", node_table[i].name);
		r = bind_node(dev, source, node_table[i].name, node_table[i].optional, err);
	}
	for (size_t i = 0; r == 0 && i < COUNT(link_table); i++)
		if (symlinkat(link_table[i].to, dev, link_table[i].name) < 0)
			r = err_sys(err, "make /dev/%s in the guest", link_table[i].name);
	if (r == 0)
		r = bind_console(run, dev, err);
	if (r == 0)
		r = place_devices(run, dev, err);
	(void)umask(mask);
	return r;
}

/* Every start of a guest is a boot of its own: its journal keeps them apart by this. */
static int write_boot_id(int folder, struct err *err)
{
	char id[33], text[48];
	int r = store_new_id(id, err);

	if (r < 0)
		return r;
	(void)str_print(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s\n", id, id + 8, id + 12, id + 16, id + 20);
	auto_close int fd = openat(folder, "boot_id", O_WRONLY | O_CREAT | O_CLOEXEC, 0444);

	r = fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
	return r < 0 ? err_num(err, r, "write the guest's boot id") : 0;
}

/* An empty read-only tmpfs with one file and one folder: what masked paths show. It is attached because a detached mount cannot be
 * copied before Linux 6.15. */
static int make_empty(int root, int *ret, struct err *err)
{
	static const char *const options[] = {"mode", "0755", "size", "16k", "nr_inodes", "8", NULL};
	auto_close int target = path_make_in_root(root, MASKS, 0755);

	if (target < 0)
		return err_num(err, target, "make /" MASKS " in the guest");
	auto_close int empty = mount_new("tmpfs", options, SAFE, err);

	if (empty < 0)
		return empty;
	auto_close int file = openat(empty, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0444);

	if (file < 0 || mkdirat(empty, "folder", 0555) < 0)
		return err_sys(err, "fill /" MASKS);
	close(take_fd(&file)); /* a mount with a writer cannot become read-only */
	int r = write_boot_id(empty, err);

	if (r == 0)
		r = mount_attributes(empty, MOUNT_ATTR_RDONLY, 0, false, err);
	if (r == 0)
		r = mount_attach(empty, target, MASKS, err);
	if (r == 0)
		*ret = take_fd(&empty);
	return r;
}

/* Puts an entry of the read-only tmpfs in a path's place; one that this kernel lacks is passed over. */
static int cover(int root, int empty, const char *path, const char *with, struct err *err)
{
	auto_close int target = path_open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);

	if (target < 0)
		return 0;
	auto_close int copy = mount_copy(empty, with, false, err);

	if (copy < 0)
		return copy;
	return mount_attach(copy, target, path, err);
}

/* What of /proc/sys hangs on the guest's own network, UTS and IPC namespaces; one that this kernel lacks is passed over. */
static const char *const own_sysctls[] = {
	"net",           "fs/mqueue",     "kernel/hostname", "kernel/domainname",
	"kernel/shmall", "kernel/shmmax", "kernel/shmmni",   "kernel/shm_rmid_forced",
	"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni",   "kernel/sem",
};

/* A copy of the entry as it is now, to be put in its own place again. */
static int copy_entry(int root, const char *path, struct err *err)
{
	auto_close int at = path_open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);

	return at < 0 ? at : mount_copy(at, "", false, err);
}

static int put_back(int root, int tree, const char *path, struct err *err)
{
	auto_close int at = path_open_in_root(root, path, O_PATH | O_NOFOLLOW, 0);

	return at < 0 ? err_num(err, at, "open /%s in the guest", path) : mount_attach(tree, at, path, err);
}

/* /proc/sys is the host's but for the guest's own: a read-only copy covers the whole, and writable copies of parts cover that. */
static int protect_sysctls(int root, struct err *err)
{
	int own[COUNT(own_sysctls)];
	auto_close int sys = copy_entry(root, "proc/sys", err);
	char path[48];

	if (sys < 0)
		return err_num(err, sys, "open /proc/sys in the guest");
	/* Copied before: what is copied of a read-only mount is read-only. */
	for (size_t i = 0; i < COUNT(own); i++) {
		(void)str_print(path, sizeof(path), "proc/sys/%s", own_sysctls[i]);
		own[i] = copy_entry(root, path, NULL);
	}
	int r = mount_attributes(sys, MOUNT_ATTR_RDONLY, 0, false, err);

	if (r == 0)
		r = put_back(root, sys, "proc/sys", err);
	for (size_t i = 0; i < COUNT(own); i++) {
		if (own[i] < 0)
			continue;
		(void)str_print(path, sizeof(path), "proc/sys/%s", own_sysctls[i]);
		if (r == 0)
			r = put_back(root, own[i], path, err);
		close(own[i]);
	}
	return r;
}

int step_masks(struct run *run, struct err *err)
{
	auto_close int empty = -1;

	if (run->spec->security.nesting)
		return 0; /* a masked proc lets no container inside mount its own (fs/namespace.c, mount_too_revealing) */
	int r = make_empty(run->root, &empty, err);

	for (size_t i = 0; r == 0 && i < COUNT(mask_table); i++)
		r = cover(run->root, empty, mask_table[i].path, mask_table[i].folder ? "folder" : "file", err);
	if (r == 0)
		r = protect_sysctls(run->root, err);
	return r == 0 ? cover(run->root, empty, "proc/sys/kernel/random/boot_id", "boot_id", err) : r;
}
