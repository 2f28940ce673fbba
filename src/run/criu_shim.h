/* What criu and the library that isle preloads into it (criu_shim/shim.c) agree on. */
#pragma once

/* In criu's environment: the user, a number, who is to own the user namespace that a restore makes. */
#define CRIU_SHIM_OWNER "ISLE_CRIU_OWNER"

/* The number of a descriptor: the user namespace that a restore is to join where it would make one, with its id maps written
 * already. */
#define CRIU_SHIM_JOIN "ISLE_CRIU_JOIN"

/* In the environment of a criu that dumps: it sees a ramfs as a tmpfs. */
#define CRIU_SHIM_DUMPS "ISLE_CRIU_DUMPS"

/* In the environment of a criu that restores: the processes that it holds end with it, before they have run. */
#define CRIU_SHIM_RESTORES "ISLE_CRIU_RESTORES"
