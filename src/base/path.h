/* Descriptor-relative walks: a path that a guest can influence is opened once, below its root. */
#pragma once

#include <stdint.h>

#include "err.h"

/* openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: path is resolved as inside a chroot at
 * root_fd, symbolic links included. Always O_CLOEXEC. Returns the descriptor or a negative errno. */
int path_open_in_root(int root_fd, const char *path, int flags, unsigned mode);

/* openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS. */
int path_open_beneath(int dir_fd, const char *path, int flags, unsigned mode);

/* The same, and no mount is crossed on the way (RESOLVE_NO_XDEV): -EXDEV. */
int path_open_in_mount(int dir_fd, const char *path, int flags, unsigned mode);

/* mkdir -p of path below root_fd, each component opened with RESOLVE_IN_ROOT (links to folders
 * inside the root are followed). Returns an O_PATH descriptor of the last one, or -errno. */
int path_make_in_root(int root_fd, const char *path, unsigned mode);

/* Joins with exactly one slash; caller frees. */
char *path_join(const char *a, const char *b);

/* mkdir -p on the host, for isle's own folders. 0 or -errno. */
int path_make(const char *path, unsigned mode, struct err *err);
