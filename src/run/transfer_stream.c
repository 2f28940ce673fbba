/* The bytes of a transfer: records with a header each, buffered at both ends. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "transfer_stream.h"

static int await(const struct transfer_stream *stream, short events)
{
	struct pollfd watch = {.fd = stream->fd, .events = events};
	int r;

	if (!stream->patience_ms)
		return 0;
	do
		r = poll(&watch, 1, (int)stream->patience_ms);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

int transfer_flush(struct transfer_stream *stream)
{
	for (size_t at = 0; at < stream->used;) {
		int r = await(stream, POLLOUT);
		ssize_t len = r < 0 ? 0 : write(stream->fd, stream->data + at, stream->used - at);

		if (r < 0 || (len < 0 && errno != EINTR && errno != EAGAIN))
			return r < 0 ? r : -EPIPE;
		at += len > 0 ? (size_t)len : 0;
	}
	stream->used = 0;
	return 0;
}

int transfer_put(struct transfer_stream *stream, const void *data, size_t len)
{
	for (const char *from = data; len > 0;) {
		size_t now = sizeof(stream->data) - stream->used < len ? sizeof(stream->data) - stream->used : len;

		memcpy(stream->data + stream->used, from, now);
		stream->used += now;
		from += now;
		len -= now;
		int r = stream->used == sizeof(stream->data) ? transfer_flush(stream) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int transfer_put_entry(struct transfer_stream *stream, const struct transfer_entry *entry)
{
	struct transfer_header header = entry->header;

	header.name_len = (uint16_t)strlen(entry->name);
	header.link_len = header.kind == TRANSFER_LINK ? (uint16_t)strlen(entry->link) : 0;
	int r = transfer_put(stream, &header, sizeof(header));

	if (r == 0)
		r = transfer_put(stream, entry->name, header.name_len);
	return r == 0 ? transfer_put(stream, entry->link, header.link_len) : r;
}

int transfer_get(struct transfer_stream *stream, void *data, size_t len)
{
	for (char *to = data; len > 0;) {
		if (stream->at == stream->used) {
			int r = await(stream, POLLIN);
			ssize_t got = r < 0 ? -1 : read(stream->fd, stream->data, sizeof(stream->data));

			if (r < 0)
				return r;
			if (got < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (got <= 0)
				return -EPIPE;
			stream->at = 0;
			stream->used = (size_t)got;
		}
		size_t now = stream->used - stream->at < len ? stream->used - stream->at : len;

		memcpy(to, stream->data + stream->at, now);
		stream->at += now;
		to += now;
		len -= now;
	}
	return 0;
}

/* One component that leads nowhere else; "" where the kind of record allows it. */
static bool name_is_plain(const struct transfer_entry *entry)
{
	const char *name = entry->name;

	if (strlen(name) != entry->header.name_len || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	return *name || entry->header.kind == TRANSFER_FOLDER || entry->header.kind == TRANSFER_UP ||
	       entry->header.kind == TRANSFER_END;
}

int transfer_get_entry(struct transfer_stream *stream, struct transfer_entry *ret)
{
	struct transfer_header *header = &ret->header;
	int r = transfer_get(stream, header, sizeof(*header));

	if (r < 0)
		return r;
	if (header->kind < TRANSFER_FILE || header->kind > TRANSFER_END || header->name_len >= sizeof(ret->name) ||
	    header->link_len >= sizeof(ret->link) || header->mode & ~07777u || header->nanoseconds > 999999999u ||
	    (header->link_len > 0) != (header->kind == TRANSFER_LINK))
		return -EPROTO;
	r = transfer_get(stream, ret->name, header->name_len);
	if (r == 0)
		r = transfer_get(stream, ret->link, header->link_len);
	if (r < 0)
		return r;
	ret->name[header->name_len] = '\0';
	ret->link[header->link_len] = '\0';
	return name_is_plain(ret) && strlen(ret->link) == header->link_len ? 0 : -EPROTO;
}

int transfer_name_of(const char *source, char ret[TRANSFER_NAME_SIZE])
{
	size_t len = strlen(source);

	while (len > 0 && source[len - 1] == '/')
		len--;
	size_t start = len;

	while (start > 0 && source[start - 1] != '/')
		start--;
	if (len - start >= TRANSFER_NAME_SIZE)
		return -ENAMETOOLONG;
	memcpy(ret, source + start, len - start);
	ret[len - start] = '\0';
	if (!strcmp(ret, ".") || !strcmp(ret, ".."))
		ret[0] = '\0';
	return 0;
}
