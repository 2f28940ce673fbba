/* Live changes: what a changed config means for a guest that runs. */
#pragma once

#include "../guest/store.h"

/* The keys' facets that update_apply can redo in a running guest; a key with none of these takes effect at the next start. */
#define UPDATE_FACETS (FACET_CGROUP | FACET_FREE)

/* True when a change of the key from old to now is one that update_apply makes good: a limit that is lifted altogether stays
 * until the next start. Each is the struct spec, or the key's element of it. */
bool update_is_live(const struct key *key, const void *old, const void *now);

/* The caller holds the guest's lock; guest->spec is the new config, old the one before. Does nothing to a guest that does not run.
 * Redoes what differs in the facets; what was changed is set back when a part fails. */
int update_apply(struct guest *guest, const struct spec *old, unsigned facets, struct err *err);
