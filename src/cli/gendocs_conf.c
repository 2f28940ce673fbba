/* isle.conf(5) and the commented example, from the key table. */
#include "config.h"

#include <string.h>

#include "../guest/spec.h"
#include "gendocs.h"
#include "roff.h"

static bool is_number(const struct type *type)
{
	return type == &type_number || type == &type_count || type == &type_size || type == &type_duration || type == &type_cpus ||
	       type == &type_rate;
}

/* "red, green or blue" */
static void add_choices(struct buf *out, const char *const *choices)
{
	for (size_t i = 0; choices[i]; i++)
		buf_addf(out, "%s%s", !i ? "" : choices[i + 1] ? ", " : " or ", choices[i]);
}

/* What a value looks like, with the key's own bounds. */
static void add_shape(struct buf *out, const struct key *key)
{
	auto_buf struct buf min = {0}, max = {0};

	if (key->choices) {
		add_choices(out, key->choices);
		return;
	}
	buf_add(out, key->type->shape);
	if (!is_number(key->type)) {
		if (key->max && key->type != &type_address && key->type != &type_ip)
			buf_addf(out, ", %u bytes at most", (unsigned)key->max);
		return;
	}
	if (key->min)
		key->type->format(key, &key->min, &min);
	if (key->max)
		key->type->format(key, &key->max, &max);
	if (min.len && max.len)
		buf_addf(out, ", from %s to %s", min.data, max.data);
	else if (min.len || max.len)
		buf_addf(out, ", %s at %s", min.len ? min.data : max.data, min.len ? "least" : "most");
	if (!key->fallback && key->type != &type_number)
		buf_add(out, "; or unlimited");
}

static const char *when(const struct key *key)
{
	if (key->internal)
		return "isle writes it; do not change it.";
	if (key->live & FACET_CGROUP)
		return "A change holds at once in a running guest.";
	return key->live & (FACET_FREE | FACET_LXCFS) ? "A change holds at once." : "A change holds at the next start.";
}

/* The manual page */

static void add_key(struct buf *page, const struct key *key)
{
	auto_buf struct buf tag = {0}, text = {0}, shape = {0};

	roff_bold(&tag, key->name);
	buf_add(&tag, " = \\fI");
	roff_escape(&tag, key->type->name, strlen(key->type->name));
	buf_add(&tag, "\\fR");
	add_shape(&shape, key);
	buf_addf(&text, "%s\n\nValue: %s.", key->doc, shape.data ? shape.data : "");
	if (key->fallback)
		buf_addf(&text, " Default: %s.", key->fallback);
	if (key->example)
		buf_addf(&text, " Example: %s.", key->example);
	buf_addf(&text, " %s", when(key));
	if (key->lxc) {
		const char *at = key->lxc, *word;
		size_t len;

		buf_add(&text, " In LXC:");
		for (bool first = true; (word = types_next_word(&at, &len)); first = false)
			buf_addf(&text, "%s %.*s", first ? "" : ",", (int)len, word);
		buf_add(&text, ".");
	}
	/* Paragraphs inside a tagged one keep its indent. */
	buf_addf(page, ".TP\n%s\n", tag.data ? tag.data : "");
	char *second = text.data ? strstr(text.data, "\n\n") : NULL;

	if (second) {
		*second = '\0';
		roff_text(page, text.data);
		buf_add(page, ".IP\n");
		roff_text(page, second + 2);
	}
}

static void add_sections(struct buf *page)
{
	for (enum section section = 0; section < SECTION_COUNT; section++) {
		auto_free char *title =
			str_format("\"[%s%s]\"", section_table[section].name, section_table[section].many ? " NAME" : "");

		roff_section(page, title ? title : "");
		roff_text(page, section_table[section].doc);
		for (size_t i = 0; i < key_count; i++)
			if (key_table[i].section == section)
				add_key(page, &key_table[i]);
	}
}

static void add_plans(struct buf *page)
{
	auto_buf struct buf own = {0};

	roff_section(page, "PLANS");
	roff_text(
		page,
		"A plan is a file in /etc/isle/plans, named as the plan, with the sections and keys of a guest's config. It holds what many "
		"guests share, their limits above all; guest.plan of a config names it, and isle create --plan writes that name. The value "
		"of a key is, in this order: the guest's own word; its plan's; that of /etc/isle/isle.conf, a file of the same kind for all "
		"guests of the host; isle's default. In isle.conf guest.plan is the plan of the guests that name none; a guest that is to "
		"have none at all says plan = none. unlimited in a guest's config lifts a limit of its plan.\n\n"
		"isle config NAME set guest.plan=OTHER changes the limits of a running guest at once. A plan that is edited holds at the "
		"next start, and at once after isle limit --reload NAME. isle config NAME, isle limit and isle info show what comes from "
		"the plan and where the guest differs.");
	for (size_t i = 0; i < key_count; i++)
		if (!section_table[key_table[i].section].many && !key_table[i].internal && key_table[i].own)
			buf_addf(&own, "%s%s.%s", own.len ? ", " : "", section_table[key_table[i].section].name, key_table[i].name);
	auto_free char *text = str_format(
		"Not in a plan, since they are one guest's own: sections that have a name, what isle writes itself, and %s.",
		own.data ? own.data : "");

	buf_add(page, ".PP\n");
	roff_text(page, text ? text : "");
	roff_literal(page, "# /etc/isle/plans/small\n[limits]\nmemory = 1G\nswap = 0\ncpus = 1\nprocesses = 2000\nio-read = 50M\n");
}

char *gendocs_conf(void)
{
	auto_buf struct buf page = {0};

	roff_title(&page, "isle.conf", 5);
	roff_section(&page, "NAME");
	roff_text(&page, "isle.conf - the config of a guest");
	roff_section(&page, "DESCRIPTION");
	roff_text(&page, "Every guest has one config file, guests/NAME/config below /var/lib/isle. create writes it, "
			 "isle-config(1) reads and changes "
			 "it, and an editor may. It says what the administrator asks for; what is, isle asks the kernel.\n\n"
			 "The file is text: sections in brackets, and in them one KEY = VALUE a line. Blanks around the equals "
			 "sign do not count. A "
			 "line that begins with # or ; is a comment; behind a value there is none, all to the end of the line "
			 "belongs to the value. "
			 "Lines begin in the first column and end with their newline, the last one too. A section or a key that is "
			 "there twice is "
			 "refused, and so is one that is not in this manual, a value that its key cannot take, a line of more than "
			 "4,000 bytes, and a "
			 "file of more than 256 KiB. The complaint names file and line, and what may have been meant. A file with "
			 "a fault changes "
			 "nothing: a running guest runs on as it is.\n\n"
			 "A key that is not in the file has its default.");
	roff_section(&page, "EXAMPLE");
	roff_literal(
		&page,
		"[guest]\nhostname = www.example.org\nautostart = yes\n\n[limits]\nmemory = 512M\ncpus = 1.5\nprocesses = 4096\n\n"
		"[network eth0]\naddress = auto\n\n[mount data]\nsource = /srv/data\ntarget = /data\noptions = ro,optional\n");
	add_sections(&page);
	add_plans(&page);
	roff_section(&page, "FILES");
	roff_tagged(&page, "\\fI/var/lib/isle/guests/NAME/config\\fR", "A guest's config.");
	roff_tagged(&page, "\\fI/etc/isle/plans/NAME\\fR", "A plan.");
	roff_tagged(&page, "\\fI/etc/isle/isle.conf\\fR", "The host's defaults for all guests.");
	roff_section(&page, "\"SEE ALSO\"");
	roff_text(&page, "isle(1), isle-config(1), isle-create(1), cgroups(7), capabilities(7), lxc.container.conf(5)");
	return buf_take(&page);
}

/* The example */

/* Lines of at most 78 columns, each behind "# ". */
static void add_wrapped(struct buf *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > 78) {
			buf_add(out, "\n");
			column = 0;
		}
		buf_add(out, column ? " " : "# ");
		buf_add_bytes(out, text, len);
		column += len + (column ? 1 : 2);
		text += len + strspn(text + len, " ");
	}
	buf_add(out, "\n");
}

static void add_example(struct buf *out, const struct key *key)
{
	auto_buf struct buf text = {0}, shape = {0};

	add_shape(&shape, key);
	buf_addf(&text, "%s (%s%s%s)", key->doc, shape.data ? shape.data : "", key->fallback ? "; default: " : "",
		 key->fallback ? key->fallback : "");
	buf_add(out, "\n");
	add_wrapped(out, text.data ? text.data : key->doc);
	buf_addf(out, "#%s = %s\n", key->name, key->example ? key->example : key->fallback);
}

char *gendocs_example(void)
{
	auto_buf struct buf out = {0};

	add_wrapped(
		&out,
		"Every key of a guest's config with an example. Lines that begin with \"# \" explain; take the # off the others "
		"to use them. isle.conf(5) says more. Made from isle's key table.");
	for (enum section section = 0; section < SECTION_COUNT; section++) {
		buf_add(&out, "\n\n");
		add_wrapped(&out, section_table[section].doc);
		buf_addf(&out, "#[%s%s%s]\n", section_table[section].name, section_table[section].many ? " " : "",
			 section_table[section].many ? section_table[section].member : "");
		for (size_t i = 0; i < key_count; i++)
			if (key_table[i].section == section && !key_table[i].internal)
				add_example(&out, &key_table[i]);
	}
	return buf_take(&out);
}
