/* Gives a stopped guest another name. */
#pragma once

#include "../guest/store.h"

/* Takes both names' locks (in the order of the names, so that two renames cannot wait for each other). ERR_STATE unless the guest
 * is stopped, ERR_FAILED when the new name is taken. The host name inside follows unless the config sets its own; ids, MACs and
 * addresses stay. On failure the guest is as it was. */
int rename_guest(const struct store *store, const char *from, const char *to, struct err *err);

/* For a start: tells the locked guest its name when a rename was killed before it could. Costs one look when there is nothing to
 * do. */
void rename_finish(struct guest *guest);
