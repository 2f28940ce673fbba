/* The folder in which criu finds the control groups, and the hierarchies that a table of mounts names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/base/clean.h"
#include "../../src/base/err.h"
#include "../../src/kernel/cgroup_layout.h"
#include "../../src/run/criu_yard.h"

/* As criu asks for a hierarchy: by one of its names, or "unified". */
static void leads_to(int yard, const char *name, const char *path)
{
	struct stat there, here;

	assert_int_equal(fstatat(yard, name, &there, 0), 0);
	assert_int_equal(stat(path, &here), 0);
	assert_true(there.st_dev == here.st_dev && there.st_ino == here.st_ino);
}

static void test_yard(void **state)
{
	const struct cgroup_layout_map *map = cgroup_layout();
	struct err err = {0};

	(void)state;
	if (geteuid() != 0 || !map->unified[0])
		skip();
	auto_close int yard = criu_yard_open(&err);

	assert_true(yard >= 0);
	leads_to(yard, "unified", map->unified);
	for (int i = 0; i < map->v1_count; i++)
		leads_to(yard, map->v1[i].controller, map->v1[i].path);
}

static void test_layout(void **state)
{
	struct cgroup_layout_map map = {0};
	char text[] = "31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		      "32 24 0:28 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd\n"
		      "35 24 0:31 / /sys/fs/cgroup/cpu,cpuacct rw shared:13 - cgroup cgroup rw,cpu,cpuacct\n"
		      "36 24 0:32 / /sys/fs/cgroup/devices rw shared:14 - cgroup cgroup rw,devices\n"
		      "37 24 0:33 / /sys/fs/cgroup/net_cls,net_prio rw shared:15 - cgroup cgroup rw,net_cls,net_prio\n";

	(void)state;
	cgroup_layout_parse(text, &map);
	assert_string_equal(map.unified, "/sys/fs/cgroup/unified");
	assert_int_equal(map.v1_count, 2);
	assert_string_equal(map.v1[0].controller, "cpu");
	assert_string_equal(map.v1[1].path, "/sys/fs/cgroup/cpu,cpuacct");
	assert_int_equal(map.other_count, 3);
	assert_string_equal(map.other[0].controller, "name=systemd");
	assert_string_equal(map.other[0].path, "/sys/fs/cgroup/systemd");
	assert_string_equal(map.other[1].controller, "devices");
	assert_string_equal(map.other[2].controller, "net_prio");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_yard), cmocka_unit_test(test_layout)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
