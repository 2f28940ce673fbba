/* Words of a command line, KEY=VALUE or KEY, as one change of a guest's config. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "../guest/spec_parts.h"
#include "../run/limits.h"
#include "config_change.h"

/* What isle wrote itself stands for something on disk: changing it changes only what isle believes. */
static int check_changeable(bool force, const char *dotted, struct err *err)
{
	struct spec_name name;
	int r = spec_name_parse(dotted, &name, err);

	if (r < 0 || !name.key || !name.key->internal || force)
		return r;
	r = err_set(err, ERR_USAGE, "'%s' is isle's own note of what is on disk", dotted);
	(void)err_hint(err, "with --force it is changed all the same, and nothing else");
	return r;
}

/* "KEY=VALUE" taken apart and tried out; the text's own blanks around '=' do not count. Caller frees both. */
static int read_assignment(const char *argument, const char *prefix, char **ret_key, char **ret_value, struct err *err)
{
	const char *equals = strchr(argument, '=');

	if (!equals || equals == argument) {
		int r = err_set(err, ERR_USAGE, "'%s' is not KEY=VALUE", argument);

		(void)err_hint(err, *prefix ? "such as: isle limit NAME memory=512M"
					    : "such as: isle config NAME set limits.memory=512M");
		return r;
	}
	size_t len = (size_t)(equals - argument);

	while (len && argument[len - 1] == ' ')
		len--;
	char *key = strndup(argument, len), *value = strdup(equals + 1 + strspn(equals + 1, " "));

	if (!key || !value) {
		free(key);
		free(value);
		return err_num(err, ENOMEM, "read '%s'", argument);
	}
	*ret_key = key;
	*ret_value = value;
	return 0;
}

/* Edits *text for one word. scratch tells a bad value from a config that does not go together. */
static int edit_one(const struct config_words *words, struct spec *scratch, const char *word, char **text, unsigned *kinds,
		    struct err *err)
{
	auto_free char *key = NULL, *value = NULL;
	struct spec_name name;
	char *edited;
	int r = words->set ? read_assignment(word, words->prefix, &key, &value, err) : 0;

	if (r < 0)
		return r;
	const char *named = words->set ? key : word;
	/* isle limit web1 limits.memory=1G */
	auto_free char *dotted = str_format("%s%s", str_starts(named, words->prefix) ? "" : words->prefix, named);

	/* isle limit web1 memory= */
	if (words->set && words->empty_unsets && !*value) {
		free(value);
		value = NULL;
	}

	r = dotted ? check_changeable(words->force, dotted, err) : err_num(err, ENOMEM, "change a config");
	if (!r)
		r = spec_set(scratch, dotted, value, err);
	if (!r)
		r = spec_edit(*text, dotted, value, &edited, err);
	if (r < 0)
		return r;
	free(*text);
	*text = edited;
	if (!spec_name_parse(dotted, &name, NULL) && name.key && limits_kind_of(name.key) < CGROUP_KINDS)
		*kinds |= CGROUP_BIT(limits_kind_of(name.key));
	return 0;
}

int config_change_words(struct call *call, const char *name, const struct config_words *words, struct err *err)
{
	struct config_change change;
	struct spec *scratch = spec_new();
	char *text = NULL;
	int r = scratch ? config_change_begin(call, name, &change, err) : err_num(err, ENOMEM, "change the config of '%s'", name);

	if (r < 0) {
		spec_free(scratch);
		return r;
	}
	change.when = words->when;
	text = strdup(change.text);
	if (!text)
		r = err_num(err, ENOMEM, "change the config of '%s'", name);
	for (int i = 0; !r && i < words->count; i++)
		r = edit_one(words, scratch, words->words[i], &text, &change.kinds, err);
	if (!r)
		r = config_change_apply(&change, text, err);
	/* The file has no fault: a line of what it would have become would mislead. */
	if (r < 0 && err && change.guest.spec && str_starts(err->where, name))
		err->where[0] = '\0';
	free(text);
	spec_free(scratch);
	config_change_end(&change);
	return r;
}
