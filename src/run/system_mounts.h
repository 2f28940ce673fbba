/* Which device nodes of the host every guest finds in its /dev. */
#pragma once

#include <stdbool.h>

/* name: below /dev, "net/tun". */
bool system_mounts_node(const char *name);
