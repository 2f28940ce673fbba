/* Where a guest's values come from: its config, its plan, the host's defaults. */
#include "config.h"

#include <json-c/json.h>
#include <string.h>

#include "../base/str.h"
#include "../guest/spec_parts.h"
#include "origin.h"

static const char *const names[] = {
	[SPEC_FROM_DEFAULT] = "default", [SPEC_FROM_HOST] = "host", [SPEC_FROM_PLAN] = "plan", [SPEC_FROM_GUEST] = "guest"};

const char *origin_name(const struct spec *spec, const struct key *key)
{
	return names[spec_source_of(spec, key)];
}

static char *layer_name(const struct spec *spec, enum spec_source source)
{
	return source == SPEC_FROM_PLAN && spec->guest.plan ? str_format("plan %s", spec->guest.plan) : strdup("isle.conf");
}

char *origin_text(const struct spec *spec, const struct spec *below, const struct key *key)
{
	enum spec_source source = section_table[key->section].many ? SPEC_FROM_DEFAULT : spec_source_of(spec, key);

	if (source == SPEC_FROM_HOST || source == SPEC_FROM_PLAN) {
		auto_free char *layer = layer_name(spec, source);

		return layer ? str_format("from %s", layer) : NULL;
	}
	enum spec_source under = source == SPEC_FROM_GUEST && below ? spec_source_of(below, key) : SPEC_FROM_DEFAULT;

	if (under == SPEC_FROM_DEFAULT)
		return NULL;
	auto_free char *layer = layer_name(spec, under);
	auto_buf struct buf value = {0};

	key->type->format(key, spec_field_const(below, key), &value);
	return layer ? str_format("%s has %s", layer, value.len ? value.data : "unlimited") : NULL;
}

struct json_object *origin_json(const struct spec *spec)
{
	struct json_object *all = json_object_new_object();

	for (size_t i = 0; all && i < key_count; i++) {
		const struct key *key = &key_table[i];
		char dotted[96];

		if (section_table[key->section].many || spec_source_of(spec, key) == SPEC_FROM_DEFAULT ||
		    str_print(dotted, sizeof(dotted), "%s.%s", section_table[key->section].name, key->name) < 0)
			continue;
		json_object_object_add(all, dotted, json_object_new_string(origin_name(spec, key)));
	}
	return all;
}
