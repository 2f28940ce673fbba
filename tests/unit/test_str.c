/* Tests of src/base/str.c. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "../../src/base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void buffers(void **state)
{
	struct buf b = {0};
	char *taken;

	buf_add(&b, "");
	assert_string_equal(b.data, "");
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%03d,", i);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(b.data + 3996, "999,", 5);
	buf_add_bytes(&b, "\0x", 2);
	assert_int_equal(b.len, 4002);
	taken = buf_take(&b);
	assert_non_null(taken);
	assert_null(b.data);
	free(taken);

	taken = buf_take(&b); /* nothing was added: still a string */
	assert_string_equal(taken, "");
	free(taken);

	b.failed = true;
	buf_add(&b, "late");
	assert_null(b.data);
	assert_null(buf_take(&b));
	buf_free(&b);
	buf_free(&b);
}

static void huge_buffer_fails(void **state)
{
	struct buf b = {0};

	buf_add(&b, "x");
	buf_add_bytes(&b, "", SIZE_MAX - 1);
	assert_true(b.failed);
	assert_int_equal(b.len, 1);
	buf_free(&b);
}

static void copies(void **state)
{
	char small[4] = "???";

	assert_int_equal(str_copy(small, sizeof(small), "abc"), 0);
	assert_string_equal(small, "abc");
	assert_int_equal(str_copy(small, sizeof(small), "abcd"), -ENAMETOOLONG);
	assert_string_equal(small, "");
	assert_int_equal(str_copy(small, 0, ""), -ENAMETOOLONG);
	assert_int_equal(str_print(small, sizeof(small), "%d", 999), 0);
	assert_int_equal(str_print(small, sizeof(small), "%d", 1000), -ENAMETOOLONG);
}

static void numbers(void **state)
{
	static const char *const bad[] = {"", " 1", "1 ", "+1", "-1", "0x10", "1e3", "1.0", "a", "1\n", "99999999999999999999x"};
	uint64_t value = 7;

	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(str_to_u64(bad[i], 0, UINT64_MAX, &value), -EINVAL);
	assert_int_equal(str_to_u64(NULL, 0, 1, &value), -EINVAL);
	assert_int_equal(str_to_u64("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(str_to_u64("99999999999999999999999999", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(str_to_u64("4", 5, 9, &value), -ERANGE);
	assert_int_equal(str_to_u64("10", 5, 9, &value), -ERANGE);
	assert_int_equal(value, 7); /* untouched by every failure */
	assert_int_equal(str_to_u64("18446744073709551615", 0, UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(str_to_u64("007", 5, 9, &value), 0);
	assert_int_equal(value, 7);
}

static void sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0},
		{"4096", 4096},
		{"1K", 1024},
		{"1k", 1024},
		{"1KB", 1024},
		{"1KiB", 1024},
		{"10b", 10},
		{"512M", UINT64_C(512) << 20},
		{"1.5G", UINT64_C(1536) << 20},
		{"0.5K", 512},
		{"1.000000000000000000000K", 1024},
		{"2T", UINT64_C(2) << 40},
		{"3P", UINT64_C(3) << 50},
		{"15E", UINT64_C(15) << 60},
		{"18446744073709551615", UINT64_MAX},
	};
	static const char *const bad[] = {"",    "K",   "-1",  "1.5",  "1.",   ".5G", "1..5G", "1KK",  "1Ki",
					  "1 G", "1G ", "1GX", "0x1K", "1,5G", "G1",  "1iB",   "1.5B", "NaN"};
	uint64_t bytes = 7;

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(str_to_size(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
	bytes = 7;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(str_to_size(bad[i], &bytes), -EINVAL);
	assert_int_equal(str_to_size("16E", &bytes), -ERANGE);
	assert_int_equal(str_to_size("18446744073709551616", &bytes), -ERANGE);
	assert_int_equal(str_to_size("18014398509481984K", &bytes), -ERANGE);
	assert_int_equal(str_to_size(NULL, &bytes), -EINVAL);
	assert_int_equal(bytes, 7);
}

static void sizes_round_trip(void **state)
{
	uint64_t value = 1;
	char text[24];

	str_from_size(UINT64_C(1536) << 20, text);
	assert_string_equal(text, "1536M");
	str_from_size(0, text);
	assert_string_equal(text, "0");
	/* A walk over all magnitudes, with exact multiples of every unit on the way. */
	for (int i = 0; i < 20000; i++) {
		uint64_t tried = value >> (i % 64), back;

		if (i % 3 == 0)
			tried <<= (i / 3) % 7 * 10;
		str_from_size(tried, text);
		assert_int_equal(str_to_size(text, &back), 0);
		assert_true(back == tried);
		value = value * UINT64_C(6364136223846793005) + 1442695040888963407u;
	}
	str_from_size(UINT64_MAX, text);
	assert_string_equal(text, "18446744073709551615");
}

static void sizes_for_people(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{1536, "1.5 KiB"},
		{(1 << 20) - 1, "1 MiB"},
		{UINT64_C(3) << 29, "1.5 GiB"},
		{UINT64_MAX, "16 EiB"},
	};
	char text[16];

	for (size_t i = 0; i < COUNT(rows); i++) {
		str_show_size(rows[i].bytes, text);
		assert_string_equal(text, rows[i].text);
	}
}

static void durations(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"90", 90000},   {"90s", 90000},   {"500ms", 500}, {"2m", 120000},    {"2min", 120000},
		    {"1h", 3600000}, {"1d", 86400000}, {"0.5", 500},   {"1.5h", 5400000}, {"0", 0}};
	static const char *const bad[] = {"", "s", "-1", "1 s", "1x", "1hh", "1h30m", "1.s", "infinity"};
	uint64_t ms = 7;
	char text[32];

	for (size_t i = 0; i < COUNT(good); i++) {
		assert_int_equal(str_to_duration(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	ms = 7;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(str_to_duration(bad[i], &ms), -EINVAL);
	assert_int_equal(str_to_duration("18446744073709551615d", &ms), -ERANGE);
	assert_int_equal(ms, 7);

	str_show_duration(0, text);
	assert_string_equal(text, "0s");
	str_show_duration(12, text);
	assert_string_equal(text, "12s");
	str_show_duration(3600, text);
	assert_string_equal(text, "1h");
	str_show_duration(3 * 86400 + 4 * 3600 + 59 * 60, text);
	assert_string_equal(text, "3d 4h");
	str_show_duration(UINT64_MAX, text);
	assert_non_null(strstr(text, "d "));
}

static void near_matches(void **state)
{
	static const char *const keys[] = {"memory", "swap", "cpus", "processes", NULL, "", "disk"};
	char longest[200];

	assert_string_equal(str_near("memroy", keys, COUNT(keys)), "memory");
	assert_string_equal(str_near("Memory", keys, COUNT(keys)), "memory");
	assert_string_equal(str_near("memoryy", keys, COUNT(keys)), "memory");
	assert_string_equal(str_near("proceses", keys, COUNT(keys)), "processes");
	assert_string_equal(str_near("mem", keys, COUNT(keys)), "memory");
	assert_string_equal(str_near("mem", (const char *const[]){"memory-high", "memory", "mtu"}, 2), "memory");
	assert_string_equal(str_near("cpu", keys, COUNT(keys)), "cpus");
	assert_string_equal(str_near("dsik", keys, COUNT(keys)), "disk");
	assert_null(str_near("network", keys, COUNT(keys)));
	assert_null(str_near("x", keys, COUNT(keys)));
	assert_null(str_near("", keys, COUNT(keys)));
	assert_null(str_near(NULL, keys, COUNT(keys)));
	assert_null(str_near("swap", keys, 0));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(str_near(longest, keys, COUNT(keys)));
	assert_null(str_near("swap", (const char *const[]){longest}, 1));
}

static void escapes(void **state)
{
	static const struct {
		const char *raw;
		const char *shown;
	} rows[] = {
		{"plain", "plain"},
		{"a\nb\x1b[2J\x7f", "a\\x0ab\\x1b[2J\\x7f"},
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xc2\x9b"
		 "31m",
		 "\\xc2\\x9b31m"}, /* C1: a terminal takes it for ESC [ */
		{"\xff\xc3", "\\xff\\xc3"},
		{"\xc0\xaf", "\\xc0\\xaf"},          /* longer than needed */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
		{"\xf0\x9f\x8f\x9d", "\xf0\x9f\x8f\x9d"},
	};
	char tight[6];

	for (size_t i = 0; i < COUNT(rows); i++) {
		char *shown = str_escape(rows[i].raw);

		assert_string_equal(shown, rows[i].shown);
		free(shown);
	}
	assert_int_equal(str_escape_into(tight, sizeof(tight), "ab\n\n"), 2); /* no half escape */
	assert_string_equal(tight, "ab");
	assert_true(str_printable("gr\xc3\xbc"));
	assert_false(str_printable("a\tb"));
	assert_false(str_printable("\x7f"));
}

static void small_things(void **state)
{
	char *s = str_format("%s-%d", "a", 1);

	assert_string_equal(s, "a-1");
	free(s);
	assert_true(str_starts("isle-start", "isle-"));
	assert_true(str_starts("x", ""));
	assert_false(str_starts("is", "isle"));
	/* Published values of FNV-1a, 64 bits. */
	assert_true(str_hash(STR_HASH_SEED, "", 0) == UINT64_C(0xcbf29ce484222325));
	assert_true(str_hash(STR_HASH_SEED, "a", 1) == UINT64_C(0xaf63dc4c8601ec8c));
	assert_true(str_hash(STR_HASH_SEED, "foobar", 6) == UINT64_C(0x85944171f73967e8));
	assert_true(str_hash(str_hash(STR_HASH_SEED, "foo", 3), "bar", 3) == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers),
		cmocka_unit_test(huge_buffer_fails),
		cmocka_unit_test(copies),
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(sizes_round_trip),
		cmocka_unit_test(sizes_for_people),
		cmocka_unit_test(durations),
		cmocka_unit_test(near_matches),
		cmocka_unit_test(escapes),
		cmocka_unit_test(small_things),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
