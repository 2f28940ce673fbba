/* What a guest made of its cgroup2 tree, as a text, and making the same again: criu 4.2 fails at groups with controllers, and knows
 * neither their limits nor who owns their files. */
#pragma once

#include <sys/types.h>

#include "../base/err.h"

/* When each part of the text can be put back, in this order. */
enum cgroup_step {
	CGROUP_MAKE,    /* folders, their owners and kinds: there is no process yet */
	CGROUP_HAND_ON, /* controllers, once the processes in the tree are in groups with none below */
	CGROUP_SETTLE,  /* limits, and owners of files: all processes are where they belong */
};

/* The tree below the guest's own group. owner: the guest's root, to whom the files belong as long as nothing else is noted. The
 * caller frees *ret. */
int cgroup_save(const char *cgroup, uid_t owner, char **ret, struct err *err);

/* Does one step. What this host has not (a controller, a device, a kind of limit) is passed over. */
int cgroup_put_back(const char *cgroup, const char *saved, enum cgroup_step step, struct err *err);

/* The same with a descriptor of the top folder; 0 or -errno. *ret_at: the group at which it failed, for the caller to free. */
int cgroup_saved_read(int top, uid_t owner, char **ret);
int cgroup_saved_write(int top, const char *saved, enum cgroup_step step, char **ret_at);
