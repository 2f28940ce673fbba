/* What adds up of a guest's usage, and what is kept of its history. */
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/str.h"
#include "../../src/base/when.h"
#include "../../src/run/usage.h"
#include "scratch.h"

#define BOOT1 "11111111-1111-1111-1111-111111111111"
#define BOOT2 "22222222-2222-2222-2222-222222222222"

static struct usage_look look_of(const char *boot, uint64_t now_ms, uint64_t now, uint64_t run, uint64_t cpu, uint64_t memory)
{
	struct usage_look look = {.now_ms = now_ms, .now = now, .runs = run != 0, .init_start = run, .begun_ms = run};

	(void)str_copy(look.boot_id, sizeof(look.boot_id), boot);
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		look.counter[i] = UINT64_MAX;
	look.counter[USAGE_CPU] = cpu;
	look.memory = memory;
	return look;
}

static void advance(struct usage *usage, struct usage_look look)
{
	usage_advance(usage, &look);
}

static void runs_add_up(void **state)
{
	struct usage usage = {0};

	(void)state;
	/* Begun 1 s after boot, looked at after 3 s: 2 s with 100 bytes. */
	advance(&usage, look_of(BOOT1, 3000, 5000, 1000, 700, 100));
	assert_int_equal(usage.total.counter[USAGE_CPU], 700);
	assert_int_equal(usage.total.running_ms, 2000);
	assert_int_equal((int)usage.total.memory_byte_seconds, 200);
	assert_int_equal(usage.total.starts, 1);
	/* 4 s on a straight line from 100 to 300. */
	advance(&usage, look_of(BOOT1, 7000, 5004, 1000, 1000, 300));
	assert_int_equal(usage.total.counter[USAGE_CPU], 1000);
	assert_int_equal((int)usage.total.memory_byte_seconds, 1000);
	assert_int_equal(usage.total.starts, 1);
	/* Another run whose counter is higher than the first one's ever was. */
	advance(&usage, look_of(BOOT1, 20000, 5017, 19000, 5000, 50));
	assert_int_equal(usage.total.counter[USAGE_CPU], 6000);
	assert_int_equal(usage.total.running_ms, 7000);
	assert_int_equal((int)usage.total.memory_byte_seconds, 1050);
	assert_int_equal(usage.total.starts, 2);
	/* It does not run: nothing is used. */
	advance(&usage, look_of(BOOT1, 90000, 5100, 0, UINT64_MAX, 0));
	assert_int_equal(usage.total.counter[USAGE_CPU], 6000);
	assert_int_equal(usage.total.running_ms, 7000);
	/* Another boot, with the same start time by chance. */
	advance(&usage, look_of(BOOT2, 20000, 9000, 19000, 10, 10));
	assert_int_equal(usage.total.counter[USAGE_CPU], 6010);
	assert_int_equal(usage.total.starts, 3);
}

static void a_counter_that_went_back_is_new(void **state)
{
	struct usage usage = {0};

	(void)state;
	advance(&usage, look_of(BOOT1, 2000, 100, 1000, 900, 0));
	advance(&usage, look_of(BOOT1, 3000, 101, 1000, 100, 0));
	assert_int_equal(usage.total.counter[USAGE_CPU], 1000);
	/* Not known for once: nothing is lost. */
	advance(&usage, look_of(BOOT1, 4000, 102, 1000, UINT64_MAX, 0));
	advance(&usage, look_of(BOOT1, 5000, 103, 1000, 150, 0));
	assert_int_equal(usage.total.counter[USAGE_CPU], 1050);
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 0);
}

static void a_run_that_nobody_cleared_up_takes_no_time(void **state)
{
	struct usage usage = {0};
	struct usage_look look = look_of(BOOT1, 3000, 100, 1000, 700, 100);

	(void)state;
	advance(&usage, look);
	look.now_ms = 900000;
	look.counter[USAGE_CPU] = 800;
	look.ended = true;
	advance(&usage, look);
	assert_int_equal(usage.total.counter[USAGE_CPU], 800);
	assert_int_equal(usage.total.running_ms, 2000);
	assert_int_equal((int)usage.total.memory_byte_seconds, 200);
	/* At last somebody does. */
	look.now_ms = 901000;
	look.ended = false;
	advance(&usage, look);
	assert_int_equal(usage.total.running_ms, 3000);
	assert_int_equal(usage.total.starts, 1);
}

/* The kernel adds up what it has of each disk, and forgets a disk that is taken out. */
static void a_disk_that_goes_takes_nothing_twice(void **state)
{
	struct usage usage = {0};
	struct usage_look look = look_of(BOOT1, 2000, 100, 1000, 0, 0);

	(void)state;
	look.counter[USAGE_READ_BYTES] = 11000;
	look.counter[USAGE_WRITTEN_BYTES] = 500;
	advance(&usage, look);
	look.counter[USAGE_READ_BYTES] = 10000;
	look.counter[USAGE_WRITTEN_BYTES] = 400;
	advance(&usage, look);
	assert_int_equal(usage.total.counter[USAGE_READ_BYTES], 11000);
	look.counter[USAGE_READ_BYTES] = 10050;
	look.counter[USAGE_WRITTEN_BYTES] = 450;
	advance(&usage, look);
	assert_int_equal(usage.total.counter[USAGE_READ_BYTES], 11050);
	assert_int_equal(usage.total.counter[USAGE_WRITTEN_BYTES], 550);
	/* Another run counts from nought. */
	look.init_start = 5000;
	look.counter[USAGE_READ_BYTES] = 7;
	advance(&usage, look);
	assert_int_equal(usage.total.counter[USAGE_READ_BYTES], 11057);
}

/* A guest whose files are on the host's disk can take the last block of it, and the last inode. */
static void a_full_disk_loses_nothing(void **state)
{
	const struct scratch *scratch = *state;
	const struct usage_recording recording = {.record = &(struct record){.link_count = 0}, .disk_age = UINT64_MAX};
	static const char text[] = "boot_id=none\ncpu_usec=30\ndisk=1000\ndisk_at=1000\nat=1000\nend\n";
	struct err err = {0};
	struct usage usage;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	/* The folder and three files. */
	assert_int_equal(mount("none", scratch->path, "tmpfs", 0, "nr_inodes=4"), 0);
	int fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct guest guest = {.dir_fd = fd, .lock_fd = -1};

	assert_int_equal(file_replace(fd, "usage", text, strlen(text), 0600, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		close(openat(fd, i ? "usage.lock" : USAGE_HISTORY, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_true(openat(fd, "more", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0);
	if (usage_record(&guest, &recording, NULL, &err) < 0)
		fail_msg("%s", err.what);
	assert_int_equal(usage_load(fd, &usage, NULL), 0);
	assert_int_equal(usage.total.counter[USAGE_CPU], 30);
	assert_true(usage.total.disk_byte_seconds > 1e9);
	assert_true(usage.at > 1000);
	close(fd);
	assert_int_equal(umount(scratch->path), 0);
}

static struct usage_look with_link(struct usage_look look, const char *host, uint64_t received)
{
	struct usage_link *link = &look.links[look.link_count++];

	(void)str_copy(link->host, sizeof(link->host), host);
	for (size_t i = 0; i < USAGE_LINK_COUNTERS; i++)
		link->counter[i] = received + i;
	return look;
}

static void interfaces_count_each_by_itself(void **state)
{
	struct usage usage = {0};
	const struct usage_look look = look_of(BOOT1, 2000, 100, 1000, 0, 0);
	const struct usage_look later = look_of(BOOT1, 3000, 101, 5000, 0, 0);

	(void)state;
	advance(&usage, with_link(with_link(look, "is-a", 1000), "is-a1", 10));
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1010);
	assert_int_equal(usage.total.counter[USAGE_TX_PACKETS], 1016);
	/* One cannot be asked for once, or is gone for good: the other goes on from where it was. */
	advance(&usage, with_link(look, "is-a1", 20));
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1020);
	advance(&usage, with_link(with_link(look, "is-a", 1005), "is-a1", 20));
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1025);
	advance(&usage, with_link(look, "is-a", 1006));
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1026);
	/* None at all. */
	advance(&usage, look);
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1026);
	/* One that was made anew begins at nought, and so do all of another run. */
	advance(&usage, with_link(look, "is-a", 4));
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1030);
	advance(&usage, with_link(later, "is-a", 6));
	assert_int_equal(usage.total.counter[USAGE_RX_BYTES], 1036);
}

static void a_clock_that_is_set_changes_nothing(void **state)
{
	struct usage usage = {0};

	(void)state;
	advance(&usage, look_of(BOOT1, 2000, 1000000, 1000, 0, 10));
	usage.disk = 1000;
	advance(&usage, look_of(BOOT1, 4000, 10, 1000, 0, 10));
	assert_int_equal((int)usage.total.disk_byte_seconds, 2000);
	assert_int_equal((int)usage.total.memory_byte_seconds, 30);
	advance(&usage, look_of(BOOT1, 5000, 99999999, 1000, 0, 10));
	assert_int_equal((int)usage.total.disk_byte_seconds, 3000);
	/* Over a boot there is no other clock; one that went back adds nothing. */
	advance(&usage, look_of(BOOT2, 5000, 5, 0, 0, 0));
	assert_int_equal((int)usage.total.disk_byte_seconds, 3000);
	advance(&usage, look_of(BOOT1, 1, 15, 0, 0, 0));
	assert_int_equal((int)usage.total.disk_byte_seconds, 13000);
}

static void notes_come_back(void **state)
{
	struct usage_total total = {.running_ms = 12345,
				    .starts = 9,
				    .memory_byte_seconds = 18446744073709551616.0,
				    .disk_byte_seconds = 3},
			   back;
	char line[USAGE_HISTORY_LINE];
	uint64_t at;

	(void)state;
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		total.counter[i] = 70 + i;
	total.counter[USAGE_CPU] = UINT64_MAX - 1;
	usage_history_format(1795184400, &total, line);
	assert_true(usage_history_parse(line, &at, &back));
	assert_int_equal(at, 1795184400);
	assert_memory_equal(&back, &total, sizeof(total));
	assert_false(usage_history_parse("1795184400 12", &at, &back));
	assert_false(usage_history_parse("x 1 2 3 4 5 6", &at, &back));
	assert_false(usage_history_parse("-1 1 2 3 4 5 6", &at, &back));
	assert_false(usage_history_parse("", &at, &back));
	/* Of an older isle, and of a newer one. */
	assert_true(usage_history_parse("1 1 2 3 4 5 6", &at, &back));
	assert_int_equal(back.running_ms, 6);
	assert_int_equal(back.starts, 0);
	assert_true(usage_history_parse("1 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n", &at, &back));
	assert_int_equal(back.starts, 12);
	assert_false(usage_history_parse("1 1 2 3 4 5 6 7 8x", &at, &back));
}

static void write_usage(int fd, const char *text)
{
	assert_int_equal(file_replace(fd, "usage", text, strlen(text), 0600, NULL), 0);
}

static void what_a_loss_of_power_left_is_made_good(void **state)
{
	char folder[] = "/tmp/isle-unit-usage-XXXXXX";
	struct usage_total total = {.running_ms = 5, .starts = 3};
	struct usage usage;

	(void)state;
	assert_non_null(mkdtemp(folder));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		total.counter[i] = 100 + i;
	assert_int_equal(usage_history_add(fd, 1700000000, &total, NULL), 0);
	/* The first file there ever was may not have got there at all. */
	assert_int_equal(usage_load(fd, &usage, NULL), 0);
	assert_memory_equal(&usage.total, &total, sizeof(total));
	write_usage(fd, "boot_id=x\ncpu_usec=9\nstarts=1\n");
	assert_int_equal(usage_load(fd, &usage, NULL), 0);
	assert_int_equal(usage.at, 1700000000);
	/* All of it: a counter that went back to nought would count twice for whoever reads it as one. */
	assert_memory_equal(&usage.total, &total, sizeof(total));
	write_usage(fd, "cpu_usec=9\nstarts=1\nlink=isa 1 2 3 4\nlink=bad 1 2\nlink=\nend\n");
	assert_int_equal(usage_load(fd, &usage, NULL), 0);
	assert_int_equal(usage.total.starts, 1);
	assert_int_equal(usage.link_count, 1);
	assert_string_equal(usage.links[0].host, "isa");
	assert_int_equal(usage.links[0].counter[3], 4);
	assert_int_equal(unlinkat(fd, USAGE_HISTORY, 0), 0);
	assert_int_equal(unlinkat(fd, "usage", 0), 0);
	close(fd);
	assert_int_equal(rmdir(folder), 0);
}

static void history_is_bounded(void **state)
{
	char folder[] = "/tmp/isle-unit-usage-XXXXXX";
	const uint64_t begin = 1700000000, step = 300, days = 60;
	struct usage_total total = {0}, found;
	struct usage now = {0};
	struct stat st;
	off_t most = 0;

	(void)state;
	assert_non_null(mkdtemp(folder));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (uint64_t i = 0; i < days * 288; i++) {
		total.counter[USAGE_CPU] = i * 1000000;
		total.counter[USAGE_RX_BYTES] = total.counter[USAGE_TX_BYTES] = UINT64_C(1) << 50;
		total.memory_byte_seconds = total.disk_byte_seconds = 1e20;
		assert_int_equal(usage_history_add(fd, begin + i * step, &total, NULL), 0);
		assert_int_equal(fstatat(fd, USAGE_HISTORY, &st, 0), 0);
		most = st.st_size > most ? st.st_size : most;
	}
	assert_true(most < 1100 << 10);
	now.at = begin + days * 288 * step;
	now.total = total;
	/* What is old is known by the day, and what is new by five minutes. */
	assert_int_equal(usage_at(fd, begin + 20 * 86400, &now, &found, NULL), 0);
	assert_in_range(found.counter[USAGE_CPU], (20 * 288 - 12) * UINT64_C(1000000), (20 * 288 + 12) * UINT64_C(1000000));
	assert_int_equal(usage_at(fd, now.at - 10 * step, &now, &found, NULL), 0);
	assert_int_equal(found.counter[USAGE_CPU], (days * 288 - 10) * 1000000u);
	assert_int_equal(usage_at(fd, begin - 1000, &now, &found, NULL), 0);
	assert_int_equal(found.counter[USAGE_CPU], 0);
	assert_int_equal(usage_at(fd, now.at + 1000, &now, &found, NULL), 0);
	assert_int_equal(found.counter[USAGE_CPU], total.counter[USAGE_CPU]);
	assert_int_equal(unlinkat(fd, USAGE_HISTORY, 0), 0);
	close(fd);
	assert_int_equal(rmdir(folder), 0);
}

static void moments(void **state)
{
	uint64_t at;

	(void)state;
	assert_int_equal(when_parse("1970-01-02Z", 0, &at), 0);
	assert_int_equal(at, 86400);
	assert_int_equal(when_parse("2026-11-20T14:30:05Z", 0, &at), 0);
	assert_int_equal(at, 1795185005);
	assert_int_equal(when_parse("@17", 0, &at), 0);
	assert_int_equal(at, 17);
	assert_int_equal(when_parse("2h", 10000, &at), 0);
	assert_int_equal(at, 2800);
	assert_int_equal(when_parse("now", 10000, &at), 0);
	assert_int_equal(at, 10000);
	assert_int_equal(when_parse("today", 1795185005, &at), 0);
	assert_in_range(1795185005 - at, 0, 86400 + 3600);
	assert_true(when_parse("2026-02-31Z", 0, &at) < 0);
	assert_true(when_parse("2026-02-30", 0, &at) < 0);
	assert_true(when_parse("2026-04-31T12:00", 0, &at) < 0);
	assert_int_equal(when_parse("2028-02-29", 0, &at), 0);
	assert_true(when_parse("2026-13-01", 0, &at) < 0);
	assert_true(when_parse("", 0, &at) < 0);
	assert_true(when_parse("soon", 0, &at) < 0);
	assert_true(when_parse("5h", 100, &at) < 0);
	assert_true(when_parse("@-1", 0, &at) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_add_up),
		cmocka_unit_test(a_counter_that_went_back_is_new),
		cmocka_unit_test(notes_come_back),
		cmocka_unit_test(a_clock_that_is_set_changes_nothing),
		cmocka_unit_test(moments),
		cmocka_unit_test(history_is_bounded),
		cmocka_unit_test(interfaces_count_each_by_itself),
		cmocka_unit_test(a_run_that_nobody_cleared_up_takes_no_time),
		cmocka_unit_test(a_disk_that_goes_takes_nothing_twice),
		scratch_test(a_full_disk_loses_nothing),
		cmocka_unit_test(what_a_loss_of_power_left_is_made_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
