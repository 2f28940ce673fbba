/* Live changes: what a changed config means for a guest that runs. */
#pragma once

#include "../guest/store.h"

/* The keys' facets that update_apply can redo in a running guest; a key with none of these takes effect at the next start. */
#define UPDATE_FACETS (FACET_CGROUP | FACET_LXCFS | FACET_FREE)

bool update_is_live(const struct key *key);

/* The caller holds the guest's lock; guest->spec is the new config, old the one before (NULL: nothing is compared). Does nothing to
 * a guest that does not run. Sets the limits that differ, and those of `kinds` (CGROUP_BIT) whether they differ or not: all or
 * none. What people should know of it is added to notes, a sentence a line; NULL: nobody wants to. */
int update_apply(struct guest *guest, const struct spec *old, unsigned kinds, struct buf *notes, struct err *err);

/* The caller holds the guest's lock. Notes in the run record that limits are being changed, from before the first until the config
 * is saved, so that the next command finds a change that was killed. 1 when that was news; 0 when the record says so already, or
 * the guest does not run. */
int update_mark(struct guest *guest, bool changing, struct err *err);

/* After such a death: all limits as the config has them. The next command tries again where that fails. */
void update_repair(struct guest *guest);
