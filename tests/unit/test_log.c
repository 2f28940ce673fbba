/* isle log, run as a program on folders made by hand. */
#define _GNU_SOURCE
#include "config.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/path.h"
#include "../../src/base/proc.h"
#include "../../src/base/str.h"
#include "fake_user.h"

#define SOON 5000 /* ms */

static char root[40];
static int logs;
static char isle[PATH_MAX];
static struct fake_user user;
static const char *arguments[8];

static int setup(void **state)
{
	char path[100];
	ssize_t n = readlink("/proc/self/exe", isle, sizeof(isle) - 32);

	(void)state;
	assert_true(n > 0);
	isle[n] = '\0';
	snprintf(strrchr(isle, '/'), 32, "/../../isle");
	snprintf(root, sizeof(root), "/tmp/isle-log-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/guests/web1/log", root);
	assert_int_equal(path_make(path, 0700, NULL), 0);
	logs = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return setenv("ISLE_PATH", root, 1) | (logs < 0);
}

static int teardown(void **state)
{
	(void)state;
	fake_user_leave(&user);
	close(logs);
	return file_remove_tree(AT_FDCWD, root, NULL);
}

static void add(const char *name, const char *text)
{
	int fd = openat(logs, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

/* What `isle log ARGUMENTS web1` prints; caller frees. */
static char *shown(const char *a, const char *b, const char *c)
{
	const char *argv[] = {isle, "log", "web1", a, a ? b : NULL, a && b ? c : NULL, NULL};
	char *output = NULL;
	struct err err = {0};

	if (proc_run(&(struct proc){.argv = argv, .timeout_ms = SOON, .ret_output = &output}, &err) < 0)
		fail_msg("%s", err.what);
	return output;
}

static void check(const char *expected, const char *a, const char *b, const char *c)
{
	auto_free char *output = shown(a, b, c);

	assert_string_equal(output, expected);
}

static void need_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void test_show(void **state)
{
	(void)state;
	need_root();
	check("", NULL, NULL, NULL); /* nothing is no error */
	add("isle", "T start: s\n");
	add("console", "one\r\ntwo");
	check("==> isle <==\nT start: s\n\n==> console <==\none\ntwo", NULL, NULL, NULL);
	check("one\ntwo", "--console", NULL, NULL);
	check("one\r\ntwo", "--console", "--raw", NULL);
	check("T start: s\n", "--events", NULL, NULL);
}

/* The last lines, across the old file too. */
static void test_lines(void **state)
{
	static const struct {
		const char *lines, *expected;
	} cases[] = {
		{"0", ""},
		{"1", "e"},
		{"2", "d\ne"},
		{"3", "c\nd\ne"},
		{"4", "b\nc\nd\ne"},
		{"5", "a\nb\nc\nd\ne"},
		{"9", "a\nb\nc\nd\ne"},
		{"all", "a\nb\nc\nd\ne"},
	};

	(void)state;
	need_root();
	add("console.1", "a\nb\nc\n");
	add("console", "d\ne");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check(cases[i].expected, "--console", "--lines", cases[i].lines);
	add("console", "\n");
	check("e\n", "--console", "--lines", "1");
	check("c\nd\ne\n", "--console", "--lines", "3");
	assert_int_equal(unlinkat(logs, "console", 0), 0);
	check("c\n", "--console", "--lines", "1"); /* rotated, and nothing since */
}

static void test_long(void **state)
{
	static char line[200001];

	(void)state;
	need_root();
	memset(line, 'x', sizeof(line) - 1);
	line[100000] = '\n';
	line[50000] = '\n';
	add("console", line);
	auto_free char *output = shown("--console", "--lines", "2");

	assert_string_equal(output, line + 50001);
}

static void test_json(void **state)
{
	(void)state;
	need_root();
	add("isle", "2025-01-31T12:00:00Z stop: killed: it took too long\n");
	add("console", "\033[1mx\r\n\233\"\\\n");
	auto_free char *output = shown("--json", NULL, NULL);
	struct json_object *all = json_tokener_parse(output), *value;

	assert_true(json_object_is_type(all, json_type_array));
	assert_int_equal(json_object_array_length(all), 3);
	struct json_object *first = json_object_array_get_idx(all, 0), *last = json_object_array_get_idx(all, 2);

	assert_true(json_object_object_get_ex(first, "time", &value));
	assert_string_equal(json_object_get_string(value), "2025-01-31T12:00:00Z");
	assert_true(json_object_object_get_ex(first, "by", &value));
	assert_string_equal(json_object_get_string(value), "stop");
	assert_true(json_object_object_get_ex(first, "text", &value));
	assert_string_equal(json_object_get_string(value), "killed: it took too long");
	assert_true(json_object_object_get_ex(last, "source", &value));
	assert_string_equal(json_object_get_string(value), "console");
	assert_true(json_object_object_get_ex(last, "text", &value));
	assert_string_equal(json_object_get_string(value), "\357\277\275\"\\");
	json_object_put(all);
}

static int run_isle(int in, int out)
{
	dup2(in, 0);
	dup2(out, 1);
	execv(isle, (char **)arguments);
	return -1;
}

static void test_terminal(void **state)
{
	(void)state;
	need_root();
	add("console", "\033]0;owned\007\033[31mred\033[0m\r\nlogin: ");
	memcpy(arguments, (const char *[]){"isle", "log", "web1", "-c", NULL}, 5 * sizeof(*arguments));
	fake_user_terminal(&user, run_isle);
	assert_true(fake_user_sees(&user, "\\x1b]0;owned\\x07red\r\nlogin: ", SOON));
	fake_user_leave(&user);
	memcpy(arguments, (const char *[]){"isle", "log", "web1", "-cr", NULL}, 5 * sizeof(*arguments));
	fake_user_terminal(&user, run_isle);
	assert_true(fake_user_sees(&user, "\033]0;owned\007\033[31mred", SOON));
}

static void test_follow(void **state)
{
	(void)state;
	need_root();
	add("console", "1\n2\n3\n");
	memcpy(arguments, (const char *[]){"isle", "log", "web1", "-f", "-l", "1", NULL}, 7 * sizeof(*arguments));
	fake_user_pipes(&user, run_isle);
	assert_true(fake_user_sees(&user, "==> console <==\n3\n", SOON));
	add("console", "prompt: "); /* no whole line */
	assert_true(fake_user_sees(&user, "prompt: ", SOON));
	add("isle", "T stop: now\n");
	assert_true(fake_user_sees(&user, "\n==> isle <==\nT stop: now\n", SOON));
	/* Rotated, with something written before and after. */
	add("console", "before\n");
	assert_int_equal(renameat(logs, "console", logs, "console.1"), 0);
	add("console", "after\n");
	assert_true(fake_user_sees(&user, "before\nafter\n", SOON));
	/* Removed and made anew. */
	assert_int_equal(unlinkat(logs, "console", 0), 0);
	add("console", "anew\n");
	assert_true(fake_user_sees(&user, "anew\n", SOON));
	/* Destroyed: it ends by itself. */
	char path[100];

	snprintf(path, sizeof(path), "%s/guests/web1", root);
	assert_int_equal(file_remove_tree(AT_FDCWD, path, NULL), 0);
	assert_false(fake_user_sees(&user, "never", SOON));
	int status;

	assert_int_equal(waitpid(user.session, &status, 0), user.session);
	user.session = 0;
	assert_int_equal(status, 0);
}

/* A reader that leaves ends it, as it ends tail. */
static void test_reader_gone(void **state)
{
	int status;

	(void)state;
	need_root();
	memcpy(arguments, (const char *[]){"isle", "log", "web1", "-f", NULL}, 5 * sizeof(*arguments));
	add("console", "x\n");
	fake_user_pipes(&user, run_isle);
	assert_true(fake_user_sees(&user, "x\n", SOON));
	close(user.from);
	user.from = -1;
	assert_int_equal(waitpid(user.session, &status, 0), user.session);
	user.session = 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_show),     TEST(test_lines),  TEST(test_long),        TEST(test_json),
		TEST(test_terminal), TEST(test_follow), TEST(test_reader_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
