/* Takes from an overlay's upper layer the marks by which its files name the image's: handles, which hold on one file system. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "overlay.h"

#define DEPTH_MAX 320 /* two descriptors a level; what copies trees goes no deeper either */
#define ORIGIN    "trusted.overlay.origin"

static int forget(const char *path)
{
	return lremovexattr(path, ORIGIN) < 0 && errno != ENODATA ? -errno : 0;
}

/* Of what the open folder holds. Links are not followed: an attribute of theirs is their own. */
static int forget_below(int dir_fd, int depth)
{
	int again = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = again < 0 ? -errno : 0;
	auto_closedir DIR *dir = again < 0 ? NULL : fdopendir(again);

	if (!dir) {
		clean_close(&again);
		return r < 0 ? r : -ENOMEM;
	}
	for (const struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		char path[NAME_MAX + 40];

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		(void)str_print(path, sizeof(path), "/proc/self/fd/%d/%s", dir_fd, entry->d_name);
		r = forget(path);
		auto_close int below = r < 0 ? -1 : openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (below >= 0)
			r = depth < DEPTH_MAX ? forget_below(below, depth + 1) : -ELOOP;
	}
	return r;
}

int overlay_forget_origin(int upper_fd, struct err *err)
{
	char path[32];

	(void)str_print(path, sizeof(path), "/proc/self/fd/%d", upper_fd);
	int r = removexattr(path, ORIGIN) < 0 && errno != ENODATA ? -errno : forget_below(upper_fd, 0);

	return r < 0 ? err_num(err, r, "forget where the image of the guest's files lay") : 0;
}
