/* The monitor's protocol: one packet out, one packet in, with nothing else of isle because the monitor links it. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "control.h"

int control_send(int fd, enum control_kind kind, const void *data, uint16_t length)
{
	if (length > CONTROL_DATA_MAX)
		return -EMSGSIZE;

	struct control_header header = {.magic = CONTROL_MAGIC, .kind = kind, .length = length};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)data, length}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = length ? 2 : 1};
	ssize_t n;

	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)n == sizeof(header) + length ? 0 : -EIO;
}

int control_receive(int fd, struct control_header *ret_header, void *data)
{
	struct control_header header;
	struct iovec parts[2] = {{&header, sizeof(header)}, {data, CONTROL_DATA_MAX}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	do
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	/* MSG_CTRUNC: somebody sent descriptors; the kernel has closed them, the peer is no isle. */
	if ((size_t)n < sizeof(header) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EPROTO;
	if (header.magic != CONTROL_MAGIC || (size_t)n != sizeof(header) + header.length)
		return -EPROTO;
	if (header.kind < CONTROL_ATTACH || header.kind > CONTROL_END)
		return -EPROTO;
	*ret_header = header;
	return 0;
}
