/* Copying between the user's terminal and a command's pty. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "console.h"
#include "terminal.h"

#define CHUNK       4096         /* PIPE_BUF: what a pipe takes without waiting once it is writable */
#define AFTER_MAX   (256 * 1024) /* more than a pty can hold: what a finished command has written is less */
#define NO_SLAVE_MS 20

struct stream {
	char data[CHUNK];
	size_t at, len;
};

struct pump {
	struct terminal terminal;
	int in, out, master, done;
	bool in_open;
	bool ended;     /* the command */
	bool no_slave;  /* nobody has the slave open: asked again now and then, poll would return at once */
	bool line_open; /* the last byte that was typed ended no line */
	size_t after;   /* bytes read since the end */
	struct stream input, output;
};

static void set_size(struct pump *pump)
{
	struct winsize size;

	if (terminal_size(&pump->terminal, &size))
		(void)ioctl(pump->master, TIOCSWINSZ, &size); /* cosmetic */
}

/* A terminal's line discipline takes its end-of-file character for the end; after an open line it first ends that. */
static void input_ended(struct pump *pump)
{
	struct termios mode;
	cc_t eof = 4;

	pump->in_open = false;
	if (tcgetattr(pump->master, &mode) == 0 && mode.c_cc[VEOF] != _POSIX_VDISABLE)
		eof = mode.c_cc[VEOF];
	pump->input.at = 0;
	pump->input.data[pump->input.len++] = eof;
	if (pump->line_open)
		pump->input.data[pump->input.len++] = eof;
}

static int read_input(struct pump *pump, struct err *err)
{
	ssize_t n = read(pump->in, pump->input.data, CHUNK);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0 && pump->terminal.is_raw)
		return err_num(err, EPIPE, "read from the terminal");
	if (n <= 0) {
		input_ended(pump);
		return 0;
	}
	pump->input.at = 0;
	pump->input.len = n;
	pump->line_open = pump->input.data[n - 1] != '\n';
	return 0;
}

static void write_input(struct pump *pump)
{
	struct stream *s = &pump->input;
	ssize_t n = write(pump->master, s->data + s->at, s->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		n = s->len; /* nobody there to take it */
	s->at += n;
	s->len -= n;
}

/* False when the master has nothing now. */
static bool read_output(struct pump *pump)
{
	ssize_t n = read(pump->master, pump->output.data, CHUNK);

	if (n < 0 && errno == EINTR)
		return true;
	pump->no_slave = n <= 0 && errno != EAGAIN;
	if (n <= 0)
		return false;
	pump->output.at = 0;
	pump->output.len = n;
	pump->after += pump->ended ? n : 0;
	return true;
}

static int write_output(struct pump *pump, struct err *err)
{
	struct stream *s = &pump->output;
	ssize_t n = write(pump->out, s->data + s->at, s->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_sys(err, "write the command's output");
	s->at += n;
	s->len -= n;
	return 0;
}

/* One turn. Returns 1 at the end, 0 to go on, -errno; *ended_by is a signal that ends the session. */
static int turn(struct pump *pump, int *ended_by, struct err *err)
{
	enum { SIGNALS, IN, OUT, MASTER, DONE, COUNT };
	bool want_read = pump->output.len == 0 && !pump->no_slave;
	struct pollfd fds[COUNT] = {
		[SIGNALS] = {.fd = pump->terminal.signals, .events = POLLIN},
		[IN] = {.fd = pump->in_open && pump->input.len == 0 ? pump->in : -1, .events = POLLIN},
		[OUT] = {.fd = pump->output.len > 0 ? pump->out : -1, .events = POLLOUT},
		[MASTER] = {.fd = pump->master, .events = (want_read ? POLLIN : 0) | (pump->input.len > 0 ? POLLOUT : 0)},
		[DONE] = {.fd = pump->ended ? -1 : pump->done, .events = POLLIN},
	};
	int r;

	/* A hangup is reported whether it is asked for or not. */
	if (fds[MASTER].events == 0 || pump->no_slave)
		fds[MASTER].fd = -1;
	if (pump->ended && pump->output.len == 0) {
		if (pump->after >= AFTER_MAX || !read_output(pump))
			return 1;
		return 0;
	}
	if (poll(fds, COUNT, pump->no_slave ? NO_SLAVE_MS : -1) < 0)
		return errno == EINTR ? 0 : err_sys(err, "wait for the terminal");

	if (fds[SIGNALS].revents) {
		int sig = terminal_signal(&pump->terminal);

		if (sig == SIGWINCH)
			set_size(pump);
		else if (sig)
			*ended_by = sig;
	}
	if (fds[OUT].revents) {
		r = write_output(pump, err);
		if (r < 0)
			return r;
	}
	if (fds[IN].revents) {
		r = read_input(pump, err);
		if (r < 0)
			return r;
	}
	if (pump->input.len > 0)
		write_input(pump);
	if (fds[DONE].revents)
		pump->ended = true;
	if (pump->output.len == 0)
		(void)read_output(pump); /* nothing there is no news */
	return 0;
}

int console_pump(int in, int out, int master, int done_pidfd, struct err *err)
{
	struct pump pump = {.in = in, .out = out, .master = master, .done = done_pidfd, .in_open = true};
	int ended_by = 0, r;

	if (fcntl(master, F_SETFL, fcntl(master, F_GETFL) | O_NONBLOCK) < 0)
		return err_sys(err, "set up the command's terminal");
	r = terminal_enter(&pump.terminal, in, out, err);
	if (r < 0)
		return r;
	set_size(&pump);
	do
		r = turn(&pump, &ended_by, err);
	while (r == 0 && !ended_by);
	terminal_leave(&pump.terminal, ended_by);
	if (r == 0)
		return err_num(err, EINTR, "copy the command's output");
	return r < 0 ? r : 0;
}
