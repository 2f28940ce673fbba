/* isle doctor: guests that do not see their own size as they should, and giving them the files of lxcfs. */
#pragma once

#include "../kernel/host.h"
#include "verbs.h"

/* Fills *ret and returns 1 when lxcfs is installed but not mounted, or running guests have the files of another one; 0 when not. */
int doctor_find_lxcfs(const struct store *store, struct host_finding *ret);

/* The same where it answers, but leaves guests the host's load average. */
int doctor_find_loadavg(struct host_finding *ret);

/* --lxcfs */
int doctor_renew_lxcfs(struct call *call, struct err *err);
