/* Reads a guest's config file, strictly. */
#include "config.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

#include "../base/file.h"
#include "spec_parts.h"

/* inih only splits "name = value": lines are handed to it one by one by read_line(), which knows where it is in the file, sees
 * sections (inih does not report empty ones, and cuts their names) and refuses what inih would misread. */
struct parse {
	const char *text;
	size_t len, at;
	const char *shown;
	struct spec *spec;
	enum spec_source source;
	int line; /* the one inih works on, from 1 */
	bool in_section;
	struct spec_name name; /* the section we are in */
	void *element;
	int seen[KEYS_MAX]; /* line of each key in this section, 0: not yet */
	int section_seen[SECTION_COUNT];
	int result;
	struct err err;
};

/* Sets the fault at the current line once; what follows it is noise. */
static void fail(struct parse *parse, int r)
{
	parse->result = r;
	(void)err_where(&parse->err, parse->shown, parse->line);
}

static void begin_section(struct parse *parse, const char *text)
{
	int before = 0;
	int r = spec_section_parse(text, &parse->name, &parse->err);

	if (r < 0) {
		fail(parse, r);
		return;
	}
	enum section section = parse->name.section;

	if (section_table[section].many && parse->source != SPEC_FROM_GUEST) {
		fail(parse, err_set(&parse->err, ERR_FAILED, "[%s] sections are a guest's own: they cannot be here",
				    section_table[section].name));
		return;
	}
	if (section_table[section].many) {
		parse->element = spec_element(parse->spec, section, parse->name.member);
		if (parse->element)
			before = spec_element_line(parse->element, section);
		else
			r = spec_element_add(parse->spec, section, parse->name.member, parse->line, &parse->element, &parse->err);
	} else {
		before = parse->section_seen[section];
		parse->element = parse->spec;
	}
	if (before) {
		r = err_set(&parse->err, ERR_FAILED, "section [%s%s%s] is there twice: lines %d and %d",
			    section_table[section].name, *parse->name.member ? " " : "", parse->name.member, before, parse->line);
		(void)err_hint(&parse->err, "put the keys of both into one");
	}
	if (r < 0) {
		fail(parse, r);
		return;
	}
	parse->section_seen[section] = parse->line;
	parse->in_section = true;
	memset(parse->seen, 0, sizeof parse->seen);
}

/* Refuses a line that is neither a comment, a section, nor name = value. line has no line end. */
static int check_line(struct parse *parse, const char *line)
{
	struct err *err = &parse->err;

	if (strchr(" \t", *line)) {
		int r = err_set(err, ERR_FAILED, "the line is indented");

		(void)err_hint(err, "begin keys, sections and comments in the first column; a value ends with its line");
		return r;
	}
	if (*line == '[') {
		const char *close = strchr(line, ']');

		if (!close)
			return err_set(err, ERR_FAILED, "the section's name is not closed with ']'");
		if (close[1 + strspn(close + 1, " \t")])
			return err_set(err, ERR_FAILED, "there is text behind the section's ']'");
		return 0;
	}
	size_t name = strcspn(line, "=:");

	if (line[name] != '=')
		return err_set(err, ERR_FAILED,
			       line[name] ? "a key and its value are parted by ':', not '='"
					  : "the line is neither KEY = VALUE, a [section], nor a # comment");
	if (!name)
		return err_set(err, ERR_FAILED, "there is no key before '='");
#if !HAVE_DECL_INI_ALLOW_MULTILINE
	if (strstr(line, " ;") || strstr(line, "\t;"))
		return err_set(err, ERR_FAILED, "this build's INI reader takes what follows ' ;' for a comment");
#endif
	return 0;
}

/* fgets() for inih: one physical line a call, NULL at the end or after a fault. */
static char *read_line(char *out, int size, void *stream)
{
	struct parse *parse = stream;

	if (parse->result < 0 || parse->at == parse->len)
		return NULL;
	const char *start = parse->text + parse->at;
	size_t len = strcspn(start, "\n");

	parse->line++;
	parse->at += len + (start[len] == '\n');
	if (len + 3 > (size_t)size) {
		fail(parse, err_set(&parse->err, ERR_FAILED, "the line has %zu bytes, %d is the most", len, size - 3));
		return NULL;
	}
	memcpy(out, start, len);
	out[len] = '\0';
	if (*out == '#' || *out == ';' || !out[strspn(out, " \t")]) {
		out[0] = '\0';
	} else {
		int r = check_line(parse, out);

		if (r < 0) {
			fail(parse, r);
			return NULL;
		}
		if (*out == '[') {
			*strchr(out, ']') = '\0';
			begin_section(parse, out + 1);
			/* The handler has it all from parse->name. */
			out[0] = '\0';
			if (parse->result < 0)
				return NULL;
		}
	}
	len = strlen(out);
	out[len] = '\n';
	out[len + 1] = '\0';
	return out;
}

/* Whether plans and the host's defaults may have the key. */
static bool is_shared(const struct key *key, enum spec_source source)
{
	if (key->internal || section_table[key->section].many)
		return false;
	return !key->own || (source == SPEC_FROM_HOST && key->offset == offsetof(struct spec, guest.plan));
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
	struct parse *parse = user;
	int r;

	if (parse->result < 0)
		return 0;
	if (!parse->in_section) {
		r = err_set(&parse->err, ERR_FAILED, "'%s' comes before any section", name);
		spec_key_hint(SECTION_COUNT, name, NULL, &parse->err);
		fail(parse, r);
		return 0;
	}
	parse->name.key = key_find(parse->name.section, name);
	if (!parse->name.key) {
		r = err_set(&parse->err, ERR_FAILED, "unknown key '%s' in [%s]", name, section_table[parse->name.section].name);
		spec_key_hint(parse->name.section, name, NULL, &parse->err);
		fail(parse, r);
		return 0;
	}
	if (parse->source != SPEC_FROM_GUEST && !is_shared(parse->name.key, parse->source)) {
		fail(parse, err_set(&parse->err, ERR_FAILED, "'%s' is one guest's own: it cannot be here", name));
		return 0;
	}
	int *seen = &parse->seen[parse->name.key - key_table];

	if (*seen) {
		fail(parse, err_set(&parse->err, ERR_FAILED, "'%s' is there twice: lines %d and %d", name, *seen, parse->line));
		return 0;
	}
	*seen = parse->line;
	r = spec_value_set(parse->element, &parse->name, value, &parse->err);
	if (r < 0) {
		if (!*parse->err.hint && (strstr(value, " #") || strstr(value, " ;")))
			(void)err_hint(&parse->err, "a comment needs a line of its own");
		fail(parse, r);
		return 0;
	}
	if (!section_table[parse->name.section].many)
		parse->spec->source[parse->name.key - key_table] = (unsigned char)parse->source;
	return 1;
}

/* Debian's libinih has at run time what upstream fixes when it is built; its defaults would cut and join lines. */
static void set_knobs(void)
{
#if HAVE_DECL_INI_ALLOW_MULTILINE
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_bom = false;
	ini_allow_no_value = false;
	ini_allow_realloc = false;
	ini_stop_on_first_error = true;
	ini_use_stack = false;
	ini_initial_alloc = SPEC_LINE_MAX + 8;
	ini_max_line = SPEC_LINE_MAX + 8;
#endif
}

/* Faults in the bytes themselves, found before any line is understood. */
static int check_bytes(struct parse *parse)
{
	struct err *err = &parse->err;

	for (size_t at = 0; at < parse->len;) {
		const char *line = parse->text + at;
		const char *end = memchr(line, '\n', parse->len - at);
		size_t len = end ? (size_t)(end - line) : parse->len - at;
		int r = 0;

		parse->line++;
		if (memchr(line, '\0', len)) {
			r = err_set(err, ERR_FAILED, "the line has a NUL byte");
		} else if (memchr(line, '\r', len)) {
			r = err_set(err, ERR_FAILED, "the line has a carriage return (CR), as DOS line ends have");
			(void)err_hint(err, "remove them with: sed -i 's/\\r//g' FILE");
		} else if (len > SPEC_LINE_MAX) {
			r = err_set(err, ERR_FAILED, "the line has %zu bytes, %d is the most", len, SPEC_LINE_MAX);
		} else if (types_check_text(line, len, err) < 0) {
			r = -EIO;
		} else if (!end) {
			r = err_set(err, ERR_FAILED, "the last line lacks its newline: the file may have been cut");
			(void)err_hint(err, "look at the file's end, then add a newline");
		}
		if (r < 0) {
			fail(parse, r);
			return r;
		}
		at += len + 1;
	}
	parse->line = 0;
	return 0;
}

static int parse_all(struct parse *parse)
{
	if (parse->len > SPEC_FILE_MAX)
		return err_set(&parse->err, ERR_FAILED, "%s has %zu bytes, %d is the most", parse->shown, parse->len,
			       SPEC_FILE_MAX);
	int r = check_bytes(parse);

	if (r < 0)
		return r;
	set_knobs();
	r = ini_parse_stream(read_line, parse, handle, parse);
	if (parse->result < 0)
		return parse->result;
	return r ? err_num(&parse->err, r == -2 ? ENOMEM : EINVAL, "read %s", parse->shown) : 0;
}

enum spec_source spec_source_of(const struct spec *spec, const struct key *key)
{
	return (enum spec_source)spec->source[key - key_table];
}

int spec_parse_over(struct spec *spec, enum spec_source source, const char *text, size_t len, const char *shown, struct err *err)
{
	struct parse parse = {.text = text, .len = len, .shown = shown, .spec = spec, .source = source};
	int r = parse_all(&parse);

	if (r < 0 && err)
		*err = parse.err;
	return r;
}

int spec_parse(const char *text, size_t len, const char *shown, struct spec **ret, struct err *err)
{
	struct spec *spec = spec_new();

	if (spec)
		spec->file = strdup(shown);
	int r = spec && spec->file ? spec_parse_over(spec, SPEC_FROM_GUEST, text, len, shown, err)
				   : err_num(err, ENOMEM, "read %s", shown);

	if (r == 0)
		r = spec_check(spec, err);
	if (r < 0) {
		spec_free(spec);
		return r;
	}
	*ret = spec;
	return 0;
}

int spec_read(int dir_fd, const char *name, const char *shown, char **ret, size_t *ret_len, struct err *err)
{
	int r = file_read(dir_fd, name, SPEC_FILE_MAX, ret, ret_len);

	if (r < 0) {
		r = r == -EFBIG ? err_set(err, ERR_FAILED, "%s is larger than %d KiB", shown, SPEC_FILE_MAX >> 10)
				: err_num(err, r, "read %s", shown);
		(void)err_where(err, shown, 0);
	}
	return r;
}

int spec_load(int dir_fd, const char *name, const char *shown, struct spec **ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = spec_read(dir_fd, name, shown, &text, &len, err);

	return r < 0 ? r : spec_parse(text, len, shown, ret, err);
}
