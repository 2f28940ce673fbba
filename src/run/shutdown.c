/* Ends a guest because the host goes down: as its config wants it. */
#include "config.h"

#include <stdlib.h>

#include "../base/clean.h"
#include "../base/log.h"
#include "../guest/checkpoint.h"
#include "checkpoint.h"
#include "run.h"
#include "shutdown.h"

#define SLEEP_MS 120000 /* then there is still time to stop it, see TimeoutStopSec in isle-shutdown.service */

static void tell(struct guest *guest, const char *why)
{
	struct run *run = run_new(guest, RUN_START);

	log_warn("%s: is stopped, since it could not be put to sleep: %s", guest->name, why);
	if (run)
		run_log(run, "stopped, since it could not be put to sleep: %s", why);
	run_free(run);
}

int shutdown_guest(struct guest *guest, const struct stop_request *request, struct err *err)
{
	const struct checkpoint_request sleep = {.timeout_ms = SLEEP_MS};
	const struct stop_request kill = {.kill = true};
	struct checkpoint made = {0};
	auto_free char *path = NULL;
	struct err why = {0};
	char asleep[32];

	if (guest->spec->guest.on_shutdown != ON_SHUTDOWN_CHECKPOINT || request->kill)
		return stop_guest(guest, request, err);
	int r = checkpoint_guest(guest, &sleep, &made, &path, &why);

	checkpoint_clear(&made);
	enum state state = guest_state_locked(guest, NULL);

	if (r == 0 || state == STATE_CHECKPOINTED)
		return 0;
	r = checkpoint_asleep(guest->store, guest->name, asleep, err);
	if (r < 0)
		return r;
	if (asleep[0]) /* what is left of it must not run on */
		return stop_guest(guest, &kill, err);
	if (state == STATE_RUNNING || state == STATE_FROZEN)
		tell(guest, why.what);
	return stop_guest(guest, request, err);
}
