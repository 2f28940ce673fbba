/* Folders being made: under a dot-name, held by a lock, renamed into place when they are complete. */
#pragma once

#include <stdbool.h>

#include "../base/err.h"

/* Makes name (a dot-name) in dir_fd, mode 0700, and holds it with flock(2): the lock ends with the descriptor *ret_fd. What a
 * killed process left under that name is removed first. When somebody else is making it, waits; once that one is done *ret_fd is -1
 * and *ret_waited true: look for what was made, then call again. ret_waited NULL: calls again by itself. */
int workdir_make(int dir_fd, const char *name, int *ret_fd, bool *ret_waited, struct err *err);

/* Syncs the folder's file system when `whole`, else the folder itself, then renames it; -EEXIST when dst_name exists. */
int workdir_finish(int dir_fd, const char *name, int fd, const char *dst_name, bool whole, struct err *err);

/* Removes every folder in dir_fd whose name begins with prefix (".new-") and that nobody holds. */
int workdir_sweep(int dir_fd, const char *prefix, struct err *err);

/* Removes name, which the caller holds; a dying process that still writes there is waited for. */
int workdir_remove(int dir_fd, const char *name, struct err *err);

/* Opens the finished folder name and shares its lock: workdir_claim fails while the descriptor is open. -ENOENT without text. */
int workdir_share(int dir_fd, const char *name, int *ret_fd);

/* The same, alone: -EBUSY without text while somebody shares it. */
int workdir_claim(int dir_fd, const char *name, int *ret_fd);

/* Renames a folder that the caller has claimed away and removes it. */
int workdir_discard(int dir_fd, const char *name, struct err *err);
