/* The history of a guest's usage: totals with their time, a line each, that thin out as they grow old. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "usage.h"

#define HISTORY_MOST (8u << 20)
#define LONG         (1u << 20) /* bytes, beyond which it is thinned; what is kept for three years is some 400 KiB */
#define DAY          86400u

/* A line is the time of the note and then these; a line of an older isle ends sooner, and one of a newer one later. */
static const struct column {
	size_t offset;
	bool real;
} column_table[] = {
#define COUNTER(counter_)                                              \
	{                                                              \
		offsetof(struct usage_total, counter[counter_]), false \
	}
	COUNTER(USAGE_CPU),
	{offsetof(struct usage_total, memory_byte_seconds), true},
	{offsetof(struct usage_total, disk_byte_seconds), true},
	COUNTER(USAGE_RX_BYTES),
	COUNTER(USAGE_TX_BYTES),
	{offsetof(struct usage_total, running_ms), false},
	COUNTER(USAGE_RX_PACKETS),
	COUNTER(USAGE_TX_PACKETS),
	COUNTER(USAGE_READ_BYTES),
	COUNTER(USAGE_WRITTEN_BYTES),
	COUNTER(USAGE_OOM_KILLS),
	{offsetof(struct usage_total, starts), false},
#undef COUNTER
};

#define COLUMNS      (sizeof(column_table) / sizeof(column_table[0]))
#define COLUMNS_ONCE 6 /* that every line has */

void usage_history_format(uint64_t at, const struct usage_total *total, char out[USAGE_HISTORY_LINE])
{
	auto_buf struct buf line = {0};

	buf_addf(&line, "%" PRIu64, at);
	for (size_t i = 0; i < COLUMNS; i++) {
		const char *from = (const char *)total + column_table[i].offset;

		if (column_table[i].real)
			buf_addf(&line, " %.0f", *(const double *)from);
		else
			buf_addf(&line, " %" PRIu64, *(const uint64_t *)from);
	}
	buf_add(&line, "\n");
	if (line.failed || str_copy(out, USAGE_HISTORY_LINE, line.data) < 0)
		out[0] = '\0'; /* no note is better than half of one */
}

static bool take_number(const char **line, uint64_t *ret, double *ret_real)
{
	char *end;

	if (**line < '0' || **line > '9')
		return false;
	errno = 0;
	if (ret_real)
		*ret_real = strtod(*line, &end);
	else
		*ret = strtoull(*line, &end, 10);
	if (errno || (*end != ' ' && *end != '\n' && *end != '\0'))
		return false;
	*line = end + (*end == ' ');
	return true;
}

bool usage_history_parse(const char *line, uint64_t *ret_at, struct usage_total *ret)
{
	struct usage_total total = {0};

	if (!take_number(&line, ret_at, NULL))
		return false;
	for (size_t i = 0; i < COLUMNS; i++) {
		char *at = (char *)&total + column_table[i].offset;

		if (i >= COLUMNS_ONCE && (*line == '\n' || *line == '\0'))
			break;
		if (!take_number(&line, (uint64_t *)at, column_table[i].real ? (double *)at : NULL))
			return false;
	}
	*ret = total;
	return true;
}

struct note {
	uint64_t at;
	struct usage_total total;
};

/* All notes that make sense, in the order of the file; a line that a crash cut short makes none. */
static int load(int guest_fd, struct note **ret, size_t *ret_count, struct err *err)
{
	auto_free char *text = NULL;
	size_t len = 0, lines = 1, count = 0;
	int r = file_read(guest_fd, USAGE_HISTORY, HISTORY_MOST, &text, &len);

	*ret = NULL;
	*ret_count = 0;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_num(err, r, "read " USAGE_HISTORY);
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	struct note *notes = calloc(lines, sizeof(*notes));

	if (!notes)
		return err_num(err, ENOMEM, "read " USAGE_HISTORY);
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
		if (usage_history_parse(line, &notes[count].at, &notes[count].total))
			count++;
	*ret = notes;
	*ret_count = count;
	return 0;
}

/* How far apart notes of that age need to be, in seconds; 0: they are not kept. */
static uint64_t spacing(uint64_t age)
{
	return age < DAY ? 300 : age < 35 * DAY ? 3600 : age < 3 * 366 * DAY ? DAY : 0;
}

static int rewrite(int guest_fd, struct note *notes, size_t count, uint64_t now, bool thin, struct err *err)
{
	auto_buf struct buf out = {0};
	uint64_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		char line[USAGE_HISTORY_LINE];
		uint64_t at = notes[i].at < now ? notes[i].at : now;
		uint64_t apart = thin ? spacing(now - at) : 1;

		/* The last note before each mark of the clock, so that sums by the hour and day stay exact. */
		if (apart == 0 || (i + 1 < count && notes[i + 1].at <= now && at / apart == notes[i + 1].at / apart && thin))
			continue;
		kept = at > kept ? at : kept;
		usage_history_format(kept, &notes[i].total, line);
		buf_add(&out, line);
	}
	if (out.failed)
		return err_num(err, ENOMEM, "write " USAGE_HISTORY);
	return file_replace(guest_fd, USAGE_HISTORY, out.data ? out.data : "", out.len, 0600, err);
}

/* The last note's time, 0 when there is none. *ret_torn: the file does not end with a whole line. */
static uint64_t last_time(int fd, off_t size, bool *ret_torn)
{
	char text[2 * USAGE_HISTORY_LINE + 1];
	const off_t most = sizeof(text) - 1, from = size > most ? size - most : 0;
	ssize_t n = pread(fd, text, (size_t)most, from);
	struct usage_total ignored;
	uint64_t at = 0, found = 0;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	*ret_torn = text[n - 1] != '\n';
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1)
		if ((line != text || from == 0) && usage_history_parse(line, &at, &ignored))
			found = at;
	return found;
}

int usage_history_add(int guest_fd, uint64_t at, const struct usage_total *total, struct err *err)
{
	auto_free struct note *notes = NULL;
	auto_close int fd = openat(guest_fd, USAGE_HISTORY, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	char line[1 + USAGE_HISTORY_LINE] = "\n";
	struct stat st;
	size_t count;
	bool torn = false;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open " USAGE_HISTORY);
	uint64_t last = last_time(fd, st.st_size, &torn);

	if (last > at || st.st_size > LONG) {
		r = load(guest_fd, &notes, &count, err);
		if (r == 0)
			r = rewrite(guest_fd, notes, count, at, st.st_size > LONG, err);
		if (r < 0)
			return r;
		close(fd);
		fd = openat(guest_fd, USAGE_HISTORY, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
		torn = false;
		if (fd < 0)
			return err_sys(err, "open " USAGE_HISTORY);
	}
	usage_history_format(at, total, line + torn);
	r = file_write_all(fd, line, strlen(line));
	return r < 0 ? err_num(err, r, "write " USAGE_HISTORY) : 0;
}

void usage_history_last(int guest_fd, uint64_t *ret_at, struct usage_total *ret)
{
	auto_free struct note *notes = NULL;
	size_t count;

	if (load(guest_fd, &notes, &count, NULL) < 0 || count == 0)
		return;
	*ret_at = notes[count - 1].at;
	*ret = notes[count - 1].total;
}

static uint64_t between(uint64_t a, uint64_t b, double part)
{
	return b > a ? a + (uint64_t)((double)(b - a) * part) : a;
}

int usage_at(int guest_fd, uint64_t when, const struct usage *now, struct usage_total *ret, struct err *err)
{
	auto_free struct note *notes = NULL;
	struct note before = {0}, after = {.at = now->at, .total = now->total};
	size_t count;
	int r = load(guest_fd, &notes, &count, err);

	if (r < 0)
		return r;
	if (when >= after.at) {
		*ret = after.total;
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		if (notes[i].at > when) {
			after = notes[i];
			break;
		}
		before = notes[i];
	}
	*ret = before.total;
	if (before.at == 0 || after.at <= before.at)
		return 0; /* nothing is known of the time before the first note */
	double part = (double)(when - before.at) / (double)(after.at - before.at);

	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		ret->counter[i] = between(before.total.counter[i], after.total.counter[i], part);
	ret->running_ms = between(before.total.running_ms, after.total.running_ms, part);
	ret->starts = between(before.total.starts, after.total.starts, part);
	ret->memory_byte_seconds += (after.total.memory_byte_seconds - before.total.memory_byte_seconds) * part;
	ret->disk_byte_seconds += (after.total.disk_byte_seconds - before.total.disk_byte_seconds) * part;
	return 0;
}
