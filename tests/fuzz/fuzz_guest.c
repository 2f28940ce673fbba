/* What isle reads of a guest's own making, by chance: tables of users, and output on its way to a terminal, a log or JSON. */
#include "config.h"

#include "../../src/base/str.h"
#include "../../src/cli/logview.h"
#include "../../src/run/attach_user.h"
#include "../../src/run/conlog.h"
#include "../../src/run/eventlog.h"
#include "fuzz.h"

/* The text up to the first NUL byte is whom to look for, then passwd, then group. */
static void users(const uint8_t *data, size_t size)
{
	struct attach_user user = {0};
	struct err err = {0};
	const uint8_t *first = memchr(data, 0, size), *second = first ? memchr(first + 1, 0, size - (size_t)(first + 1 - data)) : NULL;

	if (!second)
		return;
	char *wanted = fuzz_text(data, (size_t)(first - data));
	char *passwd = fuzz_text(first + 1, (size_t)(second - first - 1));
	char *group = fuzz_text(second + 1, size - (size_t)(second + 1 - data));

	if (attach_user_choose(*wanted ? wanted : NULL, passwd, group, &user, &err) < 0)
		demand(err.what[0]);
	else
		demand(user.group_count > 0 && user.group_count <= ATTACH_GROUPS_MAX && user.uid != (uid_t)-1 && user.gid != (gid_t)-1 &&
		       user.shell[0] && memchr(user.name, 0, sizeof(user.name)) && memchr(user.home, 0, sizeof(user.home)));
	free(wanted);
	free(passwd);
	free(group);
}

/* Nothing that drives a terminal is in it. */
static void demand_harmless(const struct buf *out)
{
	for (size_t i = 0; i < out->len; i++) {
		unsigned char c = (unsigned char)out->data[i];

		demand(c >= 0x20 || c == '\n' || c == '\t');
		demand(c != 0x7f);
		/* C1 control characters are c2 80 to c2 9f. */
		demand(!(c == 0xc2 && i + 1 < out->len && (unsigned char)out->data[i + 1] < 0xa0));
	}
}

static void output(const uint8_t *data, size_t size)
{
	auto_buf struct buf whole = {0}, parts = {0}, line = {0};
	const char *text = (const char *)data + 2;
	size_t len = size - 2, cut = (data[0] << 8 | data[1]) % (len + 1);

	demand(logview_escape(&whole, text, len, true) == len);
	demand_harmless(&whole);
	/* However it comes, it reads the same. */
	size_t taken = logview_escape(&parts, text, cut, false);

	demand(taken <= cut);
	demand(logview_escape(&parts, text + taken, len - taken, true) == len - taken);
	demand(whole.len == parts.len && (whole.len == 0 || memcmp(whole.data, parts.data, whole.len) == 0));
	logview_utf8(&line, text, len);
}

static void words(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *shown = str_escape(text), small[40];
	size_t len = str_escape_into(small, sizeof(small), text);
	struct buf out = {.data = shown, .len = strlen(shown)};

	demand_harmless(&out);
	demand(!strpbrk(shown, "\n\t"));
	demand(len < sizeof(small) && strlen(small) == len && strncmp(small, shown, len) == 0);
	free(shown);
	free(text);
}

/* The console's log keeps to its size, whatever comes how quickly. */
static void log_file(const uint8_t *data, size_t size)
{
	struct conlog log;
	uint64_t now = 1000;

	conlog_init(&log, fuzz_scratch(), 8192, now);
	while (size > 2) {
		size_t len = (size_t)(data[0] + 1) * 16, have = size - 2;

		now += data[1] * 100;
		conlog_write(&log, data + 2, len < have ? len : have, now);
		len = len < have ? len : have;
		data += 2 + len;
		size -= 2 + len;
		demand(log.size <= 8192 + 4096);
	}
	conlog_close(&log);
	eventlog_write(fuzz_scratch(), "fuzz", "text");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int next;

	(void)fuzz_scratch();
	next = fuzz_next_fd();
	if (size < 4)
		return 0;
	switch (data[0] % 4) {
	case 0:
		users(data + 1, size - 1);
		break;
	case 1:
		output(data + 1, size - 1);
		break;
	case 2:
		words(data + 1, size - 1);
		break;
	case 3:
		log_file(data + 1, size - 1);
		break;
	}
	demand(fuzz_next_fd() == next);
	return 0;
}
