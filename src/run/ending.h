/* How a guest's init ended. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define ENDING_SIZE 24

/* For a pidfd that has become readable. Child: reaps it. Else looks at what its parent has not reaped yet, or asks the kernel for
 * what it keeps with the pidfd (Linux 6.15), waiting up to a second for that. Neither tells a reboot for certain from an exit 0
 * or a SIGKILL once the parent was quicker, so those two are then "unknown". Writes "reboot", "poweroff", "exit:N", "signal:N" or
 * "unknown". Neither allocates nor uses stdio. */
void ending_of(int pidfd, pid_t pid, bool is_child, char out[ENDING_SIZE]);

/* The same from a wait(2) status. */
void ending_from_status(int status, char out[ENDING_SIZE]);
