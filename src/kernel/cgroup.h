/* Control groups: one front for the unified and the hybrid layout. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"

/* A guest's groups are named by one relative path, "isle/web1": below it in every hierarchy lie its limits, owned by
 * root, and in cgroup2 also "isle/web1/guest", which is given to the guest and is the root of its cgroup namespace. */
#define CGROUP_GUEST "guest"

/* The limits, by bit; cgroup_limit works in this order. */
enum cgroup_kind {
	CGROUP_MEMORY,
	CGROUP_SWAP,
	CGROUP_MEMORY_HIGH,
	CGROUP_MEMORY_GUARANTEE,
	CGROUP_CPUS,
	CGROUP_CPU_WEIGHT,
	CGROUP_CPUSET,
	CGROUP_PROCESSES,
	CGROUP_IO_WEIGHT,
	CGROUP_IO_READ, /* bytes a second; these four in this order */
	CGROUP_IO_WRITE,
	CGROUP_IO_READ_OPS,
	CGROUP_IO_WRITE_OPS,
	CGROUP_HUGEPAGES,
	CGROUP_KINDS
};
#define CGROUP_BIT(kind) (1u << (kind))
#define CGROUP_ALL       (CGROUP_BIT(CGROUP_KINDS) - 1)

#define CGROUP_IO_KINDS   4
#define CGROUP_IO_DEVICES 8

/* One of the four rates, for each block device that has one. */
struct cgroup_io {
	size_t count;
	struct cgroup_io_device {
		unsigned major, minor; /* a whole disk's: the kernel takes no partitions */
		uint64_t rate;
	} device[CGROUP_IO_DEVICES];
};

struct cgroup_limits {
	uint64_t number[CGROUP_KINDS]; /* UINT64_MAX: no limit. Bytes; thousandths of a CPU; weights 1..10000, 100 is everybody's */
	const char *cpuset;            /* NULL: all */
	struct cgroup_io io[CGROUP_IO_KINDS];
};

/* What [limits] calls it: "memory-high". */
const char *cgroup_kind_key(enum cgroup_kind kind);

/* Whether the kernel weighs the disk's traffic between groups: BFQ, or cost control (io.cost.qos). */
bool cgroup_io_weighs(unsigned major, unsigned minor);

/* Has the kernel count what groups read from the disk and write to it where it does not yet: a kernel with io in v1 counts from
 * the first rate on that the disk ever had (blk-throttle, Linux 6.10). Nothing is limited by it. Best effort: figures stay 0. */
void cgroup_io_count(unsigned major, unsigned minor, const char *cgroup);

/* Sets the struct to "no limit at all". */
void cgroup_limits_none(struct cgroup_limits *ret);

/* What a child needs to enter a guest's groups by itself: a descriptor of the cgroup2 folder for
 * CLONE_INTO_CGROUP, and on a hybrid host one of each v1 hierarchy's `tasks`. */
#define CGROUP_V1_MAX 16
struct cgroup_entry {
	int folder;
	int tasks[CGROUP_V1_MAX];
	int count;
};

/* Makes the groups in every hierarchy and gives the guest's own to uid (gid alike); 0: stays root's. Leftovers of the same name
 * must be gone. -EOPNOTSUPP when no cgroup2 is mounted. */
int cgroup_create(const char *cgroup, uid_t owner, struct err *err);

/* Sets the limits that `kinds` has bits of, in a running group too, and reads each back; one that is none is lifted. All or none:
 * after a failure each file holds what it held. -EOPNOTSUPP names the controller or kernel option that lacks, ERR_STATE a memory
 * limit below what the group cannot give up. */
int cgroup_limit(const char *cgroup, const struct cgroup_limits *limits, unsigned kinds, struct err *err);

/* Whether this host has what the limits need, as far as can be told before there is a group: what cgroup_limit says then. */
int cgroup_limits_check(const struct cgroup_limits *limits, unsigned kinds, struct err *err);

/* Memory guarantees bind only while the groups above are guaranteed as much: gives the guests' common group the sum of theirs. To
 * be called when one has changed or gone. No guarantee anywhere, or memory on cgroup v1: nothing happens. */
int cgroup_share_guarantee(const char *cgroup, struct err *err);

/* Limits processes to a share of what the host can have, so that a fork bomb leaves some to the host and to other guests: the
 * number for a guest without a limit of its own. */
uint64_t cgroup_share_of_processes(void);

/* Most memory for a guest that has no limit of its own, in bytes: all but a reserve with which the host goes on. UINT64_MAX where
 * the host does not say what it has. */
uint64_t cgroup_share_of_memory(void);

/* Opens the descriptors, in cgroup2 of the guest's own group. */
int cgroup_entry_open(const char *cgroup, struct cgroup_entry *ret, struct err *err);
void cgroup_entry_close(struct cgroup_entry *entry);

/* Adds those hierarchies of v1 that carry no limits of guests ("devices", "name=systemd") in which pid is in another group than the
 * caller: where systemd has put init with its scope, so that what comes later is no stranger there. */
int cgroup_entry_follow(pid_t pid, struct cgroup_entry *entry, struct err *err);

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
/* The same without waiting, and never set back: processes that a tracer holds freeze when it lets them go. */
int cgroup_hold(const char *cgroup, bool hold, struct err *err);

struct cgroup_stat { /* UINT64_MAX: the kernel does not say */
	uint64_t memory, memory_peak, memory_limit;
	uint64_t cpu_usec;
	uint64_t processes;
	uint64_t oom_kills; /* processes that were killed for want of memory */
};
int cgroup_stat(const char *cgroup, struct cgroup_stat *ret);

/* fn with each process in the group and below it, until it returns something else than 0, which is returned. Processes may come and
 * go meanwhile. */
int cgroup_each_pid(const char *cgroup, int (*fn)(void *arg, pid_t pid), void *arg);

/* Gives the guest's own group and all below it to uid (gid alike), as cgroup_create does with a new one. */
int cgroup_give(const char *cgroup, uid_t owner, struct err *err);

/* What belongs to one of `count` ids from `from` on, in the guest's own group and below it, belongs to the same one from `to` on.
 */
int cgroup_shift(const char *cgroup, uid_t from, uid_t to, unsigned count, struct err *err);

/* One limit as the kernel has it. UINT64_MAX: it does not say, or there is none. */
struct cgroup_use {
	uint64_t limit, use, peak, hits;
};
struct cgroup_uses {
	struct cgroup_use of[CGROUP_KINDS]; /* use: bytes, microseconds of CPU, bytes or operations done so far */
	char cpuset[256];
	struct cgroup_io io[CGROUP_IO_KINDS];
	uint64_t oom_kills;
};
int cgroup_uses(const char *cgroup, struct cgroup_uses *ret);

/* For who watches a group for processes that the kernel kills for want of memory. */
struct cgroup_oom {
	int watch;   /* to poll: for POLLPRI when `urgent`, else for POLLIN, and then to read 8 bytes of */
	int count;   /* a file with a line "oom_kill N" */
	bool urgent; /* watch is count's own descriptor: cgroup2 */
};
int cgroup_oom_open(const char *cgroup, struct cgroup_oom *ret, struct err *err);

/* Moves the calling process into folder/leaf of cgroup2, which is made: a group with children that have controllers may hold no
 * processes itself. */
int cgroup_enter_leaf(const char *folder, const char *leaf, struct err *err);

/* The folder folder/leaf of cgroup2, for a process to be cloned into; -errno. leaf may be a path. */
int cgroup_open_leaf(const char *folder, const char *leaf);

/* Path of pid's cgroup2 group relative to the guest's ("guest/init.scope"); -ENOENT when it is not below. */
int cgroup_of(pid_t pid, const char *cgroup, char *ret, size_t size);
