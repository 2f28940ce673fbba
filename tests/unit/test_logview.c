/* A guest's output on the administrator's terminal: nothing in it may drive that. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/cli/logview.h"

static const struct {
	const char *in, *out;
} cases[] = {
	{"plain\ttext\n", "plain\ttext\n"},
	{"dos\r\nline\r\n", "dos\nline\n"},
	{"over\rwritten", "over\\x0dwritten"},
	{"\033[0;1;32mOK\033[0m \033[mx", "OK x"},
	{"\033[2J\033[H", "\\x1b[2J\\x1b[H"},
	{"\033]0;title\007", "\\x1b]0;title\\x07"},
	{"\033[31", "\\x1b[31"},
	{"\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m", "\\x1b[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m"},
	{"bell\a del\177 nul", "bell\\x07 del\\x7f nul"},
	{"gr\303\274n \342\202\254 \360\237\230\200", "gr\303\274n \342\202\254 \360\237\230\200"},
	{"c1 \302\233 31m", "c1 \\xc2\\x9b 31m"},
	{"raw \233", "raw \\x9b"},
	{"cut \342\202", "cut \\xe2\\x82"},
	{"overlong \300\257 \340\200\257", "overlong \\xc0\\xaf \\xe0\\x80\\xaf"},
	{"surrogate \355\240\200", "surrogate \\xed\\xa0\\x80"},
	{"beyond \364\220\200\200", "beyond \\xf4\\x90\\x80\\x80"},
	{"\r", "\\x0d"},
};

static void test_escape(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = {0};

		assert_int_equal(logview_escape(&out, cases[i].in, strlen(cases[i].in), true), strlen(cases[i].in));
		assert_string_equal(out.data, cases[i].out);
	}
}

/* However the stream is cut, the result is the same. */
static void test_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		auto_buf struct buf out = {0};
		char tail[256];
		size_t len = 0;

		for (const char *p = cases[i].in; *p; p++) {
			tail[len++] = *p;
			size_t taken = logview_escape(&out, tail, len, false);

			memmove(tail, tail + taken, len - taken);
			len -= taken;
		}
		assert_int_equal(logview_escape(&out, tail, len, true), len);
		assert_string_equal(out.data, cases[i].out);
	}
}

static void test_any_bytes(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		auto_buf struct buf out = {0};
		char bytes[64];

		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1103515245 + 12345;
			bytes[i] = "\033[;m1\302\342\r\n"[seed >> 28 & 7] ^ (seed >> 20 & 3 ? 0 : seed >> 8);
		}
		assert_int_equal(logview_escape(&out, bytes, sizeof(bytes), true), sizeof(bytes));
		for (size_t i = 0; i < out.len; i++)
			assert_true((unsigned char)out.data[i] >= 0x20 || out.data[i] == '\n' || out.data[i] == '\t');
	}
}

static void test_utf8(void **state)
{
	auto_buf struct buf out = {0};

	(void)state;
	logview_utf8(&out, "a\0\303\274\233\342\202", 7);
	assert_int_equal(out.len, 2 + 2 + 3 * 3);
	assert_memory_equal(out.data, "a\0\303\274\357\277\275\357\277\275\357\277\275", 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
