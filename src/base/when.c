/* Moments as people write them. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "str.h"
#include "when.h"

static int beginning(const char *text, uint64_t now, uint64_t *ret)
{
	time_t seconds = (time_t)now;
	struct tm tm;

	if (!localtime_r(&seconds, &tm))
		return -EINVAL;
	tm.tm_sec = tm.tm_min = tm.tm_hour = 0;
	if (strcmp(text, "month") == 0)
		tm.tm_mday = 1;
	tm.tm_isdst = -1;
	time_t begin = mktime(&tm);

	if (begin < 0)
		return -EINVAL;
	*ret = (uint64_t)begin;
	return 0;
}

static int date(const char *text, uint64_t *ret)
{
	static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S",
					    "%Y-%m-%d %H:%M:%S"};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, forms[i], &tm);

		if (!end || (*end && strcmp(end, "Z") != 0))
			continue;
		struct tm same = tm;

		/* The 31st of a shorter month is no day. By UTC, of which no clock change takes an hour away. */
		if (timegm(&same) < 0 || same.tm_mday != tm.tm_mday)
			return -EINVAL;
		time_t found = *end ? timegm(&tm) : mktime(&tm);

		if (found < 0)
			return -EINVAL;
		*ret = (uint64_t)found;
		return 0;
	}
	return -EINVAL;
}

int when_parse(const char *text, uint64_t now, uint64_t *ret)
{
	uint64_t ago;

	if (strcmp(text, "now") == 0) {
		*ret = now;
		return 0;
	}
	if (strcmp(text, "today") == 0 || strcmp(text, "month") == 0)
		return beginning(text, now, ret);
	if (*text == '@')
		return str_to_u64(text + 1, 0, INT64_MAX, ret);
	if (date(text, ret) == 0)
		return 0;
	if (str_to_duration(text, &ago) < 0 || ago / 1000 > now)
		return -EINVAL;
	*ret = now - ago / 1000;
	return 0;
}
