/* Images of a checkpoint made smaller on disk (zstd), and unpacked again within bounds. */
#pragma once

#include "checkpoint.h"

/* Exchanges every image in the folder for a packed one, a file at a time; *ret_unpacked: the bytes that they had. After a failure
 * some are packed and some are not. */
int checkpoint_pack(int images_fd, uint64_t *ret_unpacked, struct err *err);

/* Unpacks the images of one folder into another, at most `most` bytes altogether: what holds more is refused. */
int checkpoint_unpack(int images_fd, int to_fd, uint64_t most, struct err *err);

/* A folder beside the guest's own checkpoints with the unpacked images of the one in `folder`; *ret_fd. Only one at a time, until
 * checkpoint_unpacked_drop, which finds it also after a kill. */
int checkpoint_unpacked(struct guest *guest, int folder, const struct checkpoint *checkpoint, int *ret_fd, struct err *err);
void checkpoint_unpacked_drop(struct guest *guest);
