/* Ends a guest because the host goes down: as its config wants it. */
#pragma once

#include "stop.h"

/* The guest is locked by the caller. With guest.on-shutdown = checkpoint it is put to sleep; where that cannot be done, which is
 * told by a warning and in its log, it is stopped like any other, as request says. A request to kill kills. */
int shutdown_guest(struct guest *guest, const struct stop_request *request, struct err *err);
