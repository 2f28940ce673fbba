/* Files as a stream of bytes, between a process on the host and one inside a guest: what isle push and isle pull carry. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

/* Both ends take the other for hostile: names are single components, each folder is opened below the one before without following
 * links, and sizes are bounded by what was announced. Devices and sockets are passed over, with a warning on the host's side. */
struct transfer {
	const char *const *sources; /* "-": standard input */
	size_t source_count;
	const char *target;   /* "-": standard output */
	bool to_host;         /* set-id bits stay behind */
	int64_t owner, group; /* for all that is written; -1: as it was */
	unsigned patience_ms; /* most time without a byte's progress; 0: no bound */
};

/* Walks the sources and writes them to fd. 0, or -errno: -EPIPE when the other end is gone, which then knows why. */
int transfer_send(const struct transfer *transfer, int fd, struct err *err);

/* Reads from fd and makes the target. Files take their names when they are whole; folders that are there are added to. The target
 * gets the sources and nothing else, whatever is sent. */
int transfer_receive(const struct transfer *transfer, int fd, struct err *err);
