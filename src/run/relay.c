/* Copies between a program's pipes and the caller's terminal, so that a guest never holds the terminal itself. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "relay.h"

int relay_open(struct relay *relay, struct err *err)
{
	*relay = (struct relay){.guest = {-1, -1, -1}, .ours = {-1, -1, -1}};
	for (int i = 0; i < 3; i++) {
		int pipe_fd[2];

		if (fcntl(i, F_GETFD) < 0) {
			/* A closed stream is /dev/null, never some descriptor that happens to get the number. */
			relay->guest[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		} else if (!isatty(i)) {
			relay->guest[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
		} else if (pipe2(pipe_fd, O_CLOEXEC) == 0) {
			relay->guest[i] = pipe_fd[i == 0 ? 0 : 1];
			relay->ours[i] = pipe_fd[i == 0 ? 1 : 0];
		}
		if (relay->guest[i] < 0) {
			int r = err_sys(err, "prepare standard input and output");

			relay_close(relay);
			return r;
		}
	}
	return 0;
}

void relay_close_guest(struct relay *relay)
{
	for (int i = 0; i < 3; i++)
		if (relay->guest[i] >= 0)
			close(take_fd(&relay->guest[i]));
}

void relay_close(struct relay *relay)
{
	relay_close_guest(relay);
	for (int i = 0; i < 3; i++)
		if (relay->ours[i] >= 0)
			close(take_fd(&relay->ours[i]));
}

static void copy_some(int *from, int to, int *end)
{
	char data[16384];
	ssize_t len = read(*from, data, sizeof(data));

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len > 0 && file_write_all(to, data, (size_t)len) == 0)
		return;
	/* The end of one side is passed on to the other. */
	close(take_fd(end));
}

static void pass_signal(int signals, int pidfd)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		(void)proc_signal(pidfd, (int)info.ssi_signo); /* it may have ended */
}

static void copy_loop(struct relay *relay, int signals, int done_pidfd)
{
	bool done = false;

	while (!done || relay->ours[1] >= 0 || relay->ours[2] >= 0) {
		int input = 0;
		struct pollfd watch[5] = {
			{.fd = !done && relay->ours[0] >= 0 ? 0 : -1, .events = POLLIN},
			{.fd = relay->ours[1], .events = POLLIN},
			{.fd = relay->ours[2], .events = POLLIN},
			{.fd = done ? -1 : done_pidfd, .events = POLLIN},
			{.fd = signals, .events = POLLIN},
		};
		/* After the program's end only what already lies in the pipes counts: a child of it may hold them open for ever. */
		int n = poll(watch, 5, done ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 0)
			return;
		if (watch[0].revents)
			copy_some(&input, relay->ours[0], &relay->ours[0]);
		for (int i = 1; i < 3; i++)
			if (watch[i].revents)
				copy_some(&relay->ours[i], i, &relay->ours[i]);
		if (watch[3].revents)
			done = true;
		if (watch[4].revents)
			pass_signal(signals, done_pidfd);
	}
}

int relay_run(struct relay *relay, int done_pidfd, struct err *err)
{
	sigset_t set, before;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	if (sigprocmask(SIG_BLOCK, &set, &before) < 0)
		return err_sys(err, "block signals");
	auto_close int signals = signalfd(-1, &set, SFD_CLOEXEC);

	if (signals < 0)
		return err_sys(err, "watch signals");
	copy_loop(relay, signals, done_pidfd);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}
