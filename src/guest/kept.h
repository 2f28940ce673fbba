/* What of a sleeping guest stays in the kernel, for a quicker wake on the same host: its network namespace with all that is in it,
 * and the user namespace that has power over that. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "record.h"

/* Descriptors; -1: none. */
struct kept {
	int netns;
	int userns; /* a privileged guest has none */
};

/* While init lives: holds its namespaces by bind mounts below run/.kept-NAME until kept_take or kept_drop, or the host's end. id:
 * of the checkpoint that it is about to sleep in. After a failure nothing is held. That links lead from its network to others in
 * the guest is one. */
int kept_pin(const struct guest *guest, const struct record *record, const char *id, struct err *err);

/* Takes them for one wake, whatever becomes of it: they last as long as the descriptors then. Only when they are of that
 * checkpoint, and the ids and links are those of the record, each with the end that it had; and all are there. Where not, *ret has
 * none, and what was held is dropped. */
void kept_take(const struct guest *guest, const char *id, const struct record *record, struct kept *ret);
void kept_close(struct kept *kept);

/* Lets go of what is held, links too; does nothing where nothing is. What cannot be let go is tried again by the next start. */
void kept_drop(const struct store *store, const char *name);
