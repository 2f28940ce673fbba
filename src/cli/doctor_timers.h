/* isle doctor: timers of isle's that guests would need. */
#pragma once

#include "../guest/store.h"
#include "../kernel/host.h"

/* Fills findings for the timers that are not active though guests that run would have a use for them; returns how many. None where
 * systemd does not run the host, or does not answer, nor for an instance that was moved (-P), which the units do not know. */
#define DOCTOR_TIMERS 2
size_t doctor_find_timers(const struct store *store, struct host_finding ret[DOCTOR_TIMERS]);
