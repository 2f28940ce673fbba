/* Copies between a program's pipes and the caller's standard streams. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "relay.h"

/* Nothing but the bytes in it can be reached through a pipe, nor anything through /dev/null. */
static bool harmless(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	return S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
}

static int open_one(struct relay *relay, int i, struct err *err)
{
	int pipe_fd[2];

	if (fcntl(i, F_GETFD) < 0) {
		/* A closed stream is /dev/null, never some descriptor that happens to get the number. */
		relay->guest[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	} else if (harmless(i)) {
		relay->guest[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
	} else if (pipe2(pipe_fd, O_CLOEXEC) == 0) {
		relay->guest[i] = pipe_fd[i == 0 ? 0 : 1];
		relay->ours[i] = pipe_fd[i == 0 ? 1 : 0];
	}
	if (relay->guest[i] < 0 || (i == 0 && relay->ours[0] >= 0 && fcntl(relay->ours[0], F_SETFL, O_NONBLOCK) < 0))
		return err_sys(err, "prepare standard input and output");
	return 0;
}

int relay_open(struct relay *relay, struct err *err)
{
	int r = 0;

	*relay = (struct relay){.guest = {-1, -1, -1}, .ours = {-1, -1, -1}};
	for (int i = 0; r == 0 && i < 3; i++)
		r = open_one(relay, i, err);
	if (r < 0)
		relay_close(relay);
	return r;
}

int relay_open_error(struct relay *relay, struct err *err)
{
	*relay = (struct relay){.guest = {-1, -1, -1}, .ours = {-1, -1, -1}};
	return isatty(2) ? 0 : open_one(relay, 2, err);
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

/* From one of the program's outputs to ours, at most max bytes. The end of one side is passed on to the other. */
static bool copy_output(struct relay *relay, int stream, size_t max)
{
	char data[16384];
	ssize_t len = read(relay->ours[stream], data, max < sizeof(data) ? max : sizeof(data));

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (len > 0 && file_write_waiting(stream, data, (size_t)len) == 0)
		return true;
	close(take_fd(&relay->ours[stream]));
	return false;
}

/* What lies in the pipes when the program has ended, and no more: a child of it may hold them open, or write, for ever. */
static void copy_rest(struct relay *relay)
{
	for (int i = 1; i < 3; i++) {
		int left = 0;

		if (relay->ours[i] < 0 || ioctl(relay->ours[i], FIONREAD, &left) < 0)
			continue;
		while (left > 0) {
			size_t now = (size_t)left < 4096 ? (size_t)left : 4096;

			if (!copy_output(relay, i, now))
				break;
			left -= (int)now; /* it is all there: nobody else reads this end */
		}
	}
}

/* One read ahead, and never a write that waits: a program that reads nothing must not keep us from its end, or from signals. */
static void copy_input(struct relay *relay, bool readable)
{
	ssize_t len;

	if (readable && relay->input_len == 0) {
		len = read(STDIN_FILENO, relay->input, sizeof(relay->input));
		if (len < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (len <= 0) {
			close(take_fd(&relay->ours[0]));
			return;
		}
		relay->input_at = 0;
		relay->input_len = (size_t)len;
	}
	len = write(relay->ours[0], relay->input + relay->input_at, relay->input_len);
	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len <= 0) {
		close(take_fd(&relay->ours[0]));
		return;
	}
	relay->input_at += (size_t)len;
	relay->input_len -= (size_t)len;
}

static void pass_signal(int signals, int pidfd)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		(void)proc_signal(pidfd, (int)info.ssi_signo); /* it may have ended */
}

static void copy_loop(struct relay *relay, int signals, int done_pidfd)
{
	for (;;) {
		bool full = relay->input_len > 0;
		struct pollfd watch[6] = {
			{.fd = relay->ours[0] >= 0 && !full ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = relay->ours[1], .events = POLLIN},
			{.fd = relay->ours[2], .events = POLLIN},
			{.fd = relay->ours[0] >= 0 && full ? relay->ours[0] : -1, .events = POLLOUT},
			{.fd = done_pidfd, .events = POLLIN},
			{.fd = signals, .events = POLLIN},
		};

		if (poll(watch, 6, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (watch[4].revents) {
			copy_rest(relay);
			return;
		}
		if (watch[0].revents || watch[3].revents)
			copy_input(relay, watch[0].revents != 0);
		for (int i = 1; i < 3; i++)
			if (watch[i].revents)
				(void)copy_output(relay, i, SIZE_MAX);
		if (watch[5].revents)
			pass_signal(signals, done_pidfd);
	}
}

int relay_run(struct relay *relay, int done_pidfd, struct err *err)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_before;
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
	/* Who closes his end early gets no more of it; that is no reason to leave the rest uncopied. */
	(void)sigaction(SIGPIPE, &ignore, &pipe_before);
	copy_loop(relay, signals, done_pidfd);
	(void)sigaction(SIGPIPE, &pipe_before, NULL);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return 0;
}

pid_t relay_run_aside(struct relay *relay, int done_pidfd, struct err *err)
{
	if (relay->ours[0] < 0 && relay->ours[1] < 0 && relay->ours[2] < 0)
		return 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(relay_run(relay, done_pidfd, NULL) < 0);
	return pid < 0 ? err_sys(err, "copy standard error") : pid;
}
