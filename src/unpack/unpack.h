/* isle-unpack: archives that nobody vouches for, unpacked where they can do no harm. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

struct archive;

struct unpack_limits {
	uint64_t bytes; /* of file contents, and of any one file's size */
	uint64_t entries;
	unsigned seconds;
};

/* The folder dir_fd as a detached mount, without devices or programs; made before the process has namespaces of its own. */
int sandbox_open(int dir_fd, int *ret_fd, struct err *err);

/* Shuts this process in: the mount root_fd is its root and only file system, no network, no capabilities but those that
 * files' owners and modes take, no system calls but those for files. The caller has cloned it into namespaces of its own. */
int sandbox_enter(int root_fd, const struct unpack_limits *limits, struct err *err);

/* Unpacks into the folder root_fd, and nowhere else. err names the entry. */
int unpack_entries(struct archive *archive, int root_fd, const struct unpack_limits *limits, struct err *err);
