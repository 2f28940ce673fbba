/* What holds a guest's processes: the same for init and for whoever enters later. */
#pragma once

#include "../guest/spec.h"
#include "../guest/store.h"
#include "../kernel/seccomp.h"

struct confinement {
	struct seccomp_program filter;
	uint64_t capabilities; /* mask of those that stay */
	uint64_t open_files;
	bool arch32;      /* the guest is a 32-bit system */
	char profile[96]; /* AppArmor profile, "" for none */
};

/* Host side, for a guest of that name. Loads its AppArmor profile where the kernel has AppArmor. Free with confine_free. */
int confine_prepare(const struct store *store, const char *name, const struct spec *spec, struct confinement *ret, struct err *err);
void confine_free(struct confinement *confinement);

/* Gives the guest's AppArmor profile up, when it is destroyed. */
void confine_forget(const struct store *store, const char *name);

/* In the process that is to be confined while it still sees the host's /proc: the next execve enters the profile. */
int confine_label(const struct confinement *confinement, struct err *err);

/* Guest side, in this order; the filter last, since it forbids what the first does not need to do any more. */
int confine_powers(const struct confinement *confinement,
		   struct err *err);                                       /* signals, resource limits, personality, capabilities */
int confine_calls(const struct confinement *confinement, struct err *err); /* the system call filter */
