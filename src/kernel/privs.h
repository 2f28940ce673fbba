/* What a guest's processes may never do: capability bounding set, securebits, rlimits. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "../base/err.h"

/* The default drop list is in the source (privs.c), each with its reason. keep/drop: words such as "sys_time", NULL: none.
 * nesting adds nothing: containers inside bring user namespaces of their own. Gives the mask of capabilities that stay;
 * -EINVAL with the near match for an unknown name, or for a word in both lists. */
int privs_keep_mask(const char *keep, const char *drop, bool nesting, uint64_t *ret_mask, struct err *err);

/* In the calling process: bounding set = mask & the kernel's, permitted = effective = what it has of mask, inheritable and
 * ambient empty, secure bits as at boot. A mask without sys_admin: call seccomp_apply first, which needs it. */
int privs_apply(uint64_t mask, struct err *err);

/* All capabilities that are permitted, made effective again (after seteuid away from 0). */
int privs_raise(struct err *err);

/* Every rlimit, whatever the caller inherited; before the user namespace. RLIMIT_CORE 1 (soft and hard): the one value with
 * which the host's core handler is never run. RLIMIT_NOFILE 1024:524288 or less where the host allows less.
 * `limits` are hard limits that are asked for, UINT64_MAX: the default. One that this process may not set is an error. */
enum privs_limit {
	PRIVS_OPEN_FILES,
	PRIVS_LOCKED_MEMORY,
	PRIVS_FILE_SIZE,
	PRIVS_MESSAGE_QUEUES,
	PRIVS_PENDING_SIGNALS,
	PRIVS_LIMITS
};
struct privs_limits {
	uint64_t hard[PRIVS_LIMITS];
};
int privs_rlimits(const struct privs_limits *limits, struct err *err);

/* The hard limits that a process has now (proc_pid_limits(5)), UINT64_MAX: none. -ESRCH: there is no such process. */
int privs_limits_of(pid_t pid, struct privs_limits *ret);

/* What privs_rlimits sets where nothing is asked for, as far as this process may. */
uint64_t privs_limit_default(enum privs_limit limit);

/* The limit that a key of [limits] is, PRIVS_LIMITS when it is none. */
enum privs_limit privs_limit_named(const char *key);

/* Of those only what bounds the user namespace that is made next: for a process that makes one and does other work besides. */
int privs_budgets(const struct privs_limits *limits, struct err *err);

/* The calling process's own, for one that has those of a guest for a moment only. What it may not raise again stays as it is. */
struct privs_rlimits {
	struct rlimit at[RLIM_NLIMITS];
};
void privs_limits_save(struct privs_rlimits *ret);
void privs_limits_restore(const struct privs_rlimits *own);

/* A new, empty session keyring in place of the caller's, whose keys (Kerberos tickets, disk keys) every process possesses that
 * inherits it, whatever its user and namespaces are (session-keyring(7)). The keyring counts for the caller's uid. */
int privs_own_keyring(struct err *err);

/* Not to be traced, nor looked into through /proc, until it executes a program: after the last change of uid, which sets this from
 * fs.suid_dumpable (prctl(2), PR_SET_DUMPABLE). */
int privs_hide(struct err *err);

/* Default action for every signal, an empty signal mask, umask 022. */
void privs_reset_signals(void);

const char *privs_cap_name(unsigned cap); /* "sys_admin"; NULL beyond the last */
const char *privs_cap_lost(unsigned cap); /* why guests lose it by default; NULL: they keep it */
