/* Nodes for a guest's devices: each its own file of a file system that is nobody else's, ready to be mounted. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "../base/err.h"

struct devnode {
	mode_t mode; /* kind and permissions */
	dev_t device;
	uid_t uid; /* as the host counts */
	gid_t gid;
};

/* Makes the nodes (of DEVNODES_MAX at most) on a tmpfs that lies in no mount table; ret[i] is a detached mount of one of them, the
 * caller's. The host's own node stays as it is whatever the guest does to its one. */
#define DEVNODES_MAX 64
int devnode_make(const struct devnode *nodes, size_t count, int *ret, struct err *err);

/* In a process whose root is the guest's, or dev_fd its /dev: mounts a detached node on path ("dri/card0"), below it, whose folders
 * are made. Nothing on the way may be a link or another mount. A node of the same numbers that is mounted there goes first. */
int devnode_place(int dev_fd, int tree, const char *path, const struct devnode *node, struct err *err);

/* Takes the node away, if it is there still. */
int devnode_remove(int dev_fd, const char *path, mode_t kind, dev_t device, struct err *err);
