/* What holds of a running guest's limits, beside what its config asks for. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/str.h"
#include "../guest/spec_parts.h"
#include "../run/limits.h"
#include "held.h"

void held_load(const struct store *store, const char *name, struct held *ret)
{
	enum state state = guest_state(store, name, &ret->record);

	ret->up = (state == STATE_RUNNING || state == STATE_FROZEN) && cgroup_uses(ret->record.cgroup, &ret->uses) == 0;
	ret->knows_init = ret->up && privs_limits_of(ret->record.init_pid, &ret->init_has) == 0;
}

bool held_is_disk(enum cgroup_kind kind)
{
	return kind >= CGROUP_IO_READ && kind <= CGROUP_IO_WRITE_OPS;
}

bool held_is_size(enum cgroup_kind kind)
{
	return kind == CGROUP_MEMORY || kind == CGROUP_SWAP || kind == CGROUP_MEMORY_HIGH || kind == CGROUP_MEMORY_GUARANTEE ||
	       kind == CGROUP_IO_READ || kind == CGROUP_IO_WRITE || kind == CGROUP_HUGEPAGES;
}

bool held_is_none(const struct held *held, enum cgroup_kind kind)
{
	if (kind >= CGROUP_KINDS)
		return true;
	uint64_t limit = held->uses.of[kind].limit;

	if (kind == CGROUP_CPUSET)
		return !held->uses.cpuset[0];
	return limit == UINT64_MAX || (kind == CGROUP_MEMORY_GUARANTEE && limit == 0);
}

bool held_since_start(const struct held *held, const struct key *key, uint64_t *ret)
{
	enum privs_limit limit = privs_limit_named(key->name);
	bool terminals = strcmp(key->name, "terminals") == 0;

	if (!held->up || limits_kind_of(key) < CGROUP_KINDS || (limit < PRIVS_LIMITS && !held->knows_init))
		return false;
	if (limit < PRIVS_LIMITS)
		*ret = held->init_has.hard[limit];
	else
		*ret = terminals ? held->record.terminals : held->record.namespaces;
	return limit < PRIVS_LIMITS || *ret > 0;
}

/* What the kernel shows of a number that the config has. */
static uint64_t as_held(enum cgroup_kind kind, uint64_t wanted)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (wanted != SPEC_UNSET)
		return held_is_size(kind) ? wanted / page * page : wanted;
	switch (kind) {
	case CGROUP_MEMORY:
		return cgroup_share_of_memory();
	case CGROUP_PROCESSES:
		return cgroup_share_of_processes();
	case CGROUP_CPU_WEIGHT:
		return 100;
	default:
		return UINT64_MAX;
	}
}

/* Which CPUs isle will choose is not known before, but how many. */
static bool same_cpus(const struct held *held, const char *wanted)
{
	uint64_t count = types_cpuset_count(wanted);
	auto_free bool *now = calloc(LIMITS_CPUS, sizeof(*now));
	auto_free bool *then = calloc(LIMITS_CPUS, sizeof(*then));
	const char *cpus = held->uses.cpuset;

	if (!wanted || strcmp(wanted, "auto") == 0 || !now || !then)
		return true;
	if (strcmp(wanted, "all") == 0 || !*cpus)
		return strcmp(wanted, "all") == 0 && !*cpus;
	if (types_cpuset_read(cpus, now, LIMITS_CPUS) < 0)
		return true;
	if (count == 0)
		return types_cpuset_read(wanted, then, LIMITS_CPUS) < 0 || memcmp(now, then, LIMITS_CPUS * sizeof(*now)) == 0;
	for (size_t i = 0; i < LIMITS_CPUS; i++)
		count -= now[i];
	return count == 0;
}

static bool same_disks(const struct held *held, const struct guest *guest, enum cgroup_kind kind)
{
	const struct cgroup_io *now = &held->uses.io[kind - CGROUP_IO_READ];
	struct cgroup_limits limits;

	if (limits_of(guest, guest->spec, &held->record, CGROUP_BIT(kind), &limits, NULL) < 0)
		return false; /* a disk that is not there, which the next start will refuse */
	const struct cgroup_io *wanted = &limits.io[kind - CGROUP_IO_READ];
	size_t found = 0;

	for (size_t i = 0; i < wanted->count; i++)
		for (size_t k = 0; k < now->count; k++)
			found += wanted->device[i].major == now->device[k].major &&
				 wanted->device[i].minor == now->device[k].minor && wanted->device[i].rate == now->device[k].rate;
	return found == wanted->count && found == now->count;
}

static bool same_number(const struct held *held, const struct guest *guest, const struct key *key)
{
	enum cgroup_kind kind = limits_kind_of(key);
	uint64_t wanted = *(const uint64_t *)spec_field_const(guest->spec, key), limit = held->uses.of[kind].limit;

	/* Those are not shown as they were asked for. */
	if (kind == CGROUP_HUGEPAGES || kind == CGROUP_IO_WEIGHT)
		return true;
	return as_held(kind, wanted) == (held_is_none(held, kind) ? UINT64_MAX : limit) ||
	       (wanted == SPEC_UNSET && limit == UINT64_MAX);
}

static char *from_next_start(const struct key *key, const void *field)
{
	auto_buf struct buf text = {0};

	key->type->format(key, field, &text);
	return str_format("%s from the next start on", text.len ? text.data : "unlimited");
}

char *held_pending(const struct held *held, const struct guest *guest, const struct key *key)
{
	const void *field = spec_field_const(guest->spec, key);
	enum cgroup_kind kind = limits_kind_of(key);
	uint64_t limit, wanted;
	bool same;

	if (held_since_start(held, key, &limit)) {
		wanted = *(const uint64_t *)field;
		if (wanted == SPEC_UNSET && privs_limit_named(key->name) < PRIVS_LIMITS)
			wanted = privs_limit_default(privs_limit_named(key->name));
		return wanted == limit ? NULL : from_next_start(key, &wanted);
	}
	if (!held->up || kind >= CGROUP_KINDS)
		return NULL;
	if (kind == CGROUP_CPUSET)
		same = same_cpus(held, guest->spec->limits.cpuset);
	else
		same = held_is_disk(kind) ? same_disks(held, guest, kind) : same_number(held, guest, key);
	return same ? NULL : from_next_start(key, field);
}
