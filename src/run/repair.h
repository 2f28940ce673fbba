/* Clears up after isle processes that were killed: leftovers of starts and stops, and guests without a monitor. */
#pragma once

#include "../guest/store.h"

/* The caller holds the name's lock. Undoes whatever is left of a run of guest `name` (which may not exist any more): processes,
 * interfaces, control groups, run folder. Success when there is nothing. */
int repair_guest(const struct store *store, const char *name, struct err *err);

/* For commands that take no lock: gives a running guest whose monitor was killed a new one, when nobody else is at it. Best effort,
 * and two reads when all is well. */
void repair_unwatched(const struct store *store, const char *name);

/* What commands call after guest_lock: repairs what needs it. Costs one read of the run record when all is well. */
int repair_as_needed(struct guest *guest, struct err *err);
