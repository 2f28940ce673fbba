/* The monitor's protocol: packets on a SOCK_SEQPACKET socket at run/NAME/control, root only. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

/* One packet = this header and `length` bytes. Anything malformed ends the connection. */
#define CONTROL_MAGIC    0x69736c31u /* "isl1" */
#define CONTROL_DATA_MAX 16384

enum control_kind {
	/* to the monitor */
	CONTROL_ATTACH = 1, /* data: struct control_size. Answered by DONE, then the ring's content, then all new output */
	CONTROL_INPUT,      /* data: bytes for the console */
	CONTROL_SIZE,       /* data: struct control_size */
	CONTROL_RELEASE,    /* whoever sends it holds the guest's lock and clears up: DONE at once; then reap init, exit.
			     * Counts while the connection is open at init's end: a stop that was killed has released nothing */
	CONTROL_RING,       /* send the ring's content, then CONTROL_END */
	/* from the monitor */
	CONTROL_OUTPUT, /* data: bytes of the console */
	CONTROL_DONE,   /* the request was taken; after ATTACH, data: uint32_t, how many bytes of the ring come first */
	CONTROL_END,    /* the guest's init ended or the ring is complete; the connection closes */
};

/* EOF without CONTROL_END: the guest reboots (the listening socket lives on: connect again, the next monitor
 * answers) or the monitor was killed (connecting is refused until an isle command has started a new one). */

struct control_header {
	uint32_t magic;
	uint16_t kind;
	uint16_t length;
};

struct control_size {
	uint16_t rows, cols; /* 0: leave */
};

/* Binds the listening socket `control` in run_fd (a guest's run folder), mode 0600, replacing an old one. Paths of any length:
 * through /proc/self/fd. Returns the descriptor or -errno. */
int control_listen(int run_fd, struct err *err);

/* Connects; -ECONNREFUSED or -ENOENT when no monitor listens. As long as the descriptor is blocking, connecting and each packet
 * take at most CONTROL_WAIT_MS (-EAGAIN): the listening socket also lives while a monitor is stopped, or busy with its guest's end.
 */
#define CONTROL_WAIT_MS 2000
int control_connect(int run_fd, struct err *err);

/* Sends one packet. -EAGAIN when the socket is nonblocking and full, -EPIPE when the peer is gone. */
int control_send(int fd, enum control_kind kind, const void *data, uint16_t length);
/* Receives one packet; data must hold CONTROL_DATA_MAX. -EPIPE at EOF, -EPROTO when malformed. */
int control_receive(int fd, struct control_header *ret_header, void *data);
