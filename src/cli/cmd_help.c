/* isle help, isle version. */
#include "config.h"

#include <stdio.h>

#include "help.h"
#include "options.h"

static int help_names(void)
{
	for (const struct verb *const *verb = verb_table; *verb; verb++) {
		const char *word = (*verb)->aliases;

		if (!help_group((*verb)->group))
			continue;
		puts((*verb)->name);
		for (size_t n; (n = option_word(&word)); word += n)
			printf("%.*s\n", (int)n, word);
	}
	return 0;
}

static int run_help(struct call *call, struct err *err)
{
	if (call_has(call, "names"))
		return help_names();
	if (call->argc == 0)
		return help_overview(false);
	const struct verb *verb = verb_find(call->argv[0]);

	if (verb)
		return help_verb(verb, call->lxc);
	char near[64];

	if (help_near_verb(call->argv[0], near))
		return call_usage(call, err, "there is no command '%s', did you mean '%s'?", call->argv[0], near);
	return call_usage(call, err, "there is no command '%s'", call->argv[0]);
}

static const struct option_row help_options[] = {
	{.name = "names", .doc = "List the commands' names and aliases, one a line."},
	{NULL},
};

const struct verb verb_help = {
	.name = "help",
	.group = GROUP_HOST,
	.synopsis = "[OPTIONS] [COMMAND]",
	.summary = "Explain isle or one of its commands.",
	.text = "Without a command, all commands are listed. 'isle COMMAND --help' does the same as 'isle help COMMAND', and each "
		"command has a "
		"manual page, isle-COMMAND(1).",
	.examples = "isle help\nisle help create\nman isle-create",
	.headline = "show help",
	.options = help_options,
	.max = 1,
	.complete = COMPLETE_VERB,
	.run = run_help,
};

static int run_version(struct call *call, struct err *err)
{
	if (!call->json)
		return help_version();
	printf("{\"version\":\"%s\"}\n", PACKAGE_VERSION);
	return 0;
}

const struct verb verb_version = {
	.name = "version",
	.group = GROUP_HOST,
	.synopsis = "",
	.summary = "Show isle's version.",
	.text = "The version of isle, as 'isle --version' shows it.",
	.examples = "isle version --json",
	.headline = "show the version",
	.run = run_version,
};
