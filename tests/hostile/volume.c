/* Makes what only a guest's root on a folder of btrfs can make, for tests/hostile: volume FOLDER DEPTH. Subvolumes in one another, each
 * with a file and folders, all read-only in the end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS 40

static int make(int at, int depth)
{
	struct btrfs_ioctl_vol_args args = {.name = "volume"};
	__u64 flags = BTRFS_SUBVOL_RDONLY;

	if (ioctl(at, BTRFS_IOC_SUBVOL_CREATE, &args) < 0)
		return -1;
	int own = openat(at, "volume", O_RDONLY | O_DIRECTORY), deep = dup(own);

	close(openat(own, "file", O_WRONLY | O_CREAT, 0600));
	for (int i = 0; i < FOLDERS && deep >= 0; i++) {
		int next = mkdirat(deep, "folder", 0700) < 0 ? -1 : openat(deep, "folder", O_RDONLY | O_DIRECTORY);

		close(deep);
		deep = next;
	}
	int r = deep < 0 ? -1 : depth > 1 ? make(depth % 2 ? own : deep, depth - 1) : 0;

	close(deep);
	if (r == 0)
		r = ioctl(own, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
	close(own);
	return r;
}

int main(int argc, char **argv)
{
	int at = argc == 3 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;

	if (at < 0 || make(at, atoi(argv[2])) < 0) {
		fprintf(stderr, "volume: %s\n", strerror(errno));
		return 1;
	}
	return 0;
}
