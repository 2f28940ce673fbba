/* A folder of its own for each test, removed afterwards even when the test made it hard to remove. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/base/file.h"

struct scratch {
	char path[64];
	int fd;
};

static inline int scratch_open(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));

	if (!scratch)
		return -1;
	(void)snprintf(scratch->path, sizeof(scratch->path), "/var/tmp/isle-test-XXXXXX");
	if (!mkdtemp(scratch->path))
		return -1;
	scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = scratch;
	return scratch->fd < 0 ? -1 : 0;
}

static inline int scratch_close(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	int r = file_remove_tree(AT_FDCWD, scratch->path, &err);

	if (r < 0)
		err_print(&err, "cannot clean up after a test");
	close(scratch->fd);
	free(scratch);
	return r;
}

#define scratch_test(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)
