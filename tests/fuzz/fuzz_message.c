/* Packets between isle's processes by chance: a wrong size or too many descriptors are refused, and no descriptor stays open. */
#include "config.h"

#include <errno.h>
#include <sys/socket.h>

#include "../../src/base/message.h"
#include "fuzz.h"

#define SIZE_MAX_SENT 4096
#define FDS_SENT_MAX  250

struct plan {
	uint8_t room, fds, size_low, size_high, times;
};

static void send_raw(int socket, const uint8_t *data, size_t size, size_t fds)
{
	int list[FDS_SENT_MAX];

	for (size_t i = 0; i < fds; i++)
		list[i] = socket;
	int r = message_send(socket, data, size, list, fds);

	demand(r == 0 || r == -EAGAIN || r == -ETOOMANYREFS);
}

/* What must come of it, told from what was sent. */
static void receive(int socket, size_t sent, size_t fds, size_t wanted, size_t room)
{
	uint8_t data[SIZE_MAX_SENT + 1];
	int list[FDS_SENT_MAX];
	size_t count = room;

	memset(data, 0x5a, sizeof(data));
	int r = message_receive(socket, data, wanted, list, &count);

	if (wanted == sent && fds <= room)
		demand(r == 0 && count == fds);
	else
		demand(r == -EPROTO && count == 0);
	for (size_t i = 0; i < count; i++) {
		demand(fcntl(list[i], F_GETFD) & FD_CLOEXEC);
		close(list[i]);
	}
	demand(data[wanted] == 0x5a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int pair[2], next = fuzz_next_fd();

	demand(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	while (size >= sizeof(struct plan)) {
		struct plan plan;

		memcpy(&plan, data, sizeof(plan));
		data += sizeof(plan);
		size -= sizeof(plan);
		size_t wanted = (size_t)(plan.size_high << 8 | plan.size_low) % SIZE_MAX_SENT;
		/* As many as are wanted, or one of the sizes around it. */
		size_t sent = plan.times < 200 ? wanted : plan.times < 220 ? wanted + 1 : wanted ? wanted - 1 : 0;
		size_t fds = plan.fds % FDS_SENT_MAX, room = plan.room % FDS_SENT_MAX;
		uint8_t text[SIZE_MAX_SENT + 1] = {0};

		memcpy(text, data, sent < size ? sent : size);
		/* An empty packet reads as the end; one with descriptors is none that isle sends. */
		if (sent == 0 || wanted == 0)
			continue;
		send_raw(pair[0], text, sent, fds);
		receive(pair[1], sent, fds, wanted, room);
		size_t used = sent < size ? sent : size;

		data += used;
		size -= used;
	}
	close(pair[0]);
	size_t count = 0;

	demand(message_receive(pair[1], (uint8_t[8]){0}, 8, NULL, &count) == -EPIPE);
	close(pair[1]);
	demand(fuzz_next_fd() == next);
	return 0;
}
