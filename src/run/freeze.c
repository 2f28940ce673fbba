/* Freezes and unfreezes a running guest. */
#include "config.h"

#include "../guest/record.h"
#include "../kernel/cgroup.h"
#include "freeze.h"
#include "repair.h"

#define FREEZE_MS 10000

int freeze_guest(struct guest *guest, bool freeze, struct err *err)
{
	struct record record;
	int r = repair_as_needed(guest, err);

	if (r < 0)
		return r;
	enum state state = guest_state_locked(guest, &record);

	if (state != STATE_RUNNING && state != STATE_FROZEN) {
		r = err_set(err, ERR_STATE, "%s it: it is %s", freeze ? "freeze" : "unfreeze", state_names[state]);
		return state == STATE_STOPPED || state == STATE_CHECKPOINTED ? err_hint(err, "isle start %s", guest->name) : r;
	}
	return cgroup_freeze(record.cgroup, freeze, FREEZE_MS, err);
}
