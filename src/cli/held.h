/* What holds of a running guest's limits, beside what its config asks for. */
#pragma once

#include "../guest/record.h"
#include "../kernel/cgroup.h"
#include "../kernel/privs.h"

struct held {
	bool up; /* it runs: all else is read */
	struct record record;
	struct cgroup_uses uses;
	bool knows_init; /* init_has: the limits that each of its processes has */
	struct privs_limits init_has;
};

/* For a guest that does not run only record is read. */
void held_load(const struct store *store, const char *name, struct held *ret);

/* Of numbers: sizes; rates of disks. */
bool held_is_size(enum cgroup_kind kind);
bool held_is_disk(enum cgroup_kind kind);

/* What the kernel has as no limit: every group has a weight, a guarantee of nothing is none. */
bool held_is_none(const struct held *held, enum cgroup_kind kind);

/* What a guest was started with, of limits that no group of the kernel has and that hold until its next start; false: not known. */
bool held_since_start(const struct held *held, const struct key *key, uint64_t *ret);

/* What the config asks for where that is not what holds, after a change of the running guest alone or of the config alone:
 * "80M from the next start on". NULL: it is. Caller frees. */
char *held_pending(const struct held *held, const struct guest *guest, const struct key *key);
