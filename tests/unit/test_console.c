/* Sessions attached to a fake guest's console, on a terminal and on pipes. */
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

static struct fake_guest guest;
static struct fake_user user;
static struct console_session wanted = {.prefix = 1, .keep_ring = true};

static int attach_session(int in, int out)
{
	struct console_session session = wanted;

	session.in = in;
	session.out = out;
	return console_attach(guest.run_fd, &session, NULL);
}

static int teardown(void **state)
{
	(void)state;
	fake_user_leave(&user);
	wanted = (struct console_session){.prefix = 1, .keep_ring = true};
	fake_guest_stop(&guest);
	return 0;
}

static void start(void)
{
	if (!fake_guest_start(&guest, &(struct fake_options){.log_max = 1 << 20}))
		skip();
}

static void test_attach(void **state)
{
	(void)state;
	start();
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello\r\n", SOON)); /* the ring */
	fake_user_await_raw(&user);
	fake_guest_order(&guest, ORDER_SIZE);
	assert_true(fake_user_sees(&user, "33x99", SOON));
	fake_guest_order_only(&guest, ORDER_READ);
	fake_user_type(&user, "abc\r");
	assert_true(fake_user_sees(&user, "[abc\r\n]", SOON));
	fake_user_type(&user, "\001\001d\r"); /* one Ctrl-a */
	assert_true(fake_user_sees(&user, "[\001d\r\n]", SOON));
	fake_user_type(&user, "\001x\r"); /* not a command: both bytes */
	assert_true(fake_user_sees(&user, "[\001x\r\n]", SOON));
	fake_user_type(&user, "y\r\001"); /* the escape key is held back when the guest has what was typed before it */
	assert_true(fake_user_sees(&user, "[y\r\n]", SOON));
	fake_user_type(&user, "q");
	assert_int_equal(fake_user_ended(&user, SOON), CONSOLE_DETACHED);
	assert_true(fake_user_restored(&user));
}

static void test_other_prefix(void **state)
{
	(void)state;
	start();
	wanted.prefix = 2;
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	fake_user_await_raw(&user);
	fake_guest_order_only(&guest, ORDER_READ);
	fake_user_type(&user, "\001q\r");
	assert_true(fake_user_sees(&user, "[\001q\r\n]", SOON));
	fake_user_type(&user, "\002q");
	assert_int_equal(fake_user_ended(&user, SOON), CONSOLE_DETACHED);
	teardown(state);

	start();
	wanted.prefix = -1;
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	fake_user_await_raw(&user);
	fake_guest_order_only(&guest, ORDER_READ);
	fake_user_type(&user, "\001q\377q\r");
	assert_true(fake_user_sees(&user, "[\001q\377q\r\n]", SOON));
}

static void test_only_new(void **state)
{
	char seen[256] = "";

	(void)state;
	start();
	wanted.keep_ring = false;
	fake_user_terminal(&user, attach_session);
	struct pollfd output = {.fd = user.from, .events = POLLIN};

	for (int i = 0; poll(&output, 1, 50) == 0; i++) { /* what is said before the session is attached is not new */
		assert_true(i < SOON / 50);
		fake_guest_order(&guest, ORDER_SAY);
	}
	assert_true(read(user.from, seen, sizeof(seen) - 1) > 0);
	assert_int_equal(strncmp(seen, "said\r\n", 6), 0);
}

static void test_resize(void **state)
{
	struct winsize size = {.ws_row = 11, .ws_col = 22};

	(void)state;
	start();
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	fake_user_await_raw(&user);
	assert_int_equal(ioctl(user.terminal, TIOCSWINSZ, &size), 0);
	for (int i = 0; !fake_user_sees(&user, "11x22", 50); i++) { /* until the guest has heard of it */
		assert_true(i < SOON / 50);
		fake_guest_order(&guest, ORDER_SIZE);
	}
}

/* Whatever ends the session, the terminal is given back. */
static void test_signals(void **state)
{
	static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGSEGV, SIGABRT};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		start();
		fake_user_terminal(&user, attach_session);
		assert_true(fake_user_sees(&user, "hello", SOON));
		fake_user_await_raw(&user);
		assert_int_equal(kill(user.session, signals[i]), 0);
		assert_int_equal(fake_user_ended(&user, SOON), 1000 + signals[i]);
		assert_true(fake_user_restored(&user));
		teardown(state);
	}
}

static void test_job_control(void **state)
{
	siginfo_t info;

	(void)state;
	start();
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	fake_user_await_raw(&user);
	assert_int_equal(kill(user.session, SIGTSTP), 0);
	assert_int_equal(waitid(P_PID, user.session, &info, WSTOPPED), 0);
	assert_true(fake_user_restored(&user));
	assert_int_equal(kill(user.session, SIGCONT), 0);
	fake_user_await_raw(&user);
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_user_sees(&user, "said", SOON));
	/* Stopped from outside, the shell takes the terminal; continued, it is raw again. */
	assert_int_equal(kill(user.session, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, user.session, &info, WSTOPPED), 0);
	assert_int_equal(tcsetattr(user.terminal, TCSANOW, &user.before), 0);
	assert_int_equal(kill(user.session, SIGCONT), 0);
	fake_user_await_raw(&user);
	fake_user_type(&user, "\001q");
	assert_int_equal(fake_user_ended(&user, SOON), CONSOLE_DETACHED);
	assert_true(fake_user_restored(&user));
}

static void test_guest_ends(void **state)
{
	(void)state;
	start();
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	fake_guest_order(&guest, ORDER_SAY);
	fake_guest_order_only(&guest, ORDER_EXIT);
	assert_true(fake_user_sees(&user, "said", SOON));
	assert_int_equal(fake_user_ended(&user, SOON), CONSOLE_GUEST_ENDED);
	assert_true(fake_user_restored(&user));
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
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	fake_user_await_raw(&user);
	fake_guest_order_only(&guest, ORDER_REBOOT);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	fake_user_type(&user, "lost in between\r");
	int served = serve_again(); /* the next monitor */

	assert_true(fake_user_sees(&user, "again", SOON));
	fake_user_type(&user, "x");
	while (control_receive(served, &header, data) == 0 && header.kind != CONTROL_INPUT)
		;
	assert_int_equal(header.kind, CONTROL_INPUT);
	assert_int_equal(data[header.length - 1], 'x');
	assert_int_equal(control_send(served, CONTROL_END, NULL, 0), 0);
	assert_int_equal(fake_user_ended(&user, SOON), CONSOLE_GUEST_ENDED);
	close(served);
}

static void test_monitor_killed(void **state)
{
	(void)state;
	start();
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 128 + SIGKILL);
	assert_int_equal(fake_user_ended(&user, SOON), -EPIPE);
	assert_true(fake_user_restored(&user));
	fake_user_terminal(&user, attach_session);
	assert_int_equal(fake_user_ended(&user, SOON), -ECONNREFUSED);
	assert_true(fake_user_restored(&user));
}

static void test_detach_while_gone(void **state)
{
	(void)state;
	start();
	fake_user_terminal(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 128 + SIGKILL);
	fake_user_type(&user, "\001q");
	assert_int_equal(fake_user_ended(&user, 1500), CONSOLE_DETACHED);
}

static void test_pipes(void **state)
{
	(void)state;
	start();
	fake_guest_order_only(&guest, ORDER_READ);
	fake_user_pipes(&user, attach_session);
	fake_user_type(&user, "one\n\001q\n"); /* no escape key here */
	fake_user_type_end(&user);
	assert_true(fake_user_sees(&user, "[\001q\r\n]", SOON));
	assert_int_equal(fake_user_ended(&user, SOON), CONSOLE_DETACHED);
}

static void test_no_reader(void **state)
{
	(void)state;
	start();
	fake_user_pipes(&user, attach_session);
	assert_true(fake_user_sees(&user, "hello", SOON));
	close(user.from);
	user.from = -1;
	fake_guest_order(&guest, ORDER_SAY);
	assert_int_equal(fake_user_ended(&user, SOON), 1000 + SIGPIPE); /* as cat would */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_attach),         TEST(test_other_prefix),      TEST(test_only_new),   TEST(test_resize),
		TEST(test_signals),        TEST(test_job_control),       TEST(test_guest_ends), TEST(test_reboot),
		TEST(test_monitor_killed), TEST(test_detach_while_gone), TEST(test_pipes),      TEST(test_no_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
