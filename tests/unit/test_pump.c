/* The pump between a user's terminal or pipes and a command's pty. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/proc.h"
#include "../../src/run/console.h"
#include "fake_guest.h"
#include "fake_user.h"

#define SOON 20000 /* ms */

static struct fake_user user;

/* A command on a pty, for the pump. */
static struct {
	int master;
	pid_t pid;
	int pidfd;
} command;

static int pump_session(int in, int out)
{
	return console_pump(in, out, command.master, command.pidfd, NULL);
}

static int teardown(void **state)
{
	(void)state;
	fake_user_leave(&user);
	if (command.pid > 0) {
		(void)proc_signal(command.pidfd, SIGKILL);
		waitpid(command.pid, NULL, 0);
		close(command.pidfd);
		close(command.master);
	}
	command.pid = 0;
	return 0;
}

static void run_command(void (*body)(void))
{
	char slave[64];
	int ready[2];

	command.master = fake_user_pty(slave);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	command.pid = fork();
	assert_true(command.pid >= 0);
	if (command.pid == 0) {
		close(command.master);
		fake_user_signals();
		(void)setsid();
		int tty = open(slave, O_RDWR);

		(void)ioctl(tty, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(tty, i);
		if (tty > 2)
			close(tty);
		close(ready[0]);
		close(ready[1]);
		body();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], slave, 1), 0); /* from here on its terminal's signals reach it */
	close(ready[0]);
	command.pidfd = syscall(SYS_pidfd_open, command.pid, 0);
	assert_true(command.pidfd >= 0);
}

static void write_fully(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(1, data, len);

		if (n <= 0)
			_exit(1);
		data += n;
		len -= n;
	}
}

#define MUCH 3000000

static void raw_output(void)
{
	struct termios mode;
	unsigned char block[1000];

	tcgetattr(1, &mode);
	cfmakeraw(&mode);
	tcsetattr(1, TCSANOW, &mode);
	for (int i = 0; i < MUCH / 1000; i++) {
		for (int k = 0; k < 1000; k++)
			block[k] = (i * 7 + k * 13) & 0xff;
		write_fully((char *)block, sizeof(block));
	}
}

/* Every byte, also what was in flight when the command ended; and also for a slow reader. */
static void test_pump_output(void **state)
{
	static unsigned char block[60000];

	for (int slow = 0; slow < 2; slow++) {
		size_t total = 0;
		ssize_t n;

		run_command(raw_output);
		fake_user_pipes(&user, pump_session);
		while ((n = read(user.from, block, sizeof(block))) > 0) {
			for (ssize_t k = 0; k < n; k++, total++)
				if (block[k] != ((total / 1000 * 7 + total % 1000 * 13) & 0xff))
					fail_msg("byte %zu differs", total);
			if (slow && total > MUCH - 400000)
				usleep(3000);
		}
		assert_int_equal(total, MUCH);
		assert_int_equal(fake_user_ended(&user, SOON), 0);
		teardown(state);
	}
}

static void be_cat(void)
{
	execlp("cat", "cat", NULL);
}

/* Input's end is the command's: with and without a last newline. */
static void test_pump_input_end(void **state)
{
	static const char *const texts[] = {"one\ntwo\n", "one\ntwo", ""};

	for (size_t i = 0; i < 3; i++) {
		run_command(be_cat);
		fake_user_pipes(&user, pump_session);
		fake_user_type(&user, texts[i]);
		fake_user_type_end(&user);
		if (*texts[i])
			assert_true(fake_user_sees(&user, "two", SOON));
		assert_int_equal(fake_user_ended(&user, SOON), 0);
		teardown(state);
	}
}

static void leave_background(void)
{
	(void)signal(SIGHUP, SIG_IGN);
	if (fork() == 0) {
		for (int i = 0; i < 300; i++) {
			(void)!write(1, "noise\n", 6);
			usleep(10000);
		}
		_exit(0);
	}
	write_fully("last words\n", 11);
}

/* A process that the command leaves behind holds the terminal: not waited for. */
static void test_pump_background(void **state)
{
	(void)state;
	run_command(leave_background);
	fake_user_pipes(&user, pump_session);
	assert_true(fake_user_sees(&user, "last words", SOON));
	assert_int_equal(fake_user_ended(&user, 1500), 0);
}

static void close_and_sleep(void)
{
	write_fully("closing\n", 8);
	for (int i = 0; i < 3; i++)
		close(i);
	usleep(1000000);
}

static void test_pump_no_spin(void **state)
{
	(void)state;
	run_command(close_and_sleep);
	fake_user_pipes(&user, pump_session);
	assert_true(fake_user_sees(&user, "closing", SOON));
	long before = fake_guest_cpu_ms(user.session);

	usleep(700000);
	assert_true(fake_guest_cpu_ms(user.session) - before <= 30);
	assert_int_equal(fake_user_ended(&user, SOON), 0);
}

/* Once something was typed, and whenever the size is another. */
static void show_size(void)
{
	struct winsize size = {0}, shown = {0};
	char text[64], byte;

	(void)!read(0, &byte, 1);
	for (int i = 0; i < 2; usleep(1000)) {
		(void)ioctl(0, TIOCGWINSZ, &size);
		if (size.ws_row == shown.ws_row)
			continue;
		snprintf(text, sizeof(text), "%dx%d\n", size.ws_row, size.ws_col);
		write_fully(text, strlen(text));
		shown = size;
		i++;
	}
}

static void test_pump_terminal(void **state)
{
	struct winsize size = {.ws_row = 5, .ws_col = 6};

	(void)state;
	run_command(show_size);
	fake_user_terminal(&user, pump_session);
	fake_user_await_raw(&user);
	fake_user_type(&user, "\r");
	assert_true(fake_user_sees(&user, "33x99", SOON));
	assert_int_equal(ioctl(user.terminal, TIOCSWINSZ, &size), 0);
	assert_true(fake_user_sees(&user, "5x6", SOON));
	assert_int_equal(fake_user_ended(&user, SOON), 0);
	assert_true(fake_user_restored(&user));
}

static void test_pump_interrupt(void **state)
{
	(void)state;
	run_command(be_cat);
	fake_user_terminal(&user, pump_session);
	fake_user_await_raw(&user);
	fake_user_type(&user, "\003"); /* goes to the command's terminal, not to us */
	assert_int_equal(fake_user_ended(&user, SOON), 0);
	assert_true(fake_user_restored(&user));
	teardown(state);

	run_command(be_cat);
	fake_user_terminal(&user, pump_session);
	fake_user_await_raw(&user);
	assert_int_equal(kill(user.session, SIGTERM), 0);
	assert_int_equal(fake_user_ended(&user, SOON), 1000 + SIGTERM);
	assert_true(fake_user_restored(&user));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_pump_output),  TEST(test_pump_input_end), TEST(test_pump_background),
		TEST(test_pump_no_spin), TEST(test_pump_terminal),  TEST(test_pump_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
