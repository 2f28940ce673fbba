/* Waits for a guest to be in a state. */
#pragma once

#include "../guest/record.h"

/* Bit i of states: enum state i. timeout_ms < 0: for ever. Returns 0 and the state it is in, or ERR_TIMEOUT. Events: the end of
 * init by its pidfd, everything else by inotify on the run folder. A guest that is destroyed meanwhile counts as stopped. */
int wait_for_state(const struct store *store, const char *name, unsigned states, int timeout_ms, enum state *ret, struct err *err);
