/* The inside of personalising, on a folder that plays the guest's root. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/run/personalise.h"
#include "scratch.h"

static void put(const struct scratch *scratch, const char *name, const char *text)
{
	assert_int_equal(file_replace_quick(scratch->fd, name, text, strlen(text), 0644, NULL), 0);
}

static void expect(const struct scratch *scratch, const char *name, const char *text)
{
	char *found = NULL;

	assert_int_equal(file_read(scratch->fd, name, 4096, &found, NULL), 0);
	assert_string_equal(found, text);
	free(found);
}

/* personalise_inside as the guest's first process calls it: with the guest's root as its own. */
static int inside(const struct scratch *scratch, const struct personalise *what)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		struct err err = {0};

		if (chroot(scratch->path) < 0 || chdir("/") < 0)
			_exit(2);
		_exit(personalise_inside(what, &err) < 0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void fill(const struct scratch *scratch)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(mkdirat(scratch->fd, "etc", 0755), 0);
	put(scratch, "etc/hostname", "old\n");
	put(scratch, "etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\told\n");
	put(scratch, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
}

/* A rename tells the guest its name and nothing else. */
static void test_name_only(void **state)
{
	const struct scratch *scratch = *state;
	const struct personalise what = {.hostname = "new"};

	fill(scratch);
	assert_int_equal(inside(scratch, &what), 0);
	expect(scratch, "etc/hostname", "new\n");
	expect(scratch, "etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tnew\n");
	expect(scratch, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
}

static void test_new_identity(void **state)
{
	const struct scratch *scratch = *state;
	const struct personalise what = {.hostname = "web1", .machine_id = "fedcba9876543210fedcba9876543210"};

	fill(scratch);
	assert_int_equal(inside(scratch, &what), 0);
	expect(scratch, "etc/machine-id", "fedcba9876543210fedcba9876543210\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_name_only),
		scratch_test(test_new_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
