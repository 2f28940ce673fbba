/* What /proc tells of a process and its threads. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "file.h"
#include "status.h"
#include "str.h"

#define STATUS_MAX (4u << 20)

int status_read(pid_t pid, pid_t thread, char **ret)
{
	char path[64];

	(void)str_print(path, sizeof(path), "/proc/%d/task/%d/status", pid, thread);
	int r = file_read(AT_FDCWD, path, STATUS_MAX, ret, NULL);

	return r == -ENOENT ? -ESRCH : r;
}

const char *status_field(const char *status, const char *name)
{
	size_t len = strlen(name);

	/* A newline in the name in the first line is written in another way. */
	for (const char *line = status; line && *line; line = strchr(line, '\n')) {
		line += line[0] == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, "\t ");
	}
	return NULL;
}

/* Behind the last tab of "NSpid:\t4711\t1". */
pid_t status_last(const char *status, const char *name)
{
	const char *at = status_field(status, name);
	uint64_t number = 0;

	if (!at)
		return 0;
	auto_free char *line = strndup(at, strcspn(at, "\n"));
	char *tab = line ? strrchr(line, '\t') : NULL;

	return line && str_to_u64(tab ? tab + 1 : line, 0, INT32_MAX, &number) == 0 ? (pid_t)number : 0;
}

uint64_t status_mask(const char *status, const char *name)
{
	const char *mask = status_field(status, name);

	return mask ? strtoull(mask, NULL, 16) : UINT64_MAX;
}
