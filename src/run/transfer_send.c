/* The end of a transfer that reads files. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/log.h"
#include "../base/str.h"
#include "transfer_stream.h"

#define SHAPELESS_MAX (64ull << 20) /* of a file that says it is empty, as those in /proc do */

struct sender {
	const struct transfer *transfer;
	struct transfer_stream stream;
	struct transfer_entry entry;
	struct err *err;
};

static int fail(struct sender *sender, int num, const char *what, const char *name)
{
	auto_free char *shown = str_escape(name);

	return err_num(sender->err, num, "%s '%.160s'", what, shown ? shown : "");
}

/* A stream that broke is not this end's failure: the other one tells. */
static int put_entry(struct sender *sender)
{
	return transfer_put_entry(&sender->stream, &sender->entry);
}

static void fill(struct sender *sender, unsigned kind, const struct stat *st)
{
	sender->entry.header = (struct transfer_header){
		.kind = kind,
		.mode = st->st_mode & 07777,
		.owner = st->st_uid,
		.group = st->st_gid,
		.seconds = st->st_mtim.tv_sec,
		.nanoseconds = (uint32_t)st->st_mtim.tv_nsec,
	};
}

static int put_chunk(struct sender *sender, const void *data, uint32_t len)
{
	int r = transfer_put(&sender->stream, &len, sizeof(len));

	return r == 0 && len != TRANSFER_CUT ? transfer_put(&sender->stream, data, len) : r;
}

/* At most max bytes: a file that grows as fast as it is read has an end all the same. */
static int put_contents(struct sender *sender, int fd, uint64_t max)
{
	char data[TRANSFER_CHUNK];

	while (max > 0) {
		ssize_t len = read(fd, data, max < sizeof(data) ? (size_t)max : sizeof(data));

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == EAGAIN && fd == STDIN_FILENO) { /* whoever shares it may have made it nonblocking */
			struct pollfd ready = {.fd = fd, .events = POLLIN};

			(void)poll(&ready, 1, -1);
			continue;
		}
		if (len < 0) {
			int r = fail(sender, errno, "read", sender->entry.name);
			int put = put_chunk(sender, NULL, TRANSFER_CUT);

			return put < 0 ? put : r;
		}
		if (len == 0)
			break;
		int r = put_chunk(sender, data, (uint32_t)len);

		if (r < 0)
			return r;
		max -= (uint64_t)len;
	}
	return put_chunk(sender, NULL, 0);
}

static int put_file(struct sender *sender, int fd, const struct stat *st)
{
	fill(sender, TRANSFER_FILE, st);
	int r = put_entry(sender);

	return r < 0 ? r : put_contents(sender, fd, st->st_size > 0 ? (uint64_t)st->st_size : SHAPELESS_MAX);
}

static int put_folder(struct sender *sender, int fd, const struct stat *st, unsigned depth);

static void tell_skipped(const struct sender *sender)
{
	auto_free char *shown = str_escape(sender->entry.name);

	if (sender->entry.header.kind == TRANSFER_SKIPPED && !sender->transfer->to_host)
		log_warn("'%s' is a device or socket: left out", shown ? shown : "");
}

/* One entry of a folder; its name is in sender->entry already. */
static int put_below(struct sender *sender, int dir_fd, unsigned depth)
{
	const char *name = sender->entry.name;
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(sender, errno, "look at", name); /* it has just gone */
	if (S_ISLNK(st.st_mode)) {
		ssize_t len = readlinkat(dir_fd, name, sender->entry.link, sizeof(sender->entry.link) - 1);

		if (len <= 0)
			return len < 0 && errno != ENOENT ? fail(sender, errno, "read the link", name) : 0;
		sender->entry.link[len] = '\0';
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		fill(sender, S_ISLNK(st.st_mode) ? TRANSFER_LINK : S_ISFIFO(st.st_mode) ? TRANSFER_FIFO : TRANSFER_SKIPPED, &st);
		tell_skipped(sender);
		return put_entry(sender);
	}
	/* It may be another by now: what counts is what was opened, without waiting for a fifo's other end. */
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP ? 0 : fail(sender, errno, "open", name);
	if (fstat(fd, &st) < 0)
		return fail(sender, errno, "look at", name);
	if (S_ISDIR(st.st_mode))
		return put_folder(sender, fd, &st, depth + 1);
	return S_ISREG(st.st_mode) ? put_file(sender, fd, &st) : 0;
}

static int put_folder(struct sender *sender, int fd, const struct stat *st, unsigned depth)
{
	if (depth > TRANSFER_DEPTH_MAX)
		return fail(sender, ELOOP, "copy, for it lies too deep, the folder", sender->entry.name);
	fill(sender, TRANSFER_FOLDER, st);
	int r = put_entry(sender);

	if (r < 0)
		return r;
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again < 0 ? NULL : fdopendir(again);

	if (!dir) {
		r = fail(sender, errno, "read the folder", sender->entry.name);
		if (again >= 0)
			close(again);
		return r;
	}
	for (const struct dirent *found; r == 0 && (found = readdir(dir));) {
		if (!strcmp(found->d_name, ".") || !strcmp(found->d_name, ".."))
			continue;
		r = str_copy(sender->entry.name, sizeof(sender->entry.name), found->d_name);
		if (r == 0)
			r = put_below(sender, fd, depth);
	}
	if (r < 0)
		return r;
	sender->entry.name[0] = '\0';
	fill(sender, TRANSFER_UP, st);
	return put_entry(sender);
}

static int put_stdin(struct sender *sender)
{
	struct stat st = {.st_mode = 0644};
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	st.st_mtim = now;
	(void)str_copy(sender->entry.name, sizeof(sender->entry.name), "standard input");
	fill(sender, TRANSFER_FILE, &st);
	int r = put_entry(sender);

	return r < 0 ? r : put_contents(sender, STDIN_FILENO, UINT64_MAX);
}

/* What was named is followed where it leads, as cp(1) and scp(1) do. */
static int put_source(struct sender *sender, const char *source)
{
	struct stat st;

	if (!strcmp(source, "-") && !sender->transfer->to_host)
		return put_stdin(sender);
	if (transfer_name_of(source, sender->entry.name) < 0)
		return fail(sender, ENAMETOOLONG, "open", source);
	auto_close int fd = open(source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(sender, errno, "open", source);
	if (S_ISDIR(st.st_mode))
		return put_folder(sender, fd, &st, 0);
	if (!S_ISREG(st.st_mode))
		return err_set(sender->err, ERR_FAILED, "copy '%.160s': it is neither a file nor a folder", source);
	return put_file(sender, fd, &st);
}

int transfer_send(const struct transfer *transfer, int fd, struct err *err)
{
	auto_free struct sender *sender = calloc(1, sizeof(*sender));
	int r = 0;

	if (!sender)
		return err_num(err, ENOMEM, "copy files");
	sender->transfer = transfer;
	sender->stream.fd = fd;
	sender->stream.patience_ms = transfer->patience_ms;
	sender->err = err;
	for (size_t i = 0; r == 0 && i < transfer->source_count; i++)
		r = put_source(sender, transfer->sources[i]);
	if (r < 0)
		return r;
	sender->entry.name[0] = '\0';
	sender->entry.header = (struct transfer_header){.kind = TRANSFER_END};
	r = put_entry(sender);
	return r < 0 ? r : transfer_flush(&sender->stream);
}
