/* What holds a guest's processes: the same for init and for whoever enters later. */
#pragma once

#include "../guest/spec.h"
#include "../guest/store.h"
#include "../kernel/privs.h"
#include "../kernel/seccomp.h"

struct confinement {
	struct seccomp_program filter;
	uint64_t capabilities; /* mask of those that stay */
	struct privs_limits limits;
	bool arch32;      /* the guest is a 32-bit system */
	char profile[96]; /* AppArmor profile, "" for none */
};

/* Host side, for a guest of that name. Loads its AppArmor profile where the kernel has AppArmor. init: of a guest that runs, which
 * goes on under the profile that it was started with, whatever its config says by now; 0: it is started. Free with
 * confine_free. */
int confine_prepare(const struct guest *guest, pid_t init, struct confinement *ret, struct err *err);
void confine_free(struct confinement *confinement);

/* Gives the guest's AppArmor profile up, when it is destroyed. */
void confine_forget(const struct store *store, const char *name);

/* While the process has the host's powers, to raise what its caller had lowered. What makes the guest's user namespace has them
 * when it does so, since some become the namespace's own bounds (user_namespaces(7)). */
int confine_limits(const struct confinement *confinement, struct err *err);
int confine_budgets(const struct confinement *confinement, struct err *err); /* only those */

/* In the process that is to be confined while it still sees the host's /proc: the next execve enters the profile. */
int confine_label(const struct confinement *confinement, struct err *err);

/* Guest side, in this order; the filter last, since it forbids what the first does not need to do any more. */
int confine_powers(const struct confinement *confinement, struct err *err); /* signals, personality, capabilities */
int confine_calls(const struct confinement *confinement, struct err *err);  /* the system call filter */
