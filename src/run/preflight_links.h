/* What a guest made of its interfaces that criu could save but not put back. */
#pragma once

#include "../base/err.h"
#include "../guest/record.h"

/* ERR_FAILED, with what to do about it, for a guest whose interface has another name than it was given, or whose own has its name.
 * One that it deleted, or moved to a network of its own making, is no obstacle. */
int preflight_links(const char *guest, const struct record *record, struct err *err);
