/* Guest configs by chance: what is accepted must survive format and edit, and what is refused must say why. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "../../src/guest/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool truth)
{
	if (!truth)
		abort();
}

/* format(parse(x)) is a config that reads back to the same. */
static void round_trip(const struct spec *spec)
{
	char *text = spec_format(spec);
	struct spec *again = NULL;
	struct err err = {0};

	demand(text && !spec_parse(text, strlen(text), "again", &again, &err));
	char *second = spec_format(again);
	struct json_object *json = spec_json(spec), *json_again = spec_json(again);

	demand(second && !strcmp(text, second));
	demand(json_object_equal(json, json_again));
	json_object_put(json);
	json_object_put(json_again);
	free(second);
	free(text);
	spec_free(again);
}

static void edit(const char *text, const char *dotted, const char *value)
{
	struct spec *spec = NULL;
	char *edited = NULL;
	struct err err = {0};

	if (spec_edit(text, dotted, value, &edited, &err)) {
		demand(err.what[0]);
		return;
	}
	/* The edit itself adds no line fault; values that do not go together remain the check's matter. */
	if (!spec_parse(edited, strlen(edited), "edited", &spec, &err)) {
		char *now = NULL;

		demand(!spec_get(spec, dotted, &now, &err) || !value);
		free(now);
		spec_free(spec);
	}
	free(edited);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec *spec = NULL;
	struct err err = {0};
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	if (spec_parse(text, size, "fuzz", &spec, &err)) {
		demand(err.what[0] && !spec);
	} else {
		round_trip(spec);
		for (size_t i = 0; i < key_count; i += 5) {
			char dotted[96];
			const struct section_info *section = &section_table[key_table[i].section];

			demand(!str_print(dotted, sizeof dotted, "%s%s.%s", section->name, section->many ? ".x" : "",
			                  key_table[i].name));
			edit(text, dotted, key_table[i].example);
			edit(text, dotted, NULL);
		}
		edit(text, "network.eth0", NULL);
		spec_free(spec);
	}
	/* The text as a key, and as a value. */
	edit("[guest]\n", text, "1");
	edit("[guest]\n", "guest.description", text);
	free(text);
	return 0;
}
