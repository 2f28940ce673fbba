/* isle doctor --criu: whether criu works here, shown by putting a tiny guest to sleep and waking it. */
#pragma once

#include "../kernel/host.h"
#include "verbs.h"

#define DOCTOR_CRIU_FINDINGS 4

/* Fills ret with what was found and returns how many; -errno when it could not be tried at all. The tiny guest lives in an instance
 * of its own, in the folder `doctor` beside the guests', which is gone afterwards; what a killed one left there is removed first.
 */
int doctor_try_criu(struct call *call, struct host_finding ret[DOCTOR_CRIU_FINDINGS], struct err *err);
