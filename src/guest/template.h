/* Runs a template by LXC's interface. */
#pragma once

#include "store.h"

/* Where templates are looked for: isle's own folder, then /usr/share/lxc/templates (lxc-NAME). Caller frees *ret. */
int template_find(const char *name, char **ret, struct err *err);

/* Runs `PATH --path=DIR --name=NAME --rootfs=DIR/rootfs ARGS` with a config file in DIR in LXC's syntax, in
 * new mount and pid namespaces, so that nothing that it mounts or starts outlives it. Output to stderr when verbose or on a
 * terminal as progress; on failure err carries its last line. */
int template_run(const char *path, const char *dir, const char *name, const char *const *args, bool verbose, struct err *err);
