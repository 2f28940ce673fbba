/* Starts a guest: the process that walks the HOST rows becomes its monitor. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

struct start_request {
	bool wait;        /* until init says that it is up (systemd does; for others the start's end counts) */
	unsigned wait_ms; /* how long */
};

/* The guest is locked by the caller. Leftovers of a killed start or stop are cleared up first. ERR_STATE when it runs already.
 * Returns when init runs (and, with wait, is up; ERR_TIMEOUT then leaves it running). */
int start_guest(struct guest *guest, const struct start_request *request, struct err *err);

/* Prints the rows that a start of this guest would walk. */
void start_plan(struct guest *guest);

/* The walk inside a process that is to become the monitor; used by start_guest and again after a reboot from inside.
 * control_fd and console_fd: -1, or those of the run before. Returns only on failure. */
struct run;
int start_become_monitor(struct run *run, struct err *err);
