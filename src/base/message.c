/* Whole records between processes on one SOCK_SEQPACKET socket, with descriptors beside them. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"

#define FDS_MAX 253 /* the kernel's SCM_MAX_FD, unix(7) */

union space {
	struct cmsghdr head; /* for its alignment */
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int message_send(int socket, const void *data, size_t size, const int *fds, size_t count)
{
	union space space = {0};
	struct iovec whole = {(void *)data, size};
	struct msghdr message = {.msg_iov = &whole, .msg_iovlen = 1};
	ssize_t sent;

	if (count > FDS_MAX)
		return -E2BIG;
	if (count) {
		message.msg_control = &space;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);

		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)sent == size ? 0 : -EIO;
}

/* What came, room or none: nothing that another process sends stays open by mistake. */
static size_t take_fds(struct msghdr *message, int *fds, size_t room)
{
	size_t count = 0;

	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		size_t here = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < here; i++, count++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
			if (count < room)
				fds[count] = fd;
			else
				close(fd);
		}
	}
	return count;
}

int message_receive(int socket, void *data, size_t size, int *fds, size_t *count)
{
	union space space;
	struct iovec whole = {data, size};
	struct msghdr message = {.msg_iov = &whole, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
	size_t room = *count;
	ssize_t got;

	*count = 0;
	do
		got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	size_t came = take_fds(&message, fds, room);

	if ((size_t)got == size && came <= room && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		*count = came;
		return 0;
	}
	for (size_t i = 0; i < came && i < room; i++)
		close(fds[i]);
	return got == 0 ? -EPIPE : -EPROTO;
}
