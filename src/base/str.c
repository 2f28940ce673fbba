/* Strings: growing buffers, checked numbers, sizes and durations, near matches, safe display. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "str.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Makes room for extra more bytes and the NUL. */
static bool buf_reserve(struct buf *b, size_t extra)
{
	size_t cap = b->cap ? b->cap : 64;
	char *data;

	if (b->failed)
		return false;
	if (extra >= SIZE_MAX / 4 - b->len) {
		b->failed = true;
		return false;
	}
	while (cap < b->len + extra + 1)
		cap *= 2;
	if (b->data && cap == b->cap)
		return true;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void buf_add_bytes(struct buf *b, const void *p, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, p, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const char *s)
{
	buf_add_bytes(b, s, strlen(s));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		b->failed = true;
	else if (buf_reserve(b, (size_t)len)) {
		(void)vsnprintf(b->data + b->len, (size_t)len + 1, fmt, again);
		b->len += (size_t)len;
	}
	va_end(again);
}

char *buf_take(struct buf *b)
{
	char *data;

	if (!b->data)
		buf_add_bytes(b, "", 0);
	if (b->failed) {
		buf_free(b);
		return NULL;
	}
	data = b->data;
	*b = (struct buf){0};
	return data;
}

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){0};
}

int str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strlen(src);

	if (len >= size) {
		if (size)
			dst[0] = '\0';
		return -ENAMETOOLONG;
	}
	memcpy(dst, src, len + 1);
	return 0;
}

int str_print(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(dst, size, fmt, ap);
	va_end(ap);
	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

char *str_format(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&s, fmt, ap);
	va_end(ap);
	return len < 0 ? NULL : s;
}

/* Reads the digits at *s and moves it behind them; -EINVAL when there is none, -ERANGE past 64 bits. */
static int read_digits(const char **s, uint64_t *ret)
{
	uint64_t value = 0;
	bool over = false;

	if (!isdigit((unsigned char)**s))
		return -EINVAL;
	for (; isdigit((unsigned char)**s); (*s)++) {
		over = over || __builtin_mul_overflow(value, 10u, &value);
		over = over || __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value);
	}
	*ret = value;
	return over ? -ERANGE : 0;
}

int str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t value;
	int r = s ? read_digits(&s, &value) : -EINVAL;

	if (r != -EINVAL && *s)
		return -EINVAL;
	if (r < 0)
		return r;
	if (value < min || value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

/* A number with an optional fraction, as whole and fraction / scale. */
struct decimal {
	uint64_t whole;
	uint64_t fraction;
	uint64_t scale;
};

/* Fraction digits past the ninth are checked and dropped: a unit is never that large a part. */
static int read_decimal(const char **s, struct decimal *ret)
{
	struct decimal d = {.scale = 1};
	int r = read_digits(s, &d.whole);

	if (r == -EINVAL)
		return r;
	if (**s == '.') {
		(*s)++;
		if (!isdigit((unsigned char)**s))
			return -EINVAL;
		for (; isdigit((unsigned char)**s); (*s)++) {
			if (d.scale == 1000000000)
				continue;
			d.scale *= 10;
			d.fraction = d.fraction * 10 + (uint64_t)(**s - '0');
		}
	}
	*ret = d;
	return r;
}

static int decimal_times(const struct decimal *d, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 value = (unsigned __int128)d->whole * unit + (unsigned __int128)d->fraction * unit / d->scale;

	if (value > UINT64_MAX)
		return -ERANGE;
	*ret = (uint64_t)value;
	return 0;
}

static const char size_letters[] = "KMGTPE";

int str_to_size(const char *s, uint64_t *ret)
{
	struct decimal d;
	const char *letter;
	uint64_t unit = 1;
	int r = s ? read_decimal(&s, &d) : -EINVAL;

	if (r == -EINVAL)
		return r;
	letter = *s ? strchr(size_letters, toupper((unsigned char)*s)) : NULL;
	if (letter) {
		unit = UINT64_C(1) << (10 * (letter - size_letters + 1));
		s++;
		if ((s[0] == 'i' || s[0] == 'I') && (s[1] == 'B' || s[1] == 'b'))
			s++;
	}
	if (*s == 'B' || *s == 'b')
		s++;
	/* A part of a byte is a forgotten suffix: "1.5" most likely meant "1.5G". */
	if (*s || (unit == 1 && d.scale != 1))
		return -EINVAL;
	return r < 0 ? r : decimal_times(&d, unit, ret);
}

void str_from_size(uint64_t bytes, char out[24])
{
	char suffix[2] = "";

	for (const char *letter = size_letters; *letter && bytes && bytes % 1024 == 0; letter++) {
		bytes /= 1024;
		suffix[0] = *letter;
	}
	(void)snprintf(out, 24, "%" PRIu64 "%s", bytes, suffix);
}

void str_show_size(uint64_t bytes, char out[16])
{
	unsigned shift = 0;
	uint64_t tenths;

	if (bytes < 1024) {
		(void)snprintf(out, 16, "%" PRIu64 " B", bytes);
		return;
	}
	/* 1023.95 and up would be shown as 1024.0 of its unit: it is 1.0 of the next. */
	do {
		shift += 10;
		tenths = (uint64_t)(((unsigned __int128)bytes * 10 + (UINT64_C(1) << (shift - 1))) >> shift);
	} while (tenths >= 10240 && shift < 60);
	if (tenths % 10)
		(void)str_print(out, 16, "%" PRIu64 ".%" PRIu64 " %ciB", tenths / 10, tenths % 10, size_letters[shift / 10 - 1]);
	else
		(void)str_print(out, 16, "%" PRIu64 " %ciB", tenths / 10, size_letters[shift / 10 - 1]);
}

int str_to_duration(const char *s, uint64_t *ret_ms)
{
	static const struct {
		const char *suffix;
		uint64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}};
	struct decimal d;
	int r = s ? read_decimal(&s, &d) : -EINVAL;

	if (r == -EINVAL)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(s, units[i].suffix))
			return r < 0 ? r : decimal_times(&d, units[i].ms, ret_ms);
	return -EINVAL;
}

void str_show_duration(uint64_t seconds, char out[32])
{
	static const struct {
		uint64_t seconds;
		char letter;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	size_t i = 0;

	while (i < ARRAY_SIZE(units) - 1 && seconds < units[i].seconds)
		i++;
	/* The two largest units, the smaller only where it says something: "3d 4h", "3d", "12s". */
	if (i + 1 < ARRAY_SIZE(units) && seconds % units[i].seconds / units[i + 1].seconds)
		(void)str_print(out, 32, "%" PRIu64 "%c %" PRIu64 "%c", seconds / units[i].seconds, units[i].letter,
				seconds % units[i].seconds / units[i + 1].seconds, units[i + 1].letter);
	else
		(void)str_print(out, 32, "%" PRIu64 "%c", seconds / units[i].seconds, units[i].letter);
}

#define NEAR_MAX 64 /* names longer than this get no proposal */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Edits (insert, delete, change, swap of neighbours) between a and b, case aside: the optimal
 * string alignment distance. Lengths up to NEAR_MAX. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t rows[3][NEAR_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);

			row[j] = min3(row[j - 1] + 1, last[j] + 1, last[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) && cb == tolower((unsigned char)a[i - 2]) &&
			    before[j - 2] + 1 < row[j])
				row[j] = before[j - 2] + 1;
		}
	}
	return rows[la % 3][lb];
}

/* The beginning of a word is no slip, but may be all that somebody remembers of it. */
static const char *shortest_with(const char *beginning, const char *const *candidates, size_t count)
{
	const char *best = NULL;

	for (size_t i = 0; strlen(beginning) > 1 && i < count; i++)
		if (candidates[i] && str_starts(candidates[i], beginning) && (!best || strlen(candidates[i]) < strlen(best)))
			best = candidates[i];
	return best;
}

const char *str_near(const char *s, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t len = s ? strlen(s) : 0;
	/* A third of the letters may be wrong: more is another word, not a slip. */
	size_t limit = len < 3 ? 1 : len / 3 + 1;

	if (!len || len > NEAR_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t distance;

		if (!candidates[i] || !candidates[i][0] || strlen(candidates[i]) > NEAR_MAX)
			continue;
		distance = edit_distance(s, candidates[i]);
		/* Nothing in common is no match, however short the words are. */
		if (distance >= len && distance >= strlen(candidates[i]))
			continue;
		if (distance < limit || (distance == limit && !best)) {
			best = candidates[i];
			limit = distance;
		}
	}
	return best ? best : shortest_with(s, candidates, count);
}

bool str_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

/* Length of the displayable character at p: 0 for a control (C0, DEL, C1) and for what is no UTF-8. */
static size_t shown_length(const unsigned char *p)
{
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000}; /* below: C1, or longer than needed */
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t code = len > 1 ? p[0] & (0x7fu >> len) : 0;

	if (len <= 1)
		return p[0] < 0x20 || p[0] == 0x7f ? 0 : len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	return code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

size_t str_escape_into(char *dst, size_t size, const char *src)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = (const unsigned char *)src;
	size_t used = 0;

	while (*p) {
		size_t len = shown_length(p), need = len ? len : 4;

		if (used + need >= size)
			break;
		if (len) {
			memcpy(dst + used, p, len);
		} else {
			memcpy(dst + used, (const char[]){'\\', 'x', hex[*p >> 4], hex[*p & 15]}, 4);
			len = 1;
		}
		used += need;
		p += len;
	}
	if (size)
		dst[used] = '\0';
	return used;
}

char *str_escape(const char *s)
{
	size_t size = strlen(s) * 4 + 1;
	char *out = malloc(size);

	if (out)
		(void)str_escape_into(out, size, s);
	return out;
}

bool str_starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

uint64_t str_hash(uint64_t seed, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		seed = (seed ^ p[i]) * UINT64_C(0x100000001b3);
	return seed;
}
