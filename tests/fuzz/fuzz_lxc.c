/* LXC configs by chance: what is accepted must be a config that isle itself reads. */
#include "config.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/guest/lxc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, const char *file, int line, const char *text)
{
	*(size_t *)arg += strlen(file) + strlen(text) + (size_t)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	struct spec *spec = spec_new(), *again = NULL;
	struct err err = {0};
	size_t noise = 0;
	char path[40];

	if (fd < 0 || !spec || write(fd, data, size) != (ssize_t)size || str_print(path, sizeof path, "/proc/self/fd/%d", fd) < 0)
		abort();
	if (lxc_read(path, spec, ignore, &noise, &err)) {
		if (!err.what[0] || !err.where[0])
			abort(); /* a refusal without a reason or place */
	} else {
		char *text = spec_format(spec);

		if (!text || spec_parse(text, strlen(text), "again", &again, &err)) {
			/* Only a line that grew too long by joining may fail. */
			if (!text || !strstr(err.what, "is the most"))
				abort();
		}
		free(text);
	}
	spec_free(again);
	spec_free(spec);
	close(fd);
	return 0;
}
