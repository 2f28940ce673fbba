/* The environment of what isle executes in a guest. */
#pragma once

#include "attach.h"
#include "attach_user.h"
#include "run.h"

#define ENVIRONMENT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Init's: container=isle, container_uuid, PATH, TERM, the config's words (systemd.io/CONTAINER_INTERFACE). NULL-ended, caller never
 * frees: it is for exec. NULL when memory ran out. */
char **environment_init(const struct run *run);

/* A program's in `isle exec`: PATH, the user's HOME, USER, LOGNAME and SHELL, container=isle, the caller's TERM, LANG and LC_*
 * unless the request clears them, then what the request adds (a later value of a name takes the earlier one's place). */
char **environment_attach(const struct attach_request *request, const struct attach_user *user);
