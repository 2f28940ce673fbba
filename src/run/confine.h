/* What holds a guest's processes: the same for init and for whoever enters later. */
#pragma once

#include "../guest/spec.h"
#include "../kernel/seccomp.h"

struct confinement {
	struct seccomp_program filter;
	uint64_t capabilities; /* mask of those that stay */
	uint64_t open_files;
	bool arch32; /* the guest is a 32-bit system */
};

/* Host side. cache: the store's folder of compiled filters. Free with confine_free. */
int confine_prepare(const struct spec *spec, const char *cache, struct confinement *ret, struct err *err);
void confine_free(struct confinement *confinement);

/* Guest side, in this order; the filter last, since it forbids what the first does not need to do any more. */
int confine_powers(const struct confinement *confinement,
		   struct err *err);                                       /* signals, resource limits, personality, capabilities */
int confine_calls(const struct confinement *confinement, struct err *err); /* the system call filter */
