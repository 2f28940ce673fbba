/* What is another in a clone of a running guest than in the one that its images were made of. */
#pragma once

#include "run.h"

/* Lays over the images in the folder at `images` those that hold the source's ids; scratch: a folder for them. The caller's mount
 * namespace is its own. */
int restore_clone_images(const struct run *run, const char *images, const char *scratch, struct err *err);

/* When its processes are there and do not run yet: the owners of its control groups, the host name, and MACs, addresses and default
 * routes of its interfaces. */
int restore_clone_settle(struct run *run, pid_t init, struct err *err);

/* Daemons that would go by the identity of the source read theirs when they begin to run: sshd its host keys, journald the
 * machine-id. */
void restore_clone_nudge(const struct run *run, pid_t init);
