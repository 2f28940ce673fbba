/* A guest's spec: made with defaults, read and changed key by key. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "spec_parts.h"

int spec_field_reset(const struct key *key, void *field, size_t index)
{
	key->type->clear(key, field);
	if (key->section == SECTION_NETWORK && key->offset == offsetof(struct spec_network, default_route))
		*(bool *)field = index == 0;
	return key->fallback ? key->type->parse(key, key->fallback, field, NULL) : 0;
}

static int reset_section(enum section section, void *element, size_t index)
{
	int r = 0;

	for (size_t i = 0; i < key_count; i++)
		if (key_table[i].section == section &&
		    spec_field_reset(&key_table[i], spec_field(element, &key_table[i]), index) < 0)
			r = -ENOMEM;
	return r;
}

static void clear_section(enum section section, void *element)
{
	for (size_t i = 0; i < key_count; i++)
		if (key_table[i].section == section)
			key_table[i].type->clear(&key_table[i], spec_field(element, &key_table[i]));
}

struct spec *spec_new(void)
{
	struct spec *spec = calloc(1, sizeof *spec);

	for (enum section section = 0; spec && section < SECTION_COUNT; section++)
		if (!section_table[section].many && reset_section(section, spec, 0) < 0) {
			spec_free(spec);
			return NULL;
		}
	return spec;
}

void spec_free(struct spec *spec)
{
	if (!spec)
		return;
	for (enum section section = 0; section < SECTION_COUNT; section++)
		for (size_t i = 0; i < spec_element_count(spec, section); i++)
			clear_section(section, (void *)spec_element_at(spec, section, i));
	free(spec->file);
	free(spec);
}

/* Elements */

/* Where the elements of each section of many are in struct spec. */
static const struct array {
	size_t first, size, most; /* elements */
	size_t count;             /* the size_t that counts them */
	size_t name, name_size;   /* in an element */
	size_t line;
} arrays[SECTION_COUNT] = {
#define ARRAY(field, counter, type, max)                                                                           \
	{                                                                                                          \
		offsetof(struct spec, field), sizeof(struct type), max, offsetof(struct spec, counter),            \
			offsetof(struct type, name), sizeof(((struct type *)0)->name), offsetof(struct type, line) \
	}
	[SECTION_NETWORK] = ARRAY(networks, network_count, spec_network, SPEC_NETWORKS_MAX),
	[SECTION_MOUNT] = ARRAY(mounts, mount_count, spec_mount, SPEC_MOUNTS_MAX),
	[SECTION_DEVICE] = ARRAY(devices, device_count, spec_device, SPEC_DEVICES_MAX),
#undef ARRAY
};

static size_t *counter(struct spec *spec, enum section section)
{
	return (size_t *)((char *)spec + arrays[section].count);
}

static char *element(struct spec *spec, enum section section, size_t index)
{
	return (char *)spec + arrays[section].first + index * arrays[section].size;
}

size_t spec_element_count(const struct spec *spec, enum section section)
{
	return section_table[section].many ? *counter((struct spec *)spec, section) : 1;
}

const void *spec_element_at(const struct spec *spec, enum section section, size_t index)
{
	return section_table[section].many ? (const void *)element((struct spec *)spec, section, index) : spec;
}

const char *spec_element_name(const struct spec *spec, enum section section, size_t index)
{
	return section_table[section].many ? element((struct spec *)spec, section, index) + arrays[section].name : "";
}

int spec_element_line(const void *element, enum section section)
{
	return *(const int *)((const char *)element + arrays[section].line);
}

static size_t element_index(const struct spec *spec, enum section section, const char *member)
{
	size_t i = 0;

	while (i < spec_element_count(spec, section) && strcmp(spec_element_name(spec, section, i), member))
		i++;
	return i;
}

void *spec_element(struct spec *spec, enum section section, const char *member)
{
	size_t i = section_table[section].many ? element_index(spec, section, member) : 0;

	return i < spec_element_count(spec, section) ? (void *)spec_element_at(spec, section, i) : NULL;
}

int spec_element_add(struct spec *spec, enum section section, const char *member, int line, void **ret, struct err *err)
{
	const struct array *array = &arrays[section];
	size_t *count = counter(spec, section);

	if (*count == array->most)
		return err_set(err, ERR_FAILED, "more than %zu [%s] sections", array->most, section_table[section].name);
	char *added = element(spec, section, *count);
	int r = str_copy(added + array->name, array->name_size, member);

	if (!r)
		r = reset_section(section, added, *count);
	if (r < 0) {
		clear_section(section, added);
		return err_num(err, r, "add section [%s %s]", section_table[section].name, member);
	}
	*(int *)(added + array->line) = line;
	++*count;
	*ret = added;
	return 0;
}

static void element_remove(struct spec *spec, enum section section, const char *member)
{
	size_t i = element_index(spec, section, member), size = arrays[section].size, *count = counter(spec, section);

	if (i == *count)
		return;
	clear_section(section, element(spec, section, i));
	--*count;
	memmove(element(spec, section, i), element(spec, section, i + 1), (*count - i) * size);
	memset(element(spec, section, *count), 0, size);
}

const struct spec_device *spec_device(const struct spec *spec, const char *name)
{
	return spec_element((struct spec *)spec, SECTION_DEVICE, name);
}

const char *spec_device_target(const struct spec_device *device)
{
	return device->target ? device->target : device->source;
}

/* Names */

/* "limits.memory"; "network.eth0.mtu" for the section's member, NAME where it is not known. */
static void hint_dotted(const struct key *key, const char *member, struct err *err)
{
	const struct section_info *info = &section_table[key->section];

	(void)err_hint(err, "did you mean '%s%s%s.%s'?", info->name, info->many ? "." : "", info->many ? member : "", key->name);
}

void spec_key_hint(enum section section, const char *key, const char *member, struct err *err)
{
	const char *names[KEYS_MAX] = {0};
	const struct key *rows[KEYS_MAX] = {0};
	size_t count = 0;
	const char *near;

	for (size_t i = 0; i < key_count; i++) {
		const struct section_info *other = &section_table[key_table[i].section];

		if (key_table[i].section == section) {
			rows[count] = &key_table[i];
			names[count++] = key_table[i].name;
		} else if (!strcmp(key_table[i].name, key)) {
			if (member)
				hint_dotted(&key_table[i], "NAME", err);
			else
				(void)err_hint(err, "'%s' belongs in [%s%s]", key, other->name, other->many ? " NAME" : "");
			return;
		}
	}
	near = str_near(key, names, count);
	for (size_t i = 0; near && i < count; i++)
		if (names[i] == near) {
			if (member)
				hint_dotted(rows[i], *member ? member : "NAME", err);
			else
				(void)err_hint(err, "did you mean '%s'?", near);
			return;
		}
	/* In all other sections some word is near to every short one. */
	if (strlen(key) < 5)
		return;
	for (size_t i = 0; i < key_count; i++)
		names[i] = key_table[i].name;
	near = str_near(key, names, key_count);
	for (size_t i = 0; near && i < key_count; i++)
		if (names[i] == near) {
			if (member)
				hint_dotted(&key_table[i], "NAME", err);
			else
				(void)err_hint(err, "did you mean '%s' of [%s]?", near, section_table[key_table[i].section].name);
			return;
		}
}

static int section_find(const char *name, enum section *ret, struct err *err)
{
	const char *names[SECTION_COUNT];

	for (enum section i = 0; i < SECTION_COUNT; i++) {
		names[i] = section_table[i].name;
		if (!strcmp(name, names[i])) {
			*ret = i;
			return 0;
		}
	}
	int r = err_set(err, ERR_FAILED, "unknown section [%s]", name);
	const char *near = str_near(name, names, SECTION_COUNT);

	if (near)
		(void)err_hint(err, "did you mean [%s]?", near);
	return r;
}

/* A network's section is named like the interface, a mount's is a name of its own. */
static int check_member(enum section section, const char *member, struct err *err)
{
	bool network = section == SECTION_NETWORK;
	int r = types_check_name(network ? "the interface's name" : "the section's name", member, network ? 15 : SPEC_MEMBER_MAX,
				 err);

	if (r < 0)
		return r;
	if (network && (!strcmp(member, "lo") || !strcmp(member, "all") || !strcmp(member, "default")))
		return err_set(err, ERR_FAILED, "the kernel has '%s' for itself: it cannot be an interface's name", member);
	return 0;
}

/* Fills ret from a section's word and its member's name ("" when there was none). */
static int section_fill(const char *word, const char *member, struct spec_name *ret, struct err *err)
{
	struct spec_name name = {0};
	int r = section_find(word, &name.section, err);

	if (r < 0)
		return r;
	const struct section_info *info = &section_table[name.section];

	if (!info->many && *member)
		return err_set(err, ERR_FAILED, "section [%s] takes no name, and '%s' is one", info->name, member);
	if (info->many && !*member) {
		r = err_set(err, ERR_FAILED, "section [%s] lacks its name", info->name);
		(void)err_hint(err, "write [%s %s]", info->name, info->member);
		return r;
	}
	if (info->many) {
		r = check_member(name.section, member, err);
		if (r < 0)
			return r;
		(void)str_copy(name.member, sizeof name.member, member); /* its length is checked */
	}
	*ret = name;
	return 0;
}

int spec_section_parse(const char *text, struct spec_name *ret, struct err *err)
{
	const char *word = text + strspn(text, " \t");
	size_t len = strcspn(word, " \t");
	const char *rest = word + len + strspn(word + len, " \t");
	size_t rest_len = strlen(rest);

	while (rest_len && strchr(" \t", rest[rest_len - 1]))
		rest_len--;
	auto_free char *section = strndup(word, len);
	auto_free char *member = strndup(rest, rest_len);

	if (!section || !member)
		return err_num(err, ENOMEM, "read a section's name");
	if (!*section)
		return err_set(err, ERR_FAILED, "the section has no name");
	return section_fill(section, member, ret, err);
}

/* A name on the command line is its user's mistake, not a file's. */
static int usage(int r, struct err *err)
{
	if (r < 0 && err && err->code == ERR_FAILED)
		err->code = ERR_USAGE;
	return r;
}

static int unknown_key(const struct spec_name *name, const char *dotted, const char *key, struct err *err)
{
	int r = err_set(err, ERR_USAGE, "unknown key '%s'", dotted);

	spec_key_hint(name ? name->section : SECTION_COUNT, key, name ? name->member : "", err);
	return r;
}

int spec_name_parse(const char *dotted, struct spec_name *ret, struct err *err)
{
	const char *first = strchr(dotted, '.');
	struct spec_name name;

	if (strlen(dotted) > 128)
		return err_set(err, ERR_USAGE, "a key's name of %zu bytes is too long", strlen(dotted));
	if (!first)
		return unknown_key(NULL, dotted, dotted, err);
	auto_free char *section = strndup(dotted, (size_t)(first - dotted));
	auto_free char *rest = strdup(first + 1);

	if (!section || !rest)
		return err_num(err, ENOMEM, "read a key's name");
	enum section known;
	bool many = !section_find(section, &known, NULL) && section_table[known].many;
	char *key = rest;

	/* network.NAME, network.NAME.KEY: a member's name may have dots (eth0.5), a key has none. */
	if (many) {
		char *last = strrchr(rest, '.');

		/* network.eth0.5 alone is the section of that name when its end is no key. */
		key = NULL;
		if (last && (last[1] < '0' || last[1] > '9')) {
			*last = '\0';
			key = last + 1;
		}
	}
	int r = section_fill(section, many ? rest : "", &name, err);

	if (r < 0)
		return usage(r, err);
	if (key) {
		name.key = key_find(name.section, key);
		if (!name.key)
			return unknown_key(&name, dotted, key, err);
	}
	*ret = name;
	return 0;
}

/* Values */

int spec_value_set(void *element, const struct spec_name *name, const char *value, struct err *err)
{
	struct err fault = {0};
	int r = name->key->type->parse(name->key, value, spec_field(element, name->key), &fault);

	if (r < 0 && err) {
		*err = fault;
		err->code = ERR_FAILED; /* whoever took the value from a command line says "usage" */
		(void)str_print(err->what, sizeof err->what, "%s%s%s.%s: %.160s", section_table[name->section].name,
				*name->member ? "." : "", name->member, name->key->name, fault.what);
	}
	return r;
}

static int no_member(const struct spec_name *name, struct err *err)
{
	return err_set(err, ERR_USAGE, "there is no section [%s %s]", section_table[name->section].name, name->member);
}

int spec_set(struct spec *spec, const char *dotted, const char *value, struct err *err)
{
	struct spec_name name;
	int r = spec_name_parse(dotted, &name, err);

	if (r < 0)
		return r;
	void *element = spec_element(spec, name.section, name.member);

	if (!name.key) {
		if (value)
			return err_set(err, ERR_USAGE, "'%s' is a section: name one of its keys", dotted);
		element_remove(spec, name.section, name.member);
		return 0;
	}
	if (!value) {
		if (!element)
			return 0;
		size_t index = section_table[name.section].many ? element_index(spec, name.section, name.member) : 0;

		r = spec_field_reset(name.key, spec_field(element, name.key), index);
		spec->source[name.key - key_table] = SPEC_FROM_DEFAULT;
		return r < 0 ? err_num(err, r, "unset %s", dotted) : 0;
	}
	bool fresh = !element;

	if (fresh) {
		r = spec_element_add(spec, name.section, name.member, 0, &element, err);
		if (r < 0)
			return r;
	}
	r = usage(spec_value_set(element, &name, value, err), err);
	if (r < 0 && fresh)
		element_remove(spec, name.section, name.member);
	if (r == 0 && !section_table[name.section].many)
		spec->source[name.key - key_table] = SPEC_FROM_GUEST;
	return r;
}

int spec_get(const struct spec *spec, const char *dotted, char **ret, struct err *err)
{
	struct spec_name name;
	int r = spec_name_parse(dotted, &name, err);

	if (r < 0)
		return r;
	if (!name.key)
		return err_set(err, ERR_USAGE, "'%s' is a section: name one of its keys", dotted);
	const void *element = spec_element((struct spec *)spec, name.section, name.member);

	if (!element)
		return no_member(&name, err);
	auto_buf struct buf text = {0};

	name.key->type->format(name.key, spec_field_const(element, name.key), &text);
	char *taken = buf_take(&text);

	if (!taken)
		return err_num(err, ENOMEM, "read %s", dotted);
	*ret = taken;
	return 0;
}
