/* The list of verbs. */
#include "config.h"

#include <string.h>

#include "options.h"

extern const struct verb verb_create, verb_start, verb_stop, verb_restart, verb_freeze, verb_unfreeze, verb_wait;
extern const struct verb verb_rename, verb_destroy, verb_image, verb_autostart;
extern const struct verb verb_list, verb_info, verb_log, verb_doctor;
extern const struct verb verb_exec, verb_shell, verb_console;
extern const struct verb verb_config;
extern const struct verb verb_help, verb_version, verb_monitor_after, verb_complete, verb_docs;

const struct verb *const verb_table[] = {
	/* life */
	&verb_create,
	&verb_start,
	&verb_stop,
	&verb_restart,
	&verb_freeze,
	&verb_unfreeze,
	&verb_wait,
	&verb_rename,
	&verb_destroy,
	/* look */
	&verb_list,
	&verb_info,
	&verb_log,
	&verb_doctor,
	/* inside */
	&verb_exec,
	&verb_shell,
	&verb_console,
	/* settings */
	&verb_config,
	/* storage */
	&verb_image,
	/* host */
	&verb_autostart,
	&verb_help,
	&verb_version,
	/* internal */
	&verb_monitor_after,
	&verb_complete,
	&verb_docs,
	NULL,
};

bool verb_is(const struct verb *verb, const char *name)
{
	const char *word = verb->aliases;
	size_t len = strlen(name);

	if (!strcmp(verb->name, name))
		return true;
	for (size_t n; (n = option_word(&word)); word += n) {
		if (n == len && !memcmp(word, name, len))
			return true;
	}
	return false;
}

const struct verb *verb_find(const char *name)
{
	for (const struct verb *const *verb = verb_table; *verb; verb++) {
		if (*name && verb_is(*verb, name))
			return *verb;
	}
	return NULL;
}
