/* The last 64 KiB of a stream, read by position. */
#include "config.h"

#include <string.h>

#include "ring.h"

void ring_put(struct ring *ring, const void *data, size_t len)
{
	const unsigned char *from = data;

	if (len > RING_SIZE) {
		ring->total += len - RING_SIZE;
		from += len - RING_SIZE;
		len = RING_SIZE;
	}
	while (len > 0) {
		size_t at = ring->total % RING_SIZE;
		size_t n = len < RING_SIZE - at ? len : RING_SIZE - at;

		memcpy(ring->data + at, from, n);
		ring->total += n;
		from += n;
		len -= n;
	}
}

uint64_t ring_oldest(const struct ring *ring)
{
	return ring->total > RING_SIZE ? ring->total - RING_SIZE : 0;
}

size_t ring_peek(const struct ring *ring, uint64_t from, const void **ret)
{
	size_t at = from % RING_SIZE;
	uint64_t held = ring->total - from;

	*ret = ring->data + at;
	return held < RING_SIZE - at ? held : RING_SIZE - at;
}
