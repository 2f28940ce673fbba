/* AppArmor: a profile per guest, compiled once, loaded at start, entered when its init is executed. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "../base/err.h"

/* Makes sure that profile `name` is in the kernel: made from config/apparmor/guest.profile, compiled by apparmor_parser into cache
 * (nesting: without the rules that guests inside it could not live with; a folder of root's, 0700) unless it is there already,
 * loaded through libapparmor unless it is loaded. -EOPNOTSUPP when the parser is missing (hint: the package). Call it only where
 * host_get()->apparmor. */
int apparmor_load(const char *name, bool nesting, const char *cache, struct err *err);

/* Takes the profile out of the kernel and the cache. One that is not there is success. */
int apparmor_remove(const char *name, const char *cache, struct err *err);

/* The calling process's next execve enters the profile (as aa_change_onexec(2) has it); until then nothing changes for it. */
int apparmor_on_exec(const char *name, struct err *err);

/* The label that a process runs under, "NAME (MODE)" or "unconfined"; caller frees. NULL when the kernel has no AppArmor or the
 * process is gone. */
char *apparmor_label(pid_t pid);
