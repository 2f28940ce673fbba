/* Takes device nodes out of what a template made. */
#pragma once

#include "../base/err.h"

/* Removes every character and block device below the folder. -ELOOP for a tree nested more than 400 deep. */
int image_drop_nodes(int rootfs_fd, struct err *err);
