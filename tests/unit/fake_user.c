/* A user with a terminal, or with pipes. */
#define _GNU_SOURCE
#include "config.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/proc.h"
#include "fake_user.h"

#define SOON 20000 /* ms */

void fake_user_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_DFL);
}

static void run_session(fake_session *session, int in, int out, int report)
{
	fake_user_signals();
	int r = session(in, out);

	(void)!write(report, &r, sizeof(r));
	_exit(0);
}

int fake_user_pty(char slave[64])
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, slave, 64), 0);
	return master;
}

void fake_user_terminal(struct fake_user *user, fake_session *session)
{
	struct winsize size = {.ws_row = 33, .ws_col = 99};
	char slave[64];
	int report[2];

	user->terminal = fake_user_pty(slave);
	assert_int_equal(ioctl(user->terminal, TIOCSWINSZ, &size), 0);
	assert_int_equal(tcgetattr(user->terminal, &user->before), 0);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	user->session = fork();
	if (user->session == 0) {
		(void)setsid();
		int tty = open(slave, O_RDWR | O_CLOEXEC);

		(void)ioctl(tty, TIOCSCTTY, 0);
		close(user->terminal);
		run_session(session, tty, tty, report[1]);
	}
	close(report[1]);
	user->result = report[0];
	user->to = user->from = user->terminal;
}

void fake_user_pipes(struct fake_user *user, fake_session *session)
{
	int to[2], from[2], report[2];

	assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC) | pipe2(report, O_CLOEXEC), 0);
	user->session = fork();
	if (user->session == 0) {
		close(to[1]);
		close(from[0]);
		run_session(session, to[0], from[1], report[1]);
	}
	close(to[0]);
	close(from[1]);
	close(report[1]);
	user->terminal = -1;
	user->to = to[1];
	user->from = from[0];
	user->result = report[0];
}

void fake_user_type(struct fake_user *user, const char *text)
{
	assert_int_equal(write(user->to, text, strlen(text)), strlen(text));
}

bool fake_user_sees(struct fake_user *user, const char *text, int timeout_ms)
{
	uint64_t until = proc_now_ms() + timeout_ms;
	char seen[200000];
	size_t len = 0;

	for (uint64_t now; (now = proc_now_ms()) < until;) {
		struct pollfd ready = {.fd = user->from, .events = POLLIN};

		if (poll(&ready, 1, until - now) != 1)
			return false;
		ssize_t n = read(user->from, seen + len, sizeof(seen) - 1 - len);

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

void fake_user_await_raw(struct fake_user *user)
{
	struct termios now;

	for (int i = 0; i < SOON / 5; i++) {
		assert_int_equal(tcgetattr(user->terminal, &now), 0);
		if (!(now.c_lflag & (ICANON | ECHO)))
			return;
		usleep(5000);
	}
	fail();
}

bool fake_user_restored(struct fake_user *user)
{
	struct termios now;

	assert_int_equal(tcgetattr(user->terminal, &now), 0);
	return now.c_lflag == user->before.c_lflag && now.c_iflag == user->before.c_iflag && now.c_oflag == user->before.c_oflag;
}

int fake_user_ended(struct fake_user *user, int timeout_ms)
{
	int status, r = 1;

	for (int i = 0; i < timeout_ms / 5; i++) {
		if (waitpid(user->session, &status, WNOHANG) == user->session) {
			user->session = 0;
			if (WIFSIGNALED(status))
				return 1000 + WTERMSIG(status);
			assert_int_equal(read(user->result, &r, sizeof(r)), sizeof(r));
			return r;
		}
		usleep(5000);
	}
	fail();
	return 0;
}

void fake_user_type_end(struct fake_user *user)
{
	close(user->to);
	user->to = -1;
}

void fake_user_leave(struct fake_user *user)
{
	if (user->session > 0) {
		kill(user->session, SIGKILL);
		waitpid(user->session, NULL, 0);
	}
	if (user->result > 0)
		close(user->result);
	if (user->from > 0)
		close(user->from);
	if (user->to > 0 && user->to != user->from)
		close(user->to);
	*user = (struct fake_user){0};
}
