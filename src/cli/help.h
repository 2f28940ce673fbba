/* Help texts, made from the verbs' tables. */
#pragma once

#include "verbs.h"

/* The overview; `wrong`: isle was called without a command, so it goes to stderr and the status is ERR_USAGE. */
int help_overview(bool wrong);
int help_verb(const struct verb *verb, bool lxc);
int help_version(void);

/* The verb or alias that was probably meant; false: none is near. */
bool help_near_verb(const char *name, char out[64]);

/* A group's title, "Life"; NULL for groups that help does not show. */
const char *help_group(enum verb_group group);
