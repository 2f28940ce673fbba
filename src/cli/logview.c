/* A guest's output made safe for a terminal, or for JSON. */
#include "config.h"

#include <stdint.h>

#include "logview.h"

#define COLOUR_MAX 40 /* bytes of the longest ESC [ ... m that is taken for one */

enum { UNFINISHED = -1 };

/* Length of the character at s by RFC 3629, 0: none there, UNFINISHED: its end is not in len. */
static int utf8_length(const unsigned char *s, size_t len)
{
	uint32_t value;
	int n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		n = 4;
	else
		return 0;
	value = s[0] & (0x7f >> n);
	for (int i = 1; i < n; i++) {
		if ((size_t)i >= len)
			return UNFINISHED;
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && value < 0x800) || (n == 4 && value < 0x10000) || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	return n;
}

/* Length of the colour sequence at s (ESC [ digits and semicolons m), 0: none, UNFINISHED: it may become one. */
static int colour_length(const unsigned char *s, size_t len)
{
	if (s[0] != 0x1b)
		return 0;
	if (len == 1)
		return UNFINISHED;
	if (s[1] != '[')
		return 0;
	for (size_t i = 2; i < COLOUR_MAX; i++) {
		if (i >= len)
			return UNFINISHED;
		if (s[i] == 'm')
			return i + 1;
		if (s[i] != ';' && (s[i] < '0' || s[i] > '9'))
			return 0;
	}
	return 0;
}

static void add_hex(struct buf *out, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	char text[4] = {'\\', 'x', digits[c >> 4], digits[c & 15]};

	buf_add_bytes(out, text, sizeof(text));
}

size_t logview_escape(struct buf *out, const char *data, size_t len, bool final)
{
	const unsigned char *s = (const unsigned char *)data;
	size_t at = 0;

	while (at < len) {
		int n = colour_length(s + at, len - at);

		if (n > 0) {
			at += n;
			continue;
		}
		if (n == 0)
			n = utf8_length(s + at, len - at);
		if (s[at] == '\r' && at + 1 >= len)
			n = UNFINISHED;
		if (n == UNFINISHED && !final)
			break;
		if (s[at] == '\r' && at + 1 < len && s[at + 1] == '\n') {
			at++;
			continue;
		}
		bool is_c1 = n == 2 && s[at] == 0xc2 && s[at + 1] < 0xa0;

		if (n <= 0 || is_c1 || (s[at] < 0x20 && s[at] != '\n' && s[at] != '\t') || s[at] == 0x7f) {
			for (int i = 0; i < (is_c1 ? 2 : 1); i++)
				add_hex(out, s[at++]);
			continue;
		}
		buf_add_bytes(out, s + at, n);
		at += n;
	}
	return at;
}

void logview_utf8(struct buf *out, const char *line, size_t len)
{
	for (size_t at = 0; at < len;) {
		int n = utf8_length((const unsigned char *)line + at, len - at);

		if (n > 0)
			buf_add_bytes(out, line + at, n);
		else
			buf_add(out, "\xef\xbf\xbd");
		at += n > 0 ? n : 1;
	}
}
