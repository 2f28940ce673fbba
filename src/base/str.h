/* Strings: growing buffers, checked numbers, sizes, durations, near matches. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clean.h"

/* A growing buffer. data is always NUL-terminated once anything was added; failed is set (and
 * stays) when memory ran out, so a caller checks once at the end. */
struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

void buf_add(struct buf *b, const char *s);
void buf_add_bytes(struct buf *b, const void *p, size_t len);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *buf_take(struct buf *b); /* caller frees; NULL when the buffer failed; "" when empty */
void buf_free(struct buf *b);
#define auto_buf __attribute__((cleanup(buf_free)))

/* Copies into a fixed array; -ENAMETOOLONG (and "" in dst) when it does not fit. */
int str_copy(char *dst, size_t size, const char *src);

/* snprintf that returns -ENAMETOOLONG when it does not fit, else 0. */
int str_print(char *dst, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* asprintf that returns NULL when memory ran out. Caller frees. */
char *str_format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whole decimal numbers; no sign, blank or trailing text. -EINVAL, or -ERANGE outside min..max. */
int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);

/* Bytes: "512M", "1.5G", "4096"; suffixes K M G T P E (powers of 1024, optional "B" or "iB"). */
int str_to_size(const char *s, uint64_t *ret);
void str_from_size(uint64_t bytes, char out[24]); /* exact when parsed back, "1536M" not "1.5G" */
void str_show_size(uint64_t bytes, char out[16]); /* for people: "1.5 GiB" */

/* Milliseconds: "90", "90s", "500ms", "2m", "1h"; "1d"; a bare number is seconds, fractions are allowed. */
int str_to_duration(const char *s, uint64_t *ret_ms);
void str_show_duration(uint64_t seconds, char out[32]); /* for people: "3d 4h", "12s" */

/* Nearest candidate by edit distance, else the shortest one that begins so; NULL when none is near enough to be meant. */
const char *str_near(const char *s, const char *const *candidates, size_t count);

/* True when s holds no byte below 0x20 nor 0x7f. */
bool str_printable(const char *s);

/* Copies s with control characters (C1 too) and bytes that are no UTF-8 written as \xNN, so that it is
 * safe on a terminal; caller frees, NULL when memory ran out. */
char *str_escape(const char *s);

/* The same into an array, cut at a whole character when it does not fit. Returns the length written. */
size_t str_escape_into(char *dst, size_t size, const char *src);

bool str_starts(const char *s, const char *prefix);

/* FNV-1a of len bytes, chained through seed (STR_HASH_SEED to begin). Names things; proves nothing. */
#define STR_HASH_SEED 0xcbf29ce484222325u
uint64_t str_hash(uint64_t seed, const void *data, size_t len);
