/* How much disk a tree of files takes that somebody hostile may have made, and may be changing. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

/* Bytes on disk of the folder `name`: a file with several names once, subvolumes of btrfs too, nothing that is mounted there.
 * However deep it is it takes a fixed number of descriptors; what goes away meanwhile is no failure. */
int measure_folder(int dir_fd, const char *name, uint64_t *ret, struct err *err);
