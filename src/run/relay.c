/* Copies between a program's pipes and the caller's standard streams. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
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
	if (relay->guest[i] < 0)
		return err_sys(err, "prepare standard input and output");
	/* A program that reads nothing must not keep its output from being copied. */
	if (i == 0 && relay->ours[0] >= 0 && fcntl(relay->ours[0], F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "prepare standard input");
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

/* What was read for the program and has not gone into its pipe yet. */
struct input {
	char data[16384];
	size_t at, len;
	bool ended;
};

static void copy_output(struct relay *relay, int i)
{
	char data[16384];
	ssize_t len = read(relay->ours[i], data, sizeof(data));

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len <= 0 || file_write_all(i, data, (size_t)len) < 0)
		close(take_fd(&relay->ours[i])); /* the end of one side is passed on to the other */
}

static void read_input(struct input *input)
{
	ssize_t len = read(0, input->data, sizeof(input->data));

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	input->at = 0;
	input->len = len > 0 ? (size_t)len : 0;
	input->ended = len <= 0;
}

static void write_input(struct relay *relay, struct input *input)
{
	ssize_t len = input->len ? write(relay->ours[0], input->data + input->at, input->len) : 0;

	if (len < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (len >= 0) {
		input->at += (size_t)len;
		input->len -= (size_t)len;
	}
	if (len < 0 || (input->ended && input->len == 0))
		close(take_fd(&relay->ours[0]));
}

static void pass_signal(int signals, int pidfd)
{
	struct signalfd_siginfo info;

	if (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		(void)proc_signal(pidfd, (int)info.ssi_signo); /* it may have ended */
}

static void copy_loop(struct relay *relay, int signals, int done_pidfd)
{
	struct input input = {.at = 0};
	bool done = false;

	while (!done || relay->ours[1] >= 0 || relay->ours[2] >= 0) {
		bool reading = !done && relay->ours[0] >= 0 && input.len == 0;
		struct pollfd watch[6] = {
			{.fd = reading ? 0 : -1, .events = POLLIN},
			{.fd = relay->ours[1], .events = POLLIN},
			{.fd = relay->ours[2], .events = POLLIN},
			{.fd = done ? -1 : done_pidfd, .events = POLLIN},
			{.fd = signals, .events = POLLIN},
			/* Asked for nothing it still tells when nobody can read any more. */
			{.fd = done ? -1 : relay->ours[0], .events = input.len ? POLLOUT : 0},
		};
		/* After the program's end only what already lies in the pipes counts: a child of it may hold them open for ever. */
		int n = poll(watch, 6, done ? 0 : -1);

		if (n < 0 && errno != EINTR)
			return;
		if (n == 0)
			return;
		if (watch[0].revents)
			read_input(&input);
		if (relay->ours[0] >= 0 && (watch[0].revents || watch[5].revents))
			write_input(relay, &input);
		if (relay->ours[0] >= 0 && (watch[5].revents & POLLERR))
			close(take_fd(&relay->ours[0]));
		for (int i = 1; i < 3; i++)
			if (watch[i].revents)
				copy_output(relay, i);
		if (watch[3].revents)
			done = true;
		if (watch[4].revents)
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
