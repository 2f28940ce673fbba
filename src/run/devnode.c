/* Nodes for a guest's devices: each its own file of a file system that is nobody else's, ready to be mounted. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/message.h"
#include "../base/path.h"
#include "../base/str.h"
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "devnode.h"

#define FILE_MODE   0600 /* of what a node is mounted on */
#define STACKED_MAX 8    /* mounts on one node that are taken away at once */

struct word {
	int32_t result;
	struct err err;
};

/* Making */

static int make_one(int folder, size_t n, const struct devnode *node, int *ret, struct err *err)
{
	char name[12];

	(void)str_print(name, sizeof(name), "%zu", n);
	if (mknodat(folder, name, node->mode, node->device) < 0 ||
	    fchownat(folder, name, node->uid, node->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "make a node of device %u:%u", major(node->device), minor(node->device));
	*ret = mount_copy(folder, name, false, err);
	return *ret < 0 ? *ret : 0;
}

/* A detached mount cannot be copied before Linux 6.15, so the tmpfs is attached for a moment, in a mount namespace that ends with
 * this process. */
static int make_all(const struct devnode *nodes, size_t count, int *ret, struct err *err)
{
	static const char *const options[] = {"mode", "0700", "size", "64k", "nr_inodes", "80", NULL};
	int r = mount_make_private(err);

	if (r < 0)
		return r;
	auto_close int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int folder = mount_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);

	if (top < 0)
		return err_sys(err, "open /");
	r = folder < 0 ? folder : mount_attach(folder, top, "a tmpfs for device nodes", err);
	(void)umask(0);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = make_one(folder, i, &nodes[i], &ret[i], err);
	return r;
}

static _Noreturn void maker(int socket, const struct devnode *nodes, size_t count)
{
	int fds[DEVNODES_MAX];
	struct word word = {0};

	word.result = make_all(nodes, count, fds, &word.err);
	_exit(message_send(socket, &word, sizeof(word), fds, word.result == 0 ? count : 0) < 0);
}

int devnode_make(const struct devnode *nodes, size_t count, int *ret, struct err *err)
{
	struct ns_clone how = {.flags = CLONE_NEWNS, .cgroup_fd = -1};
	struct word word;
	siginfo_t info;
	size_t came = count;
	int pair[2], pidfd = -1;

	if (count > DEVNODES_MAX)
		return err_num(err, E2BIG, "make more than %d device nodes", DEVNODES_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	auto_close int ours = pair[0];
	pid_t pid = ns_clone(&how, &pidfd, err);

	if (pid == 0)
		maker(pair[1], nodes, count);
	close(pair[1]);
	if (pid < 0)
		return pid;
	auto_close int watch = pidfd;
	int r = message_receive(ours, &word, sizeof(word), ret, &came);

	(void)waitid(P_PIDFD, (id_t)watch, &info, WEXITED);
	if (r < 0)
		return err_num(err, r, "make device nodes: the process that does so ended");
	err_seal(&word.err);
	if (word.result < 0 && err)
		*err = word.err;
	if (word.result == 0 && came == count)
		return 0;
	for (size_t i = 0; i < came; i++)
		close(ret[i]);
	return word.result < 0 ? word.result : err_num(err, EPROTO, "make device nodes");
}

/* Placing */

/* The folder that path's last part is in, and that part. Folders that lack are made when asked for: -ENOENT otherwise. */
static int open_folder(int dev_fd, const char *path, bool make, const char **ret_name)
{
	auto_free char *walk = strdup(path);
	auto_close int folder = path_open_in_mount(dev_fd, ".", O_RDONLY | O_DIRECTORY, 0);
	char *at = walk;

	if (!walk)
		return -ENOMEM;
	for (char *slash; folder >= 0 && (slash = strchr(at, '/')); at = slash + 1) {
		*slash = '\0';
		if (make && mkdirat(folder, at, 0755) < 0 && errno != EEXIST)
			return -errno;
		int next = path_open_in_mount(folder, at, O_RDONLY | O_DIRECTORY, 0);

		close(folder);
		folder = next;
	}
	*ret_name = path + (at - walk);
	return take_fd(&folder);
}

/* True when the node is mounted on name. */
static bool is_mounted(int folder, const char *name, mode_t kind, dev_t device)
{
	struct statx st;

	return statx(folder, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st) == 0 &&
	       (st.stx_mode & S_IFMT) == kind && makedev(st.stx_rdev_major, st.stx_rdev_minor) == device &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* umount(2) knows paths only: the folder is the current one, and what is in it is not followed. */
static int take_away(int folder, const char *name, mode_t kind, dev_t device, struct err *err)
{
	struct stat st;

	if (fchdir(folder) < 0)
		return err_sys(err, "enter the folder of the node in the guest");
	for (int i = 0; i < STACKED_MAX && is_mounted(folder, name, kind, device); i++)
		if (umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_sys(err, "unmount the node %s in the guest", name);
	/* What it was mounted on, or would have been: isle's file, as far as one can tell. */
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mode == (S_IFREG | FILE_MODE) && st.st_size == 0)
		(void)unlinkat(folder, name, 0); /* an empty file in the guest's /dev does no harm */
	return 0;
}

int devnode_place(int dev_fd, int tree, const char *path, const struct devnode *node, struct err *err)
{
	const char *name;
	auto_close int folder = open_folder(dev_fd, path, true, &name);

	if (folder < 0)
		return err_num(err, folder, "open the folder of /dev/%s in the guest", path);
	if (is_mounted(folder, name, node->mode & S_IFMT, node->device)) {
		int r = take_away(folder, name, node->mode & S_IFMT, node->device, err);

		if (r < 0)
			return r;
	}
	auto_close int target = openat(folder, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);

	if (target < 0) {
		int r = err_sys(err, "make /dev/%s in the guest", path);

		return r == -EEXIST ? err_hint(err, "the guest has something there: remove it, or choose another target") : r;
	}
	int r = mount_attach(tree, target, path, err);

	if (r < 0)
		(void)unlinkat(folder, name, 0); /* the failure is what counts */
	return r;
}

/* Folders that are empty now were made for it, or are the guest's to make again. */
static void remove_folders(int dev_fd, const char *path)
{
	auto_free char *walk = strdup(path);
	char *slash;

	while (walk && (slash = strrchr(walk, '/'))) {
		const char *name;

		*slash = '\0';
		auto_close int folder = open_folder(dev_fd, walk, false, &name);

		if (folder < 0 || unlinkat(folder, strrchr(walk, '/') ? strrchr(walk, '/') + 1 : walk, AT_REMOVEDIR) < 0)
			return;
	}
}

int devnode_remove(int dev_fd, const char *path, mode_t kind, dev_t device, struct err *err)
{
	const char *name;
	auto_close int folder = open_folder(dev_fd, path, false, &name);

	/* Whatever the guest has made of its /dev, the node is not where it was. */
	if (folder < 0)
		return 0;
	int r = take_away(folder, name, kind, device, err);

	if (r == 0)
		remove_folders(dev_fd, path);
	return r;
}
