/* Tests of src/base/err.c and src/base/log.c: what is recorded, and what is printed. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../src/base/err.h"
#include "../../src/base/log.h"
#include "../../src/base/str.h"

/* What err_print writes, in a static buffer. */
static const char *printed(const struct err *err, const char *headline)
{
	static char text[4096];
	int file = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	ssize_t len;

	dup2(file, STDERR_FILENO);
	err_print(err, headline);
	dup2(saved, STDERR_FILENO);
	close(saved);
	len = pread(file, text, sizeof(text) - 1, 0);
	close(file);
	text[len < 0 ? 0 : len] = '\0';
	return text;
}

static void setters_return_numbers(void **state)
{
	struct err err = {0};

	errno = EACCES;
	assert_int_equal(err_sys(&err, "open %s", "/x"), -EACCES);
	assert_int_equal(err.sys, EACCES);
	assert_int_equal(err.code, ERR_FAILED);
	assert_string_equal(err.what, "open /x");
	assert_int_equal(err_hint(&err, "try"), -EACCES);
	assert_int_equal(err_where(&err, "f", 1), -EACCES);
	assert_int_equal(err_step(&err, "root"), -EACCES);
	err_clear(&err);
	assert_int_equal(err_num(&err, -EBUSY, "x"), -EBUSY);
	err_clear(&err);
	assert_int_equal(err_num(&err, EBUSY, "x"), -EBUSY);
	err_clear(&err);
	assert_int_equal(err_set(&err, ERR_USAGE, "x"), -EINVAL);
	assert_int_equal(err_hint(&err, "y"), -EINVAL);
	err_clear(&err);
	assert_int_equal(err_set(&err, ERR_NOT_FOUND, "x"), -ENOENT);
	err_clear(&err);
	assert_int_equal(err_set(&err, ERR_STATE, "x"), -EBUSY);
	err_clear(&err);
	assert_int_equal(err_set(&err, ERR_TIMEOUT, "x"), -ETIMEDOUT);
	assert_int_equal(err.code, ERR_TIMEOUT);
	err_clear(&err);
	assert_int_equal(err_set(&err, ERR_FAILED, "x"), -EIO);
}

static void no_record_is_fine(void **state)
{
	errno = ENOENT;
	assert_int_equal(err_sys(NULL, "x"), -ENOENT);
	assert_int_equal(err_num(NULL, EPERM, "x"), -EPERM);
	assert_int_equal(err_set(NULL, ERR_USAGE, "x"), -EINVAL);
	assert_true(err_hint(NULL, "x") < 0);
	assert_true(err_where(NULL, "x", 1) < 0);
	assert_true(err_step(NULL, "x") < 0);
	err_clear(NULL);
}

/* A failing call never looks like success, even where errno was lost. */
static void never_zero(void **state)
{
	struct err err = {0};

	errno = 0;
	assert_true(err_sys(&err, "x") < 0);
	err_clear(&err);
	assert_true(err_num(&err, 0, "x") < 0);
	err_clear(&err);
	assert_true(err_set(&err, ERR_NONE, "x") < 0);
	assert_int_equal(err.code, ERR_FAILED);
}

static void first_failure_stays(void **state)
{
	struct err err = {0};

	(void)err_num(&err, ENOSPC, "write a");
	assert_int_equal(err_num(&err, EBUSY, "undo b"), -EBUSY);
	assert_string_equal(err.what, "write a");
	assert_int_equal(err.sys, ENOSPC);
	(void)err_step(&err, "first");
	(void)err_step(&err, "second");
	assert_string_equal(err.step, "first");
}

static void long_text_is_cut(void **state)
{
	struct err err = {0};
	char path[600];

	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	(void)err_num(&err, ENOENT, "open %s", path);
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
	assert_string_equal(err.what + sizeof(err.what) - 4, "...");
	memcpy(path + sizeof(path) - 8, "/config", 7);
	(void)err_where(&err, path, 41);
	assert_non_null(strstr(err.where, "/config:41"));
	(void)err_step(&err, path);
	assert_int_equal(strlen(err.step), sizeof(err.step) - 1);

	/* Never within a character. */
	for (int shift = 0; shift < 3; shift++) {
		char text[600] = "";
		char shown[2048];

		memset(text, 'x', (size_t)shift);
		for (size_t i = (size_t)shift; i + 2 < 500; i += 2)
			memcpy(text + i, "\xc3\xbc", 3);
		err_clear(&err);
		(void)err_num(&err, ENOENT, "%s", text);
		(void)str_escape_into(shown, sizeof(shown), err.what);
		assert_null(strstr(shown, "\\x"));
	}
}

static void print_format(void **state)
{
	struct err err = {0};

	(void)err_num(&err, ENOENT, "mount /srv/data on /data");
	(void)err_where(&err, "web1/config", 41);
	(void)err_step(&err, "configured mounts");
	assert_string_equal(printed(&err, "cannot start guest 'web1'"),
			    "isle: cannot start guest 'web1'\n"
			    "  step:   configured mounts (web1/config:41)\n"
			    "  failed: mount /srv/data on /data\n"
			    "  reason: No such file or directory\n"
			    "  fix:    create the folder on the host, or add 'optional' to the mount\n");
	(void)err_hint(&err, "do %s", "this");
	assert_non_null(strstr(printed(&err, "x"), "  fix:    do this\n"));

	err_clear(&err);
	(void)err_set(&err, ERR_USAGE, "bad value 'a\nb\x1b[2J'");
	(void)err_where(&err, "c", 3);
	assert_string_equal(printed(&err, "cannot load"), "isle: cannot load\n"
							  "  where:  c:3\n"
							  "  failed: bad value 'a\\x0ab\\x1b[2J'\n");
	/* Without a headline the failure is the headline. */
	assert_string_equal(printed(&err, NULL), "isle: bad value 'a\\x0ab\\x1b[2J'\n"
						 "  where:  c:3\n");
}

static void hints(void **state)
{
	assert_non_null(strstr(err_hint_for("clone the guest's init", ENOSPC), "user.max_user_namespaces"));
	assert_non_null(strstr(err_hint_for("write /x", -ENOSPC), "free space"));
	assert_non_null(strstr(err_hint_for("netlink: add veth", EEXIST), "ip link"));
	/* A word must fit whole. */
	assert_null(err_hint_for("mountain", ENOENT));
	assert_null(err_hint_for("moun", ENOENT));
	assert_null(err_hint_for("mount x", 0));
	assert_null(err_hint_for("", ENOENT));
	assert_null(err_hint_for(NULL, ENOENT));
	assert_non_null(err_hint_for("anything at all", ENOMEM));
}

static void log_levels(void **state)
{
	int file = memfd_create("log", MFD_CLOEXEC);
	char text[4096], longest[1000];
	ssize_t len;

	log_open(file, LOG_LEVEL_INFO);
	errno = EXDEV;
	log_debug("line");
	log_info("seen \x1b[31m");
	memset(longest, 'l', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	log_error("%s", longest);
	assert_int_equal(errno, EXDEV);
	log_open(STDERR_FILENO, LOG_LEVEL_WARN);

	len = pread(file, text, sizeof(text) - 1, 0);
	text[len < 0 ? 0 : len] = '\0';
	assert_null(strstr(text, "line"));
	assert_non_null(strstr(text, "isle: seen \\x1b[31m\n"));
	assert_int_equal(text[len - 1], '\n');
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setters_return_numbers),
		cmocka_unit_test(no_record_is_fine),
		cmocka_unit_test(never_zero),
		cmocka_unit_test(first_failure_stays),
		cmocka_unit_test(long_text_is_cut),
		cmocka_unit_test(print_format),
		cmocka_unit_test(hints),
		cmocka_unit_test(log_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
