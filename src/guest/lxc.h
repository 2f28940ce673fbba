/* Reads LXC's config files and translates them into a spec. */
#pragma once

#include "spec.h"

/* Reads the file (lxc.include followed, at most 16 deep, folders of *.conf too) and sets in spec what the key table's .lxc
 * column and lxc.net.N.*, lxc.mount.entry, lxc.environment, lxc.signal.* have a word for. What isle does anyway
 * (pty, tty, autodev, cap.drop of what isle drops, mount.auto, device rules that isle allows) is passed over in silence; any other
 * key is told to `note` (may be NULL) and passed over. Malformed lines are errors with file:line. */
int lxc_read(const char *file, struct spec *spec, void (*note)(void *arg, const char *file, int line, const char *text), void *arg,
             struct err *err);
