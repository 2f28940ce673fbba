/* What the kernel's log says of processes that it killed for want of memory. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/run/oom.h"

static void reads_the_kernels_lines(void **state)
{
	struct oom_victim victim;

	(void)state;
	assert_true(oom_parse(
		"3,412,96,-;Memory cgroup out of memory: Killed process 26725 (dd) total-vm:208kB, anon-rss:4kB, file-rss:0kB, "
		"shmem-rss:0kB, UID:524288 pgtables:412kB oom_score_adj:0",
		&victim));
	assert_int_equal(victim.pid, 26725);
	assert_int_equal(victim.uid, 524288);
	assert_string_equal(victim.name, "dd");
	assert_true(oom_parse("3,1,1,-;Out of memory: Killed process 7 (a b) total-vm:1kB, UID:0 pgtables:1kB", &victim));
	assert_string_equal(victim.name, "a b");
	assert_int_equal(victim.uid, 0);
}

static void a_process_cannot_lie_by_its_name(void **state)
{
	struct oom_victim victim;

	(void)state;
	assert_true(oom_parse(
		"3,1,1,-;Memory cgroup out of memory: Killed process 9 (x) UID:0 () total-vm:1kB, UID:524290 pgtables:1kB",
		&victim));
	assert_int_equal(victim.uid, 524290);
	assert_string_equal(victim.name, "x) UID:0 (");
	assert_true(oom_parse(
		"3,1,1,-;Out of memory (oom_kill_allocating_task): Killed process 9 (\033[31m) total-vm:1kB, UID:5 pg", &victim));
	assert_string_equal(victim.name, "?[31m");
	assert_false(oom_parse("6,1,1,-;eth0: link up", &victim));
	assert_false(oom_parse("3,1,1,-;Out of memory: Killed process 9 no name", &victim));
	assert_false(oom_parse("3,1,1,-;Out of memory: Killed process )(", &victim));
	/* One of that name was short of memory: it has killed nobody. */
	assert_false(oom_parse("4,1,1,-;Killed process  invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", &victim));
	/* Nor does the kernel's word about a group that a guest has named. */
	assert_false(oom_parse("6,1,1,-;cgroup: fork rejected by pids controller in "
			       "/isle/web1/guest/Out of memory: Killed process 9 (init) UID:589824 ",
			       &victim));
	assert_false(
		oom_parse("6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=Out of memory: Killed process 9 (x) "
			  "UID:589824 ,mems_allowed=0,oom_memcg=/isle/web1,task_memcg=/isle/web1/guest,task=hog,pid=7,uid=524288",
			  &victim));
	assert_true(oom_parse("3,1,1,-;Out of memory: Killed process 9 (x)", &victim));
	assert_true(victim.uid == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_kernels_lines),
		cmocka_unit_test(a_process_cannot_lie_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
