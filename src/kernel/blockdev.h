/* Block devices: which one a file lies on, and how it is scheduled. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"

struct blockdev {
	unsigned major, minor;
};

/* The whole disk that the open file or folder lies on; `what` is it in messages. A partition counts as its disk, since the kernel
 * limits disks only. -EOPNOTSUPP where there is none: network file systems, tmpfs, ZFS. */
int blockdev_of_file(int fd, const char *what, struct blockdev *ret, struct err *err);

/* The whole disk of a device file. */
int blockdev_of_path(const char *path, struct blockdev *ret, struct err *err);

/* "/dev/vda", or "MAJOR:MINOR" when the kernel has no name for it. */
void blockdev_name(const struct blockdev *device, char *ret, size_t size);

/* Whether BFQ schedules it, or every disk below it. */
bool blockdev_has_bfq(const struct blockdev *device);
