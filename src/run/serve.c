/* The monitor's clients, the console that they share, and what is kept of it. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "eventlog.h"
#include "serve.h"

#define ATTACHED_MAX   16        /* the rest is for RELEASE and RING */
#define READ_ROUND     16        /* reads before other events have their turn */
#define READ_COST      1024      /* the least that a read counts: a guest that writes single bytes pays for wake-ups */
#define READ_RATE      (4 << 20) /* bytes of console a second, beyond a burst of as much: more of it and the guest waits */
#define LAG_MAX        (RING_SIZE / 2)
#define LAG_MS         1000 /* how long the guest waits for a client that takes nothing */
#define INPUT_RETRY_MS 250
#define CLIENT_SNDBUF  (256 * 1024)

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Clients. A client's output is not queued here: it is the ring from the position that the client has. */

static void client_drop(struct client *client)
{
	close(client->fd); /* leaves the epoll set with it */
	*client = (struct client){.fd = -1};
}

static void client_watch(struct serve *s, struct client *client)
{
	uint32_t wanted = client->parked ? 0 : EPOLLIN;
	struct epoll_event event = {.data.u64 = client - s->clients};
	int op = EPOLL_CTL_MOD;

	if (client->attached && client->at < s->ring.total)
		wanted |= EPOLLOUT;
	if (wanted == client->watched)
		return;
	/* Watched for nothing it would still report a hangup, again and again. */
	if (wanted == 0)
		op = EPOLL_CTL_DEL;
	else if (client->watched == 0)
		op = EPOLL_CTL_ADD;
	event.events = wanted;
	client->watched = wanted;
	if (epoll_ctl(s->epoll, op, client->fd, &event) < 0)
		client_drop(client);
}

static int send_skipped(const struct client *client)
{
	char number[EVENTLOG_NUMBER];
	char text[80] = "\r\n[isle: ";

	eventlog_add(text, sizeof(text), eventlog_number(number, client->skipped));
	eventlog_add(text, sizeof(text), " bytes of output skipped]\r\n");
	return control_send(client->fd, CONTROL_OUTPUT, text, strlen(text));
}

static void client_output(struct serve *s, struct client *client)
{
	int r = 0;

	while (client->attached && client->at < s->ring.total) {
		uint64_t oldest = ring_oldest(&s->ring);
		const void *data;

		if (client->at < oldest) {
			client->skipped += oldest - client->at;
			client->at = oldest;
		}
		if (client->skipped > 0) {
			r = send_skipped(client);
			if (r < 0)
				break;
			client->skipped = 0;
		}
		size_t n = ring_peek(&s->ring, client->at, &data);

		if (n > CONTROL_DATA_MAX)
			n = CONTROL_DATA_MAX;
		r = control_send(client->fd, CONTROL_OUTPUT, data, n);
		if (r < 0)
			break;
		client->at += n;
		client->full_ms = 0;
	}
	if (r == -EAGAIN || r == -ENOBUFS) {
		if (client->full_ms == 0)
			client->full_ms = now_ms();
	} else if (r < 0) {
		client->attached = false; /* gone, but what it typed last may be still to be read */
	} else {
		client->slow = false;
	}
	client_watch(s, client);
}

/* True while the console should not be read, for the sake of a client that is behind. */
static bool clients_behind(struct serve *s, uint64_t now, int *timeout)
{
	bool behind = false;

	for (struct client *client = s->clients; client < s->clients + SERVE_CLIENTS_MAX; client++) {
		if (client->fd < 0 || !client->attached || client->slow || s->ring.total - client->at <= LAG_MAX)
			continue;
		if (client->full_ms && now - client->full_ms >= LAG_MS) {
			client->slow = true;
			continue;
		}
		behind = true;
		if (client->full_ms && *timeout > (int)(client->full_ms + LAG_MS - now))
			*timeout = client->full_ms + LAG_MS - now;
	}
	return behind;
}

/* The console. */

static void console_output(struct serve *s, size_t n, uint64_t now)
{
	ring_put(&s->ring, s->chunk, n);
	conlog_write(&s->log, s->chunk, n, now);
	for (struct client *client = s->clients; client < s->clients + SERVE_CLIENTS_MAX; client++)
		if (client->fd >= 0 && client->attached && client->full_ms == 0)
			client_output(s, client);
}

/* Reads until the console is empty, the rate is used up, or a client is too far behind. While no process has the slave open,
 * a read gives EIO and the poll state is a lasting hangup: so the console is watched edge-triggered, the next writer wakes us. */
void serve_console(struct serve *s)
{
	uint64_t now = now_ms();
	uint64_t gained = (now - s->refilled_ms) * READ_RATE / 1000;
	int unused = 0;

	s->refilled_ms = now;
	s->read_tokens = s->read_tokens + gained < READ_RATE ? s->read_tokens + gained : READ_RATE;
	s->console_pending = true;
	for (int i = 0; i < READ_ROUND && s->read_tokens >= SERVE_CHUNK; i++) {
		if (clients_behind(s, now, &unused))
			return;
		ssize_t n = read(s->console, s->chunk, sizeof(s->chunk));

		if (n < 0 && errno == EINTR)
			continue;
		s->read_tokens -= n > READ_COST ? (size_t)n : READ_COST;
		if (n <= 0) {
			s->console_pending = false;
			return;
		}
		console_output(s, n, now);
	}
}

void serve_input(struct serve *s)
{
	while (s->input_len > 0) {
		ssize_t n = write(s->console, s->input + s->input_at, s->input_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno == EAGAIN))
			return;
		if (n < 0)
			n = s->input_len; /* no terminal that could take it */
		s->input_at += n;
		s->input_len -= n;
	}
	for (struct client *client = s->clients; client < s->clients + SERVE_CLIENTS_MAX; client++)
		if (client->fd >= 0 && client->parked) {
			client->parked = false;
			client_watch(s, client);
		}
}

static void console_size(struct serve *s)
{
	struct winsize now = {0};
	struct control_size size;

	memcpy(&size, s->packet, sizeof(size));
	if (size.rows == 0 && size.cols == 0)
		return;
	(void)ioctl(s->console, TIOCGWINSZ, &now);
	if (size.rows)
		now.ws_row = size.rows;
	if (size.cols)
		now.ws_col = size.cols;
	(void)ioctl(s->console, TIOCSWINSZ, &now); /* a terminal of the wrong size is still one */
}

/* Requests. */

static int attached_count(const struct serve *s)
{
	int count = 0;

	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		count += s->clients[i].fd >= 0 && s->clients[i].attached;
	return count;
}

static void client_attach(struct serve *s, struct client *client)
{
	uint64_t oldest = ring_oldest(&s->ring);
	uint32_t replay = s->ring.total - oldest;

	if (client->attached || attached_count(s) >= ATTACHED_MAX ||
	    control_send(client->fd, CONTROL_DONE, &replay, sizeof(replay)) < 0) {
		client_drop(client);
		return;
	}
	client->attached = true;
	client->at = oldest;
	client_output(s, client);
}

static void client_ring(struct serve *s, struct client *client)
{
	const void *data;
	size_t n;

	for (uint64_t at = ring_oldest(&s->ring); at < s->ring.total; at += n) {
		n = ring_peek(&s->ring, at, &data);
		if (n > CONTROL_DATA_MAX)
			n = CONTROL_DATA_MAX;
		if (control_send(client->fd, CONTROL_OUTPUT, data, n) < 0)
			break; /* the send buffer holds the whole ring: it is gone, or misses the end and sees that */
	}
	(void)control_send(client->fd, CONTROL_END, NULL, 0);
	client_drop(client);
}

/* Takes one packet; false when there is none, or the client must wait or is gone. */
static bool client_request(struct serve *s, struct client *client)
{
	struct control_header header = {0};

	/* While the console takes no input, input stays in its sender's socket: who sends too much waits, as on a serial line. */
	if (s->input_len > 0 && recv(client->fd, &header, sizeof(header), MSG_PEEK) == sizeof(header) &&
	    header.kind == CONTROL_INPUT) {
		client->parked = true;
		client_watch(s, client);
		return false;
	}
	int r = control_receive(client->fd, &header, s->packet);

	if (r == -EAGAIN)
		return false;
	bool sized = header.length == sizeof(struct control_size);

	if (r == 0 && header.kind == CONTROL_INPUT) {
		memcpy(s->input, s->packet, header.length);
		s->input_at = 0;
		s->input_len = header.length;
		serve_input(s);
	} else if (r == 0 && header.kind == CONTROL_SIZE && sized) {
		console_size(s);
	} else if (r == 0 && header.kind == CONTROL_ATTACH && sized) {
		console_size(s);
		client_attach(s, client);
	} else if (r == 0 && header.kind == CONTROL_RELEASE && header.length == 0) {
		client->released = true;
		(void)control_send(client->fd, CONTROL_DONE, NULL, 0); /* if it is gone, so is its word */
	} else if (r == 0 && header.kind == CONTROL_RING && header.length == 0) {
		client_ring(s, client);
	} else {
		client_drop(client);
	}
	return client->fd >= 0;
}

void serve_event(struct serve *s, size_t index, uint32_t events)
{
	struct client *client = &s->clients[index];

	if (client->fd >= 0 && (events & EPOLLOUT))
		client_output(s, client);
	if (client->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (int i = 0; i < 4 && client_request(s, client); i++) /* a few, then others */
		;
}

/* A place for a new client: an empty one, else that of one that has asked for nothing. NULL while all have something to be read. */
static struct client *client_place(struct serve *s)
{
	struct client *idle = NULL;
	char byte;

	for (struct client *client = s->clients; client < s->clients + SERVE_CLIENTS_MAX; client++) {
		if (client->fd < 0)
			return client;
		if (!client->attached && !client->released && (client->parked || recv(client->fd, &byte, 1, MSG_PEEK) < 0))
			idle = client;
	}
	if (idle)
		client_drop(idle);
	return idle;
}

bool serve_accept(struct serve *s)
{
	struct client *client;
	int size = CLIENT_SNDBUF;
	int fd = accept4(s->control, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	client = client_place(s);
	if (!client) {
		close(fd);
		return false;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)); /* so that a ring fits in whole */
	*client = (struct client){.fd = fd};
	client_watch(s, client);
	return true;
}

bool serve_released(const struct serve *s)
{
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0 && s->clients[i].released)
			return true;
	return false;
}

/* What came before the end counts: output of the last moment, and a RELEASE that is still in a socket. */
void serve_drain(struct serve *s)
{
	for (int i = 0; i < 256; i++) {
		s->read_tokens = READ_RATE;
		serve_console(s);
		if (!s->console_pending)
			break;
	}
	for (int i = 0; i < SERVE_CLIENTS_MAX && serve_accept(s); i++)
		;
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++) {
		serve_event(s, i, EPOLLOUT);
		serve_event(s, i, EPOLLIN);
	}
}

void serve_end(struct serve *s)
{
	for (struct client *client = s->clients; client < s->clients + SERVE_CLIENTS_MAX; client++)
		if (client->fd >= 0)
			(void)control_send(client->fd, CONTROL_END, NULL, 0); /* a full socket's owner sees EOF */
}

int serve_timeout(struct serve *s)
{
	int timeout = s->input_len > 0 ? INPUT_RETRY_MS : 60000;

	if (!s->console_pending)
		return s->input_len > 0 ? timeout : -1;
	if (clients_behind(s, now_ms(), &timeout))
		return timeout;
	return s->read_tokens >= SERVE_CHUNK ? 0 : 20; /* 80 KiB worth of rate */
}

int serve_init(struct serve *s, const struct serve_from *from)
{
	struct epoll_event console = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u64 = SERVE_CONSOLE};
	struct epoll_event control = {.events = EPOLLIN, .data.u64 = SERVE_CONTROL};

	s->epoll = from->epoll;
	s->console = from->console;
	s->control = from->control;
	s->read_tokens = READ_RATE;
	s->refilled_ms = now_ms();
	s->console_pending = true;
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	conlog_init(&s->log, from->guest, from->log_max, now_ms());
	if (fcntl(s->console, F_SETFL, fcntl(s->console, F_GETFL) | O_NONBLOCK) < 0 ||
	    fcntl(s->control, F_SETFL, fcntl(s->control, F_GETFL) | O_NONBLOCK) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->console, &console) < 0 ||
	    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->control, &control) < 0)
		return -errno;
	return 0;
}
