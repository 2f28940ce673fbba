/* Removes a guest with all that belongs to it. */
#include "config.h"

#include <errno.h>

#include "../guest/kept.h"
#include "../guest/record.h"
#include "confine.h"
#include "create.h"
#include "destroy.h"
#include "repair.h"
#include "stop.h"

static int make_sure_it_is_stopped(struct guest *guest, bool force, struct err *err)
{
	struct stop_request kill = {.kill = true};
	int r = repair_as_needed(guest, err);

	if (r < 0)
		return r;
	enum state state = guest_state_locked(guest, NULL);

	if (state == STATE_STOPPED || (state == STATE_CHECKPOINTED && force))
		return 0;
	if (state == STATE_CHECKPOINTED) {
		(void)err_set(err, ERR_STATE, "destroy it: it sleeps in a checkpoint, with all its processes");
		return err_hint(err, "--force destroys it all the same");
	}
	if (force)
		return stop_guest(guest, &kill, err);
	(void)err_set(err, ERR_STATE, "destroy it while it is %s", state_names[state]);
	return err_hint(err, "isle stop %s, or --force to kill it", guest->name);
}

int destroy_guest(const struct store *store, const char *name, bool force, struct err *err)
{
	struct guest *guest = NULL;
	int r = guest_open_any(store, name, &guest, err);

	if (r == 0)
		r = force ? stop_lock(guest, NULL, err) : guest_lock(guest, STORE_LOCK_MS, err);
	if (r == 0)
		r = make_sure_it_is_stopped(guest, force, err);
	if (r == 0) {
		/* First: when the guest is gone nobody looks for its profile, nor for its network. */
		confine_forget(store, name);
		kept_drop(store, name);
		r = create_discard(guest, err);
	}
	guest_free(guest);
	return r;
}
