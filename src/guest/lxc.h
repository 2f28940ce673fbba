/* Reads LXC's config files and translates them into a spec. */
#pragma once

#include "spec.h"

/* Told once for each line that has no meaning here: what it says and what became of it. */
typedef void lxc_note(void *arg, const char *file, int line, const char *text);

/* Reads the file (lxc.include followed, at most 16 deep, folders of *.conf too) and sets in spec what the key table's .lxc
 * column and lxc.net.N.*, lxc.mount.entry, lxc.mount.fstab, lxc.environment, lxc.cap.*, lxc.cgroup*.* have a word for. What isle
 * does anyway (pty, tty, autodev, rootfs, cap.drop of what isle drops, mount.auto, idmap) is passed over in silence, and so is
 * what LXC's own files below /usr/share/lxc/config say, but that nesting.conf means security.nesting; any other key is told to
 * `note` (may be NULL) and passed over. Malformed lines and values are errors with file:line; spec may be changed by then. */
int lxc_read(const char *file, struct spec *spec, lxc_note *note, void *arg, struct err *err);
