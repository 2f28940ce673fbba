/* The two ways to mount an overlay over id-mapped layers; the storage takes the first that the kernel knows. */
#pragma once

#include "storage.h"

/* Layers given by descriptor (FSCONFIG_SET_FD, Linux 6.13 and detached layers 6.15): -EINVAL or the like where it is not known. */
int overlay_mount_by_fd(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err);

/* Layers given by path, from a child with a mount namespace of its own (Linux 5.19). */
int overlay_mount_by_path(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err);

/* Of an upper layer that is not mounted: a mount over another copy of its image, which is refused with -ESTALE, then succeeds. */
int overlay_forget_origin(int upper_fd, struct err *err);
