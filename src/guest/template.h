/* Finds templates and runs them by LXC's interface. */
#pragma once

#include <stdbool.h>

#include "store.h"

/* Where templates are looked for, in this order: the folders in $ISLE_TEMPLATES (separated by colons), templates/ beside the
 * running program (the build tree), isle's own folder, LXC's (lxc-NAME). An absolute path is taken as it is. *ret: caller
 * frees. ERR_NOT_FOUND with the near match. */
int template_find(const char *name, char **ret, struct err *err);

/* Refuses (ERR_USAGE) words for a template that would take the place of isle's own: --rootfs and so on, spelled out, shortened as
 * getopt_long(3) lets them be, or by their letters. The last one counts, and it says which folder is written to. */
int template_check_args(const char *const *args, struct err *err);

/* isle's extension to the interface: `PATH --label ARGS` prints a word for the image's name and then whatever else of the host its
 * result depends on. *ret is NULL for a template that is not isle's own. Wrong ARGS are told here. Caller frees. */
int template_label(const char *path, const char *const *args, char **ret, struct err *err);

/* The environment of templates, NULL-ended: what concerns the network and archives is kept of the caller's, the rest is fixed, so
 * that a result does not depend on who made it. Caller frees with store_names_free. */
char **template_environment(void);

enum template_output {
	TEMPLATE_QUIET,    /* nothing */
	TEMPLATE_PROGRESS, /* on a terminal the last line, rewritten in place; elsewhere a plain line
			    * every two seconds */
	TEMPLATE_VERBOSE,  /* everything, a line at a time, control bytes as \xNN */
};

struct template_run {
	const char *path; /* the executable */
	const char *dir;  /* absolute; holds `config` in LXC's syntax, gets rootfs/ and `log` */
	const char *name;
	const char *const *args;     /* NULL-ended; NULL: none */
	enum template_output output; /* to stderr */
	int timeout_ms;              /* 0: none */
};

/* Runs `PATH --path=DIR --name=NAME --rootfs=DIR/rootfs ARGS` in mount and pid namespaces of its own: nothing that it mounts or
 * starts outlives it, nor the caller when that is killed. On failure err carries its last line. SIGINT, SIGTERM and SIGHUP
 * meanwhile end the template and are a failure (-EINTR), so that the caller can clear up. */
int template_run(const struct template_run *run, struct err *err);
