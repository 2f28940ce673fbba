/* Detached mounts of folders, id-mapped where wanted. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../base/clean.h"
#include "layer.h"

int layer_open(int dir_fd, const char *name, int userns_fd, int *ret_fd, struct err *err)
{
	const char *shown = *name ? name : "the guest's folder";
	auto_close int fd = open_tree(dir_fd, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, "open a detached mount of %s", shown);
	/* A guest makes no device nodes, so one that lies there came with its image, and is a device of the host. */
	struct mount_attr attr = {.propagation = MS_PRIVATE, .attr_set = MOUNT_ATTR_NODEV};

	if (userns_fd >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)userns_fd;
	}
	if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		if (userns_fd < 0)
			return err_sys(err, "make the mount of %s private", shown);
		int num = err_sys(err, "map the ids of %s", shown);

		if (num == -EINVAL || num == -EOPNOTSUPP || num == -ENOSYS)
			err_hint(err,
				 "this file system or kernel has no id-mapped mounts; keep isle's folder on ext4, xfs or btrfs");
		return num;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int layer_err(struct err *err, int num, int fs_fd, const char *what)
{
	char text[200], last[200] = "";

	/* Each read gives one message: a letter, a blank, the text (fsopen(2)). */
	for (;;) {
		ssize_t got = read(fs_fd, text, sizeof(text) - 1);

		if (got <= 2)
			break;
		text[got] = '\0';
		text[strcspn(text, "\n")] = '\0';
		memcpy(last, text + 2, sizeof(last) - 2);
	}
	if (last[0])
		return err_num(err, num, "%s: %s", what, last);
	return err_num(err, num, "%s", what);
}
