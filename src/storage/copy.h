/* Whole trees of files: copied with everything that makes a system of them. */
#pragma once

#include "../base/err.h"

/* Copies the folder `name` of src_fd to a new folder of the same name in dst_fd: owners, modes, times, extended attributes and
 * hard links as they are, data shared where the file system can. Links are copied, never followed; device nodes, sockets and
 * mounts below are left out. -EEXIST when dst_fd has it already; what was begun stays behind on failure. */
int copy_tree(int src_fd, int dst_fd, const char *name, struct err *err);

/* The same, but what lies on the same file system is moved. */
int copy_take(int src_fd, int dst_fd, const char *name, struct err *err);

/* Called when a copy is whole and on disk, before it takes the place of what was there; a failure keeps that. */
struct copy_moment {
	int (*fn)(void *arg, struct err *err);
	void *arg;
};

/* Puts a copy of from_fd's folder `name` in the place of dst_fd's, which goes only when the copy is whole and on disk. */
int copy_replace(int from_fd, int dst_fd, const char *name, const struct copy_moment *moment, struct err *err);
