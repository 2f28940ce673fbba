/* The control groups as criu is to find them: in a folder with each hierarchy that it is told of, named as criu names it, as the
 * host has it mounted. Left to itself criu mounts them anew, and a mount of cgroup2 without the host's options (nsdelegate,
 * memory_recursiveprot...) takes these away from the whole host (cgroup-v2.rst, "Mounting"). */
#pragma once

#include "../base/err.h"

/* For a dump: links to the hierarchies, in a detached mount that goes with the descriptor, which is returned and the caller's;
 * -errno with err. */
int criu_yard_open(struct err *err);

/* For a restore, in criu's mount namespace: the new folder path with the hierarchies mounted in it, since restored processes, which
 * have another root, enter their groups by way of it. */
int criu_yard_mount(const char *path, struct err *err);
