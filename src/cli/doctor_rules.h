/* isle doctor: nftables rules that are missing under what runs, and putting them back. */
#pragma once

#include "../kernel/host.h"
#include "verbs.h"

/* Fills *ret and returns 1 when rules of a network or of a running guest are missing, 0 when not. */
int doctor_find_rules(const struct store *store, struct host_finding *ret);

/* --rules: writes them again. */
int doctor_restore_rules(struct call *call, struct err *err);
