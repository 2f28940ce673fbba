/* What shows that a checkpoint is this host's: a signature of its manifest, and a tag of each image. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "checkpoint_sign.h"

#define HOST_KEY  "host-key" /* beside the folder of guests */
#define KEY_SIZE  32
#define KEY_TRIES 8
#define CHUNK     (1u << 18)

static void to_hex(const uint8_t *bytes, size_t size, char *out)
{
	for (size_t i = 0; i < size; i++)
		(void)str_print(out + 2 * i, 3, "%02x", bytes[i]);
}

/* -ENOENT: there is none yet. */
static int read_key(int dir, uint8_t key[KEY_SIZE])
{
	char *text = NULL;
	size_t len = 0;
	int r = file_read(dir, HOST_KEY, KEY_SIZE, &text, &len);

	if (r < 0)
		return r;
	if (len == KEY_SIZE)
		memcpy(key, text, KEY_SIZE);
	explicit_bzero(text, len);
	free(text);
	return len == KEY_SIZE ? 0 : -EINVAL;
}

/* Of several who make one the first wins, and all then read that: whoever finds his own gone was overtaken. It is on disk before
 * anything is signed with it. */
static int make_key(int dir, struct err *err)
{
	uint8_t key[KEY_SIZE];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return err_sys(err, "make random numbers");
	int r = file_replace(dir, HOST_KEY ".new", key, sizeof(key), 0600, err);

	explicit_bzero(key, sizeof(key));
	if (r < 0)
		return r;
	if (linkat(dir, HOST_KEY ".new", dir, HOST_KEY, 0) < 0 && errno != EEXIST && errno != ENOENT)
		return err_sys(err, "link " HOST_KEY);
	(void)unlinkat(dir, HOST_KEY ".new", 0);
	return fsync(dir) < 0 ? err_sys(err, "write the folder of " HOST_KEY " to disk") : 0;
}

/* Who reads it is root, who may make checkpoints anyway. */
static int host_key(const struct store *store, uint8_t key[KEY_SIZE], struct err *err)
{
	auto_close int dir = openat(store->guests_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = dir < 0 ? -errno : read_key(dir, key);

	for (int tries = 0; r == -ENOENT && tries < KEY_TRIES; tries++) {
		r = make_key(dir, err);
		if (r < 0)
			return r;
		r = read_key(dir, key);
	}
	return r < 0 ? err_num(err, r, "read the host's key %s/../" HOST_KEY, store->guests) : 0;
}

static int keyed(const struct store *store, const char *text, size_t len, uint8_t ret[SHA256_DIGEST_SIZE], struct err *err)
{
	struct hmac_sha256_ctx context;
	uint8_t key[KEY_SIZE];
	int r = host_key(store, key, err);

	if (r < 0)
		return r;
	hmac_sha256_set_key(&context, sizeof(key), key);
	hmac_sha256_update(&context, len, (const uint8_t *)text);
	hmac_sha256_digest(&context, SHA256_DIGEST_SIZE, ret);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(&context, sizeof(context));
	return 0;
}

int checkpoint_sign(const struct store *store, const char *text, size_t len, char ret[CHECKPOINT_SIGNATURE], struct err *err)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	int r = keyed(store, text, len, digest, err);

	if (r == 0)
		to_hex(digest, sizeof(digest), ret);
	return r;
}

int checkpoint_salt(char ret[CHECKPOINT_SALT], struct err *err)
{
	uint8_t random[SHA256_DIGEST_SIZE];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, "make random numbers");
	to_hex(random, sizeof(random), ret);
	return 0;
}

int checkpoint_tagger_begin(const struct store *store, const char *salt, struct checkpoint_tagger *ret, struct err *err)
{
	/* No manifest begins so: a signature is of no use as a key. */
	auto_free char *text = str_format("tags of images %s", salt);
	uint8_t key[POLY1305_AES_KEY_SIZE];

	_Static_assert(sizeof(key) == SHA256_DIGEST_SIZE, "the tags' key is a digest");
	*ret = (struct checkpoint_tagger){.chunk = malloc(CHUNK)};
	if (!text || !ret->chunk) {
		checkpoint_tagger_end(ret);
		return err_num(err, ENOMEM, "look at the checkpoint's images");
	}
	int r = keyed(store, text, strlen(text), key, err);

	if (r < 0) {
		checkpoint_tagger_end(ret);
		return r;
	}
	poly1305_aes_set_key(&ret->context, key);
	explicit_bzero(key, sizeof(key));
	return 0;
}

void checkpoint_tagger_end(struct checkpoint_tagger *tagger)
{
	free(tagger->chunk);
	explicit_bzero(tagger, sizeof(*tagger));
}

/* Reads until `size` bytes were taken: a file that grows meanwhile is another file. */
static int take_file(struct checkpoint_tagger *tagger, int fd, uint64_t *ret_size)
{
	uint64_t size = 0;

	for (;;) {
		ssize_t n = read(fd, tagger->chunk, CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		poly1305_aes_update(&tagger->context, (size_t)n, tagger->chunk);
		size += (uint64_t)n;
	}
	*ret_size = size;
	return 0;
}

int checkpoint_tag(struct checkpoint_tagger *tagger, int dir, const char *name, uint64_t *ret_size, char ret[CHECKPOINT_TAG])
{
	uint8_t nonce[POLY1305_AES_NONCE_SIZE] = {0}, digest[POLY1305_AES_DIGEST_SIZE];
	auto_close int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(tagger->number); i++)
		nonce[i] = (uint8_t)(tagger->number >> 8 * i);
	tagger->number++;
	poly1305_aes_set_nonce(&tagger->context, nonce);
	int r = take_file(tagger, fd, ret_size);
	/* Also after a failure: the next file begins anew. */
	poly1305_aes_digest(&tagger->context, sizeof(digest), digest);
	to_hex(digest, sizeof(digest), ret);
	return r;
}
