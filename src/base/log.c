/* Log: levels, one sink, and a ring of recent lines for when a command fails. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "str.h"

#define RING_LINES 64
#define LINE_SIZE  200

static struct {
	int fd;
	enum log_level level;
	unsigned written; /* lines ever written; the ring's next slot is this modulo its size */
	char ring[RING_LINES][LINE_SIZE];
} sink = {.fd = STDERR_FILENO, .level = LOG_LEVEL_WARN};

static const char *const prefixes[] = {
	[LOG_LEVEL_ERROR] = "isle: error: ",
	[LOG_LEVEL_WARN] = "isle: warning: ",
	[LOG_LEVEL_INFO] = "isle: ",
	[LOG_LEVEL_DEBUG] = "isle: debug: ",
};

void log_open(int fd, enum log_level level)
{
	sink.fd = fd;
	sink.level = level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno; /* a line between a failed call and its err_sys() must not change the reason */
	char *line = sink.ring[sink.written++ % RING_LINES];
	char raw[LINE_SIZE];
	int prefix = snprintf(line, LINE_SIZE, "%s", prefixes[level]);
	size_t len = (size_t)prefix;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof(raw), fmt, ap) > 0)
		len += str_escape_into(line + prefix, LINE_SIZE - (size_t)prefix - 1, raw);
	va_end(ap);
	line[len] = '\n';
	line[len + 1] = '\0';
	if (level <= sink.level && sink.fd >= 0)
		(void)file_write_all(sink.fd, line, len + 1); /* a full disk must not fail the command */
	errno = saved;
}

void log_dump(int fd)
{
	unsigned first = sink.written > RING_LINES ? sink.written - RING_LINES : 0;

	for (unsigned i = first; i < sink.written; i++) {
		const char *line = sink.ring[i % RING_LINES];

		if (dprintf(fd, "%s", line) < 0)
			return;
	}
}
