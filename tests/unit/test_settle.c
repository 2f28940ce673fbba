/* Processes that have ended and that nobody has collected yet: which of them criu cannot make again. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/clean.h"
#include "../../src/base/proc.h"
#include "../../src/run/settle.h"

#define GONE_MS 10000

/* An init, the leader of a session, and a member of that whose parent is the leader. */
struct family {
	pid_t init, leader, member;
	int answer; /* init's */
	int order;  /* a byte to init: collect one */
};

static _Noreturn void be_leader(int answer)
{
	pid_t pids[2] = {setsid(), fork()};

	if (pids[1] > 0)
		(void)!write(answer, pids, sizeof(pids));
	for (;;)
		pause();
}

static _Noreturn void be_init(int answer, int order)
{
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (fork() == 0)
		be_leader(answer);
	while (read(order, &byte, 1) == 1) {
		(void)wait(NULL);
		(void)!write(answer, &byte, 1);
	}
	_exit(0);
}

/* The group has nobody in it. */
static struct record record_of(pid_t init)
{
	return (struct record){.init_pid = init, .cgroup = "isle-unit-test/none"};
}

static pid_t zombie_of(const struct family *family)
{
	const struct record record = record_of(family->init);
	struct unsettled_process one = {0};
	int r = settle_look(&record, &one);

	return r > 0 && one.kind == UNSETTLED_ZOMBIE ? one.pid : 0;
}

static int begin(void **state)
{
	static struct family family;
	int answer[2], order[2];
	pid_t pids[2] = {0};

	*state = &family;
	if (pipe(answer) < 0 || pipe(order) < 0)
		return -1;
	family = (struct family){.init = fork(), .answer = answer[0], .order = order[1]};
	if (family.init == 0)
		be_init(answer[1], order[0]);
	close(answer[1]);
	close(order[0]);
	ssize_t got = read(family.answer, pids, sizeof(pids));

	family.leader = pids[0];
	family.member = pids[1];
	return got == (ssize_t)sizeof(pids) ? 0 : -1;
}

static int end(void **state)
{
	const struct family *family = *state;

	(void)kill(family->leader, SIGKILL);
	(void)kill(family->member, SIGKILL);
	(void)kill(family->init, SIGKILL);
	(void)waitpid(family->init, NULL, 0);
	close(family->answer);
	close(family->order);
	return 0;
}

/* It is a zombie then. */
static void end_one(pid_t pid)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	assert_true(pidfd >= 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(proc_wait_gone(pidfd, GONE_MS), 0);
}

static void collect_one(const struct family *family)
{
	char byte = 0;

	assert_int_equal(write(family->order, &byte, 1), 1);
	assert_int_equal(read(family->answer, &byte, 1), 1);
}

static void member_with_leader(void **state)
{
	const struct family *family = *state;

	assert_int_equal(zombie_of(family), 0);
	end_one(family->leader);
	assert_int_equal(zombie_of(family), 0); /* the member lives */
	end_one(family->member);
	assert_int_equal(zombie_of(family), family->member);
	collect_one(family);
	assert_int_equal(zombie_of(family), 0);
	collect_one(family);
}

static void member_of_one_that_lives(void **state)
{
	const struct family *family = *state;

	end_one(family->member); /* its parent is to collect it */
	assert_int_equal(zombie_of(family), 0);
}

static void init_that_collects_nobody(void **state)
{
	const struct family *family = *state;
	const struct record record = record_of(family->init);
	struct err err = {0};

	end_one(family->leader);
	end_one(family->member);
	assert_true(settle_await(&record, 100, &err) < 0);
	assert_non_null(strstr(err.what, "init collects neither"));
}

static void nobody(void **state)
{
	const struct record record = record_of(INT32_MAX);
	struct unsettled_process one;

	(void)state;
	assert_int_equal(settle_look(&record, &one), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(member_with_leader, begin, end),
		cmocka_unit_test_setup_teardown(member_of_one_that_lives, begin, end),
		cmocka_unit_test_setup_teardown(init_that_collects_nobody, begin, end),
		cmocka_unit_test(nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
