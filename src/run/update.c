/* Live changes: what a changed config means for a guest that runs. */
#include "config.h"

#include <string.h>

#include "../base/str.h"
#include "../guest/record.h"
#include "limits.h"
#include "lxcfs.h"
#include "update.h"

bool update_is_live(const struct key *key)
{
	return key->live & UPDATE_FACETS;
}

/* A limit below what is used is no failure where the guest could give up what is too much, or only may have no more of. */
static void add_notes(const struct guest *guest, const char *cgroup, const struct cgroup_uses *before, unsigned kinds,
		      struct buf *notes)
{
	struct cgroup_uses after;
	char from[16], to[16];

	if (!notes || cgroup_uses(cgroup, &after) < 0)
		return;
	const struct cgroup_use *memory = &after.of[CGROUP_MEMORY], *processes = &after.of[CGROUP_PROCESSES];

	if ((kinds & CGROUP_BIT(CGROUP_MEMORY)) && before->of[CGROUP_MEMORY].use != UINT64_MAX &&
	    before->of[CGROUP_MEMORY].use > memory->limit) {
		str_show_size(before->of[CGROUP_MEMORY].use, from);
		str_show_size(memory->use, to);
		buf_addf(notes, "'%s' used %s of memory and gave up what was too much: it uses %s now\n", guest->name, from, to);
	}
	if ((kinds & CGROUP_BIT(CGROUP_PROCESSES)) && processes->use != UINT64_MAX && processes->use > processes->limit)
		buf_addf(notes, "'%s' has %llu processes, more than %llu: none ends, and none can begin until they are fewer\n",
			 guest->name, (unsigned long long)processes->use, (unsigned long long)processes->limit);
}

static int set_limits(struct guest *guest, const struct spec *old, const struct record *record, unsigned kinds, struct err *err)
{
	struct cgroup_limits limits;
	int r = limits_of(guest, guest->spec, record, kinds, &limits, err);

	if (r == 0)
		r = cgroup_limits_check(&limits, kinds, err);
	if (r == 0)
		r = cgroup_limit(record->cgroup, &limits, kinds, err);
	if (r < 0 || !(kinds & CGROUP_BIT(CGROUP_MEMORY_GUARANTEE)))
		return r;
	r = cgroup_share_guarantee(record->cgroup, err);
	if (r < 0 && old && limits_of(guest, old, record, kinds, &limits, NULL) == 0)
		(void)cgroup_limit(record->cgroup, &limits, kinds, NULL); /* the first fault is the one to tell */
	return r;
}

static int apply(struct guest *guest, const struct spec *old, struct record *record, unsigned kinds, struct buf *notes,
		 struct err *err)
{
	struct cgroup_uses before;
	const struct record was = *record;
	int r = kinds & CGROUP_BIT(CGROUP_CPUSET) ? limits_choose(guest, guest->spec, record, err) : 0;

	if (r == 0 && cgroup_uses(record->cgroup, &before) < 0)
		r = err_set(err, ERR_STATE, "change the limits of a guest that has just ended");
	if (r == 0)
		r = set_limits(guest, old, record, kinds, err);
	if (r == 0)
		add_notes(guest, record->cgroup, &before, kinds, notes);
	/* The record is of what holds. */
	if (strcmp(was.cpuset, record->cpuset) != 0) {
		int saved = record_save(guest->store, guest->name, r == 0 ? record : &was, r == 0 ? err : NULL);

		r = r == 0 ? saved : r;
	}
	return r;
}

int update_apply(struct guest *guest, const struct spec *old, unsigned kinds, struct buf *notes, struct err *err)
{
	struct record record;
	enum state state = guest_state_locked(guest, &record);

	if (old)
		kinds |= limits_changed(old, guest->spec);
	if ((state == STATE_RUNNING || state == STATE_FROZEN) && old && old->guest.lxcfs != guest->spec->guest.lxcfs) {
		int r = lxcfs_renew(guest, guest->spec, &record, err);

		if (r < 0)
			return r;
	}
	if (!kinds || (state != STATE_RUNNING && state != STATE_FROZEN))
		return 0;
	int r = apply(guest, old, &record, kinds, notes, err);

	if (r < 0 && old)
		(void)lxcfs_renew(guest, old, &record, NULL); /* the first fault is the one to tell */
	return r;
}

int update_mark(struct guest *guest, bool changing, struct err *err)
{
	struct record record;
	enum state state = guest_state_locked(guest, &record);

	if ((state != STATE_RUNNING && state != STATE_FROZEN) || record.changing == changing)
		return 0;
	record.changing = changing;
	int r = record_save(guest->store, guest->name, &record, err);

	return r < 0 ? r : 1;
}

void update_repair(struct guest *guest)
{
	if (update_apply(guest, NULL, CGROUP_ALL, NULL, NULL) == 0)
		(void)update_mark(guest, false, NULL);
}
