/* The terminal side: attached to a fake guest's console, and the pump of `isle exec`. */
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

#define SOON 5000 /* ms */

/* A user with a terminal, or with pipes, and the session that runs there in a process of its own. */
struct user {
	pid_t session;
	int terminal;            /* master of the user's own pty, -1: pipes */
	int to, from;            /* what the user types into and reads from */
	int result;              /* pipe: what the session returned */
	struct termios before;
};

static struct fake_guest guest;
static struct user user;

/* A command on a pty, for the pump. */
static struct {
	int master;
	pid_t pid;
	int pidfd;
} command;

static struct console_session wanted = {.prefix = 1, .keep_ring = true};

static int attach_session(int in, int out)
{
	struct console_session session = wanted;

	session.in = in;
	session.out = out;
	return console_attach(guest.run_fd, &session, NULL);
}

static int pump_session(int in, int out)
{
	return console_pump(in, out, command.master, command.pidfd, NULL);
}

static void run_session(int (*session)(int in, int out), int in, int out, int report)
{
	int r = session(in, out);

	(void)!write(report, &r, sizeof(r));
	_exit(0);
}

static void open_pty(int *ret_master, char slave[64])
{
	*ret_master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*ret_master >= 0);
	assert_int_equal(grantpt(*ret_master) | unlockpt(*ret_master), 0);
	assert_int_equal(ptsname_r(*ret_master, slave, 64), 0);
}

static void with_terminal(int (*session)(int in, int out))
{
	struct winsize size = {.ws_row = 33, .ws_col = 99};
	char slave[64];
	int report[2];

	open_pty(&user.terminal, slave);
	assert_int_equal(ioctl(user.terminal, TIOCSWINSZ, &size), 0);
	assert_int_equal(tcgetattr(user.terminal, &user.before), 0);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	user.session = fork();
	if (user.session == 0) {
		(void)setsid();
		int tty = open(slave, O_RDWR | O_CLOEXEC);

		(void)ioctl(tty, TIOCSCTTY, 0);
		close(user.terminal);
		run_session(session, tty, tty, report[1]);
	}
	close(report[1]);
	user.result = report[0];
	user.to = user.from = user.terminal;
}

static void with_pipes(int (*session)(int in, int out))
{
	int to[2], from[2], report[2];

	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC) | pipe2(report, O_CLOEXEC), 0);
	user.session = fork();
	if (user.session == 0) {
		close(to[1]);
		close(from[0]);
		run_session(session, to[0], from[1], report[1]);
	}
	close(to[0]);
	close(from[1]);
	close(report[1]);
	user.terminal = -1;
	user.to = to[1];
	user.from = from[0];
	user.result = report[0];
}

static void type(const char *text)
{
	assert_int_equal(write(user.to, text, strlen(text)), strlen(text));
}

/* Reads what the user sees until text is in it. */
static bool sees(const char *text, int timeout_ms)
{
	uint64_t until = proc_now_ms() + timeout_ms;
	char seen[200000];
	size_t len = 0;

	for (uint64_t now; (now = proc_now_ms()) < until;) {
		struct pollfd ready = {.fd = user.from, .events = POLLIN};

		if (poll(&ready, 1, until - now) != 1)
			return false;
		ssize_t n = read(user.from, seen + len, sizeof(seen) - 1 - len);

		if (n <= 0)
			return false;
		len += n;
		seen[len] = '\0';
		if (memmem(seen, len, text, strlen(text)))
			return true;
		if (len > 100000) {
			memmove(seen, seen + 50000, len - 50000);
			len -= 50000;
		}
	}
	return false;
}

static void await_raw(void)
{
	struct termios now;

	for (int i = 0; i < SOON / 5; i++) {
		assert_int_equal(tcgetattr(user.terminal, &now), 0);
		if (!(now.c_lflag & (ICANON | ECHO)))
			return;
		usleep(5000);
	}
	fail();
}

static bool is_restored(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(user.terminal, &now), 0);
	return now.c_lflag == user.before.c_lflag && now.c_iflag == user.before.c_iflag && now.c_oflag == user.before.c_oflag;
}

/* The session's end; what it returned, or 1000 and the signal that ended it. */
static int ended(int timeout_ms)
{
	int status, r = 1;

	for (int i = 0; i < timeout_ms / 5; i++) {
		if (waitpid(user.session, &status, WNOHANG) == user.session) {
			user.session = 0;
			if (WIFSIGNALED(status))
				return 1000 + WTERMSIG(status);
			assert_int_equal(read(user.result, &r, sizeof(r)), sizeof(r));
			return r;
		}
		usleep(5000);
	}
	fail();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (user.session > 0) {
		kill(user.session, SIGKILL);
		waitpid(user.session, NULL, 0);
	}
	if (user.result > 0)
		close(user.result);
	if (user.from > 0)
		close(user.from);
	if (user.to > 0 && user.to != user.from)
		close(user.to);
	user = (struct user){0};
	if (command.pid > 0) {
		(void)proc_signal(command.pidfd, SIGKILL);
		waitpid(command.pid, NULL, 0);
		close(command.pidfd);
		close(command.master);
	}
	command.pid = 0;
	wanted = (struct console_session){.prefix = 1, .keep_ring = true};
	fake_guest_stop(&guest);
	return 0;
}

static void start(void)
{
	if (!fake_guest_start(&guest, &(struct fake_options){.log_max = 1 << 20}))
		skip();
}

/* Attached. */

static void test_attach(void **state)
{
	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello\r\n", SOON)); /* the ring */
	await_raw();
	fake_guest_order(&guest, ORDER_SIZE);
	assert_true(sees("33x99", SOON));
	fake_guest_order_only(&guest, ORDER_READ);
	type("abc\r");
	assert_true(sees("[abc\r\n]", SOON));
	type("\001\001d\r"); /* one Ctrl-a */
	assert_true(sees("[\001d\r\n]", SOON));
	type("\001x\r"); /* not a command: both bytes */
	assert_true(sees("[\001x\r\n]", SOON));
	type("\001");
	usleep(50000);
	type("q");
	assert_int_equal(ended(SOON), CONSOLE_DETACHED);
	assert_true(is_restored());
}

static void test_other_prefix(void **state)
{
	(void)state;
	start();
	wanted.prefix = 2;
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	await_raw();
	fake_guest_order_only(&guest, ORDER_READ);
	type("\001q\r");
	assert_true(sees("[\001q\r\n]", SOON));
	type("\002q");
	assert_int_equal(ended(SOON), CONSOLE_DETACHED);
	teardown(state);

	start();
	wanted.prefix = -1;
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	await_raw();
	fake_guest_order_only(&guest, ORDER_READ);
	type("\001q\377q\r");
	assert_true(sees("[\001q\377q\r\n]", SOON));
}

static void test_only_new(void **state)
{
	char seen[256] = "";

	(void)state;
	start();
	wanted.keep_ring = false;
	with_terminal(attach_session);
	await_raw();
	usleep(300000);
	fake_guest_order(&guest, ORDER_SAY);
	usleep(300000);
	assert_true(read(user.from, seen, sizeof(seen) - 1) > 0);
	assert_string_equal(seen, "said\r\n");
}

static void test_resize(void **state)
{
	struct winsize size = {.ws_row = 11, .ws_col = 22};

	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	await_raw();
	assert_int_equal(ioctl(user.terminal, TIOCSWINSZ, &size), 0);
	usleep(200000);
	fake_guest_order(&guest, ORDER_SIZE);
	assert_true(sees("11x22", SOON));
}

/* Whatever ends the session, the terminal is given back. */
static void test_signals(void **state)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGSEGV, SIGABRT};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		start();
		with_terminal(attach_session);
		assert_true(sees("hello", SOON));
		await_raw();
		assert_int_equal(kill(user.session, signals[i]), 0);
		assert_int_equal(ended(SOON), 1000 + signals[i]);
		assert_true(is_restored());
		teardown(state);
	}
}

static void test_job_control(void **state)
{
	siginfo_t info;

	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	await_raw();
	assert_int_equal(kill(user.session, SIGTSTP), 0);
	assert_int_equal(waitid(P_PID, user.session, &info, WSTOPPED), 0);
	assert_true(is_restored());
	assert_int_equal(kill(user.session, SIGCONT), 0);
	await_raw();
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(sees("said", SOON));
	/* Stopped from outside, the shell takes the terminal; continued, it is raw again. */
	assert_int_equal(kill(user.session, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, user.session, &info, WSTOPPED), 0);
	assert_int_equal(tcsetattr(user.terminal, TCSANOW, &user.before), 0);
	assert_int_equal(kill(user.session, SIGCONT), 0);
	await_raw();
	type("\001q");
	assert_int_equal(ended(SOON), CONSOLE_DETACHED);
	assert_true(is_restored());
}

static void test_guest_ends(void **state)
{
	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	fake_guest_order(&guest, ORDER_SAY);
	fake_guest_order_only(&guest, ORDER_EXIT);
	assert_true(sees("said", SOON));
	assert_int_equal(ended(SOON), CONSOLE_GUEST_ENDED);
	assert_true(is_restored());
}

static int serve_again(void)
{
	static char data[CONTROL_DATA_MAX];
	struct control_header header;
	int listening = control_listen(guest.run_fd, NULL);
	int served = accept4(listening, NULL, NULL, SOCK_CLOEXEC);

	assert_true(served >= 0);
	assert_int_equal(control_receive(served, &header, data), 0);
	assert_int_equal(header.kind, CONTROL_ATTACH);
	assert_int_equal(header.length, sizeof(struct control_size));
	assert_int_equal(control_send(served, CONTROL_DONE, "\5\0\0\0", 4), 0);
	assert_int_equal(control_send(served, CONTROL_OUTPUT, "again", 5), 0);
	close(listening);
	return served;
}

static void test_reboot(void **state)
{
	static char data[CONTROL_DATA_MAX];
	struct control_header header = {0};

	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	await_raw();
	fake_guest_order_only(&guest, ORDER_REBOOT);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	type("lost in between\r");
	int served = serve_again(); /* the next monitor */

	assert_true(sees("again", SOON));
	type("x");
	while (control_receive(served, &header, data) == 0 && header.kind != CONTROL_INPUT)
		;
	assert_int_equal(header.kind, CONTROL_INPUT);
	assert_int_equal(data[header.length - 1], 'x');
	assert_int_equal(control_send(served, CONTROL_END, NULL, 0), 0);
	assert_int_equal(ended(SOON), CONSOLE_GUEST_ENDED);
	close(served);
}

static void test_monitor_killed(void **state)
{
	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 128 + SIGKILL);
	assert_int_equal(ended(SOON), -EPIPE);
	assert_true(is_restored());
	with_terminal(attach_session);
	assert_int_equal(ended(SOON), -ECONNREFUSED);
	assert_true(is_restored());
}

static void test_detach_while_gone(void **state)
{
	(void)state;
	start();
	with_terminal(attach_session);
	assert_true(sees("hello", SOON));
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 128 + SIGKILL);
	type("\001q");
	assert_int_equal(ended(1500), CONSOLE_DETACHED);
}

static void test_pipes(void **state)
{
	(void)state;
	start();
	fake_guest_order_only(&guest, ORDER_READ);
	with_pipes(attach_session);
	type("one\n\001q\n"); /* no escape key here */
	close(user.to);
	user.to = -1;
	assert_true(sees("[\001q\r\n]", SOON));
	assert_int_equal(ended(SOON), CONSOLE_DETACHED);
}

static void test_no_reader(void **state)
{
	(void)state;
	start();
	with_pipes(attach_session);
	assert_true(sees("hello", SOON));
	close(user.from);
	user.from = -1;
	fake_guest_order(&guest, ORDER_SAY);
	assert_int_equal(ended(SOON), 1000 + SIGPIPE); /* as cat would */
}

/* The pump. */

static void run_command(void (*body)(void))
{
	char slave[64];

	open_pty(&command.master, slave);
	command.pid = fork();
	assert_true(command.pid >= 0);
	if (command.pid == 0) {
		close(command.master);
		(void)setsid();
		int tty = open(slave, O_RDWR);

		(void)ioctl(tty, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			dup2(tty, i);
		if (tty > 2)
			close(tty);
		body();
		_exit(0);
	}
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
		with_pipes(pump_session);
		while ((n = read(user.from, block, sizeof(block))) > 0) {
			for (ssize_t k = 0; k < n; k++, total++)
				if (block[k] != ((total / 1000 * 7 + total % 1000 * 13) & 0xff))
					fail_msg("byte %zu differs", total);
			if (slow && total > MUCH - 400000)
				usleep(3000);
		}
		assert_int_equal(total, MUCH);
		assert_int_equal(ended(SOON), 0);
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
		with_pipes(pump_session);
		type(texts[i]);
		close(user.to);
		user.to = -1;
		if (*texts[i])
			assert_true(sees("two", SOON));
		assert_int_equal(ended(SOON), 0);
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
	with_pipes(pump_session);
	assert_true(sees("last words", SOON));
	assert_int_equal(ended(1500), 0);
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
	with_pipes(pump_session);
	assert_true(sees("closing", SOON));
	long before = fake_guest_cpu_ms(user.session);

	usleep(700000);
	assert_true(fake_guest_cpu_ms(user.session) - before <= 30);
	assert_int_equal(ended(SOON), 0);
}

static void show_size(void)
{
	struct winsize size;
	char text[64], byte;

	for (int i = 0; i < 2; i++) {
		(void)!read(0, &byte, 1);
		(void)ioctl(0, TIOCGWINSZ, &size);
		snprintf(text, sizeof(text), "%dx%d\n", size.ws_row, size.ws_col);
		write_fully(text, strlen(text));
	}
}

static void test_pump_terminal(void **state)
{
	struct winsize size = {.ws_row = 5, .ws_col = 6};

	(void)state;
	run_command(show_size);
	with_terminal(pump_session);
	await_raw();
	type("\r");
	assert_true(sees("33x99", SOON));
	assert_int_equal(ioctl(user.terminal, TIOCSWINSZ, &size), 0);
	usleep(200000);
	type("\r");
	assert_true(sees("5x6", SOON));
	assert_int_equal(ended(SOON), 0);
	assert_true(is_restored());
}

static void test_pump_interrupt(void **state)
{
	(void)state;
	run_command(be_cat);
	with_terminal(pump_session);
	await_raw();
	type("\003"); /* goes to the command's terminal, not to us */
	assert_int_equal(ended(SOON), 0);
	assert_true(is_restored());
	teardown(state);

	run_command(be_cat);
	with_terminal(pump_session);
	await_raw();
	assert_int_equal(kill(user.session, SIGTERM), 0);
	assert_int_equal(ended(SOON), 1000 + SIGTERM);
	assert_true(is_restored());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_attach), TEST(test_other_prefix), TEST(test_only_new), TEST(test_resize), TEST(test_signals), TEST(test_job_control),
		TEST(test_guest_ends), TEST(test_reboot), TEST(test_monitor_killed), TEST(test_detach_while_gone), TEST(test_pipes),
		TEST(test_no_reader), TEST(test_pump_output), TEST(test_pump_input_end), TEST(test_pump_background), TEST(test_pump_no_spin),
		TEST(test_pump_terminal), TEST(test_pump_interrupt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
