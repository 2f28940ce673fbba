/* Tests of src/base/loop.c: callbacks that remove and replace watches under the loop's feet. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/base/loop.h"
#include "../../src/base/proc.h"

static void end_loop(struct loop *loop, int fd, uint32_t events, void *arg)
{
	loop_stop(loop, *(int *)arg);
}

static void count(struct loop *loop, int fd, uint32_t events, void *arg)
{
	++*(int *)arg;
}

static void results(void **state)
{
	struct loop *loop = loop_new();
	int ready = eventfd(1, EFD_CLOEXEC), result = 42;

	assert_non_null(loop);
	assert_int_equal(loop_run(loop, 0), -ETIMEDOUT);
	assert_int_equal(loop_add(loop, ready, EPOLLIN, end_loop, &result), 0);
	assert_int_equal(loop_add(loop, ready, EPOLLIN, end_loop, &result), -EEXIST);
	assert_int_equal(loop_run(loop, -1), 42);
	assert_int_equal(loop_run(loop, 1000), 42); /* it can be run again */
	loop_remove(loop, ready);
	loop_remove(loop, ready);
	assert_int_equal(loop_run(loop, 20), -ETIMEDOUT);
	assert_int_equal(loop_add(loop, -1, EPOLLIN, end_loop, &result), -EBADF);
	assert_int_equal(loop_add(loop, 5000, EPOLLIN, end_loop, &result), -EBADF);
	assert_int_equal(loop_change(loop, ready, EPOLLIN), -ENOENT);
	close(ready);
	loop_free(loop);
	loop_free(NULL);
}

static void busy_loop_ends_in_time(void **state)
{
	struct loop *loop = loop_new();
	int ready = eventfd(1, EFD_CLOEXEC), calls = 0;
	uint64_t before = proc_now_ms();

	assert_int_equal(loop_add(loop, ready, EPOLLIN, count, &calls), 0);
	assert_int_equal(loop_run(loop, 50), -ETIMEDOUT);
	assert_true(calls > 1);
	assert_true(proc_now_ms() - before >= 50);
	assert_true(proc_now_ms() - before < 5000);
	assert_int_equal(loop_change(loop, ready, 0), 0);
	calls = 0;
	assert_int_equal(loop_run(loop, 20), -ETIMEDOUT);
	assert_int_equal(calls, 0);
	close(ready);
	loop_free(loop);
}

struct pair {
	int fds[2];
	int calls;
	int fresh_calls;
};

/* Whichever comes first replaces the other by a new descriptor of the same number, which is not ready. */
static void replace_other(struct loop *loop, int fd, uint32_t events, void *arg)
{
	struct pair *pair = arg;
	int other = pair->fds[fd == pair->fds[0]];
	int fresh = eventfd(0, EFD_CLOEXEC);

	pair->calls++;
	loop_remove(loop, fd);
	loop_remove(loop, other);
	dup3(fresh, other, O_CLOEXEC);
	close(fresh);
	assert_int_equal(loop_add(loop, other, EPOLLIN, count, &pair->fresh_calls), 0);
}

static void stale_events_are_dropped(void **state)
{
	struct loop *loop = loop_new();
	struct pair pair = {.fds = {eventfd(1, EFD_CLOEXEC), eventfd(1, EFD_CLOEXEC)}};

	assert_int_equal(loop_add(loop, pair.fds[0], EPOLLIN, replace_other, &pair), 0);
	assert_int_equal(loop_add(loop, pair.fds[1], EPOLLIN, replace_other, &pair), 0);
	assert_int_equal(loop_run(loop, 30), -ETIMEDOUT);
	assert_int_equal(pair.calls, 1);
	assert_int_equal(pair.fresh_calls, 0);
	close(pair.fds[0]);
	close(pair.fds[1]);
	loop_free(loop);
}

static void many_descriptors(void **state)
{
	struct loop *loop = loop_new();
	int fds[200], calls = 0;

	for (int i = 0; i < 200; i++) {
		fds[i] = eventfd(1, EFD_CLOEXEC);
		assert_int_equal(loop_add(loop, fds[i], EPOLLIN | EPOLLONESHOT, count, &calls), 0);
	}
	assert_int_equal(loop_run(loop, 50), -ETIMEDOUT);
	assert_int_equal(calls, 200);
	for (int i = 0; i < 200; i++) {
		loop_remove(loop, fds[i]);
		close(fds[i]);
	}
	loop_free(loop);
}

static void pidfd_and_signals(void **state)
{
	struct loop *loop = loop_new();
	int result = 5, pidfd;
	pid_t child = fork();

	if (child == 0) {
		kill(getppid(), SIGUSR1); /* EINTR must not end the loop */
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	assert_true(pidfd >= 0);
	assert_int_equal(loop_add(loop, pidfd, EPOLLIN, end_loop, &result), 0);
	assert_int_equal(loop_run(loop, 5000), 5);
	waitpid(child, NULL, 0);
	close(pidfd);
	loop_free(loop);
}

static void ignore(int sig)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results),
		cmocka_unit_test(busy_loop_ends_in_time),
		cmocka_unit_test(stale_events_are_dropped),
		cmocka_unit_test(many_descriptors),
		cmocka_unit_test(pidfd_and_signals),
	};
	const struct sigaction quiet = {.sa_handler = ignore};

	sigaction(SIGUSR1, &quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
