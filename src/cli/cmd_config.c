/* isle config: reads and changes the keys of a guest's config. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "../guest/plan.h"
#include "../guest/spec_parts.h"
#include "config_change.h"
#include "origin.h"

/* Reading */

static void print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object,
					    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static int open_guest(struct call *call, const char *name, struct guest **ret, struct err *err)
{
	const struct store *store;
	int r = call_store(call, &store, err);

	return r < 0 ? r : guest_open(store, name, ret, err);
}

/* The key's value in JSON by its name; spec_get has found that the key exists. */
static struct json_object *value_json(struct spec *spec, const char *dotted)
{
	struct spec_name name;

	if (spec_name_parse(dotted, &name, NULL) < 0)
		return NULL;
	return name.key->type->json(name.key, spec_field_const(spec_element(spec, name.section, name.member), name.key));
}

static int get(struct call *call, const char *guest_name, char **keys, int count, struct err *err)
{
	struct json_object *all = call->json ? json_object_new_object() : NULL;
	auto_buf struct buf lines = {0};
	struct guest *guest = NULL;
	int r = open_guest(call, guest_name, &guest, err);

	for (int i = 0; !r && i < count; i++) {
		auto_free char *value = NULL;

		r = spec_get(guest->spec, keys[i], &value, err);
		if (!r && all)
			json_object_object_add(all, keys[i], value_json(guest->spec, keys[i]));
		else if (!r)
			buf_addf(&lines, "%s\n", value);
	}
	if (!r && all)
		print_json(json_object_get(all));
	else if (!r && lines.data)
		fputs(lines.data, stdout);
	json_object_put(all);
	guest_free(guest);
	return r;
}

/* Every key that has a value, defaults too, as get and set call it. */
static void show_element(const struct spec *spec, const struct spec *below, enum section section, size_t index)
{
	const void *element = spec_element_at(spec, section, index);
	const char *name = spec_element_name(spec, section, index);

	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];
		auto_buf struct buf value = {0};

		if (key->section != section)
			continue;
		key->type->format(key, spec_field_const(element, key), &value);
		if (!value.len)
			continue;
		auto_free char *origin = origin_text(spec, below, key);

		printf("%s%s%s.%s = %s%s%s\n", section_table[section].name, *name ? "." : "", name, key->name, value.data,
		       origin ? "    # " : "", origin ? origin : "");
	}
}

static int show(struct call *call, const char *guest_name, struct err *err)
{
	struct guest *guest = NULL;
	struct spec *below = NULL;
	int r = open_guest(call, guest_name, &guest, err);

	if (!r)
		r = plan_open(guest->store, guest->spec->guest.plan, &below, err);
	if (!r && call->json) {
		struct json_object *all = spec_json(guest->spec);

		json_object_object_add(all, "sources", origin_json(guest->spec));
		print_json(all);
	} else if (!r) {
		for (enum section section = 0; section < SECTION_COUNT; section++)
			for (size_t i = 0; i < spec_element_count(guest->spec, section); i++)
				show_element(guest->spec, below, section, i);
	}
	spec_free(below);
	guest_free(guest);
	return r;
}

/* The verb */

static int run_config(struct call *call, struct err *err)
{
	const char *name = call->argv[0], *action = call->argc > 1 ? call->argv[1] : "show";
	char **rest = call->argv + 2;
	int count = call->argc > 2 ? call->argc - 2 : 0;
	enum change_when when;
	static const char *const actions[] = {"get", "set", "unset", "show", "edit"};
	bool wants_keys = !strcmp(action, "get") || !strcmp(action, "set") || !strcmp(action, "unset");

	if (wants_keys && !count)
		return call_usage(call, err, "%s needs a key", action);
	if (!strcmp(action, "get"))
		return get(call, name, rest, count, err);
	if (change_when(call, &when, err) < 0)
		return -EINVAL;
	if (wants_keys) {
		const struct config_words words = {
			.words = rest,
			.count = count,
			.set = *action == 's',
			.force = call_has(call, "force"),
			.prefix = "",
			.when = when,
		};

		return config_change_words(call, name, &words, err);
	}
	if (!strcmp(action, "show") || !strcmp(action, "edit")) {
		if (count)
			return call_usage(call, err, "%s takes no key", action);
		return *action == 's' ? show(call, name, err) : config_edit(call, name, err);
	}
	int r = call_usage(call, err, "unknown action '%s'", action);
	const char *near = str_near(action, actions, sizeof actions / sizeof actions[0]);

	if (near)
		(void)err_hint(err, "did you mean '%s'?", near);
	return r;
}

static const struct option_row options[] = {
	{"force", 'f', NULL, "Change also what isle notes for itself: guest.id, guest.image, guest.storage, security.ids...", NULL,
	 false, COMPLETE_NOTHING},
	CHANGE_OPTIONS,
	{NULL},
};

const struct verb verb_config = {
	.name = "config",
	.group = GROUP_SETTINGS,
	.synopsis = "[OPTIONS] NAME [show | get KEY... | set KEY=VALUE... | unset KEY... | edit]",
	.summary = "Read and change a guest's config.",
	.headline = "work with the config of guest %",
	.text = "The config of a guest is a text file, described in isle.conf(5). A key is called by its section and name, "
		"limits.memory; in "
		"sections that have a name of their own it stands between, network.eth0.address.\n\n"
		"show prints every key that has a value, defaults too. get prints the values of the keys, one a line, an empty "
		"line for one that "
		"is not set. set and unset change the file and keep its comments and its order; several changes at once are made "
		"all or not "
		"at all, and nothing is changed when the result would not be a good config. unset brings a key's default back; "
		"unset of "
		"network.eth0 or mount.data removes the whole section. edit runs the editor that VISUAL or EDITOR names on a copy, "
		"which "
		"is checked before it takes the place of the config.\n\n"
		"Limits of a running guest change at once, and are lifted at once by unset; keys that only matter at a start wait for the "
		"next one, and isle says which. --runtime changes the running guest and not the file, --next the file and not the guest. When "
		"the kernel refuses one of several changes, those before it are taken back. A memory limit below what the guest uses makes "
		"it give up what it can (caches, and memory that can be swapped out); when that is not enough the change is refused and "
		"nothing in the guest is killed.\n\n"
		"A guest may stand on a plan, see PLANS in isle.conf(5): show says of each value whether it comes from the plan or from the "
		"host's defaults, and what the guest's own value takes the place of.",
	.examples = "isle config web1 get limits.memory\nisle config web1 set limits.memory=1G limits.cpus=1.5\n"
		    "isle config web1 set mount.data.source=/srv/data mount.data.target=/data\nisle config web1 unset mount.data\n"
		    "isle config web1 edit\nisle config web1 --runtime set limits.cpus=4\nisle config web1 set guest.plan=large\n",
	.options = options,
	.min = 1,
	.max = -1,
	.complete = COMPLETE_KEY,
	.args = "GUEST get|set|unset|show|edit KEY",
	.needs_root = true,
	.run = run_config,
};
