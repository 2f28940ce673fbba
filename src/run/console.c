/* A terminal attached to a guest's console. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "console.h"
#include "control.h"
#include "terminal.h"

#define CHUNK        4096 /* PIPE_BUF: what a pipe takes without waiting once it is writable */
#define QUIET_MS     300  /* after input's end: no output for so long is the end */
#define LINGER_MS    2000
#define RECONNECT_MS 3000
#define RETRY_MS     100

struct session {
	const struct console_session *wanted;
	struct terminal terminal;
	int run_fd;
	int socket;    /* -1: between two monitors */
	bool attached; /* DONE came */
	bool again;    /* not the first monitor */
	bool in_open;
	bool saw_prefix;
	bool detached;
	bool guest_ended;
	uint64_t lost_ms; /* when the monitor was lost, 0: it was not */
	uint64_t input_end_ms, last_output_ms;
	uint32_t to_skip; /* of the ring */
	size_t input_len;
	size_t output_at, output_len;
	char input[2 * CHUNK];
	char output[CONTROL_DATA_MAX];
};

static int send_size(struct session *s, enum control_kind kind)
{
	struct winsize size = {0};
	struct control_size data = {0};

	if (terminal_size(&s->terminal, &size))
		data = (struct control_size){.rows = size.ws_row, .cols = size.ws_col};
	return control_send(s->socket, kind, &data, sizeof(data));
}

static int attach(struct session *s, struct err *err)
{
	auto_close int fd = control_connect(s->run_fd, err);
	int r;

	if (fd < 0)
		return fd;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, "set up the connection to the monitor");
	s->socket = take_fd(&fd);
	s->attached = false;
	r = send_size(s, CONTROL_ATTACH);
	return r < 0 ? err_num(err, r, "attach to the console") : 0;
}

/* EOF without END is a reboot, or a monitor that was killed: both may come back. */
static int lost(struct session *s, struct err *err)
{
	int r;

	clean_close(&s->socket);
	s->socket = -1;
	s->again = true;
	if (s->terminal.is_raw)
		s->input_len = 0; /* typed for what is gone */
	if (!s->lost_ms)
		s->lost_ms = proc_now_ms();
	if (proc_now_ms() - s->lost_ms < RECONNECT_MS)
		return 0;
	r = err_num(err, EPIPE, "attach to the console");
	(void)err_hint(err,
		       "either the guest's monitor was killed (the next isle command starts a new one), or too many are attached");
	return r;
}

static int reconnect(struct session *s, struct err *err)
{
	if (attach(s, NULL) == 0)
		return 0;
	return lost(s, err);
}

static int take_packet(struct session *s, struct err *err)
{
	struct control_header header;
	int r = control_receive(s->socket, &header, s->output);

	if (r == -EAGAIN)
		return 0;
	if (r == -EPIPE)
		return lost(s, err);
	if (r < 0)
		return err_num(err, r, "read from the guest's monitor");
	if (header.kind == CONTROL_END) {
		s->guest_ended = true;
	} else if (header.kind == CONTROL_DONE && !s->attached) {
		s->attached = true;
		s->lost_ms = 0;
		if (!s->wanted->keep_ring && !s->again && header.length == sizeof(uint32_t))
			memcpy(&s->to_skip, s->output, sizeof(s->to_skip));
	} else if (header.kind == CONTROL_OUTPUT) {
		s->output_at = s->to_skip < header.length ? s->to_skip : header.length;
		s->to_skip -= s->output_at;
		s->output_len = header.length - s->output_at;
		s->last_output_ms = proc_now_ms();
	}
	return 0;
}

static int write_output(struct session *s, struct err *err)
{
	ssize_t n = write(s->wanted->out, s->output + s->output_at, s->output_len < CHUNK ? s->output_len : CHUNK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return err_sys(err, "write the console's output");
	s->output_at += n;
	s->output_len -= n;
	return 0;
}

/* What was typed, without the escape key and what it asks for. A doubled escape key is one for the guest. */
static void filter(struct session *s, const char *typed, size_t len)
{
	for (size_t i = 0; i < len && !s->detached; i++) {
		bool is_prefix = s->terminal.is_raw && (unsigned char)typed[i] == s->wanted->prefix;

		if (s->saw_prefix && typed[i] == 'q') {
			s->detached = true;
		} else if (is_prefix && !s->saw_prefix) {
			s->saw_prefix = true;
		} else {
			if (s->saw_prefix && !is_prefix)
				s->input[s->input_len++] = s->wanted->prefix;
			s->saw_prefix = false;
			s->input[s->input_len++] = typed[i];
		}
	}
}

static int read_input(struct session *s, struct err *err)
{
	char typed[CHUNK - 1]; /* one more may be held back from last time */
	ssize_t n = read(s->wanted->in, typed, sizeof(typed));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0 && s->terminal.is_raw)
		return err_num(err, EPIPE, "read from the terminal");
	if (n <= 0) {
		s->in_open = false;
		s->input_end_ms = proc_now_ms();
		return 0;
	}
	filter(s, typed, n);
	return 0;
}

static int send_input(struct session *s, struct err *err)
{
	int r = control_send(s->socket, CONTROL_INPUT, s->input, s->input_len);

	if (r == -EAGAIN)
		return 0;
	if (r == -EPIPE)
		return 0; /* reading tells why */
	if (r < 0)
		return err_num(err, r, "send to the guest's monitor");
	s->input_len = 0;
	return 0;
}

static int timeout(const struct session *s)
{
	if (s->socket < 0)
		return RETRY_MS;
	return s->in_open || s->input_len > 0 ? -1 : QUIET_MS;
}

/* True once nothing more is to be expected after input's end. */
static bool is_over(const struct session *s)
{
	uint64_t now = proc_now_ms();

	if (s->guest_ended && s->output_len == 0)
		return true;
	if (s->in_open || s->input_len > 0 || s->output_len > 0 || !s->attached)
		return false;
	return now - s->input_end_ms >= LINGER_MS || (now - s->input_end_ms >= QUIET_MS && now - s->last_output_ms >= QUIET_MS);
}

static int turn(struct session *s, int *ended_by, struct err *err)
{
	enum { SIGNALS, IN, OUT, SOCKET, COUNT };
	bool gone = s->socket < 0 || !s->attached;
	/* While the next monitor is awaited what is typed goes nowhere, but the escape key is heard. */
	bool discard = gone && s->again && s->terminal.is_raw;
	bool want_input = s->in_open && (s->input_len == 0 || discard);
	short want = (s->output_len == 0 ? POLLIN : 0) | (s->input_len > 0 && !gone ? POLLOUT : 0);
	struct pollfd fds[COUNT] = {
		[SIGNALS] = {.fd = s->terminal.signals, .events = POLLIN},
		[IN] = {.fd = want_input ? s->wanted->in : -1, .events = POLLIN},
		[OUT] = {.fd = s->output_len > 0 ? s->wanted->out : -1, .events = POLLOUT},
		[SOCKET] = {.fd = want ? s->socket : -1, .events = want},
	};
	int r = 0;

	int n = poll(fds, COUNT, timeout(s));

	if (n < 0)
		return errno == EINTR ? 0 : err_sys(err, "wait for the terminal");
	if (n == 0)
		return s->socket < 0 ? reconnect(s, err) : 0;
	if (fds[SIGNALS].revents) {
		int sig = terminal_signal(&s->terminal);

		if (sig == SIGWINCH && s->socket >= 0)
			(void)send_size(s, CONTROL_SIZE); /* cosmetic */
		else if (sig && sig != SIGWINCH)
			*ended_by = sig;
	}
	if (fds[OUT].revents)
		r = write_output(s, err);
	if (r == 0 && fds[IN].revents) {
		r = read_input(s, err);
		if (discard)
			s->input_len = 0;
	}
	if (r == 0 && (fds[SOCKET].revents & (POLLIN | POLLHUP | POLLERR)) && s->output_len == 0)
		r = take_packet(s, err);
	if (r == 0 && s->input_len > 0 && s->socket >= 0 && s->attached)
		r = send_input(s, err);
	return r;
}

int console_attach(int run_fd, const struct console_session *wanted, struct err *err)
{
	struct session s = {.wanted = wanted, .run_fd = run_fd, .socket = -1, .in_open = true};
	int ended_by = 0;
	int r = terminal_enter(&s.terminal, wanted->in, wanted->out, err);

	if (r < 0)
		return r;
	r = attach(&s, err);
	while (r == 0 && !ended_by && !s.detached && !is_over(&s))
		r = turn(&s, &ended_by, err);
	clean_close(&s.socket);
	terminal_leave(&s.terminal, ended_by);
	if (ended_by)
		return err_num(err, EINTR, "show the console");
	if (r < 0)
		return r;
	return s.guest_ended ? CONSOLE_GUEST_ENDED : CONSOLE_DETACHED;
}
