/* Mounts by descriptor: open_tree, fsopen, move_mount, mount_setattr. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "mount.h"

/* The kernel's own words for why a mount was refused wait in the context descriptor, one message a read. */
static int err_fs(struct err *err, int context, const char *what, const char *type)
{
	int num = errno;
	char text[192];
	ssize_t len = context >= 0 ? read(context, text, sizeof(text) - 1) : -1;

	if (len <= 2)
		return err_num(err, num, "%s %s", what, type);
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return err_num(err, num, "%s %s: %s", what, type, text + 2); /* after its "e " */
}

int mount_new(const char *type, const char *const *options, uint64_t attributes, struct err *err)
{
	auto_close int context = fsopen(type, FSOPEN_CLOEXEC);

	if (context < 0)
		return err_sys(err, "mount a new %s", type);
	for (; options && options[0]; options += 2) {
		unsigned command = options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;

		if (fsconfig(context, command, options[0], options[1], 0) < 0)
			return err_fs(err, context, "mount a new", type);
	}
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_fs(err, context, "mount a new", type);
	int fd = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);

	if (fd < 0)
		return err_fs(err, context, "mount a new", type);
	return fd;
}

int mount_copy(int dir_fd, const char *path, bool recursive, struct err *err)
{
	unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0) | (path[0] ? 0 : AT_EMPTY_PATH);
	/* A copy is in its source's peer group: what the guest mounts on it would be mounted on the host too. */
	struct mount_attr apart = {.propagation = MS_PRIVATE};
	auto_close int fd = open_tree(dir_fd, path, flags);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &apart, sizeof(apart)) < 0)
		return err_sys(err, "mount a copy of %s", path[0] ? path : "a folder");
	return take_fd(&fd);
}

int mount_attributes(int mount_fd, uint64_t set, uint64_t clear, bool recursive, struct err *err)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear};

	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0)
		return err_sys(err, "set mount attributes");
	return 0;
}

int mount_idmap(int mount_fd, int userns_fd, struct err *err)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};

	if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) == 0)
		return 0;
	int r = err_sys(err, "map the ids of a mount");

	if (r == -EINVAL)
		(void)err_hint(
			err,
			"this file system or kernel has no id-mapped mounts: keep guests on ext4, xfs or btrfs, Linux 5.15 or newer");
	return r;
}

int mount_attach(int mount_fd, int target_fd, const char *what, struct err *err)
{
	if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_sys(err, "mount %s", what);
	return 0;
}

int mount_make_private(struct err *err)
{
	struct mount_attr attr = {.propagation = MS_PRIVATE};

	if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return err_sys(err, "make all mounts private");
	return 0;
}

int mount_pivot(int root_fd, struct err *err)
{
	if (fchdir(root_fd) < 0)
		return err_sys(err, "enter the new root");
	/* pivot_root(2), "pivot_root(".", ".")": the old root lands on top of the new one and is then detached. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "pivot to the new root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "detach the old root");
	if (chdir("/") < 0)
		return err_sys(err, "enter /");
	return 0;
}
