/* Writes a spec as a config file, and as JSON. */
#include "config.h"

#include <json-c/json.h>
#include <string.h>

#include "spec_parts.h"

/* Appends what the key's value is when the file does not name it. */
static void add_default(const struct key *key, size_t index, struct buf *out)
{
	union {
		uint64_t number;
		char *text;
		struct address_value address;
		struct ip_value ip;
		struct mac_value mac;
	} field;

	memset(&field, 0, sizeof field);
	if (spec_field_reset(key, &field, index) < 0)
		out->failed = true;
	else
		key->type->format(key, &field, out);
	key->type->clear(key, &field);
}

/* The value's text when it is the guest's own word or not the default; NULL otherwise. Caller frees. */
static char *changed_text(const struct spec *spec, const struct key *key, const void *element, size_t index, bool *failed)
{
	auto_buf struct buf now = {0}, usual = {0};
	enum spec_source source = section_table[key->section].many ? SPEC_FROM_DEFAULT : spec_source_of(spec, key);

	if (source == SPEC_FROM_HOST || source == SPEC_FROM_PLAN)
		return NULL;
	key->type->format(key, spec_field_const(element, key), &now);
	add_default(key, index, &usual);
	*failed |= now.failed || usual.failed;
	if (source == SPEC_FROM_GUEST && !now.failed && !now.len)
		return strdup("unlimited"); /* the only word that a guest can say for "not set", against a plan */
	/* The default's own word counts where a plan would say something else. */
	if (*failed || !now.len || (source != SPEC_FROM_GUEST && usual.data && !strcmp(now.data, usual.data)))
		return NULL;
	return buf_take(&now);
}

/* The first sentence of a section's text. */
static void add_comment(enum section section, struct buf *out)
{
	const char *doc = section_table[section].doc;
	size_t len = strcspn(doc, ".:");

	buf_add(out, "# ");
	buf_add_bytes(out, doc, len);
	buf_add(out, ".\n");
}

static void add_element(const struct spec *spec, enum section section, size_t index, struct buf *out)
{
	const void *element = spec_element_at(spec, section, index);
	bool many = section_table[section].many, begun = false;

	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];

		if (key->section != section)
			continue;
		auto_free char *text = changed_text(spec, key, element, index, &out->failed);

		if (!text && !many)
			continue;
		if (!begun) {
			if (!index) {
				buf_add(out, "\n");
				add_comment(section, out);
			} else {
				buf_add(out, "\n");
			}
			buf_addf(out, "[%s%s%s]\n", section_table[section].name, many ? " " : "",
				 spec_element_name(spec, section, index));
			begun = true;
		}
		if (text)
			buf_addf(out, "%s = %s\n", key->name, text);
	}
}

char *spec_format(const struct spec *spec)
{
	auto_buf struct buf out = {0};

	buf_add(&out, "# A guest's config; isle.conf(5) explains every key. Change it here, or with isle config.\n");
	for (enum section section = 0; section < SECTION_COUNT; section++)
		for (size_t i = 0; i < spec_element_count(spec, section); i++)
			add_element(spec, section, i, &out);
	return buf_take(&out);
}

/* JSON */

/* start-order -> start_order */
static void add_member(struct json_object *object, const char *name, struct json_object *value)
{
	char snake[64];

	if (str_copy(snake, sizeof snake, name) < 0)
		return;
	for (char *at = snake; *at; at++)
		if (*at == '-')
			*at = '_';
	json_object_object_add(object, snake, value);
}

static struct json_object *element_json(const struct spec *spec, enum section section, size_t index)
{
	const void *element = spec_element_at(spec, section, index);
	struct json_object *object = json_object_new_object();

	if (object && section_table[section].many)
		json_object_object_add(object, "name", json_object_new_string(spec_element_name(spec, section, index)));
	for (size_t i = 0; object && i < key_count; i++)
		if (key_table[i].section == section)
			add_member(object, key_table[i].name,
				   key_table[i].type->json(&key_table[i], spec_field_const(element, &key_table[i])));
	return object;
}

struct json_object *spec_json(const struct spec *spec)
{
	struct json_object *all = json_object_new_object();

	for (enum section section = 0; all && section < SECTION_COUNT; section++) {
		if (!section_table[section].many) {
			json_object_object_add(all, section_table[section].name, element_json(spec, section, 0));
			continue;
		}
		struct json_object *list = json_object_new_array();
		char name[32];

		for (size_t i = 0; list && i < spec_element_count(spec, section); i++)
			json_object_array_add(list, element_json(spec, section, i));
		if (!str_print(name, sizeof name, "%ss", section_table[section].name))
			json_object_object_add(all, name, list);
		else
			json_object_put(list);
	}
	return all;
}
