/* Freezes and unfreezes a running guest. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

/* The guest is locked by the caller. Returns when the kernel reports it. ERR_STATE unless it runs (or is frozen); doing it twice is
 * fine. */
int freeze_guest(struct guest *guest, bool freeze, struct err *err);
