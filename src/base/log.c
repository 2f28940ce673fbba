/* Log: levels and one sink. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "file.h"
#include "log.h"
#include "str.h"

#define LINE_SIZE 200

static struct {
	int fd;
	enum log_level level;
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
	char line[LINE_SIZE], raw[LINE_SIZE];

	if (level > sink.level || sink.fd < 0)
		return;
	int prefix = snprintf(line, LINE_SIZE, "%s", prefixes[level]);
	size_t len = (size_t)prefix;
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof(raw), fmt, ap) > 0)
		len += str_escape_into(line + prefix, LINE_SIZE - (size_t)prefix - 1, raw);
	va_end(ap);
	line[len++] = '\n';
	(void)file_write_all(sink.fd, line, len); /* a full disk must not fail the command */
	errno = saved;
}
