/* Copying between a program's pipes and a terminal, with programs that do not play along. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/proc.h"
#include "../../src/run/relay.h"

#define SOON 5000 /* ms; a loaded machine */

/* Runs `program` with the relay's streams, as `isle exec` does; its exit status is ours. */
static _Noreturn void relay_program(const char *program)
{
	struct relay relay;
	struct err err = {0};

	(void)signal(SIGPIPE, SIG_IGN);
	if (relay_open(&relay, &err) < 0)
		_exit(100);
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 3; i++)
			if (dup2(relay.guest[i], i) < 0)
				_exit(101);
		execl("/bin/sh", "sh", "-c", program, (char *)NULL);
		_exit(102);
	}
	relay_close_guest(&relay);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int r = relay_run(&relay, pidfd, &err), status;

	relay_close(&relay);
	if (r < 0 || waitpid(pid, &status, 0) < 0)
		_exit(103);
	_exit(WEXITSTATUS(status));
}

static int in_terminal(int *ret_master, const char *program)
{
	pid_t pid = forkpty(ret_master, NULL, NULL, NULL);

	assert_true(pid >= 0);
	if (pid == 0)
		relay_program(program);
	return pid;
}

/* Reads what the terminal shows until the process ends; its status, or -1 when it does not. */
static int watch(pid_t pid, int master, char *text, size_t size)
{
	uint64_t end = proc_now_ms() + SOON;
	size_t len = 0;
	int status = -1;
	bool done = false;

	assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	while (!done && proc_now_ms() < end) {
		char data[65536];
		ssize_t n;

		done = waitpid(pid, &status, WNOHANG) == pid;
		while ((n = read(master, data, sizeof(data))) > 0) {
			size_t keep = (size_t)n < size - 1 - len ? (size_t)n : size - 1 - len;

			memcpy(text + len, data, keep);
			len += keep;
			if (!done && proc_now_ms() >= end)
				break;
		}
		usleep(1000);
	}
	text[len] = '\0';
	close(master);
	if (done)
		return WEXITSTATUS(status);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return -1;
}

static void test_plain(void **state)
{
	char text[256];
	int master;
	pid_t pid = in_terminal(&master, "echo out; echo err >&2; exit 7");

	(void)state;
	assert_int_equal(watch(pid, master, text, sizeof(text)), 7);
	assert_non_null(strstr(text, "out"));
	assert_non_null(strstr(text, "err"));
}

/* A child that writes on for ever must not keep the command from its end. */
static void test_left_behind(void **state)
{
	char text[256];
	int master;
	pid_t pid = in_terminal(&master, "yes & echo $! >&2; exec sh -c 'sleep 0.2; exit 3'");

	(void)state;
	assert_int_equal(watch(pid, master, text, sizeof(text)), 3);
}

/* A program that reads nothing must not keep us from signals and its end, however much is typed. */
static void test_reads_nothing(void **state)
{
	char text[256], lines[4096];
	int master;
	pid_t pid = in_terminal(&master, "echo up; exec sleep 1");

	(void)state;
	memset(lines, 'x', sizeof(lines));
	for (size_t i = 79; i < sizeof(lines); i += 80)
		lines[i] = '\n';
	assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 400; i++) {
		(void)!write(master, lines, sizeof(lines));
		(void)!read(master, text, sizeof(text)); /* the echo */
		usleep(500);
	}
	assert_int_equal(watch(pid, master, text, sizeof(text)), 0);
}

/* Whoever had the terminal before may have left it not to be waited for (O_NONBLOCK goes with the open file): nothing is lost. */
static void test_terminal_that_does_not_wait(void **state)
{
	static char text[400000];
	int master, status;
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (fcntl(1, F_SETFL, O_NONBLOCK) < 0)
			_exit(104);
		relay_program("head -c 300000 /dev/zero | tr '\\0' x; echo end; exit 5");
	}
	status = watch(pid, master, text, sizeof(text));
	assert_int_equal(strspn(text, "x"), 300000);
	assert_non_null(strstr(text, "end"));
	assert_int_equal(status, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_reads_nothing),
		cmocka_unit_test(test_terminal_that_does_not_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
