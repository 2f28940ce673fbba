/* Clients of the monitor by chance, some of them no isle: what they send never ends it, and what it sends is whole packets. The
 * input is a list of acts. */
#include "config.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../../src/run/control.h"
#include "../../src/run/serve.h"
#include "fuzz.h"

#define CLIENTS 30 /* more than it takes */

struct scene {
	const uint8_t *data;
	size_t size;
	int run, console; /* the console: the guest's end */
	int client[CLIENTS];
	uint64_t replay[CLIENTS];
	struct serve *serve;
};

static unsigned take_byte(struct scene *scene)
{
	if (scene->size == 0)
		return 0;
	scene->size--;
	return *scene->data++;
}

static size_t take_bytes(struct scene *scene, size_t most, const void **ret)
{
	size_t len = most < scene->size ? most : scene->size;

	*ret = scene->data;
	scene->data += len;
	scene->size -= len;
	return len;
}

/* One turn of the monitor, as monitor_main.c has it. */
static void turn(struct serve *s)
{
	struct epoll_event events[8];
	int count = epoll_wait(s->epoll, events, 8, 0);
	bool connecting = false;

	for (int i = 0; i < count; i++) {
		uint64_t tag = events[i].data.u64;

		if (tag == SERVE_CONTROL)
			connecting = true;
		else if (tag == SERVE_CONSOLE)
			s->console_pending = true;
		else
			serve_event(s, tag, events[i].events);
	}
	if (connecting)
		(void)serve_accept(s);
	if (s->input_len > 0)
		serve_input(s);
	if (s->console_pending)
		serve_console(s);
	demand(serve_timeout(s) >= -1);
}

static void send_raw(int fd, const void *data, size_t len, bool with_fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} space = {0};
	struct iovec part = {(void *)data, len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (with_fd) {
		message.msg_control = &space;
		message.msg_controllen = sizeof(space);
		space.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&space.head), &fd, sizeof(fd));
	}
	(void)sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void receive(struct scene *scene, unsigned index)
{
	static char data[CONTROL_DATA_MAX];
	struct control_header header;
	int r = control_receive(scene->client[index], &header, data);

	if (r < 0) {
		demand(r == -EAGAIN || r == -EPIPE);
		return;
	}
	demand(header.kind >= CONTROL_OUTPUT && header.kind <= CONTROL_END);
	demand(header.kind != CONTROL_OUTPUT || header.length > 0);
	if (header.kind == CONTROL_DONE && header.length > 0) {
		uint32_t replay;

		demand(header.length == sizeof(replay));
		memcpy(&replay, data, sizeof(replay));
		demand(replay <= RING_SIZE);
	}
}

static void act(struct scene *scene)
{
	static const uint16_t sizes[] = {0, 1, sizeof(struct control_size), 100, 4096, CONTROL_DATA_MAX};
	unsigned what = take_byte(scene), index = take_byte(scene) % CLIENTS;
	static const char zeros[65536];
	static char taken[CONTROL_DATA_MAX];
	const void *data;
	size_t len;
	int *fd = &scene->client[index];

	switch (what % 8) {
	case 0:
		if (*fd < 0)
			*fd = control_connect(scene->run, NULL);
		if (*fd >= 0)
			(void)fcntl(*fd, F_SETFL, O_NONBLOCK);
		break;
	case 1:
		len = take_bytes(scene, sizes[take_byte(scene) % 3], &data);
		if (*fd >= 0)
			(void)control_send(*fd, (enum control_kind)(1 + what / 8 % 9), len ? data : NULL, (uint16_t)len);
		break;
	case 2:
		len = take_bytes(scene, take_byte(scene), &data);
		if (*fd >= 0)
			send_raw(*fd, data, len, what & 64);
		break;
	case 3:
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		break;
	case 4:
		len = take_bytes(scene, take_byte(scene), &data);
		(void)!write(scene->console, data, len);
		break;
	case 5:
		(void)!write(scene->console, zeros, (size_t)take_byte(scene) << 8);
		break;
	case 6:
		(void)!read(scene->console, taken, sizes[index % 6]);
		break;
	case 7:
		if (*fd >= 0)
			receive(scene, index);
		break;
	}
	turn(scene->serve);
}

static void play(struct scene *scene)
{
	struct serve *s = scene->serve;
	int pair[2];

	demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	scene->console = pair[1];
	int control = control_listen(scene->run, NULL), epoll = epoll_create1(EPOLL_CLOEXEC);

	demand(control >= 0 && epoll >= 0);
	const struct serve_from from = {.epoll = epoll, .console = pair[0], .control = control, .guest = scene->run, .log_max = 8192};

	demand(serve_init(s, &from) == 0);
	while (scene->size > 0)
		act(scene);
	serve_drain(s);
	(void)serve_released(s);
	serve_end(s);
	for (size_t i = 0; i < SERVE_CLIENTS_MAX; i++)
		if (s->clients[i].fd >= 0)
			close(s->clients[i].fd);
	for (size_t i = 0; i < CLIENTS; i++)
		if (scene->client[i] >= 0)
			close(scene->client[i]);
	conlog_close(&s->log);
	close(epoll);
	close(control);
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct serve serve; /* static for its size */
	struct scene scene = {.data = data, .size = size, .run = fuzz_scratch(), .serve = &serve};
	int next = fuzz_next_fd();

	memset(&serve, 0, sizeof(serve));
	for (size_t i = 0; i < CLIENTS; i++)
		scene.client[i] = -1;
	play(&scene);
	demand(fuzz_next_fd() == next);
	return 0;
}
