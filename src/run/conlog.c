/* The console's log file, without allocation or stdio because the monitor links it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conlog.h"
#include "eventlog.h"

#define FILE_NAME "log/console"
#define OLD_NAME  "log/console.1"

void conlog_init(struct conlog *log, int guest_fd, unsigned long max, uint64_t now_ms)
{
	*log = (struct conlog){
		.guest_fd = guest_fd,
		.fd = -1,
		.max = max && max < 8192 ? 8192 : max,
		.tokens = CONLOG_BURST,
		.refilled_ms = now_ms,
	};
}

static int open_file(struct conlog *log)
{
	struct stat st;

	log->fd = eventlog_open(log->guest_fd, FILE_NAME);
	if (log->fd < 0)
		return log->fd;
	if (fstat(log->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(log->fd);
		log->fd = -1;
		return -EINVAL;
	}
	log->size = st.st_size;
	return 0;
}

/* Makes sure that a file with a name and with room for len bytes is open. */
static int ready(struct conlog *log, size_t len, uint64_t now_ms)
{
	struct stat st;
	int r;

	if (log->fd >= 0 && now_ms - log->checked_ms >= 1000) {
		log->checked_ms = now_ms;
		if (fstat(log->fd, &st) < 0 || st.st_nlink == 0) { /* an administrator removed it */
			close(log->fd);
			log->fd = -1;
		}
	}
	if (log->fd < 0) {
		r = open_file(log);
		if (r < 0)
			return r;
	}
	if (log->size + len <= log->max)
		return 0;
	if (renameat(log->guest_fd, FILE_NAME, log->guest_fd, OLD_NAME) < 0 && errno != ENOENT)
		return -errno;
	close(log->fd);
	return open_file(log);
}

static int append(struct conlog *log, const void *data, size_t len, uint64_t now_ms)
{
	int r = ready(log, len, now_ms);
	ssize_t n;

	if (r < 0) {
		log->dropped += len;
		log->reason = -r;
		return r;
	}
	n = write(log->fd, data, len);
	if (n == (ssize_t)len) {
		log->size += len;
		return 0;
	}
	log->reason = n < 0 ? errno : ENOSPC;
	log->size += n > 0 ? n : 0;
	log->dropped += len - (n > 0 ? n : 0);
	return -log->reason;
}

static void note_dropped(struct conlog *log, uint64_t now_ms)
{
	uint64_t dropped = log->dropped;
	const char *why = "too much at once";
	char number[EVENTLOG_NUMBER];
	char text[160] = "\r\n[isle: ";

	if (log->reason == ENOSPC || log->reason == EDQUOT)
		why = "no space left on device";
	else if (log->reason)
		why = "the log could not be written";
	eventlog_add(text, sizeof(text), eventlog_number(number, dropped));
	eventlog_add(text, sizeof(text), " bytes of console output dropped: ");
	eventlog_add(text, sizeof(text), why);
	eventlog_add(text, sizeof(text), "]\r\n");
	if (append(log, text, strlen(text), now_ms) < 0) {
		log->dropped = dropped;
		return;
	}
	log->dropped = 0;
	log->reason = 0;
}

void conlog_write(struct conlog *log, const void *data, size_t len, uint64_t now_ms)
{
	uint64_t gained = (now_ms - log->refilled_ms) * CONLOG_RATE / 1000;

	if (log->max == 0)
		return;
	if (gained > 0) {
		log->tokens = log->tokens + gained < CONLOG_BURST ? log->tokens + gained : CONLOG_BURST;
		log->refilled_ms = now_ms;
	}
	if (log->tokens < len || (log->held_back && log->tokens < CONLOG_RATE / 2)) {
		log->held_back = true;
		log->dropped += len;
		return;
	}
	log->held_back = false;
	log->tokens -= len;
	if (log->dropped > 0)
		note_dropped(log, now_ms);
	(void)append(log, data, len, now_ms); /* what it cannot write it counts */
}

void conlog_close(struct conlog *log)
{
	if (log->max && log->dropped > 0)
		note_dropped(log, log->checked_ms);
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}
