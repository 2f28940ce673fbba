/* Tests of src/base/proc.c: programs that fail, hang, flood or leave children behind. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../../src/base/clean.h"
#include "../../src/base/aside.h"
#include "../../src/base/proc.h"
#include "scratch.h"

#define SH(script) ((const char *const[]){"sh", "-c", script, NULL})

static int run(const char *const *argv, struct proc proc, struct err *err)
{
	err_clear(err);
	proc.argv = argv;
	return proc_run(&proc, err);
}

static void good_run(void **state)
{
	struct err err = {0};
	char *out = NULL;

	assert_int_equal(run(SH("cat; printf '%s' \"$X\"; echo noise >&2"),
			     (struct proc){.input = "in\n", .env = (const char *const[]){"X=y", NULL}, .ret_output = &out}, &err),
			 0);
	assert_string_equal(out, "in\ny");
	free(out);
	/* stdin is empty, not the caller's; nobody wants the output. */
	assert_int_equal(run(SH("test -z \"$(cat)\"; yes | head -c 3000000"), (struct proc){0}, &err), 0);
	/* An argument is an argument, whatever is in it. */
	assert_int_equal(run((const char *const[]){"printf", "%s", "$(id) ; *", NULL}, (struct proc){.ret_output = &out}, &err), 0);
	assert_string_equal(out, "$(id) ; *");
	free(out);
}

static void large_input(void **state)
{
	struct err err = {0};
	char *out = NULL, *input = malloc(900001);

	memset(input, 'i', 900000);
	input[900000] = '\0';
	assert_int_equal(run(SH("cat"), (struct proc){.input = input, .ret_output = &out}, &err), 0);
	assert_string_equal(out, input);
	free(out);
	/* A program that does not read it is no failure. */
	assert_int_equal(run(SH("exit 0"), (struct proc){.input = input}, &err), 0);
	free(input);
}

static void bad_exit(void **state)
{
	struct err err = {0};
	char *out = NULL;

	assert_int_equal(
		run(SH("echo first >&2; echo 'the reason' >&2; echo >&2; exit 7"), (struct proc){.ret_output = &out}, &err), -EIO);
	assert_null(out);
	assert_string_equal(err.what, "run sh: exit status 7: the reason");
	assert_int_equal(err.code, ERR_FAILED);
	assert_int_equal(run(SH("exit 1"), (struct proc){0}, &err), -EIO);
	assert_string_equal(err.what, "run sh: exit status 1");
	assert_int_equal(run(SH("kill -SEGV $$"), (struct proc){0}, &err), -EIO);
	assert_non_null(strstr(err.what, "killed by signal 11"));
	/* The last line is found behind a flood, and a flood without any line does no harm. */
	assert_int_equal(run(SH("yes flood | head -c 3000000 >&2; echo; echo end >&2; exit 2"), (struct proc){0}, &err), -EIO);
	assert_string_equal(err.what, "run sh: exit status 2: end");
	assert_int_equal(run(SH("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 2"), (struct proc){0}, &err), -EIO);
	assert_non_null(strstr(err.what, "exit status 2: xxx"));
}

static void missing_program(void **state)
{
	struct err err = {0};

	assert_int_equal(run((const char *const[]){"isle-no-such-program", NULL}, (struct proc){0}, &err), -ENOENT);
	assert_string_equal(err.what, "run isle-no-such-program");
	assert_int_equal(err.sys, ENOENT);
	assert_int_equal(run((const char *const[]){"/dev/null", NULL}, (struct proc){0}, &err), -EACCES);
}

static void too_much_output(void **state)
{
	struct err err = {0};
	char *out = NULL;

	assert_int_equal(run(SH("yes"), (struct proc){.ret_output = &out, .timeout_ms = 20000}, &err), -EFBIG);
	assert_null(out);
	assert_int_equal(run(SH("head -c 1048576 /dev/zero | tr '\\0' x"), (struct proc){.ret_output = &out}, &err), 0);
	assert_int_equal(strlen(out), 1048576);
	free(out);
	out = NULL;
	assert_int_equal(run(SH("head -c 1048577 /dev/zero | tr '\\0' x"), (struct proc){.ret_output = &out}, &err), -EFBIG);
	assert_null(out);
}

/* The whole group ends at the timeout, and a program that floods does not outlast it. */
static void timeouts(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	uint64_t before = proc_now_ms();
	char script[256], *text = NULL;
	uint64_t pid;

	(void)snprintf(script, sizeof(script), "sleep 1000 & echo $! >%s/pid; trap '' TERM; wait; sleep 1000", scratch->path);
	assert_int_equal(run(SH(script), (struct proc){.timeout_ms = 300}, &err), -ETIMEDOUT);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_true(proc_now_ms() - before >= 300);
	assert_true(proc_now_ms() - before < 5000);
	assert_int_equal(file_read(scratch->fd, "pid", 32, &text, NULL), 0);
	pid = strtoull(text, NULL, 10);
	free(text);
	for (int i = 0; i < 100 && kill((pid_t)pid, 0) == 0 && proc_start_time((pid_t)pid); i++) {
		char path[64];

		/* A zombie until its new parent takes it: gone all the same. */
		(void)snprintf(path, sizeof(path), "/proc/%u/stat", (unsigned)pid);
		text = NULL;
		if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
			break;
		if (strstr(text, ") Z "))
			i = 1000;
		free(text);
		if (i < 1000)
			(void)poll(NULL, 0, 10);
		assert_true(i != 99);
	}
	before = proc_now_ms();
	assert_int_equal(run(SH("yes >&2"), (struct proc){.timeout_ms = 200}, &err), -ETIMEDOUT);
	assert_true(proc_now_ms() - before < 5000);
}

/* A daemon that keeps the pipes does not keep the caller. */
static void daemon_left_behind(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	uint64_t before = proc_now_ms();
	char script[256], *out = NULL, *text = NULL;

	(void)snprintf(script, sizeof(script), "setsid sleep 60 & echo $! >%s/pid; echo done", scratch->path);
	assert_int_equal(run(SH(script), (struct proc){.ret_output = &out}, &err), 0);
	assert_string_equal(out, "done\n");
	assert_true(proc_now_ms() - before < 20000);
	free(out);
	assert_int_equal(file_read(scratch->fd, "pid", 32, &text, NULL), 0);
	kill((pid_t)strtol(text, NULL, 10), SIGKILL);
	free(text);
}

static void nothing_is_inherited(void **state)
{
	struct err err = {0};
	char *out = NULL;
	int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	sigset_t all, before;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run(SH("for f in /proc/self/fd/*; do test \"${f##*/}\" -gt 2 && readlink $f; done; "
				"grep -E 'SigBlk|SigIgn' /proc/self/status"),
			     (struct proc){.ret_output = &out}, &err),
			 0);
	sigprocmask(SIG_SETMASK, &before, NULL);
	assert_non_null(strstr(out, "SigBlk:\t0000000000000000"));
	assert_null(strstr(out, "/dev/null"));
	assert_null(strstr(out, "pipe:"));
	free(out);
	close(leak);
}

static void exit_in_child(void *arg)
{
	_exit(*(int *)arg);
}

static void in_child(void **state)
{
	struct err err = {0};
	int status = 9;

	assert_int_equal(run(SH("exit 0"), (struct proc){.in_child = exit_in_child, .in_child_arg = &status}, &err), -EIO);
	assert_string_equal(err.what, "run sh: exit status 9");
}

static void no_descriptor_leaks(void **state)
{
	struct err err = {0};
	int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

	close(before);
	for (int i = 0; i < 5; i++) {
		(void)run(SH("exit 1"), (struct proc){0}, &err);
		(void)run((const char *const[]){"/nowhere", NULL}, (struct proc){.input = "x"}, &err);
		(void)run(SH("sleep 9"), (struct proc){.timeout_ms = 20}, &err);
	}
	after = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(after);
	assert_int_equal(after, before);
}

static void pidfds(void **state)
{
	pid_t child = fork();
	uint64_t start;
	int fd;

	if (child == 0) {
		/* A name that tries to look like the end of the name field. */
		(void)file_poke(AT_FDCWD, "/proc/self/comm", "x) R 1 1 1");
		for (;;)
			pause();
	}
	for (int i = 0; i < 100; i++) {
		char path[64], *name = NULL;

		(void)snprintf(path, sizeof(path), "/proc/%d/comm", child);
		assert_int_equal(file_read(AT_FDCWD, path, 64, &name, NULL), 0);
		if (!strcmp(name, "x) R 1 1 1\n"))
			i = 100;
		free(name);
		(void)poll(NULL, 0, 5);
	}
	start = proc_start_time(child);
	assert_true(start >= proc_start_time(getpid()));
	assert_true(start < proc_start_time(getpid()) + 100000);
	assert_int_equal(proc_pidfd(child, start + 1), -ESRCH);
	assert_int_equal(proc_pidfd(child, 0), -ESRCH);
	assert_int_equal(proc_pidfd(0, start), -ESRCH);
	assert_int_equal(proc_pidfd(-1, start), -ESRCH);
	fd = proc_pidfd(child, start);
	assert_true(fd >= 0);
	assert_int_equal(proc_wait_gone(fd, 0), -ETIMEDOUT);
	assert_int_equal(proc_wait_gone(fd, 30), -ETIMEDOUT);
	assert_int_equal(proc_signal(fd, 0), 0);
	assert_int_equal(proc_signal(fd, SIGKILL), 0);
	assert_int_equal(proc_wait_gone(fd, 5000), 0);
	waitpid(child, NULL, 0);
	assert_int_equal(proc_signal(fd, SIGKILL), -ESRCH);
	assert_int_equal(proc_wait_gone(fd, -1), 0);
	assert_int_equal(proc_start_time(child), 0);
	assert_int_equal(proc_pidfd(child, start), -ESRCH);
	assert_int_equal(proc_wait_gone(12345, 10), -EBADF);
	close(fd);
}

static void boot_id(void **state)
{
	char one[37], two[37];

	assert_int_equal(proc_boot_id(one), 0);
	assert_int_equal(proc_boot_id(two), 0);
	assert_int_equal(strlen(one), 36);
	assert_string_equal(one, two);
}

static int work_aside(void *arg)
{
	int *shared = arg;

	if (*shared == 2)
		for (;;)
			pause();
	if (*shared == 3)
		abort();
	shared[1] = *shared + 41;
	return *shared ? -ENOTTY : 0;
}

static void aside(void **state)
{
	int *shared = aside_memory(2 * sizeof(int));

	assert_non_null(shared);
	assert_int_equal(aside_run(work_aside, shared, 5000), 0);
	assert_int_equal(shared[1], 41);
	*shared = 1;
	assert_int_equal(aside_run(work_aside, shared, 5000), -ENOTTY);
	assert_int_equal(shared[1], 42);
	*shared = 2;
	assert_int_equal(aside_run(work_aside, shared, 30), -ETIMEDOUT);
	*shared = 3;
	assert_int_equal(aside_run(work_aside, shared, 5000), -EIO);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* it left no process */
	aside_free(shared, 2 * sizeof(int));
	aside_free(NULL, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_run),
		cmocka_unit_test(large_input),
		cmocka_unit_test(bad_exit),
		cmocka_unit_test(missing_program),
		cmocka_unit_test(too_much_output),
		scratch_test(timeouts),
		scratch_test(daemon_left_behind),
		cmocka_unit_test(in_child),
		cmocka_unit_test(nothing_is_inherited),
		cmocka_unit_test(pidfds),
		cmocka_unit_test(no_descriptor_leaks),
		cmocka_unit_test(boot_id),
		cmocka_unit_test(aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
