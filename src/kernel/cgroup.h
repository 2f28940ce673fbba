/* Control groups: one front for the unified and the hybrid layout. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"

/* A guest's groups are named by one relative path, "isle/web1": below it in every hierarchy lie its limits, owned by
 * root, and in cgroup2 also "isle/web1/guest", which is given to the guest and is the root of its cgroup namespace. */
#define CGROUP_GUEST "guest"

struct cgroup_limits {         /* UINT64_MAX or NULL: not set */
	uint64_t memory, swap; /* bytes */
	uint64_t cpus;         /* thousandths of a CPU */
	uint64_t cpu_weight;   /* 1..10000, 100 is everybody's */
	uint64_t processes;
	const char *cpuset;
};

#define CGROUP_LIMITS_NONE ((struct cgroup_limits){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, NULL})

/* What a child needs to enter a guest's groups by itself: a descriptor of the cgroup2 folder for
 * CLONE_INTO_CGROUP, and on a hybrid host one of each v1 hierarchy's `tasks`. */
#define CGROUP_V1_MAX 12
struct cgroup_entry {
	int folder;
	int tasks[CGROUP_V1_MAX];
	int count;
};

/* Makes the groups in every hierarchy and gives the guest's own to uid (gid alike); 0: stays root's. Leftovers of the same name
 * must be gone. -EOPNOTSUPP when no cgroup2 is mounted. */
int cgroup_create(const char *cgroup, uid_t owner, struct err *err);

/* Sets what is set, on the running group too, and reads each back. -EOPNOTSUPP names the controller that lacks. */
int cgroup_limit(const char *cgroup, const struct cgroup_limits *limits, struct err *err);

/* Limits processes to a share of what the host can have, so that a fork bomb leaves some to the host and to other guests. */
void cgroup_share_processes(const char *cgroup);

/* Opens the descriptors; below: path under the cgroup2 folder to enter ("guest", "guest/init.scope"). */
int cgroup_entry_open(const char *cgroup, const char *below, struct cgroup_entry *ret, struct err *err);
void cgroup_entry_close(struct cgroup_entry *entry);

/* In the single-threaded child, before anything is dropped: enters the v1 groups. (The cgroup2 one was entered by clone3.) Writing
 * "0" to `tasks` moves only the caller and so needs no global lock, unlike cgroup.procs (kernel/cgroup/cgroup.c,
 * cgroup_procs_write_start). */
int cgroup_entry_enter(const struct cgroup_entry *entry, struct err *err);

/* Kills all in the group and below it, at once (cgroup.kill). No error if it is gone. */
int cgroup_kill(const char *cgroup, struct err *err);

/* Removes the groups and all below them, waiting up to timeout_ms for dying tasks. Gone already: success. */
int cgroup_remove(const char *cgroup, int timeout_ms, struct err *err);

/* In any hierarchy. */
bool cgroup_exists(const char *cgroup);
bool cgroup_frozen(const char *cgroup);
/* Waits until the kernel reports it. -ETIMEDOUT after timeout_ms (the group is then set back). */
int cgroup_freeze(const char *cgroup, bool freeze, int timeout_ms, struct err *err);

struct cgroup_stat { /* UINT64_MAX: the kernel does not say */
	uint64_t memory, memory_peak, memory_limit;
	uint64_t cpu_usec;
	uint64_t processes;
};
int cgroup_stat(const char *cgroup, struct cgroup_stat *ret);

/* Moves the calling process into folder/leaf of cgroup2, which is made: a group with children that have controllers may hold no
 * processes itself. */
int cgroup_enter_leaf(const char *folder, const char *leaf, struct err *err);

/* Path of pid's cgroup2 group relative to the guest's ("guest/init.scope"); -ENOENT when it is not below. */
int cgroup_of(pid_t pid, const char *cgroup, char *ret, size_t size);
