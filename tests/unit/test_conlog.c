/* What the monitor keeps: the ring, the console's log, isle's own log, and how an end is named. */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/run/conlog.h"
#include "../../src/run/ending.h"
#include "../../src/run/eventlog.h"
#include "../../src/run/ring.h"

static int setup(void **state)
{
	static char path[40];

	snprintf(path, sizeof(path), "%s", "/tmp/isle-conlog-XXXXXX");
	assert_non_null(mkdtemp(path));
	int *fd = malloc(sizeof(*fd));

	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fd;
	return *fd < 0;
}

static int teardown(void **state)
{
	int *fd = *state;
	char link[64], path[256] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	assert_true(readlink(link, path, sizeof(path) - 1) > 0);
	close(*fd);
	free(fd);
	return file_remove_tree(AT_FDCWD, path, NULL);
}

static size_t copy_ring(const struct ring *ring, uint64_t from, char *out)
{
	size_t len = 0, n;
	const void *data;

	for (; (n = ring_peek(ring, from, &data)) > 0; from += n) {
		memcpy(out + len, data, n);
		len += n;
	}
	return len;
}

static void test_ring(void **state)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	char *out = malloc(RING_SIZE), *big = malloc(3 * RING_SIZE);
	uint64_t put = 0;

	(void)state;
	assert_int_equal(copy_ring(ring, 0, out), 0);
	ring_put(ring, "hello", 5);
	assert_int_equal(ring_oldest(ring), 0);
	assert_int_equal(copy_ring(ring, 0, out), 5);
	assert_memory_equal(out, "hello", 5);
	assert_int_equal(copy_ring(ring, 3, out), 2);
	assert_memory_equal(out, "lo", 2);

	/* Every position holds a byte that tells it. */
	*ring = (struct ring){0};
	while (put < 5 * RING_SIZE) {
		unsigned char piece[777];

		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = (put + i) % 251;
		ring_put(ring, piece, sizeof(piece));
		put += sizeof(piece);
		uint64_t oldest = ring_oldest(ring);

		assert_int_equal(ring->total, put);
		assert_int_equal(copy_ring(ring, oldest, out), put - oldest);
		assert_true(put - oldest <= RING_SIZE);
		assert_int_equal((unsigned char)out[0], oldest % 251);
		assert_int_equal((unsigned char)out[put - oldest - 1], (put - 1) % 251);
	}
	for (size_t i = 0; i < 3 * RING_SIZE; i++)
		big[i] = i / 1024;
	ring_put(ring, big, 3 * RING_SIZE);
	assert_int_equal(ring->total, put + 3 * RING_SIZE);
	assert_int_equal(copy_ring(ring, ring_oldest(ring), out), RING_SIZE);
	assert_memory_equal(out, big + 2 * RING_SIZE, RING_SIZE);
	free(big);
	free(out);
	free(ring);
}

static char *content(int dir, const char *name)
{
	char *text = NULL;

	return file_read(dir, name, 16 << 20, &text, NULL) == 0 ? text : NULL;
}

static long size_of(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (long)st.st_size : -1;
}

static void test_rotation(void **state)
{
	int dir = *(int *)*state;
	struct conlog log;
	char line[101];
	struct stat st;

	conlog_init(&log, dir, 10000, 0);
	for (int i = 0; i < 250; i++) {
		snprintf(line, sizeof(line), "%099d\n", i);
		conlog_write(&log, line, 100, 0);
		assert_true(size_of(dir, "log/console") <= 10000);
		assert_true(size_of(dir, "log/console.1") <= 10000);
	}
	conlog_close(&log);
	assert_int_equal(size_of(dir, "log/console"), 5000);
	assert_int_equal(size_of(dir, "log/console.1"), 10000);
	char *old = content(dir, "log/console.1"), *now = content(dir, "log/console");

	assert_int_equal(strtol(old, NULL, 10), 100);
	assert_int_equal(strtol(now, NULL, 10), 200);
	free(old);
	free(now);
	assert_int_equal(fstatat(dir, "log/console", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fstatat(dir, "log", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	/* The next monitor goes on in the same file, and a removed file or folder comes back. */
	conlog_init(&log, dir, 10000, 0);
	conlog_write(&log, line, 100, 0);
	assert_int_equal(size_of(dir, "log/console"), 5100);
	assert_int_equal(file_remove_tree(dir, "log", NULL), 0);
	conlog_write(&log, line, 100, 2000);
	assert_int_equal(size_of(dir, "log/console"), 100);
	conlog_close(&log);
}

static void test_off_and_odd(void **state)
{
	int dir = *(int *)*state;
	struct conlog log;
	char block[4096];

	memset(block, 'x', sizeof(block));
	conlog_init(&log, dir, 0, 0);
	conlog_write(&log, block, sizeof(block), 0);
	conlog_close(&log);
	assert_int_equal(size_of(dir, "log"), -1);

	/* Tiny limits are raised rather than overrun. */
	conlog_init(&log, dir, 1, 0);
	for (int i = 0; i < 20; i++)
		conlog_write(&log, block, sizeof(block), 0);
	conlog_close(&log);
	assert_true(size_of(dir, "log/console") <= 8192);
	assert_true(size_of(dir, "log/console.1") <= 8192);

	/* Somebody's link, folder or pipe in its place is not written to. */
	assert_int_equal(unlinkat(dir, "log/console", 0), 0);
	assert_int_equal(symlinkat("elsewhere", dir, "log/console"), 0);
	conlog_init(&log, dir, 100000, 0);
	conlog_write(&log, block, sizeof(block), 0);
	assert_int_equal(log.dropped, sizeof(block));
	assert_int_equal(size_of(dir, "log/elsewhere"), -1);
	assert_int_equal(unlinkat(dir, "log/console", 0), 0);
	assert_int_equal(mkfifoat(dir, "log/console", 0600), 0);
	conlog_write(&log, block, sizeof(block), 0);
	assert_int_equal(log.dropped, 2 * sizeof(block));
	assert_int_equal(unlinkat(dir, "log/console", 0), 0);
	conlog_write(&log, "back", 4, 0);
	char *text = content(dir, "log/console");

	assert_string_equal(text, "\r\n[isle: 8192 bytes of console output dropped: the log could not be written]\r\nback");
	free(text);
	conlog_close(&log);
}

static void test_rate(void **state)
{
	int dir = *(int *)*state;
	struct conlog log;
	char block[4096];
	uint64_t offered = 0;

	memset(block, 'x', sizeof(block));
	conlog_init(&log, dir, 64 << 20, 1000);
	for (int i = 0; i < 100 * 100; i++) { /* 40 MiB in 10 s */
		conlog_write(&log, block, sizeof(block), 1000 + i);
		offered += sizeof(block);
	}
	conlog_close(&log);
	assert_true(size_of(dir, "log/console") <= CONLOG_BURST + 10 * CONLOG_RATE + 4096);
	assert_true(size_of(dir, "log/console") >= CONLOG_BURST + 8 * CONLOG_RATE);
	char *text = content(dir, "log/console");
	uint64_t kept = 0, told = 0;

	for (const char *p = text; *p; p++)
		kept += *p == 'x';
	for (const char *p = text; (p = strstr(p, "[isle: ")); p++)
		told += strtoull(p + 7, NULL, 10);
	assert_int_equal(kept + told, offered); /* every byte is there or accounted for */
	assert_non_null(strstr(text, "dropped: too much at once]"));
	free(text);
}

static void test_eventlog(void **state)
{
	int dir = *(int *)*state;
	char number[EVENTLOG_NUMBER], small[8] = "abc", big[3000];

	eventlog_write(dir, "start", "started\nafter \x1b[31m2 s");
	char *text = content(dir, "log/isle");

	assert_int_equal(strlen(text), strlen("2025-01-31T12:00:00Z start: started?after ?[31m2 s\n"));
	assert_string_equal(text + 20, " start: started?after ?[31m2 s\n");
	assert_true(text[0] == '2' && text[4] == '-' && text[10] == 'T' && text[19] == 'Z');
	free(text);
	memset(big, 'y', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (int i = 0; i < 300; i++)
		eventlog_write(dir, "stop", big);
	assert_true(size_of(dir, "log/isle") <= EVENTLOG_MAX + 2048);
	assert_true(size_of(dir, "log/isle.1") <= EVENTLOG_MAX + 2048);
	assert_true(size_of(dir, "log/isle.1") > EVENTLOG_MAX);

	assert_string_equal(eventlog_number(number, 0), "0");
	assert_string_equal(eventlog_number(number, 18446744073709551615ull), "18446744073709551615");
	eventlog_add(small, sizeof(small), "defghijk");
	assert_string_equal(small, "abcdefg");
}

static void test_ending(void **state)
{
	char out[ENDING_SIZE];

	(void)state;
	ending_from_status(0, out);
	assert_string_equal(out, "exit:0");
	ending_from_status(255 << 8, out);
	assert_string_equal(out, "exit:255");
	ending_from_status(SIGHUP, out);
	assert_string_equal(out, "reboot");
	ending_from_status(SIGINT, out);
	assert_string_equal(out, "poweroff");
	ending_from_status(SIGKILL, out);
	assert_string_equal(out, "signal:9");
	ending_from_status(SIGSEGV | 0x80, out); /* with a core */
	assert_string_equal(out, "signal:11");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring),
		cmocka_unit_test_setup_teardown(test_rotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off_and_odd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eventlog, setup, teardown),
		cmocka_unit_test(test_ending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
