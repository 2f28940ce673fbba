/* Detached mounts of folders, id-mapped where wanted: what storages build guests' roots from. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

/* open_tree(2) of name below dir_fd ("" for dir_fd itself), private, no submounts; id-mapped with userns_fd when that is >= 0
 * (mount_setattr(2)). Returns the mount's descriptor; nothing is added to the caller's mount table. */
int layer_open(int dir_fd, const char *name, int userns_fd, int *ret_fd, struct err *err);

/* The last message the kernel left on an fsopen(2) descriptor, appended to what: "mount overlay: ...". */
int layer_err(struct err *err, int num, int fs_fd, const char *what);
