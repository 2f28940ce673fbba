/* The last 64 KiB of a stream, read by position. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RING_SIZE 65536u /* a power of two */

/* Positions count from the stream's first byte and only grow. */
struct ring {
	uint64_t total; /* bytes ever put: the position after the newest */
	unsigned char data[RING_SIZE];
};

void ring_put(struct ring *ring, const void *data, size_t len);

/* Position of the oldest byte that is still held. */
uint64_t ring_oldest(const struct ring *ring);

/* The bytes at position `from` (not older than ring_oldest) that lie in one piece; 0 at the end. */
size_t ring_peek(const struct ring *ring, uint64_t from, const void **ret);
