/* The bytes of a transfer: records with a header each, buffered at both ends. */
#pragma once

#include "transfer.h"

enum transfer_kind {
	TRANSFER_FILE =
		1,       /* chunks follow: a length of 32 bits and so many bytes; 0 ends them, TRANSFER_CUT: it could not be read */
	TRANSFER_FOLDER, /* what is in it follows, up to its TRANSFER_UP */
	TRANSFER_UP,
	TRANSFER_LINK,
	TRANSFER_FIFO,
	TRANSFER_SKIPPED,
	TRANSFER_END,
};

#define TRANSFER_CUT       UINT32_MAX
#define TRANSFER_CHUNK     32768
#define TRANSFER_DEPTH_MAX 256
#define TRANSFER_NAME_SIZE 256
#define TRANSFER_LINK_SIZE 4096

struct transfer_header {
	uint32_t kind;
	uint32_t mode; /* permission bits */
	uint32_t owner, group;
	int64_t seconds; /* of the last change of contents */
	uint32_t nanoseconds;
	uint16_t name_len, link_len;
};

struct transfer_entry {
	struct transfer_header header;
	char name[TRANSFER_NAME_SIZE]; /* one component, "" only for an END, an UP, and a folder whose contents alone are meant */
	char link[TRANSFER_LINK_SIZE];
};

struct transfer_stream {
	int fd;
	unsigned patience_ms;
	size_t at, used;
	char data[65536];
};

/* All: 0, -EPIPE for a gone or silent other end (-ETIMEDOUT), -EPROTO for bytes that are no record. */
int transfer_put(struct transfer_stream *stream, const void *data, size_t len);
int transfer_put_entry(struct transfer_stream *stream, const struct transfer_entry *entry);
int transfer_flush(struct transfer_stream *stream);
int transfer_get(struct transfer_stream *stream, void *data, size_t len);
int transfer_get_entry(struct transfer_stream *stream, struct transfer_entry *ret);

/* What a source is called at the other end: its last component; "" where the contents of a folder are meant ("/", "web/.", "..").
 * -ENAMETOOLONG. */
int transfer_name_of(const char *source, char ret[TRANSFER_NAME_SIZE]);
