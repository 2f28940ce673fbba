/* What shows that a checkpoint is this host's: a signature of its manifest, and a tag of each image. */
#pragma once

#include <nettle/hmac.h>
#include <nettle/poly1305.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "store.h"

/* As texts, with their last NUL. */
#define CHECKPOINT_SIGNATURE (2 * SHA256_DIGEST_SIZE + 1)
#define CHECKPOINT_SALT      (2 * SHA256_DIGEST_SIZE + 1)
#define CHECKPOINT_TAG       (2 * POLY1305_AES_DIGEST_SIZE + 1)

/* By HMAC-SHA-256 with the host's key, which is made at its first use: 32 bytes beside the folder of guests, that only root can
 * read. */
int checkpoint_sign(const struct store *store, const char *text, size_t len, char ret[CHECKPOINT_SIGNATURE], struct err *err);

/* A number that was never used before. */
int checkpoint_salt(char ret[CHECKPOINT_SALT], struct err *err);

/* Tags files one by one, the first with the number 0: Poly1305-AES (cr.yp.to/mac.html), which costs a third of a SHA-256 that the
 * processor does by itself, and a tenth of one that it does not. The key is of the host's key and the salt, the nonce the file's
 * number: a salt is good for one checkpoint. */
struct checkpoint_tagger {
	struct poly1305_aes_ctx context;
	uint64_t number;
	uint8_t *chunk;
};
int checkpoint_tagger_begin(const struct store *store, const char *salt, struct checkpoint_tagger *ret, struct err *err);
void checkpoint_tagger_end(struct checkpoint_tagger *tagger);

/* 0 or -errno, -EINVAL for what is no plain file. */
int checkpoint_tag(struct checkpoint_tagger *tagger, int dir, const char *name, uint64_t *ret_size, char ret[CHECKPOINT_TAG]);
