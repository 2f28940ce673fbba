/* How guests' root file systems are kept: the list of storages and their vtable. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "copy.h"

struct storage_place {
	int guest_fd;           /* guests/NAME */
	int image_fd;           /* images/KEY, -1 when the storage needs none */
	const char *guest_path; /* absolute, for messages and old kernels */
	const char *image_path; /* absolute or NULL */
};

struct storage {
	const char *name; /* "dir", "overlay" */
	/* 0 when guests below dir_fd (guests' parent folder) can be kept this way, else -errno with the reason and hint. */
	int (*usable)(int dir_fd, struct err *err);
	/* Fills guest_fd (the guest's new folder, still under its dot-name) from the image folder image_fd (holding rootfs/).
	 * Ids stay as in the image (0-based). Never leaves guest_fd's folder. */
	int (*clone)(int guest_fd, int image_fd, struct err *err);
	/* Fills guest_fd, a new guest's folder, with a copy of another guest's files: those of its folder, or of one that `save`
	 * filled. take: they are not needed there any more. */
	int (*copy)(int from_fd, int guest_fd, bool take, struct err *err);
	/* A detached mount of the guest's root: *ret_fd. userns_fd >= 0: id-mapped with that user namespace.
	 * Nothing is added to the caller's mount table. */
	int (*mount)(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err);
	/* Copies the guest's own files into the folder into_fd, for a moment that is kept. */
	int (*save)(int guest_fd, int into_fd, struct err *err);
	/* Puts the files that `save` copied to from_fd in the place of the guest's own (moment: see copy_replace). The guest does
	 * not run. */
	int (*load)(int guest_fd, int from_fd, const struct copy_moment *moment, struct err *err);
	/* Bytes the guest's own files take on disk. */
	int (*usage)(int guest_fd, uint64_t *ret, struct err *err);
};

extern const struct storage storage_dir, storage_overlay;
extern const struct storage *const storage_table[]; /* NULL-ended, in the order of enum storage_type */
const struct storage *storage_find(const char *name);

/* The storage's `usable`, tried once a boot: a trial makes, mounts and removes folders on disk, which takes longer than all the
 * rest of a create. One that went well is noted in the folder `notes` (NULL: always tried). */
int storage_try(const struct storage *storage, int dir_fd, const char *notes, struct err *err);

/* What `auto` means for guests below dir_fd: overlay where it works, else dir. */
const struct storage *storage_best(int dir_fd, const char *notes);
