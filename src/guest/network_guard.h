/* Guarding the interfaces of running guests against spoofing, by what their run records say. */
#pragma once

#include "record.h"

/* Lets only what is theirs come out of a guest's links: one message to the kernel. Where the table is missing, as after somebody's
 * `flush ruleset`, it is made anew with all running guests of this instance in it. */
int network_guard(const struct store *store, const struct record *record, struct err *err);

/* Takes a guest's links out; they are deleted already. */
int network_unguard(const struct store *store, const struct record *record, struct err *err);

/* 1 when something that guards the links is missing in the kernel, 0 when not, -errno. */
int network_guard_lacks(const struct record *record);

/* Makes the table if it is missing and puts all running guests of this instance in. */
int network_guard_restore(const struct store *store, struct err *err);
