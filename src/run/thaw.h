/* Frees a running guest of what a criu that was killed left in it. */
#pragma once

#include "../base/err.h"
#include "../guest/record.h"
#include "../guest/store.h"

/* Lets stopped processes go on, takes sockets out of repair (tcp(7) knows nothing of it: criu reads and writes connections by it),
 * and removes the packet filter by which criu kept connections still. A guest without any of that is left alone. An error is that
 * its processes could not be found; what the guest keeps from being done within a few seconds is only told in its log. */
int thaw_guest(const struct guest *guest, const struct record *record, struct err *err);
