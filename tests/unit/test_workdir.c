/* Tests of src/guest/workdir.c: folders being made, by several at once and by some that are killed. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../../src/base/clean.h"
#include "../../src/guest/workdir.h"
#include "scratch.h"

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* A child that makes .new-x with a file in it, tells, and waits to be killed or for `ms` before it finishes as "x". */
static pid_t maker(const struct scratch *scratch, long ms)
{
	int ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();

	if (pid == 0) {
		int fd;
		bool waited;

		if (workdir_make(scratch->fd, ".new-x", &fd, &waited, NULL) < 0 || mkdirat(fd, "half", 0700) < 0 ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		if (ms < 0)
			for (;;)
				pause();
		pause_ms(ms);
		_exit(workdir_finish(scratch->fd, ".new-x", fd, "x", false, NULL) < 0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void made_and_renamed(void **state)
{
	struct scratch *scratch = *state;
	auto_close int fd = -1, again = -1;
	bool waited = true;
	struct stat st;

	assert_int_equal(workdir_make(scratch->fd, ".new-x", &fd, &waited, NULL), 0);
	assert_false(waited);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(workdir_finish(scratch->fd, ".new-x", fd, "x", true, NULL), 0);
	assert_true(exists(scratch->fd, "x"));
	assert_false(exists(scratch->fd, ".new-x"));
	/* A place that is taken stays as it is. */
	assert_int_equal(workdir_make(scratch->fd, ".new-x", &again, &waited, NULL), 0);
	assert_int_equal(workdir_finish(scratch->fd, ".new-x", again, "x", false, NULL), -EEXIST);
	assert_true(exists(scratch->fd, ".new-x"));
}

static void second_waits_for_the_first(void **state)
{
	struct scratch *scratch = *state;
	pid_t pid = maker(scratch, 200);
	int fd = 0;
	bool waited = false;

	assert_int_equal(workdir_make(scratch->fd, ".new-x", &fd, &waited, NULL), 0);
	assert_true(waited);
	assert_int_equal(fd, -1);
	assert_true(exists(scratch->fd, "x/half"));
	end(pid);
}

static void what_a_killed_maker_left_is_taken_over(void **state)
{
	struct scratch *scratch = *state;
	pid_t pid = maker(scratch, -1);
	auto_close int fd = -1;
	bool waited;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(exists(scratch->fd, ".new-x/half"));
	assert_int_equal(workdir_make(scratch->fd, ".new-x", &fd, &waited, NULL), 0);
	assert_true(fd >= 0);
	assert_false(exists(scratch->fd, ".new-x/half"));
}

static void killed_while_another_waits(void **state)
{
	struct scratch *scratch = *state;
	pid_t first = maker(scratch, -1);
	pid_t killer = fork();

	if (killer == 0) {
		pause_ms(150);
		_exit(kill(first, SIGKILL) < 0);
	}
	auto_close int fd = -1;
	bool waited = false;

	assert_int_equal(workdir_make(scratch->fd, ".new-x", &fd, &waited, NULL), 0);
	assert_true(waited);
	assert_true(fd >= 0);
	assert_false(exists(scratch->fd, ".new-x/half"));
	end(killer);
	waitpid(first, NULL, 0);
}

static void sweep_takes_only_the_dead(void **state)
{
	struct scratch *scratch = *state;
	auto_close int fd = -1;
	pid_t pid = maker(scratch, -1);

	assert_int_equal(workdir_make(scratch->fd, ".new-y", &fd, NULL, NULL), 0);
	assert_int_equal(mkdirat(scratch->fd, ".new-dead", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "new", 0700), 0);
	assert_int_equal(symlinkat("new", scratch->fd, ".new-link"), 0);
	assert_int_equal(workdir_sweep(scratch->fd, ".new-", NULL), 0);
	assert_false(exists(scratch->fd, ".new-dead"));
	assert_true(exists(scratch->fd, ".new-x/half"));
	assert_true(exists(scratch->fd, ".new-y"));
	assert_true(exists(scratch->fd, "new"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(workdir_sweep(scratch->fd, ".new-", NULL), 0);
	assert_false(exists(scratch->fd, ".new-x"));
}

static void shared_is_not_claimed(void **state)
{
	struct scratch *scratch = *state;
	int one = -1, two = -1, alone = -1;

	assert_int_equal(mkdirat(scratch->fd, "x", 0700), 0);
	assert_int_equal(workdir_share(scratch->fd, "x", &one), 0);
	assert_int_equal(workdir_share(scratch->fd, "x", &two), 0);
	assert_int_equal(workdir_claim(scratch->fd, "x", &alone), -EBUSY);
	close(one);
	assert_int_equal(workdir_claim(scratch->fd, "x", &alone), -EBUSY);
	close(two);
	assert_int_equal(workdir_claim(scratch->fd, "x", &alone), 0);
	assert_int_equal(workdir_discard(scratch->fd, "x", NULL), 0);
	assert_false(exists(scratch->fd, "x"));
	assert_false(exists(scratch->fd, ".old-x"));
	assert_int_equal(workdir_share(scratch->fd, "x", &one), -ENOENT);
	close(alone);
}

/* Many makers at once: each time exactly one makes it. */
static void crowd(void **state)
{
	struct scratch *scratch = *state;
	pid_t pids[12];

	for (size_t i = 0; i < 12; i++) {
		pids[i] = fork();
		if (pids[i] != 0)
			continue;
		while (!exists(scratch->fd, "x")) {
			int fd;
			bool waited;

			if (workdir_make(scratch->fd, ".new-x", &fd, &waited, NULL) < 0)
				_exit(1);
			if (fd < 0)
				continue;
			if (exists(scratch->fd, "x"))
				_exit(workdir_remove(scratch->fd, ".new-x", NULL) < 0);
			int r = mkdirat(scratch->fd, "only-one", 0700);

			pause_ms(5);
			if (r < 0 || workdir_finish(scratch->fd, ".new-x", fd, "x", false, NULL) < 0)
				_exit(2);
			_exit(0);
		}
		_exit(0);
	}
	for (size_t i = 0; i < 12; i++)
		end(pids[i]);
	assert_true(exists(scratch->fd, "x"));
	assert_false(exists(scratch->fd, ".new-x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(made_and_renamed),
		scratch_test(second_waits_for_the_first),
		scratch_test(what_a_killed_maker_left_is_taken_over),
		scratch_test(killed_while_another_waits),
		scratch_test(sweep_takes_only_the_dead),
		scratch_test(shared_is_not_claimed),
		scratch_test(crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
