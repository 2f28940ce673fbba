/* Edits the text of a config file key by key; comments, blank lines and order stay. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "spec_parts.h"

/* Where an edit goes, as offsets into the text. */
struct place {
	size_t section, section_end; /* the section's header line, and behind its last line */
	size_t key, key_end;         /* the key's line */
	size_t last;                 /* behind the last line of the section that holds something of its own */
	bool has_section, has_key;
};

static size_t line_end(const char *text, size_t at)
{
	size_t end = at + strcspn(text + at, "\n");

	return end + (text[end] == '\n');
}

static bool is_comment_or_blank(const char *line)
{
	return *line == '#' || *line == ';' || !line[strspn(line, " \t")] || line[strspn(line, " \t")] == '\n';
}

/* True when the line is the header of the section that name means. */
static bool is_header_of(const char *line, const struct spec_name *name)
{
	struct spec_name found;
	size_t len = strcspn(line, "]\n");

	if (line[len] != ']')
		return false;
	auto_free char *inner = strndup(line + 1, len - 1);

	return inner && !spec_section_parse(inner, &found, NULL) && found.section == name->section &&
	       !strcmp(found.member, name->member);
}

static bool is_key(const char *line, const char *key)
{
	size_t len = strlen(key);

	return !strncmp(line, key, len) && line[len + strspn(line + len, " \t")] == '=';
}

static struct place find_place(const char *text, const struct spec_name *name)
{
	struct place place = {0};
	bool inside = false;

	for (size_t at = 0, end; text[at]; at = end) {
		const char *line = text + at;

		end = line_end(text, at);
		if (*line == '[') {
			inside = !place.has_section && is_header_of(line, name);
			if (inside) {
				place.has_section = true;
				place.section = at;
				place.section_end = place.last = end;
			}
		} else if (inside) {
			place.section_end = end;
			if (is_comment_or_blank(line))
				continue;
			place.last = end;
			if (!place.has_key && name->key && is_key(line, name->key->name)) {
				place.has_key = true;
				place.key = at;
				place.key_end = end;
			}
		}
	}
	return place;
}

static void add_line(const struct spec_name *name, const char *value, struct buf *out)
{
	buf_addf(out, "%s = %s\n", name->key->name, value);
}

/* What lies in text before at, with a newline behind its last line when that lacks one. */
static void add_before(const char *text, size_t at, struct buf *out)
{
	buf_add_bytes(out, text, at);
	if (at && text[at - 1] != '\n')
		buf_add(out, "\n");
}

static void set_key(const char *text, const struct place *place, const struct spec_name *name, const char *value, struct buf *out)
{
	if (place->has_key) {
		buf_add_bytes(out, text, place->key);
		add_line(name, value, out);
		buf_add(out, text + place->key_end);
	} else if (place->has_section) {
		add_before(text, place->last, out);
		add_line(name, value, out);
		buf_add(out, text + place->last);
	} else {
		add_before(text, strlen(text), out);
		buf_addf(out, "%s[%s%s%s]\n", *text ? "\n" : "", section_table[name->section].name, *name->member ? " " : "",
			 name->member);
		add_line(name, value, out);
	}
}

/* Comments that stand right before the next section belong to that one: they stay, and the blank lines before them go.
 * The last section goes to the end of the file. */
static void remove_section(const char *text, const struct place *place, struct buf *out)
{
	size_t keep = place->last;

	for (size_t at = place->last; at < place->section_end; at = line_end(text, at))
		if (text[at] != '#' && text[at] != ';')
			keep = line_end(text, at);
	size_t before = place->section;

	if (!text[place->section_end]) {
		keep = place->section_end;
		while (before > 1 && text[before - 1] == '\n' && text[before - 2] == '\n')
			before--;
	}
	buf_add_bytes(out, text, before);
	buf_add(out, text + keep);
}

/* One line of text, as a value must be. */
static int check_value(const char *value, struct err *err)
{
	if (!str_printable(value))
		return err_set(err, ERR_USAGE, "the value has a control character, such as a line end");
	if (!value[strspn(value, " \t")])
		return err_set(err, ERR_USAGE, "the value is empty");
	return 0;
}

int spec_edit(const char *text, const char *dotted, const char *value, char **ret, struct err *err)
{
	struct spec_name name;
	int r = spec_name_parse(dotted, &name, err);

	if (!r && value)
		r = name.key ? check_value(value, err) : err_set(err, ERR_USAGE, "'%s' is a section: name one of its keys", dotted);
	if (r < 0)
		return r;
	struct place place = find_place(text, &name);
	auto_buf struct buf out = {0};

	if (value) {
		set_key(text, &place, &name, value, &out);
	} else if (!name.key && place.has_section) {
		remove_section(text, &place, &out);
	} else if (place.has_key) {
		buf_add_bytes(&out, text, place.key);
		buf_add(&out, text + place.key_end);
	} else {
		buf_add(&out, text);
	}
	char *edited = buf_take(&out);

	if (!edited)
		return err_num(err, ENOMEM, "edit %s", dotted);
	*ret = edited;
	return 0;
}
