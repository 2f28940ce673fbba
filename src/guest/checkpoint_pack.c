/* Images of a checkpoint made smaller on disk (zstd), and unpacked again within bounds. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zstd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "checkpoint_pack.h"
#include "checkpoint_place.h"
#include "workdir.h"

#define SUFFIX     ".zst"
#define LEVEL      3  /* of criu's images it makes a sixth, about as fast as they are read from a disk */
#define WINDOW_LOG 23 /* 8 MiB is what unpacking takes at most, whatever the images ask for */
#define SLACK      (16u << 20)
#define UNPACKED   CHECKPOINT_NEW "unpacked"

struct stream {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
	void *in, *out;
	size_t in_size, out_size;
	uint64_t total, most;
	int to_fd; /* unpack: the folder */
	struct err *err;
};

static void stream_free(struct stream *stream)
{
	ZSTD_freeCCtx(stream->pack);
	ZSTD_freeDCtx(stream->unpack);
	free(stream->in);
	free(stream->out);
}

static int stream_buffers(struct stream *stream, size_t in, size_t out)
{
	stream->in = malloc(in);
	stream->out = malloc(out);
	stream->in_size = in;
	stream->out_size = out;
	return stream->in && stream->out && (stream->pack || stream->unpack)
		       ? 0
		       : err_num(stream->err, ENOMEM, "make room to pack the checkpoint's images");
}

static bool has_suffix(const char *name)
{
	size_t len = strlen(name);

	return len > strlen(SUFFIX) && strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
}

/* Bytes read, 0 at the end. */
static ssize_t fill(const struct stream *stream, int fd, const char *name)
{
	ssize_t n;

	do
		n = read(fd, stream->in, stream->in_size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? err_sys(stream->err, "read the checkpoint's image %s", name) : n;
}

static int drain(const struct stream *stream, int fd, size_t len, const char *name)
{
	int r = file_write_all(fd, stream->out, len);

	return r < 0 ? err_num(stream->err, r, "write the checkpoint's image %s", name) : 0;
}

static int pack_file(struct stream *stream, int from, int to, const char *name)
{
	for (bool last = false; !last;) {
		ssize_t n = fill(stream, from, name);

		if (n < 0)
			return (int)n;
		last = n == 0;
		stream->total += (uint64_t)n;
		ZSTD_inBuffer in = {.src = stream->in, .size = (size_t)n};
		size_t left = 1;

		while (last ? left != 0 : in.pos < in.size) {
			ZSTD_outBuffer out = {.dst = stream->out, .size = stream->out_size};

			left = ZSTD_compressStream2(stream->pack, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
			if (ZSTD_isError(left))
				return err_set(stream->err, ERR_FAILED, "compress the checkpoint's image %s: %s", name,
					       ZSTD_getErrorName(left));
			int r = drain(stream, to, out.pos, name);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int pack_image(void *arg, int dir, const char *name)
{
	struct stream *stream = arg;
	auto_free char *packed = str_format("%s" SUFFIX, name);
	struct stat st;

	if (has_suffix(name))
		return 0; /* one that was just made */
	auto_close int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (from < 0 || fstat(from, &st) < 0 || !packed)
		return err_sys(stream->err, "open the checkpoint's image %s", name);
	if (!S_ISREG(st.st_mode))
		return err_num(stream->err, EINVAL, "compress the checkpoint's image %s", name);
	auto_close int to = openat(dir, packed, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (to < 0)
		return err_sys(stream->err, "make the checkpoint's image %s", packed);
	(void)ZSTD_CCtx_reset(stream->pack, ZSTD_reset_session_only);
	int r = pack_file(stream, from, to, name);
	if (r == 0 && unlinkat(dir, name, 0) < 0)
		r = err_sys(stream->err, "remove the checkpoint's image %s", name);
	return r;
}

int checkpoint_pack(int images_fd, uint64_t *ret_unpacked, struct err *err)
{
	struct stream stream = {.pack = ZSTD_createCCtx(), .err = err};
	int r = stream_buffers(&stream, ZSTD_CStreamInSize(), ZSTD_CStreamOutSize());

	if (r == 0 && (ZSTD_isError(ZSTD_CCtx_setParameter(stream.pack, ZSTD_c_compressionLevel, LEVEL)) ||
		       ZSTD_isError(ZSTD_CCtx_setParameter(stream.pack, ZSTD_c_checksumFlag, 1))))
		r = err_set(err, ERR_FAILED, "compress the checkpoint's images: zstd takes no level %d", LEVEL);
	if (r == 0)
		r = checkpoint_each_image(images_fd, pack_image, &stream);
	*ret_unpacked = stream.total;
	stream_free(&stream);
	return r;
}

static int too_much(const struct stream *stream, const char *name)
{
	return err_set(stream->err, ERR_FAILED, "unpack the checkpoint's image %s: it holds more than the manifest says", name);
}

static int unpack_file(struct stream *stream, int from, int to, const char *name)
{
	size_t left = 0;

	for (ssize_t n; (n = fill(stream, from, name)) != 0;) {
		if (n < 0)
			return (int)n;
		ZSTD_inBuffer in = {.src = stream->in, .size = (size_t)n};
		bool full = true;

		/* A buffer that was filled may not have been all that there was. */
		while (in.pos < in.size || full) {
			ZSTD_outBuffer out = {.dst = stream->out, .size = stream->out_size};

			left = ZSTD_decompressStream(stream->unpack, &out, &in);
			if (ZSTD_isError(left))
				return err_set(stream->err, ERR_FAILED, "unpack the checkpoint's image %s: %s", name,
					       ZSTD_getErrorName(left));
			if (out.pos > stream->most - stream->total)
				return too_much(stream, name);
			stream->total += out.pos;
			int r = drain(stream, to, out.pos, name);

			if (r < 0)
				return r;
			full = out.pos == out.size;
		}
	}
	return left == 0 ? 0 : err_set(stream->err, ERR_FAILED, "unpack the checkpoint's image %s: its end is missing", name);
}

static int unpack_image(void *arg, int dir, const char *name)
{
	struct stream *stream = arg;
	auto_free char *plain = strndup(name, has_suffix(name) ? strlen(name) - strlen(SUFFIX) : 0);
	struct stat st;

	if (!plain || !*plain)
		return err_num(stream->err, plain ? EINVAL : ENOMEM, "unpack the checkpoint's image %s", name);
	auto_close int from = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (from < 0 || fstat(from, &st) < 0)
		return err_sys(stream->err, "open the checkpoint's image %s", name);
	if (!S_ISREG(st.st_mode))
		return err_num(stream->err, EINVAL, "unpack the checkpoint's image %s", name);
	/* criu reads them as the guest's root. */
	auto_close int to = openat(stream->to_fd, plain, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (to < 0)
		return err_sys(stream->err, "make the checkpoint's image %s", plain);
	(void)ZSTD_DCtx_reset(stream->unpack, ZSTD_reset_session_only);
	return unpack_file(stream, from, to, name);
}

int checkpoint_unpack(int images_fd, int to_fd, uint64_t most, struct err *err)
{
	struct stream stream = {.unpack = ZSTD_createDCtx(), .to_fd = to_fd, .most = most, .err = err};
	int r = stream_buffers(&stream, ZSTD_DStreamInSize(), ZSTD_DStreamOutSize());

	if (r == 0)
		(void)ZSTD_DCtx_setParameter(stream.unpack, ZSTD_d_windowLogMax, WINDOW_LOG);
	if (r == 0)
		r = checkpoint_each_image(images_fd, unpack_image, &stream);
	stream_free(&stream);
	return r;
}

/* On the disk, not in memory: that is needed for the guest, and what is written here and removed again hardly reaches the disk. */
static int check_room(int fd, uint64_t needed, struct err *err)
{
	struct statvfs st;
	char size[16];

	if (fstatvfs(fd, &st) < 0)
		return err_sys(err, "look for room to unpack the checkpoint's images");
	if ((uint64_t)st.f_bavail * st.f_frsize > needed && needed + SLACK > needed &&
	    (uint64_t)st.f_bavail * st.f_frsize > needed + SLACK)
		return 0;
	str_show_size(needed, size);
	(void)err_set(err, ERR_FAILED, "unpack the checkpoint's images: they take %s, which the guest's disk has not free", size);
	return err_hint(err, "free some space where isle keeps its guests; what they take is given back when the guest runs");
}

int checkpoint_unpacked(struct guest *guest, int folder, const struct checkpoint *checkpoint, int *ret_fd, struct err *err)
{
	auto_close int images = openat(folder, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_close int made = -1;

	if (images < 0)
		return err_sys(err, "open the checkpoint's images");
	int r = check_room(guest->dir_fd, checkpoint->unpacked, err);
	if (r == 0)
		r = workdir_make(guest->dir_fd, UNPACKED, &made, NULL, err);
	if (r == 0 && fchmod(made, 0755) < 0)
		r = err_sys(err, "open the folder of unpacked images to the guest");
	if (r == 0)
		r = checkpoint_unpack(images, made, checkpoint->unpacked, err);
	if (r < 0)
		checkpoint_unpacked_drop(guest);
	else
		*ret_fd = take_fd(&made);
	return r;
}

void checkpoint_unpacked_drop(struct guest *guest)
{
	if (guest->dir_fd >= 0 && faccessat(guest->dir_fd, UNPACKED, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		(void)workdir_remove(guest->dir_fd, UNPACKED, NULL); /* the next one empties it */
}
