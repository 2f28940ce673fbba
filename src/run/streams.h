/* What systemd's journal knows of the units' output: it finds that again by the numbers of sockets, and those are others after a
 * wake. */
#pragma once

#include "run.h"

/* Among the images: init's sockets, a line each: descriptor, device, number. */
#define STREAMS_IMAGE "sockets"

/* While init stands still. Nothing is written of one that is not systemd. */
int streams_save(const struct record *record, int images, struct err *err);

/* When init has been restored and does not run yet: names the journal's files by the sockets' new numbers, as the guest's root
 * inside of it. sockets: the image's text. What cannot be done is noted in the guest's log: units go on, but a journal that is
 * started anew then takes no more of what they say. */
void streams_renumber(const struct run *run, pid_t init, const char *sockets);
