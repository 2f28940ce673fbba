/* What fuzz targets share: a demand that ends the run, a folder to write in, and a look for descriptors that stay open. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void demand(bool truth)
{
	if (!truth)
		abort();
}

/* A folder that tests/fuzz/run removes. Made once: a target runs in one process. */
static inline int fuzz_scratch(void)
{
	static int fd = -1;
	const char *given = getenv("FUZZ_SCRATCH");
	char path[] = "/tmp/isle-fuzz.XXXXXX";

	if (fd >= 0)
		return fd;
	fd = open(given ? given : mkdtemp(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	demand(fd >= 0);
	return fd;
}

/* The next number that open(2) would give: the same before and after when nothing stays open. */
static inline int fuzz_next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	demand(fd >= 0);
	close(fd);
	return fd;
}

/* A copy that ends with a NUL byte. The caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	demand(text);
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}
