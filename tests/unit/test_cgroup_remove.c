/* Removing control groups while somebody else removes them too, as systemd does when a scope has ended. */
#define _GNU_SOURCE
#include "config.h"

#include <limits.h>
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

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/kernel/cgroup.h"
#include "../../src/kernel/cgroup_layout.h"

#define ROUNDS 30
#define WIDE   20
#define DEEP   15

static void make_groups(const char *top)
{
	for (int i = 0; i < WIDE; i++) {
		auto_free char *path = str_format("%s/%d", top, i);

		assert_int_equal(mkdir(path, 0755), 0);
		for (int k = 0; k < DEEP; k++) {
			char *deeper = str_format("%s/d", path);

			free(path);
			path = deeper;
			assert_int_equal(mkdir(path, 0755), 0);
		}
	}
}

/* A deep end first, then what is above it. */
static void remove_too(const char *top)
{
	char path[PATH_MAX];

	for (int i = 0; i < WIDE; i++) {
		(void)str_print(path, sizeof(path), "%s/%d", top, i);
		for (int k = 0; k < DEEP; k++)
			strcat(path, "/d");
		for (int k = 0; k <= DEEP; k++) {
			(void)rmdir(path);
			*strrchr(path, '/') = '\0';
		}
	}
	(void)rmdir(top);
}

static void test_both(void **state)
{
	char name[48];

	(void)state;
	(void)str_print(name, sizeof(name), "isle-test-%d", (int)getpid());
	auto_free char *top = str_format("%s/%s", cgroup_layout()->unified, name);

	if (!cgroup_layout()->unified[0] || mkdir(top, 0755) < 0)
		skip(); /* not root, or no cgroup2 */
	for (int i = 0; i < ROUNDS; i++) {
		struct err err = {0};

		(void)mkdir(top, 0755);
		make_groups(top);
		pid_t other = fork();

		if (other == 0) {
			remove_too(top);
			_exit(0);
		}
		int r = cgroup_remove(name, 5000, &err);

		assert_int_equal(waitpid(other, NULL, 0), other);
		if (r < 0)
			print_message("%s\n", err.what);
		assert_int_equal(r, 0);
		assert_int_not_equal(access(top, F_OK), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_both)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
