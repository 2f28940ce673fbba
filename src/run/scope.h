/* On a systemd host: a guest's scope, kept for a while after its last process. */
#pragma once

#include "run.h"

/* systemd takes a scope's groups away, and with them what was counted there, as soon as the last process has left it, which at a
 * stop is before anybody could ask. So a process of the caller's, which ends with it, stands in the scope meanwhile. False where
 * there is no scope, or none was to be had. */
bool scope_hold(struct run *run);

/* Lets the scope go. Nothing held: nothing to do. */
void scope_release(struct run *run);
