/* The end of a transfer that writes files. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/str.h"
#include "transfer_stream.h"

#define GUEST_IDS 65536

struct folder {
	int fd;
	bool made; /* here: one that was there keeps its owner and mode */
};

struct receiver {
	const struct transfer *transfer;
	struct transfer_stream stream;
	struct transfer_entry entry;
	struct folder folders[TRANSFER_DEPTH_MAX + 2]; /* [0] is the one that the target lies in, or is */
	size_t depth;
	size_t source;                   /* which of the sources is next */
	char single[TRANSFER_NAME_SIZE]; /* the new name of the one source, "": it keeps its own */
	struct err *err;
};

static void receiver_free(struct receiver **receiver)
{
	struct receiver *r = *receiver;

	for (size_t i = 0; r && i <= r->depth; i++)
		clean_close(&r->folders[i].fd);
	free(r);
}
#define auto_receiver __attribute__((cleanup(receiver_free)))

static int fail(struct receiver *receiver, int num, const char *what)
{
	auto_free char *shown = str_escape(receiver->entry.name[0] ? receiver->entry.name : receiver->transfer->target);

	return err_num(receiver->err, num, "%s '%.160s'", what, shown ? shown : "");
}

static int here(const struct receiver *receiver)
{
	return receiver->folders[receiver->depth].fd;
}

/* Set-id bits are no good on a host: what runs with them there is the guest's. */
static mode_t mode_of(const struct receiver *receiver)
{
	return receiver->entry.header.mode & (receiver->transfer->to_host ? 01777 : 07777);
}

static uid_t owner_of(const struct receiver *receiver)
{
	uint32_t owner = receiver->transfer->owner >= 0 ? (uint32_t)receiver->transfer->owner : receiver->entry.header.owner;

	return !receiver->transfer->to_host && owner >= GUEST_IDS ? 0 : owner;
}

static gid_t group_of(const struct receiver *receiver)
{
	uint32_t group = receiver->transfer->group >= 0 ? (uint32_t)receiver->transfer->group : receiver->entry.header.group;

	return !receiver->transfer->to_host && group >= GUEST_IDS ? 0 : group;
}

static void times_of(const struct receiver *receiver, struct timespec times[2])
{
	times[0] = times[1] =
		(struct timespec){.tv_sec = receiver->entry.header.seconds, .tv_nsec = receiver->entry.header.nanoseconds};
}

/* The owner first: to change it clears set-id bits. */
static int set_marks(struct receiver *receiver, int fd)
{
	struct timespec times[2];

	times_of(receiver, times);
	if (fchown(fd, owner_of(receiver), group_of(receiver)) < 0)
		return fail(receiver, errno, "set the owner of");
	if (fchmod(fd, mode_of(receiver)) < 0)
		return fail(receiver, errno, "set the mode of");
	return futimens(fd, times) < 0 ? fail(receiver, errno, "set the times of") : 0;
}

/* -EPIPE for a file that could not be read to its end: the sending side tells why. */
static int get_contents(struct receiver *receiver, int fd)
{
	char data[TRANSFER_CHUNK];

	for (;;) {
		uint32_t len;
		int r = transfer_get(&receiver->stream, &len, sizeof(len));

		if (r < 0 || len == 0)
			return r;
		if (len == TRANSFER_CUT)
			return -EPIPE;
		if (len > sizeof(data))
			return -EPROTO;
		r = transfer_get(&receiver->stream, data, len);
		if (r < 0)
			return r;
		/* A file system of the guest's own might say EAGAIN for ever. */
		r = fd == STDOUT_FILENO ? file_write_waiting(fd, data, len) : file_write_all(fd, data, len);
		if (r < 0)
			return fail(receiver, r, "write");
	}
}

/* Only files and links are replaced: a device is somebody's, and stays. */
static int check_replaceable(struct receiver *receiver)
{
	struct stat st;

	if (fstatat(here(receiver), receiver->entry.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : fail(receiver, errno, "look at");
	if (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) || (S_ISFIFO(st.st_mode) && receiver->entry.header.kind == TRANSFER_FIFO))
		return 0;
	return fail(receiver, S_ISDIR(st.st_mode) ? EISDIR : EEXIST, "replace");
}

static int get_file(struct receiver *receiver)
{
	uint64_t random = 0;
	char name[40];
	int r = check_replaceable(receiver);

	if (r < 0)
		return r;
	(void)!getrandom(&random, sizeof(random), 0); /* a name that is taken is an error, not a danger */
	(void)str_print(name, sizeof(name), ".isle-%016llx", (unsigned long long)random);
	auto_close int fd = openat(here(receiver), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(receiver, errno, "create");
	r = get_contents(receiver, fd);
	if (r == 0)
		r = set_marks(receiver, fd);
	if (r == 0 && renameat(here(receiver), name, here(receiver), receiver->entry.name) < 0)
		r = fail(receiver, errno, "replace");
	if (r < 0)
		(void)unlinkat(here(receiver), name, 0);
	return r;
}

static int get_link(struct receiver *receiver, bool is_fifo)
{
	const char *name = receiver->entry.name;
	struct timespec times[2];
	int r = check_replaceable(receiver);

	if (r < 0)
		return r;
	(void)unlinkat(here(receiver), name, 0);
	/* With its mode from the start: a name must not be changed later that others may have put something else under. */
	mode_t mask = umask(0);

	r = is_fifo ? mknodat(here(receiver), name, S_IFIFO | (mode_of(receiver) & 01777), 0)
		    : symlinkat(receiver->entry.link, here(receiver), name);
	int num = errno;

	(void)umask(mask);
	if (r < 0)
		return fail(receiver, num, is_fifo ? "make the fifo" : "make the link");
	times_of(receiver, times);
	if (fchownat(here(receiver), name, owner_of(receiver), group_of(receiver), AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(here(receiver), name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(receiver, errno, "set the owner and times of");
	return 0;
}

static int enter_folder(struct receiver *receiver)
{
	const char *name = receiver->entry.name;
	struct folder folder = {.fd = -1};

	if (receiver->depth > TRANSFER_DEPTH_MAX)
		return -EPROTO;
	if (!*name && receiver->depth > 0)
		return -EPROTO;
	if (*name && mkdirat(here(receiver), name, 0700) == 0)
		folder.made = true;
	else if (*name && errno != EEXIST)
		return fail(receiver, errno, "make the folder");
	folder.fd = openat(here(receiver), *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder.fd < 0)
		return fail(receiver, errno, "open the folder");
	receiver->folders[++receiver->depth] = folder;
	return 0;
}

static int leave_folder(struct receiver *receiver)
{
	if (receiver->depth == 0)
		return -EPROTO;
	struct folder *folder = &receiver->folders[receiver->depth];
	int r = folder->made ? set_marks(receiver, folder->fd) : 0;

	close(take_fd(&folder->fd));
	receiver->depth--;
	return r;
}

static void tell_skipped(const struct receiver *receiver)
{
	auto_free char *shown = str_escape(receiver->entry.name);

	if (receiver->transfer->to_host)
		log_warn("'%s' is a device or socket: left out", shown ? shown : "");
}

static int get_entry(struct receiver *receiver)
{
	switch (receiver->entry.header.kind) {
	case TRANSFER_FILE:
		return get_file(receiver);
	case TRANSFER_FOLDER:
		return enter_folder(receiver);
	case TRANSFER_UP:
		return leave_folder(receiver);
	case TRANSFER_LINK:
		return get_link(receiver, false);
	case TRANSFER_FIFO:
		return get_link(receiver, true);
	default:
		tell_skipped(receiver);
		return 0;
	}
}

static int to_stdout(struct receiver *receiver)
{
	int r = transfer_get_entry(&receiver->stream, &receiver->entry);

	if (r == 0 && receiver->entry.header.kind != TRANSFER_FILE)
		return err_set(receiver->err, ERR_FAILED, "write to standard output: only one file can be");
	if (r == 0)
		r = get_contents(receiver, STDOUT_FILENO);
	return r < 0 ? r : transfer_get_entry(&receiver->stream, &receiver->entry);
}

/* A folder that is there takes the sources under their own names; else the one source gets the target's name. */
static int open_target(struct receiver *receiver)
{
	const char *target = receiver->transfer->target;
	auto_free char *copy = strdup(target);
	char *slash = copy ? strrchr(copy, '/') : NULL;
	int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && copy && (errno == ENOENT || errno == ENOTDIR) && receiver->transfer->source_count == 1 &&
	    (!slash || slash[1])) {
		if (str_copy(receiver->single, sizeof(receiver->single), slash ? slash + 1 : copy) < 0)
			return fail(receiver, ENAMETOOLONG, "create");
		if (slash)
			slash[slash == copy ? 1 : 0] = '\0';
		fd = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0) {
		int r = fail(receiver, errno, "open the folder of the target");

		return err_hint(receiver->err, "make the folder first; several sources need one that is there"), r;
	}
	receiver->folders[0].fd = fd;
	return 0;
}

/* Nothing comes into the target's folder but what was asked for, in that order: the sending end in the guest may have been robbed
 * of its pipe as it was killed, and who writes there then would choose the names. What is named is a file or a folder: links are
 * followed. */
static int check_source(struct receiver *receiver)
{
	const struct transfer *transfer = receiver->transfer;
	char name[TRANSFER_NAME_SIZE];
	unsigned kind = receiver->entry.header.kind;

	if (receiver->source >= transfer->source_count || (kind != TRANSFER_FILE && kind != TRANSFER_FOLDER))
		return -EPROTO;
	const char *source = transfer->sources[receiver->source++];

	if (receiver->single[0])
		return str_copy(receiver->entry.name, sizeof(receiver->entry.name), receiver->single);
	return transfer_name_of(source, name) < 0 || strcmp(name, receiver->entry.name) != 0 ? -EPROTO : 0;
}

static int get_all(struct receiver *receiver)
{
	bool from_stream = !strcmp(receiver->transfer->sources[0], "-") && !receiver->transfer->to_host;
	int r = open_target(receiver);

	if (r == 0 && from_stream && !receiver->single[0]) {
		/* A file that is there is named by its folder, too. */
		return fail(receiver, EISDIR, "write standard input to");
	}
	for (;;) {
		if (r == 0)
			r = transfer_get_entry(&receiver->stream, &receiver->entry);
		if (r < 0)
			return r;
		if (receiver->entry.header.kind == TRANSFER_END)
			return receiver->depth == 0 && receiver->source == receiver->transfer->source_count ? 0 : -EPROTO;
		if (receiver->depth == 0)
			r = check_source(receiver);
		if (r == 0)
			r = get_entry(receiver);
	}
}

int transfer_receive(const struct transfer *transfer, int fd, struct err *err)
{
	auto_receiver struct receiver *receiver = calloc(1, sizeof(*receiver));
	struct err own = {0};

	if (!receiver)
		return err_num(err, ENOMEM, "copy files");
	receiver->folders[0].fd = -1;
	receiver->transfer = transfer;
	receiver->stream.fd = fd;
	receiver->stream.patience_ms = transfer->patience_ms;
	receiver->err = &own;
	int r = transfer->to_host && !strcmp(transfer->target, "-") ? to_stdout(receiver) : get_all(receiver);

	if (r == -EPROTO)
		r = err_set(&own, ERR_FAILED, "copy files: what came from the other side is no list of files");
	if (err)
		*err = own;
	return r;
}
