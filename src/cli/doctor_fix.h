/* isle doctor --fix: raises what many guests share, and shows before and after. */
#pragma once

#include "verbs.h"

/* *ret_guests: of --guests, 0 when it is not given. A usage error for options that do not go together. */
int doctor_check_options(const struct call *call, unsigned long *ret_guests, struct err *err);

/* 0; ERR_FAILED when the kernel did not take a value; -errno with err set. */
int doctor_fix(struct call *call, unsigned long guests, struct err *err);
