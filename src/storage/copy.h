/* Whole trees of files: copied with everything that makes a system of them, and measured. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

/* Copies the folder `name` of src_fd to a new folder of the same name in dst_fd: owners, modes, times, extended attributes and
 * hard links as they are, data shared where the file system can. Links are copied, never followed; device nodes, sockets and
 * mounts below are left out. -EEXIST when dst_fd has it already; what was begun stays behind on failure. */
int copy_tree(int src_fd, int dst_fd, const char *name, struct err *err);

/* Bytes on disk of the folder `name`, a file with several names counted once. */
int copy_usage(int dir_fd, const char *name, uint64_t *ret, struct err *err);
