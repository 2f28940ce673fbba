/* Stops a guest: asks its init, kills what does not go, undoes the start backwards. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

struct stop_request {
	bool kill;           /* do not ask, kill */
	bool keep_asking;    /* after the time is over fail instead of killing */
	unsigned timeout_ms; /* how long init may take; ask only */
	const char *asleep;  /* the checkpoint that it sleeps in, and may be woken from soon; NULL: it does not */
};

/* guest_lock for who wants the guest killed: a stop that waits for init's end, and holds the lock meanwhile, has that wait ended.
 * *ret_ended (may be NULL): that happened, so a guest that is then stopped was stopped by us. */
int stop_lock(struct guest *guest, bool *ret_ended, struct err *err);

/* The guest is locked by the caller. When it returns 0, its processes, interfaces, control groups and monitor are gone. ERR_STATE
 * when it does not run (leftovers of a killed run are cleared up all the same). */
int stop_guest(struct guest *guest, const struct stop_request *request, struct err *err);

/* The monitor's last words, `isle monitor-after`: undo the run whose init ended, or start it anew after a reboot. */
struct stop_after {
	const char *name;
	const char *how; /* monitor.h */
	int console_fd, control_fd, guest_fd, run_fd;
};
int stop_after(const struct store *store, const struct stop_after *after, struct err *err);
