/* The list of verbs. */
#include "config.h"

#include <string.h>

#include "options.h"

extern const struct verb verb_create, verb_start, verb_stop, verb_restart, verb_freeze, verb_unfreeze, verb_wait;
extern const struct verb verb_rename, verb_clone, verb_destroy, verb_image, verb_autostart;
extern const struct verb verb_list, verb_info, verb_top, verb_usage, verb_log, verb_doctor;
extern const struct verb verb_exec, verb_shell, verb_console, verb_push, verb_pull;
extern const struct verb verb_config, verb_limit, verb_device;
extern const struct verb verb_checkpoint, verb_restore;
extern const struct verb verb_metrics, verb_help, verb_version, verb_monitor_after, verb_complete, verb_docs;

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
	&verb_clone,
	&verb_destroy,
	/* look */
	&verb_list,
	&verb_info,
	&verb_top,
	&verb_usage,
	&verb_log,
	&verb_doctor,
	/* inside */
	&verb_exec,
	&verb_shell,
	&verb_console,
	&verb_push,
	&verb_pull,
	/* settings */
	&verb_config,
	&verb_limit,
	&verb_device,
	/* storage */
	&verb_image,
	/* state */
	&verb_checkpoint,
	&verb_restore,
	/* host */
	&verb_autostart,
	&verb_metrics,
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
