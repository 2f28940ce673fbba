/* Takes device nodes out of what a template made: in a guest each would be the host's device, and the guest's root its owner. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "image_nodes.h"

#define DEPTH_MAX 400 /* a descriptor a level; storage `dir` copies no deeper tree either */

static bool is_node(int dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_CHR && entry->d_type != DT_BLK && entry->d_type != DT_UNKNOWN)
		return false;
	return fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode));
}

/* Takes over fd. A name that is a folder is found out by opening it: some file systems leave d_type unknown. */
static int drop_in(int fd, int depth, struct err *err)
{
	auto_closedir DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return err_num(err, ENOMEM, "look for device nodes");
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		const char *name = entry->d_name;

		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		if (is_node(fd, entry)) {
			if (unlinkat(fd, name, 0) < 0)
				return err_sys(err, "remove the device node %s", name);
			continue;
		}
		if (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
			continue;
		int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (below < 0 && (errno == ENOTDIR || errno == ELOOP))
			continue;
		if (below < 0)
			return err_sys(err, "look for device nodes in %s", name);
		if (depth == DEPTH_MAX) {
			close(below);
			return err_num(err, ELOOP, "look for device nodes in %s, which is nested too deeply", name);
		}
		int r = drop_in(below, depth + 1, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int image_drop_nodes(int rootfs_fd, struct err *err)
{
	int fd = openat(rootfs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "look for device nodes") : drop_in(fd, 0, err);
}
