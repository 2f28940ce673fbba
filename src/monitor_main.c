/* isle-monitor: holds a guest's console, reaps its init, and says how it ended. One of it runs beside each guest, so it
 * neither allocates nor uses stdio, nor anything of isle but the few files included here. monitor.h tells what it is given. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "run/conlog.h"
#include "run/control.h"
#include "run/ending.h"
#include "run/eventlog.h"
#include "run/ring.h"

#define CLIENTS_MAX 24
#define ATTACHED_MAX 16     /* the rest is for RELEASE and RING */
#define READ_SIZE 4096      /* the most that a pty gives at once */
#define READ_ROUND 16       /* reads before other events have their turn */
#define READ_COST 1024      /* the least that a read counts: a guest that writes single bytes pays for wake-ups */
#define READ_RATE (4 << 20) /* bytes of console a second, beyond a burst of as much: more of it and the guest waits */
#define LAG_MAX (RING_SIZE / 2)
#define LAG_MS 1000         /* how long the guest waits for a client that takes nothing */
#define INPUT_RETRY_MS 250
#define CLIENT_SNDBUF (256 * 1024)

struct client {
	int fd;
	bool attached;
	bool parked;      /* has input for a console that takes none now */
	bool releases;    /* clears up after the guest, for as long as it stays connected */
	bool slow;        /* took nothing for LAG_MS: not waited for until it has caught up */
	uint32_t watched; /* epoll events, 0: not in the set */
	uint64_t at;      /* ring position that it has */
	uint64_t full_ms; /* since when it takes nothing, 0: it does */
	uint64_t skipped;
};

struct monitor {
	const char *name, *root, *isle;
	char *const *numbers; /* of guest, run, init, console, control as they were given */
	int guest, run, init, console, control;
	pid_t init_pid;
	bool is_child;
	int epoll;
	bool init_ended;
	char oom_before[16];

	bool console_pending; /* there may be more to read although no event will say so */
	uint64_t read_tokens, refilled_ms;
	size_t input_at, input_len;
	struct client clients[CLIENTS_MAX];
	struct conlog log;
	struct ring ring;
	char packet[CONTROL_DATA_MAX];
	char input[CONTROL_DATA_MAX];
	char chunk[READ_SIZE];
};

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

static void client_watch(struct monitor *m, struct client *client)
{
	uint32_t wanted = client->parked ? 0 : EPOLLIN;
	struct epoll_event event = {.data.u64 = client - m->clients};
	int op = EPOLL_CTL_MOD;

	if (client->attached && client->at < m->ring.total)
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
	if (epoll_ctl(m->epoll, op, client->fd, &event) < 0)
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

static void client_output(struct monitor *m, struct client *client)
{
	int r = 0;

	while (client->attached && client->at < m->ring.total) {
		uint64_t oldest = ring_oldest(&m->ring);
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
		size_t n = ring_peek(&m->ring, client->at, &data);

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
	client_watch(m, client);
}

/* True while the console should not be read, for the sake of a client that is behind. */
static bool clients_behind(struct monitor *m, uint64_t now, int *timeout)
{
	bool behind = false;

	for (struct client *client = m->clients; client < m->clients + CLIENTS_MAX; client++) {
		if (client->fd < 0 || !client->attached || client->slow || m->ring.total - client->at <= LAG_MAX)
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

static void console_output(struct monitor *m, size_t n, uint64_t now)
{
	ring_put(&m->ring, m->chunk, n);
	conlog_write(&m->log, m->chunk, n, now);
	for (struct client *client = m->clients; client < m->clients + CLIENTS_MAX; client++)
		if (client->fd >= 0 && client->attached && client->full_ms == 0)
			client_output(m, client);
}

/* Reads until the console is empty, the rate is used up, or a client is too far behind. While no process has the slave open, a
 * read gives EIO at once and the poll state is a lasting hangup: the console is watched edge-triggered, the next writer wakes us. */
static void console_read(struct monitor *m)
{
	uint64_t now = now_ms();
	uint64_t gained = (now - m->refilled_ms) * READ_RATE / 1000;
	int unused = 0;

	m->refilled_ms = now;
	m->read_tokens = m->read_tokens + gained < READ_RATE ? m->read_tokens + gained : READ_RATE;
	m->console_pending = true;
	for (int i = 0; i < READ_ROUND && m->read_tokens >= READ_SIZE; i++) {
		if (clients_behind(m, now, &unused))
			return;
		ssize_t n = read(m->console, m->chunk, sizeof(m->chunk));

		if (n < 0 && errno == EINTR)
			continue;
		m->read_tokens -= n > READ_COST ? (size_t)n : READ_COST;
		if (n <= 0) {
			m->console_pending = false;
			return;
		}
		console_output(m, n, now);
	}
}

static void console_input(struct monitor *m)
{
	while (m->input_len > 0) {
		ssize_t n = write(m->console, m->input + m->input_at, m->input_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno == EAGAIN))
			return;
		if (n < 0)
			n = m->input_len; /* no terminal that could take it */
		m->input_at += n;
		m->input_len -= n;
	}
	for (struct client *client = m->clients; client < m->clients + CLIENTS_MAX; client++)
		if (client->fd >= 0 && client->parked) {
			client->parked = false;
			client_watch(m, client);
		}
}

static void console_size(struct monitor *m)
{
	struct winsize now = {0};
	struct control_size size;

	memcpy(&size, m->packet, sizeof(size));
	if (size.rows == 0 && size.cols == 0)
		return;
	(void)ioctl(m->console, TIOCGWINSZ, &now);
	if (size.rows)
		now.ws_row = size.rows;
	if (size.cols)
		now.ws_col = size.cols;
	(void)ioctl(m->console, TIOCSWINSZ, &now); /* a terminal of the wrong size is still one */
}

/* Requests. */

static int attached_count(const struct monitor *m)
{
	int count = 0;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		count += m->clients[i].fd >= 0 && m->clients[i].attached;
	return count;
}

static void client_attach(struct monitor *m, struct client *client)
{
	uint64_t oldest = ring_oldest(&m->ring);
	uint32_t replay = m->ring.total - oldest;

	if (client->attached || attached_count(m) >= ATTACHED_MAX || control_send(client->fd, CONTROL_DONE, &replay, sizeof(replay)) < 0) {
		client_drop(client);
		return;
	}
	client->attached = true;
	client->at = oldest;
	client_output(m, client);
}

static void client_ring(struct monitor *m, struct client *client)
{
	const void *data;
	size_t n;

	for (uint64_t at = ring_oldest(&m->ring); at < m->ring.total; at += n) {
		n = ring_peek(&m->ring, at, &data);
		if (n > CONTROL_DATA_MAX)
			n = CONTROL_DATA_MAX;
		if (control_send(client->fd, CONTROL_OUTPUT, data, n) < 0)
			break; /* the send buffer holds the whole ring: it is gone, or misses the end and sees that */
	}
	(void)control_send(client->fd, CONTROL_END, NULL, 0);
	client_drop(client);
}

/* Takes one packet; false when there is none, or the client must wait or is gone. */
static bool client_request(struct monitor *m, struct client *client)
{
	struct control_header header;

	/* While the console takes no input, input stays in its sender's socket: who sends too much waits, as on a serial line. */
	if (m->input_len > 0 && recv(client->fd, &header, sizeof(header), MSG_PEEK) == sizeof(header) && header.kind == CONTROL_INPUT) {
		client->parked = true;
		client_watch(m, client);
		return false;
	}
	int r = control_receive(client->fd, &header, m->packet);

	if (r == -EAGAIN)
		return false;
	bool sized = header.length == sizeof(struct control_size);

	if (r == 0 && header.kind == CONTROL_INPUT) {
		memcpy(m->input, m->packet, header.length);
		m->input_at = 0;
		m->input_len = header.length;
		console_input(m);
	} else if (r == 0 && header.kind == CONTROL_SIZE && sized) {
		console_size(m);
	} else if (r == 0 && header.kind == CONTROL_ATTACH && sized) {
		console_size(m);
		client_attach(m, client);
	} else if (r == 0 && header.kind == CONTROL_RELEASE && header.length == 0) {
		client->releases = true;
		(void)control_send(client->fd, CONTROL_DONE, NULL, 0); /* released it is, whoever still listens */
	} else if (r == 0 && header.kind == CONTROL_RING && header.length == 0) {
		client_ring(m, client);
	} else {
		client_drop(client);
	}
	return client->fd >= 0;
}

static void client_event(struct monitor *m, struct client *client, uint32_t events)
{
	if (client->fd >= 0 && (events & EPOLLOUT))
		client_output(m, client);
	if (client->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	for (int i = 0; i < 4 && client_request(m, client); i++) /* a few, then others */
		;
}

/* A place for a new client: an empty one, else that of one that has asked for nothing. NULL while all have something to be read. */
static struct client *client_place(struct monitor *m)
{
	struct client *idle = NULL;
	char byte;

	for (struct client *client = m->clients; client < m->clients + CLIENTS_MAX; client++) {
		if (client->fd < 0)
			return client;
		if (!client->attached && !client->releases && (client->parked || recv(client->fd, &byte, 1, MSG_PEEK) < 0))
			idle = client;
	}
	if (idle)
		client_drop(idle);
	return idle;
}

static bool client_accept(struct monitor *m)
{
	struct client *client;
	int size = CLIENT_SNDBUF;
	int fd = accept4(m->control, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	client = client_place(m);
	if (!client) {
		close(fd);
		return false;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)); /* so that a ring fits in whole */
	*client = (struct client){.fd = fd};
	client_watch(m, client);
	return true;
}

/* Init's end. */

/* What came before the end counts: output of the last moment, and a RELEASE that is still in a socket. */
static void drain(struct monitor *m)
{
	for (int i = 0; i < 256; i++) {
		m->read_tokens = READ_RATE;
		console_read(m);
		if (!m->console_pending)
			break;
	}
	for (int i = 0; i < CLIENTS_MAX && client_accept(m); i++)
		;
	for (struct client *client = m->clients; client < m->clients + CLIENTS_MAX; client++) {
		client_event(m, client, EPOLLOUT);
		client_event(m, client, EPOLLIN);
	}
}

/* Whoever released the monitor and is still there holds the guest's lock and clears up. */
static bool released(const struct monitor *m)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		if (m->clients[i].fd >= 0 && m->clients[i].releases)
			return true;
	return false;
}

static void say_end(struct monitor *m)
{
	for (struct client *client = m->clients; client < m->clients + CLIENTS_MAX; client++)
		if (client->fd >= 0)
			(void)control_send(client->fd, CONTROL_END, NULL, 0); /* a full socket's owner sees EOF */
}

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text)); /* all uses are best effort */
	close(fd);
}

#define OOM_FILE "/proc/self/oom_score_adj"

/* The monitor is among the last that the kernel should kill; what it becomes, and a guest that that starts, are not. */
static void spare_from_oom(struct monitor *m)
{
	int fd = open(OOM_FILE, O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, m->oom_before, sizeof(m->oom_before) - 1);
	m->oom_before[n > 0 ? n : 0] = '\0';
	(void)!pwrite(fd, "-500", 4, 0); /* only root may */
	close(fd);
}

static void set_signals(void (*handler)(int))
{
	static const int faults[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGCHLD};
	struct sigaction action = {.sa_handler = handler};

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		size_t i = 0;

		while (i < sizeof(faults) / sizeof(*faults) && faults[i] != sig)
			i++;
		if (i == sizeof(faults) / sizeof(*faults))
			(void)sigaction(sig, &action, NULL); /* the C library keeps two for itself */
	}
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, it would reap init before we could */
}

static int become_isle(struct monitor *m, const char *how)
{
	enum { GUEST, RUN, INIT, CONSOLE, CONTROL };
	char *argv[20] = {(char *)m->isle, (char *)"monitor-after", (char *)"--name", (char *)m->name};
	int n = 4;

	if (*m->root) {
		argv[n++] = (char *)"--path";
		argv[n++] = (char *)m->root;
	}
	argv[n++] = (char *)"--how";
	argv[n++] = (char *)how;
	argv[n++] = (char *)"--console";
	argv[n++] = m->numbers[CONSOLE];
	argv[n++] = (char *)"--control";
	argv[n++] = m->numbers[CONTROL];
	argv[n++] = (char *)"--guest";
	argv[n++] = m->numbers[GUEST];
	argv[n++] = (char *)"--run";
	argv[n++] = m->numbers[RUN];

	put_file(OOM_FILE, m->oom_before);
	set_signals(SIG_DFL);
	execv(m->isle, argv);

	char text[512] = "cannot run ";
	char number[EVENTLOG_NUMBER];

	eventlog_add(text, sizeof(text) - 40, m->isle);
	eventlog_add(text, sizeof(text), " after init's end: error ");
	eventlog_add(text, sizeof(text), eventlog_number(number, errno));
	eventlog_write(m->guest, "monitor", text);
	return 1; /* the next isle command finds the guest broken and clears up */
}

static int finish(struct monitor *m)
{
	char how[ENDING_SIZE];

	ending_of(m->init, m->init_pid, m->is_child, how);
	drain(m);
	conlog_close(&m->log);
	if (released(m)) {
		say_end(m);
		return 0;
	}

	char text[64] = "init ended: ";

	eventlog_add(text, sizeof(text), how);
	eventlog_write(m->guest, "monitor", text);
	if (strcmp(how, "reboot") != 0)
		say_end(m);
	return become_isle(m, how);
}

/* The loop. */

enum { TAG_CONSOLE = 1000, TAG_CONTROL, TAG_INIT };

static int next_timeout(struct monitor *m)
{
	int timeout = m->input_len > 0 ? INPUT_RETRY_MS : 60000;

	if (!m->console_pending)
		return m->input_len > 0 ? timeout : -1;
	if (clients_behind(m, now_ms(), &timeout))
		return timeout;
	return m->read_tokens >= READ_SIZE ? 0 : 20; /* 80 KiB worth of rate */
}

static int run(struct monitor *m)
{
	while (!m->init_ended) {
		struct epoll_event events[8];
		bool connecting = false;
		int n = epoll_wait(m->epoll, events, 8, next_timeout(m));

		for (int i = 0; i < n; i++) {
			uint64_t tag = events[i].data.u64;

			if (tag == TAG_INIT)
				m->init_ended = true;
			else if (tag == TAG_CONTROL)
				connecting = true;
			else if (tag == TAG_CONSOLE)
				m->console_pending = true;
			else
				client_event(m, &m->clients[tag], events[i].events);
		}
		if (m->init_ended)
			break;
		/* Last, when requests that were there have been taken, and their senders are known for what they are. */
		if (connecting)
			(void)client_accept(m);
		if (m->input_len > 0)
			console_input(m);
		if (m->console_pending)
			console_read(m);
	}
	return finish(m);
}

static int watch(struct monitor *m, int fd, uint32_t events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};

	return epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event);
}

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && errno == 0 && *ret <= max;
}

static bool parse(struct monitor *m, int argc, char **argv)
{
	int *const fds[] = {&m->guest, &m->run, &m->init, &m->console, &m->control};
	unsigned long value, pid;

	if (argc != 12 || argv[3][0] != '/' || !number(argv[4], INT_MAX, &pid) || !number(argv[6], ULONG_MAX, &value))
		return false;
	conlog_init(&m->log, -1, value, now_ms());
	m->name = argv[1];
	m->root = argv[2];
	m->isle = argv[3];
	m->init_pid = pid;
	m->is_child = strcmp(argv[5], "child") == 0;
	m->numbers = argv + 7;
	for (int i = 0; i < 5; i++) {
		if (!number(argv[7 + i], INT_MAX, &value) || value < 3 || fcntl(value, F_GETFD) < 0)
			return false;
		*fds[i] = value;
	}
	m->log.guest_fd = m->guest;
	return true;
}

static void settle(struct monitor *m)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		(void)dup2(null, fd); /* nobody is to be written to, nothing kept open */
	if (null > 2)
		close(null);
	(void)setsid();    /* the caller has done it, if it was no leader */
	(void)chdir("/");  /* the folder would only pin a mount */
	(void)umask(077);
	sigemptyset(&none);
	set_signals(SIG_IGN);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	spare_from_oom(m);
	/* Nothing but a RELEASE or init's end ends a monitor. */
	(void)fcntl(m->init, F_SETFD, FD_CLOEXEC);
	(void)fcntl(m->console, F_SETFL, fcntl(m->console, F_GETFL) | O_NONBLOCK);
	(void)fcntl(m->control, F_SETFL, fcntl(m->control, F_GETFL) | O_NONBLOCK);
}

int main(int argc, char **argv)
{
	static struct monitor monitor; /* static for its size: what is not used of it takes no memory */
	struct monitor *m = &monitor;
	static const char usage[] = "isle-monitor is run by isle: it stays beside a running guest\n";

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		m->clients[i].fd = -1;
	if (!parse(m, argc, argv)) {
		(void)!write(2, usage, sizeof(usage) - 1);
		return 2;
	}
	settle(m);
	m->read_tokens = READ_RATE;
	m->refilled_ms = now_ms();
	m->console_pending = true;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0 || watch(m, m->console, EPOLLIN | EPOLLOUT | EPOLLET, TAG_CONSOLE) < 0 ||
	    watch(m, m->control, EPOLLIN, TAG_CONTROL) < 0 || watch(m, m->init, EPOLLIN, TAG_INIT) < 0) {
		eventlog_write(m->guest, "monitor", "cannot watch the guest");
		return 1;
	}
	return run(m);
}
