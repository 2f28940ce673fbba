/* Processes that have ended and whom the guest's init has yet to collect, where criu could not make the like again: of two of one
 * session, its leader among them, each waits for the other in a restore. */
#pragma once

#include <sys/types.h>

#include "../base/err.h"

/* The first such process, by its number in the guest; 0: there is none; -errno. */
pid_t zombies_find(pid_t init);

/* Waits until there are none. An init that is alive collects them soon: busybox's within a second, systemd at once. */
int zombies_await(pid_t init, struct err *err);
