/* The environment of what isle executes in a guest. */
#pragma once

#include "run.h"

#define ENVIRONMENT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Init's: container=isle, container_uuid, PATH, TERM, the config's words (systemd.io/CONTAINER_INTERFACE). NULL-ended, caller never
 * frees: it is for exec. NULL when memory ran out. */
char **environment_init(const struct run *run);
