/* Block devices: which one a file lies on, and how it is scheduled. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "blockdev.h"

#define STACK_MAX 8 /* device mapper on RAID on ... */

static int sys_path(const struct blockdev *device, const char *below, char ret[PATH_MAX])
{
	return str_print(ret, PATH_MAX, "/sys/dev/block/%u:%u%s", device->major, device->minor, below);
}

static int read_numbers(const char *path, struct blockdev *ret)
{
	auto_free char *text = NULL;
	uint64_t major, minor;

	if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
		return -ENOENT;
	text[strcspn(text, "\n")] = '\0';
	char *colon = strchr(text, ':');

	if (!colon)
		return -EINVAL;
	*colon++ = '\0';
	if (str_to_u64(text, 0, UINT_MAX, &major) < 0 || str_to_u64(colon, 0, UINT_MAX, &minor) < 0)
		return -EINVAL;
	*ret = (struct blockdev){(unsigned)major, (unsigned)minor};
	return 0;
}

/* A partition's folder in sysfs lies in its disk's. */
static int whole_disk(struct blockdev device, struct blockdev *ret)
{
	char path[PATH_MAX];

	if (sys_path(&device, "/partition", path) == 0 && access(path, F_OK) == 0) {
		(void)sys_path(&device, "/../dev", path);
		return read_numbers(path, ret);
	}
	if (sys_path(&device, "", path) < 0 || access(path, F_OK) < 0)
		return -ENODEV;
	*ret = device;
	return 0;
}

/* File systems such as btrfs number themselves; the mount that the file is on names the device (proc_pid_mountinfo(5)). */
static int mounted_device(int fd, char ret[PATH_MAX])
{
	auto_free char *info = NULL, *mounts = NULL;
	char path[48], id[24] = "";

	(void)str_print(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (file_read(AT_FDCWD, path, 65536, &info, NULL) < 0 ||
	    file_read(AT_FDCWD, "/proc/self/mountinfo", 8 << 20, &mounts, NULL) < 0)
		return -ENODEV;
	char *line = strstr(info, "mnt_id:");

	if (!line)
		return -ENODEV;
	line += strlen("mnt_id:");
	line += strspn(line, " \t");
	(void)str_print(id, sizeof(id), "%.*s ", (int)strcspn(line, "\n"), line);
	for (char *at = mounts; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		char *dash = str_starts(at, id) ? strstr(at, " - ") : NULL;
		char *source = dash ? strchr(dash + 3, ' ') : NULL;

		if (source)
			return str_print(ret, PATH_MAX, "%.*s", (int)strcspn(source + 1, " \n"), source + 1);
	}
	return -ENODEV;
}

int blockdev_of_path(const char *path, struct blockdev *ret, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_sys(err, "look at the device %s", path);
	if (!S_ISBLK(st.st_mode))
		return err_set(err, ERR_FAILED, "use %s as a disk: it is no block device", path);
	int r = whole_disk((struct blockdev){major(st.st_rdev), minor(st.st_rdev)}, ret);
	return r < 0 ? err_num(err, r, "find the disk of %s", path) : 0;
}

int blockdev_of_file(int fd, const char *what, struct blockdev *ret, struct err *err)
{
	char source[PATH_MAX];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at %s", what);
	if (major(st.st_dev) && whole_disk((struct blockdev){major(st.st_dev), minor(st.st_dev)}, ret) == 0)
		return 0;
	if (mounted_device(fd, source) == 0 && source[0] == '/' && blockdev_of_path(source, ret, NULL) == 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "find the disk that %s lies on: its file system is on none", what);
	(void)err_hint(err, "name a device in the limit: /dev/vdb:10M");
	return -EOPNOTSUPP;
}

void blockdev_name(const struct blockdev *device, char *ret, size_t size)
{
	auto_free char *text = NULL;
	char path[PATH_MAX];
	char *name = NULL;

	if (sys_path(device, "/uevent", path) == 0 && file_read(AT_FDCWD, path, 4096, &text, NULL) == 0)
		name = strstr(text, "DEVNAME=");
	if (name) {
		name += strlen("DEVNAME=");
		name[strcspn(name, "\n")] = '\0';
	}
	if (!name || str_print(ret, size, "/dev/%s", name) < 0)
		(void)str_print(ret, size, "%u:%u", device->major, device->minor);
}

/* Of what is stacked (device mapper, md) the disks below decide. */
static bool bfq_below(const struct blockdev *device, int depth)
{
	auto_free char *text = NULL;
	char path[PATH_MAX];
	bool some = false, all = true;

	if (sys_path(device, "/slaves", path) == 0 && depth < STACK_MAX) {
		auto_closedir DIR *dir = opendir(path);

		for (struct dirent *entry; dir && (entry = readdir(dir));) {
			struct blockdev below, disk;

			if (entry->d_name[0] == '.' || sys_path(device, "/slaves/", path) < 0 ||
			    str_print(path + strlen(path), sizeof(path) - strlen(path), "%s/dev", entry->d_name) < 0)
				continue;
			some = true;
			all = all && read_numbers(path, &below) == 0 && whole_disk(below, &disk) == 0 &&
			      bfq_below(&disk, depth + 1);
		}
	}
	if (some)
		return all;
	return sys_path(device, "/queue/scheduler", path) == 0 && file_read(AT_FDCWD, path, 4096, &text, NULL) == 0 &&
	       strstr(text, "[bfq]");
}

bool blockdev_has_bfq(const struct blockdev *device)
{
	return bfq_below(device, 0);
}
