/* What a guest's processes may never do: capability bounding set, securebits, rlimits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"

/* The default drop list is in the source (privs.c), each with its reason. keep/drop: words such as "sys_time", NULL: none.
 * Returns the mask of capabilities that stay; -EINVAL with the near match for an unknown name. */
int privs_keep_mask(const char *keep, const char *drop, bool nesting, uint64_t *ret_mask, struct err *err);

/* In the calling process: bounding set = mask & the kernel's, permitted = effective = mask, inheritable and ambient empty. */
int privs_apply(uint64_t mask, struct err *err);

/* All capabilities that are permitted, made effective again (after seteuid away from 0). */
int privs_raise(struct err *err);

/* RLIMIT_CORE 0 (soft and hard), RLIMIT_NOFILE 1024:524288 or less where the host allows less, and so on; before the user namespace.
 * open_files UINT64_MAX: the default. */
int privs_rlimits(uint64_t open_files, struct err *err);

/* Empties the table of inherited signals handlers and the signal mask, sets umask 022. */
void privs_reset_signals(void);

const char *privs_cap_name(unsigned cap); /* "sys_admin"; NULL beyond the last */
