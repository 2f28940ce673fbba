/* Live changes: what a changed config means for a guest that runs. */
#include "config.h"

#include <string.h>

#include "../guest/record.h"
#include "../kernel/cgroup.h"
#include "update.h"

bool update_is_live(const struct key *key, const void *old, const void *now)
{
	if (!(key->live & UPDATE_FACETS))
		return false;
	return !(key->live & FACET_CGROUP) || key->type->is_set(key, (const char *)now + key->offset);
}

static struct cgroup_limits limits_of(const struct spec *spec)
{
	return (struct cgroup_limits){
		.memory = spec->limits.memory,
		.swap = spec->limits.swap,
		.cpus = spec->limits.cpus,
		.cpu_weight = spec->limits.cpu_weight,
		.processes = spec->limits.processes,
		.cpuset = spec->limits.cpuset,
	};
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Leaves in limits only what differs from other: a write of the same value could fail for reasons of its own. */
static bool keep_changes(struct cgroup_limits *limits, const struct cgroup_limits *other)
{
	/* Memory and swap are one on cgroup v1 (memory.memsw). */
	if (limits->memory == other->memory && limits->swap == other->swap)
		limits->memory = limits->swap = UINT64_MAX;
	if (limits->cpus == other->cpus)
		limits->cpus = UINT64_MAX;
	if (limits->cpu_weight == other->cpu_weight)
		limits->cpu_weight = UINT64_MAX;
	if (limits->processes == other->processes)
		limits->processes = UINT64_MAX;
	if (same_text(limits->cpuset, other->cpuset))
		limits->cpuset = NULL;
	return limits->memory != UINT64_MAX || limits->swap != UINT64_MAX || limits->cpus != UINT64_MAX ||
	       limits->cpu_weight != UINT64_MAX || limits->processes != UINT64_MAX || limits->cpuset;
}

int update_apply(struct guest *guest, const struct spec *old, unsigned facets, struct err *err)
{
	struct record record;
	enum state state = guest_state_locked(guest, &record);

	if (!(facets & FACET_CGROUP) || (state != STATE_RUNNING && state != STATE_FROZEN))
		return 0;
	const struct cgroup_limits before = limits_of(old), after = limits_of(guest->spec);
	struct cgroup_limits wanted = after, undo = before;

	if (!keep_changes(&wanted, &before))
		return 0;
	int r = cgroup_limit(record.cgroup, &wanted, err);

	if (r < 0 && keep_changes(&undo, &after))
		(void)cgroup_limit(record.cgroup, &undo,
				   NULL); /* what was set before the one that failed; nothing more can be done */
	return r;
}
