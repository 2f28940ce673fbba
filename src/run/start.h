/* Starts a guest: the process that walks the HOST rows becomes its monitor. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

struct restore;

struct start_request {
	bool wait;               /* until init says that it is up (systemd does; for others the start's end counts) */
	unsigned wait_ms;        /* how long */
	bool cold;               /* a guest that sleeps in a checkpoint is started anew all the same */
	struct restore *restore; /* the checkpoint that it wakes from (restore_open); NULL: the one that it sleeps in, if any */
};

/* The guest is locked by the caller. Leftovers of a killed start or stop are cleared up first. ERR_STATE when it runs already.
 * Returns when init runs (and, with wait, is up; ERR_TIMEOUT then leaves it running). */
int start_guest(struct guest *guest, const struct start_request *request, struct err *err);

/* Whether a start may begin now; leftovers of a killed one are cleared up. ERR_STATE when it runs already. */
int start_may(struct guest *guest, struct err *err);

/* show with each row that a start of this guest would walk: of one that sleeps those that wake it, unless cold. */
struct step;
int start_plan(struct guest *guest, bool cold, void (*show)(void *arg, const struct step *step), void *arg, struct err *err);

/* The walk inside a process that is to become the monitor; used by start_guest and again after a reboot from inside.
 * control_fd and console_fd: -1, or those of the run before. Returns only on failure. */
struct run;
int start_become_monitor(struct run *run, struct err *err);
