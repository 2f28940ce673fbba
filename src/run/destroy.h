/* Removes a guest with all that belongs to it. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

/* Takes the guest's lock. A guest that runs is killed first with force, else it is ERR_STATE. When it returns 0, or anything after
 * the guest's folder was renamed away fails, the guest is gone; a later command sweeps what is left of its files. */
int destroy_guest(const struct store *store, const char *name, bool force, struct err *err);
