/* The way into a running guest, which a checkpoint shuts while criu saves it: who came in would change what is being saved. */
#pragma once

#include "../base/err.h"
#include "../guest/store.h"

/* Waits until it is open, and keeps it so until *ret_fd is given to gate_leave: until the process that enters is in the guest's
 * group, where a checkpoint finds it. Returns 0, or 1 when it was shut before: the guest may have ended by then. -errno with
 * ERR_TIMEOUT after timeout_ms, and -ENOENT for a guest that has no run folder any more. */
int gate_enter(const struct store *store, const char *name, unsigned timeout_ms, int *ret_fd, struct err *err);
void gate_leave(int *fd);

/* Shuts it until the caller closes *ret_fd. -EAGAIN when somebody has been on the way in for a second. */
int gate_shut(const struct store *store, const char *name, int *ret_fd, struct err *err);
