/* The monitor's watch on processes that the kernel kills for want of memory, without allocation or stdio. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "eventlog.h"
#include "oom.h"

#define FIRST_LOOK_MS 100 /* cgroup v1 tells before it kills, and the log has its line a moment after the count */
#define NEXT_LOOK_MS  200
#define LOOKS         10
#define RECORD_MAX    4096
#define RECORDS_MOST  4000 /* of one look: others fill the log too */
#define IDS_SPAN      65536
#define WINDOW_MS     60000
#define WINDOW_LINES  20

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

static uint64_t read_count(const struct oom *oom)
{
	char text[4096];
	ssize_t n = pread(oom->count, text, sizeof(text) - 1, 0);
	const char *line;

	if (n <= 0)
		return oom->seen;
	text[n] = '\0';
	line = strstr(text, "\noom_kill ");
	return line ? strtoull(line + strlen("\noom_kill "), NULL, 10) : oom->seen;
}

void oom_init(struct oom *oom, bool fresh)
{
	oom->kmsg = -1;
	if (oom->watch < 0)
		return;
	(void)fcntl(oom->watch, F_SETFD, FD_CLOEXEC);
	(void)fcntl(oom->count, F_SETFD, FD_CLOEXEC);
	oom->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (oom->kmsg >= 0)
		(void)lseek(oom->kmsg, 0, SEEK_END); /* what is older is not of this run */
	oom->seen = 0;
	if (!fresh)
		oom->seen = read_count(oom);
	oom_event(oom);
}

void oom_event(struct oom *oom)
{
	uint64_t news;

	if (oom->watch != oom->count)
		(void)!read(oom->watch, &news, sizeof(news)); /* an eventfd; its number is of no interest */
	oom->looks = LOOKS;
	if (!oom->due_ms) /* a guest that is at its limit all the time brings an event every hundredth of a second */
		oom->due_ms = now_ms() + FIRST_LOOK_MS;
}

int oom_timeout(const struct oom *oom)
{
	uint64_t now = now_ms();

	if (!oom->due_ms)
		return -1;
	return oom->due_ms > now ? (int)(oom->due_ms - now) : 0;
}

/* The kernel's log */

/* The text behind "3,412,96,-;" (Documentation/ABI/testing/dev-kmsg) when it begins so; what follows that. Further on in a text the
 * kernel quotes names of groups, which are the guests' to choose. */
static const char *begins(const char *record, const char *words)
{
	const char *text = strchr(record, ';');

	text = text ? text + 1 : record;
	return strncmp(text, words, strlen(words)) == 0 ? text + strlen(words) : NULL;
}

/* "...: Killed process 123 (hog) total-vm:1kB, ..., UID:524288 pgtables:..." (mm/oom_kill.c, __oom_kill_process). The name may hold
 * anything but is followed by the last parenthesis. */
bool oom_parse(const char *record, struct oom_victim *ret)
{
	static const char *const ways[] = {"Memory cgroup out of memory: Killed process ", "Out of memory: Killed process ",
					   "Out of memory (oom_kill_allocating_task): Killed process "};
	const char *at = NULL, *open_at, *close_at, *uid;
	size_t len;

	for (size_t i = 0; !at && i < sizeof(ways) / sizeof(ways[0]); i++)
		at = begins(record, ways[i]);
	if (!at)
		return false;
	*ret = (struct oom_victim){.pid = strtol(at, NULL, 10)};
	if (ret->pid <= 0)
		return false;
	open_at = strchr(at, '(');
	close_at = strrchr(at, ')');
	if (!open_at || !close_at || close_at < open_at)
		return false;
	uid = strstr(close_at, " UID:");
	ret->uid = uid ? strtoull(uid + strlen(" UID:"), NULL, 10) : UINT64_MAX;
	len = close_at - open_at - 1;
	if (len >= sizeof(ret->name))
		len = sizeof(ret->name) - 1;
	memcpy(ret->name, open_at + 1, len);
	for (char *c = ret->name; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
	return true;
}

/* "oom-kill:...,task_memcg=/isle/web1/guest,task=hog,pid=123,uid=0" comes before, though not always: it is rate-limited. */
static void note_group(struct oom *oom, const char *record)
{
	const char *group = begins(record, "oom-kill:") ? strstr(record, ",task_memcg=/") : NULL, *pid = NULL;
	size_t len = strlen(oom->cgroup);

	if (!group)
		return;
	group += strlen(",task_memcg=/");
	for (const char *next = group; (next = strstr(next, ",pid=")); next++)
		pid = next;
	if (pid && strncmp(group, oom->cgroup, len) == 0 && (group[len] == '/' || group[len] == ','))
		oom->ours = strtol(pid + strlen(",pid="), NULL, 10);
}

static bool is_ours(const struct oom *oom, const struct oom_victim *victim)
{
	if (oom->ids)
		return victim->uid >= oom->ids && victim->uid < oom->ids + IDS_SPAN;
	return victim->pid == oom->ours;
}

/* Telling */

/* False when there were too many lines of late. */
static bool may_tell(struct oom *oom)
{
	uint64_t now = now_ms();

	if (now - oom->window_ms >= WINDOW_MS) {
		oom->window_ms = now;
		oom->lines = 0;
	}
	return oom->lines++ < WINDOW_LINES;
}

static void tell(const struct oom *oom, const char *what, const char *name, uint64_t number, const char *end)
{
	char text[160] = "out of memory: the kernel killed ", digits[EVENTLOG_NUMBER];

	eventlog_add(text, sizeof(text), what);
	eventlog_add(text, sizeof(text), name);
	eventlog_add(text, sizeof(text), *name ? " (process " : "");
	eventlog_add(text, sizeof(text), eventlog_number(digits, number));
	eventlog_add(text, sizeof(text), end);
	eventlog_write(oom->guest, "monitor", text);
}

static void note_last(const struct oom *oom, const struct oom_victim *victim)
{
	char text[128] = "", digits[EVENTLOG_NUMBER];
	struct timespec now = {0};
	int fd = openat(oom->run, ".oom", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	eventlog_add(text, sizeof(text), eventlog_number(digits, now.tv_sec > 0 ? now.tv_sec : 0));
	eventlog_add(text, sizeof(text), " ");
	eventlog_add(text, sizeof(text), eventlog_number(digits, victim->pid));
	eventlog_add(text, sizeof(text), " ");
	eventlog_add(text, sizeof(text), victim->name);
	eventlog_add(text, sizeof(text), "\n");
	if (write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		(void)renameat(oom->run, ".oom", oom->run, "oom"); /* it only informs */
	close(fd);
}

static void tell_victim(struct oom *oom, const struct oom_victim *victim)
{
	oom->found++;
	note_last(oom, victim);
	if (may_tell(oom))
		tell(oom, "", victim->name[0] ? victim->name : "?", victim->pid, ")");
	else
		oom->untold++;
}

static void read_log(struct oom *oom)
{
	char record[RECORD_MAX];

	for (int i = 0; oom->kmsg >= 0 && i < RECORDS_MOST; i++) {
		struct oom_victim victim;
		ssize_t n = read(oom->kmsg, record, sizeof(record) - 1);

		if (n < 0 && (errno == EPIPE || errno == EINTR || errno == EINVAL))
			continue; /* overwritten before it was read, or longer than any that is ours */
		if (n <= 0)
			return;
		record[n] = '\0';
		record[strcspn(record, "\n")] = '\0'; /* what follows are the record's tags */
		note_group(oom, record);
		if (oom_parse(record, &victim) && is_ours(oom, &victim))
			tell_victim(oom, &victim);
	}
}

/* False: it was looked often enough. */
static bool look_again(struct oom *oom)
{
	if (oom->looks == 0)
		return false;
	oom->looks--;
	oom->due_ms = now_ms() + NEXT_LOOK_MS;
	return true;
}

void oom_look(struct oom *oom)
{
	uint64_t count, news;

	if (!oom->due_ms || now_ms() < oom->due_ms)
		return;
	oom->due_ms = 0;
	count = read_count(oom);
	news = count > oom->seen ? count - oom->seen : 0;
	if (news == 0) {
		if (oom->watch != oom->count) /* v1 tells of the want, the kill is still to come */
			(void)look_again(oom);
		return;
	}
	read_log(oom);
	if (oom->found < news && oom->kmsg >= 0 && look_again(oom))
		return; /* the log's lines are still to come */
	if (oom->found < news)
		oom->untold += news - oom->found;
	oom->found = oom->found > news ? oom->found - news : 0; /* of a kill since the count was read */
	oom->seen = count;
	if (oom->untold && may_tell(oom)) {
		tell(oom, "", "", oom->untold, oom->untold == 1 ? " process more" : " processes more");
		oom->untold = 0;
	}
}
