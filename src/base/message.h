/* Whole records between processes on one SOCK_SEQPACKET socket, with descriptors beside them. */
#pragma once

#include <stddef.h>

/* Sends size bytes and count descriptors, which stay the caller's. 0, -EAGAIN when the socket's time is over, -EPIPE when nobody is
 * there. */
int message_send(int socket, const void *data, size_t size, const int *fds, size_t count);

/* Receives exactly size bytes. Descriptors that come along are close-on-exec and the caller's; fds has room for *count of them,
 * which is then how many came. More than that, or another size, is -EPROTO. -EPIPE at EOF, -EAGAIN when the socket's time
 * (SO_RCVTIMEO) is over. After a failure no descriptor is left open. */
int message_receive(int socket, void *data, size_t size, int *fds, size_t *count);
