/* Tests of src/base/file.c and src/base/lock.c: bounds, atomic replacement, exclusion between processes. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/clean.h"
#include "../../src/base/proc.h"
#include "scratch.h"

static void put(const struct scratch *scratch, const char *name, const char *text)
{
	struct err err = {0};

	assert_int_equal(file_replace_quick(scratch->fd, name, text, strlen(text), 0644, &err), 0);
}

static void read_bounds(void **state)
{
	struct scratch *scratch = *state;
	char *text = NULL;
	size_t len = 0;

	put(scratch, "five", "12345");
	assert_int_equal(file_read(scratch->fd, "five", 5, &text, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "12345");
	free(text);
	text = NULL;
	assert_int_equal(file_read(scratch->fd, "five", 4, &text, NULL), -EFBIG);
	assert_int_equal(file_read(scratch->fd, "none", 4, &text, NULL), -ENOENT);
	assert_int_equal(file_read(scratch->fd, ".", 4, &text, NULL), -EISDIR);
	assert_int_equal(file_read(AT_FDCWD, "/dev/zero", 4096, &text, NULL), -EINVAL);
	assert_int_equal(mkfifoat(scratch->fd, "fifo", 0600), 0);
	assert_int_equal(file_read(scratch->fd, "fifo", 4096, &text, NULL), -EINVAL); /* and does not hang */
	assert_null(text);
	put(scratch, "empty", "");
	assert_int_equal(file_read(scratch->fd, "empty", 0, &text, &len), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/stat", SIZE_MAX, &text, &len), 0); /* st_size is 0 there */
	assert_true(len > 20);
	free(text);
}

static void poke(void **state)
{
	struct scratch *scratch = *state;

	assert_int_equal(file_poke(scratch->fd, "none", "x"), -ENOENT); /* never made */
	assert_int_equal(file_poke(AT_FDCWD, "/proc/self/oom_score_adj", "x"), -EINVAL);
	assert_int_equal(file_poke(AT_FDCWD, "/proc/self/comm", "poked"), 0);
}

static void replace_keeps_old_on_failure(void **state)
{
	struct scratch *scratch = *state;
	struct rlimit limit = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY}, before;
	struct err err = {0};
	char big[8192], *text = NULL;
	auto_closedir DIR *dir = NULL;
	struct dirent *entry;
	int r, count = 0;

	put(scratch, "config", "old");
	memset(big, 'n', sizeof(big));
	/* The disk is full, as far as this process can tell. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit.rlim_max = before.rlim_max;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	r = file_replace(scratch->fd, "config", big, sizeof(big), 0600, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -EFBIG);
	assert_string_equal(err.what, "write config");
	assert_int_equal(file_read(scratch->fd, "config", 100, &text, NULL), 0);
	assert_string_equal(text, "old");
	free(text);
	dir = fdopendir(openat(scratch->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	rewinddir(dir);
	while ((entry = readdir(dir)))
		assert_true(!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, "config"));
	assert_int_equal(count, 1);
}

static void replace_details(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	struct stat st;
	char *text = NULL;
	mode_t mask = umask(077);

	put(scratch, "victim", "safe");
	assert_int_equal(symlinkat("victim", scratch->fd, "config"), 0);
	assert_int_equal(file_replace(scratch->fd, "config", "new", 3, 0644, &err), 0);
	umask(mask);
	/* The link was replaced, not what it points to; the mode is the one asked for. */
	assert_int_equal(fstatat(scratch->fd, "config", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(file_read(scratch->fd, "victim", 100, &text, NULL), 0);
	assert_string_equal(text, "safe");
	free(text);
	assert_int_equal(mkdirat(scratch->fd, "sub", 0700), 0);
	assert_int_equal(file_replace(scratch->fd, "sub/config", "x", 1, 0600, &err), 0);
	assert_int_equal(fstatat(scratch->fd, "sub/config", &st, 0), 0);
	assert_int_equal(file_replace(scratch->fd, "none/config", "x", 1, 0600, &err), -ENOENT);
	err_clear(&err);
	assert_true(file_replace(scratch->fd, "sub", "x", 1, 0600, &err) < 0); /* a folder stands there */
}

/* Readers see the old or the new text, whole, while a writer replaces it and is killed. */
static void replace_is_atomic(void **state)
{
	struct scratch *scratch = *state;
	char a[5000], b[5000];
	uint64_t end;
	pid_t writer;
	int seen = 0;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(file_replace_quick(scratch->fd, "f", a, sizeof(a), 0600, NULL), 0);
	for (int round = 0; round < 5; round++) {
		writer = fork();
		if (writer == 0)
			for (;;) {
				(void)file_replace_quick(scratch->fd, "f", b, sizeof(b), 0600, NULL);
				(void)file_replace_quick(scratch->fd, "f", a, sizeof(a), 0600, NULL);
			}
		for (end = proc_now_ms() + 40; proc_now_ms() < end; seen++) {
			char *text = NULL;
			size_t len = 0;

			assert_int_equal(file_read(scratch->fd, "f", 10000, &text, &len), 0);
			assert_int_equal(len, sizeof(a));
			assert_true(!memcmp(text, a, sizeof(a)) || !memcmp(text, b, sizeof(b)));
			free(text);
		}
		kill(writer, SIGKILL);
		waitpid(writer, NULL, 0);
	}
	assert_true(seen > 5);
}

static void lock_excludes(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	int fd = -1, other = -1, status;
	char expected[32];
	uint64_t before;
	pid_t child;

	assert_false(file_locked(scratch->fd, "lock"));
	assert_int_equal(file_lock(scratch->fd, "lock", 0, &fd, &err), 0);
	assert_true(file_locked(scratch->fd, "lock"));
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	child = fork();
	if (child == 0) {
		close(fd); /* the parent's open file keeps the lock */
		before = proc_now_ms();
		if (file_lock(scratch->fd, "lock", 120, &other, &err) != -EBUSY || err.code != ERR_TIMEOUT)
			_exit(1);
		(void)snprintf(expected, sizeof(expected), "process %d ", getppid());
		if (!strstr(err.what, expected))
			_exit(2);
		if (proc_now_ms() - before < 100 || proc_now_ms() - before > 5000)
			_exit(3);
		_exit(file_locked(scratch->fd, "lock") ? 0 : 4);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	/* Two opens of one process exclude each other as well: these are not POSIX locks. */
	assert_int_equal(file_lock(scratch->fd, "lock", 0, &other, &err), -EBUSY);
	close(fd);
	assert_false(file_locked(scratch->fd, "lock"));
	assert_int_equal(file_lock(scratch->fd, "lock", 0, &other, NULL), 0);
	close(other);
}

static void lock_ends_with_killed_holder(void **state)
{
	struct scratch *scratch = *state;
	int fd = -1, ready[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		if (file_lock(scratch->fd, "lock", -1, &fd, NULL) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(file_locked(scratch->fd, "lock"));
	kill(child, SIGKILL);
	assert_int_equal(file_lock(scratch->fd, "lock", 5000, &fd, NULL), 0);
	waitpid(child, NULL, 0);
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

/* Holders remove the file before they let go, as a destroyed guest does: a waiter that opened the old file
 * must not take its lock for the real one. */
static void lock_follows_the_name(void **state)
{
	struct scratch *scratch = *state;
	pid_t children[4];

	for (size_t i = 0; i < 4; i++) {
		children[i] = fork();
		if (children[i])
			continue;
		for (int n = 0; n < 400; n++) {
			int fd, r;

			do
				r = file_lock(scratch->fd, "lock", 0, &fd, NULL);
			while (r == -EBUSY);
			if (r < 0 || mkdirat(scratch->fd, "inside", 0700) < 0)
				_exit(1); /* somebody else is inside as well */
			if (unlinkat(scratch->fd, "inside", AT_REMOVEDIR) < 0 || unlinkat(scratch->fd, "lock", 0) < 0)
				_exit(2);
			close(fd);
		}
		_exit(0);
	}
	for (size_t i = 0; i < 4; i++) {
		int status;

		waitpid(children[i], &status, 0);
		assert_int_equal(status, 0);
	}
}

/* Processes that add to a counter under the lock lose no step. */
static void lock_under_load(void **state)
{
	struct scratch *scratch = *state;
	pid_t children[8];
	char *text = NULL;

	put(scratch, "count", "0");
	for (size_t i = 0; i < 8; i++) {
		children[i] = fork();
		if (children[i])
			continue;
		for (int n = 0; n < 10; n++) {
			char *old = NULL, next[32];
			int fd;

			if (file_lock(scratch->fd, "lock", 30000, &fd, NULL) < 0 ||
			    file_read(scratch->fd, "count", 16, &old, NULL) < 0)
				_exit(1);
			(void)snprintf(next, sizeof(next), "%ld", strtol(old, NULL, 10) + 1);
			if (file_replace_quick(scratch->fd, "count", next, strlen(next), 0600, NULL) < 0)
				_exit(1);
			free(old);
			close(fd);
		}
		_exit(0);
	}
	for (size_t i = 0; i < 8; i++) {
		int status;

		waitpid(children[i], &status, 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(file_read(scratch->fd, "count", 16, &text, NULL), 0);
	assert_string_equal(text, "80");
	free(text);
}

static void lock_refuses_links(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	int fd = -1;

	put(scratch, "victim", "precious");
	assert_int_equal(symlinkat("victim", scratch->fd, "lock"), 0);
	assert_int_equal(file_lock(scratch->fd, "lock", 0, &fd, &err), -ELOOP);
	assert_int_equal(fd, -1);
	assert_false(file_locked(scratch->fd, "lock"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(read_bounds),           scratch_test(poke),
		scratch_test(replace_details),       scratch_test(replace_keeps_old_on_failure),
		scratch_test(replace_is_atomic),     scratch_test(lock_excludes),
		scratch_test(lock_follows_the_name), scratch_test(lock_ends_with_killed_holder),
		scratch_test(lock_under_load),       scratch_test(lock_refuses_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
