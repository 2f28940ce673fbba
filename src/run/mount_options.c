/* The words of a [mount] section's options. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "../base/str.h"
#include "mount_options.h"

#define DATA_MAX 32

static const struct word {
	const char *name;
	uint64_t attribute;
} attribute_words[] = {
	{"ro", MOUNT_ATTR_RDONLY},
	{"rw", 0},
	{"nosuid", MOUNT_ATTR_NOSUID},
	{"nodev", MOUNT_ATTR_NODEV},
	{"noexec", MOUNT_ATTR_NOEXEC},
	{"noatime", MOUNT_ATTR_NOATIME},
	{"bind", 0},
	{"defaults", 0},
	{"relatime", 0},
};

static bool take_attribute(struct mount_options *options, const char *word)
{
	for (size_t i = 0; i < sizeof(attribute_words) / sizeof(attribute_words[0]); i++)
		if (strcmp(attribute_words[i].name, word) == 0) {
			options->attributes |= attribute_words[i].attribute;
			return true;
		}
	return false;
}

static bool take_own(struct mount_options *options, const char *word)
{
	if (strcmp(word, "optional") == 0)
		options->optional = true;
	else if (strcmp(word, "idmap") == 0)
		options->idmap = true;
	else if (strcmp(word, "rec") == 0 || strcmp(word, "rbind") == 0)
		options->recursive = true;
	else if (strcmp(word, "create=dir") == 0)
		options->create = MOUNT_CREATE_DIR;
	else if (strcmp(word, "create=file") == 0)
		options->create = MOUNT_CREATE_FILE;
	else
		return false;
	return true;
}

int mount_options_parse(const char *text, struct mount_options *ret, struct err *err)
{
	size_t count = 0;

	*ret = (struct mount_options){0};
	if (!text)
		return 0;
	ret->text = strdup(text);
	ret->data = calloc(2 * DATA_MAX + 2, sizeof(*ret->data));
	if (!ret->text || !ret->data)
		return err_num(err, ENOMEM, "read mount options");
	char *rest = ret->text;

	for (char *word; (word = strsep(&rest, ", \t"));) {
		if (!*word || take_attribute(ret, word) || take_own(ret, word))
			continue;
		if (count == DATA_MAX)
			return err_set(err, ERR_USAGE, "read mount options: more than %d for the file system", DATA_MAX);
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		ret->data[2 * count] = word;
		ret->data[2 * count + 1] = value;
		count++;
	}
	return 0;
}

void mount_options_free(struct mount_options *options)
{
	free(options->text);
	free(options->data);
}
