/* How a guest's init ended. */
#pragma once

#include <stdbool.h>

#define ENDING_SIZE 24

/* For a pidfd that has become readable. Child: reaps it. Else asks the kernel what its parent reaped (Linux 6.15), waiting up to a
 * second for that. Writes "reboot", "poweroff", "exit:N", "signal:N" or "unknown". Neither allocates nor uses stdio. */
void ending_of(int pidfd, bool is_child, char out[ENDING_SIZE]);

/* The same from a wait(2) status. */
void ending_from_status(int status, char out[ENDING_SIZE]);
