/* Writes manual pages: text becomes man(7) source that no formatter trips over. */
#include "config.h"

#include <ctype.h>
#include <string.h>

#include "roff.h"

/* A literal line may not begin with a control character; \& is nothing, in front of it. */
void roff_escape(struct buf *page, const char *text, size_t len)
{
	if (len > 0 && (*text == '.' || *text == '\''))
		buf_add(page, "\\&");
	for (size_t i = 0; i < len; i++) {
		switch (text[i]) {
		case '\\':
			buf_add(page, "\\e");
			break;
		case '-':
			buf_add(page, "\\-");
			break;
		case '\'':
			buf_add(page, "\\(aq");
			break;
		case '`':
			buf_add(page, "\\(ga");
			break;
		case '^':
			buf_add(page, "\\(ha");
			break;
		case '~':
			buf_add(page, "\\(ti");
			break;
		default:
			buf_add_bytes(page, &text[i], 1);
		}
	}
}

void roff_bold(struct buf *page, const char *text)
{
	buf_add(page, "\\fB");
	roff_escape(page, text, strlen(text));
	buf_add(page, "\\fR");
}

void roff_title(struct buf *page, const char *name, int section)
{
	auto_buf struct buf upper = {0};

	for (const char *c = name; *c; c++)
		buf_addf(&upper, "%c", toupper((unsigned char)*c));
	buf_add(page, ".\\\" Made from isle's tables; change those.\n.TH ");
	roff_escape(page, upper.data ? upper.data : "", upper.len);
	buf_addf(page, " %d \"\" \"isle %s\" \"isle\"\n.nh\n.ad l\n", section, PACKAGE_VERSION);
}

void roff_section(struct buf *page, const char *title)
{
	buf_addf(page, ".SH %s\n", title);
}

/* A word with a section behind it: isle(1), isle.conf(5). Returns the length of the name, 0 when it is none. */
static size_t reference(const char *word, size_t len)
{
	size_t name = 0;

	while (name < len && (isalnum((unsigned char)word[name]) || strchr("._-", word[name])))
		name++;
	return name > 1 && name + 2 < len && word[name] == '(' && isdigit((unsigned char)word[name + 1]) && word[name + 2] == ')'
		       ? name
		       : 0;
}

static void add_word(struct buf *page, const char *word, size_t len)
{
	size_t name = reference(word, len);

	if (name) {
		buf_add(page, "\\fB");
		roff_escape(page, word, name);
		buf_add(page, "\\fR");
		word += name;
		len -= name;
	}
	roff_escape(page, word, len);
}

void roff_text(struct buf *page, const char *text)
{
	size_t width = 0;

	while (*text) {
		size_t len = strcspn(text, " \n");

		if (len > 0) {
			bool full = width > 0 && width + len > 90;

			if (width > 0)
				buf_add(page, full ? "\n" : " ");
			width = full ? len : width + len + 1;
			add_word(page, text, len);
			text += len;
		} else if (text[0] == '\n' && text[1] == '\n') {
			buf_add(page, "\n.PP\n");
			width = 0;
			text += strspn(text, "\n");
		} else {
			text++;
		}
	}
	if (width > 0)
		buf_add(page, "\n");
}

void roff_literal(struct buf *page, const char *text)
{
	buf_add(page, ".PP\n.RS 4\n.nf\n");
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > 0)
			roff_escape(page, line, len);
		buf_add(page, "\n");
		line += len + (line[len] == '\n');
	}
	buf_add(page, ".fi\n.RE\n");
}

void roff_tagged(struct buf *page, const char *tag, const char *text)
{
	buf_addf(page, ".TP\n%s\n", tag);
	roff_text(page, text);
}
