/* Checkpoints in folders of the administrator's (--to): what such a folder must be, and the note of one that is being made. */
#pragma once

#include "checkpoint.h"

#define CHECKPOINT_NEW ".new-" /* before the name of one that is being made */

/* Chooses the place that path names: parent, name and path of *ret are set, and what is made there is noted in the guest's folder
 * until checkpoint_place_done. What was set is the caller's to close also after a failure. */
int checkpoint_place_choose(struct guest *guest, const char *path, struct checkpoint_place *ret, struct err *err);

/* Nothing half made is left in the place. */
void checkpoint_place_done(struct guest *guest);

/* Removes what a killed command has left half made in such a folder. */
void checkpoint_place_sweep(struct guest *guest);
