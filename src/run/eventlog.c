/* guests/NAME/log/isle, without allocation, stdio or time zones because the monitor links it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "eventlog.h"

int eventlog_open(int guest_fd, const char *name)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(guest_fd, name, flags, 0600);

	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(guest_fd, "log", 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(guest_fd, name, flags, 0600);
	}
	return fd < 0 ? -errno : fd;
}

void eventlog_add(char *out, size_t size, const char *text)
{
	size_t at = strlen(out), n = strlen(text);

	if (n > size - 1 - at)
		n = size - 1 - at;
	memcpy(out + at, text, n);
	out[at + n] = '\0';
}

const char *eventlog_number(char out[EVENTLOG_NUMBER], unsigned long long n)
{
	char *p = out + EVENTLOG_NUMBER - 1;

	*p = '\0';
	do {
		*--p = '0' + n % 10;
		n /= 10;
	} while (n);
	return p;
}

static void put_digits(char *at, unsigned int value, int digits)
{
	while (digits-- > 0) {
		at[digits] = '0' + value % 10;
		value /= 10;
	}
}

/* UTC by arithmetic: gmtime(3) would bring the C library's time zones into the monitor. */
static void put_time(char out[21], time_t now)
{
	static const char month_days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	long days = now / 86400, seconds = now % 86400;
	unsigned int year = 1970, month = 0;

	for (;; year++) {
		int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

		if (days >= 365 + leap) {
			days -= 365 + leap;
			continue;
		}
		for (; days >= month_days[month] + (month == 1 && leap); month++)
			days -= month_days[month] + (month == 1 && leap);
		break;
	}
	memcpy(out, "0000-00-00T00:00:00Z", 21);
	put_digits(out, year, 4);
	put_digits(out + 5, month + 1, 2);
	put_digits(out + 8, days + 1, 2);
	put_digits(out + 11, seconds / 3600, 2);
	put_digits(out + 14, seconds / 60 % 60, 2);
	put_digits(out + 17, seconds % 60, 2);
}

void eventlog_write(int guest_fd, const char *who, const char *text)
{
	struct timespec now = {0};
	char line[1024];
	struct stat st;
	int fd;

	clock_gettime(CLOCK_REALTIME, &now);
	put_time(line, now.tv_sec > 0 ? now.tv_sec : 0);
	eventlog_add(line, 100, " ");
	eventlog_add(line, 100, who);
	eventlog_add(line, 102, ": ");
	eventlog_add(line, sizeof(line) - 1, text);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	eventlog_add(line, sizeof(line), "\n");

	fd = eventlog_open(guest_fd, "log/isle");
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > EVENTLOG_MAX && renameat(guest_fd, "log/isle", guest_fd, "log/isle.1") == 0) {
		close(fd);
		fd = eventlog_open(guest_fd, "log/isle");
		if (fd < 0)
			return;
	}
	(void)!write(fd, line, strlen(line)); /* best effort, see the header */
	close(fd);
}
