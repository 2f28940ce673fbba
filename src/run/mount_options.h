/* The words of a [mount] section's options. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"

enum mount_create { MOUNT_CREATE_NONE, MOUNT_CREATE_DIR, MOUNT_CREATE_FILE };

struct mount_options {
	uint64_t attributes; /* MOUNT_ATTR_* */
	bool optional;       /* a missing source is no error */
	bool idmap;          /* ids in the source are the guest's own */
	bool recursive;      /* with what is mounted below the source */
	int create;          /* enum mount_create: what is made when the target lacks */
	const char **data;   /* pairs for fsconfig(2), NULL-ended */
	char *text;          /* what data points into */
};

/* text NULL: none. Free with mount_options_free, also after a failure. -ENOMEM or -EINVAL. */
int mount_options_parse(const char *text, struct mount_options *ret, struct err *err);
void mount_options_free(struct mount_options *options);
