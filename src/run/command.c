/* A command line as the config has it, split into words. */
#include "config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../base/str.h"
#include "command.h"

/* Copies one word to `to` and returns where the next begins; NULL for an open quote. */
static const char *take_word(const char *from, char *to)
{
	bool quoted = false;

	for (; *from && (quoted || (*from != ' ' && *from != '\t')); from++) {
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	}
	*to = '\0';
	return quoted ? NULL : from;
}

char **command_split(const char *text)
{
	size_t len = strlen(text), count = 0;
	char **argv = calloc(len / 2 + 2, sizeof(*argv));

	while (argv) {
		text += strspn(text, " \t");
		if (!*text)
			return argv;
		argv[count] = malloc(len + 1);
		if (!argv[count])
			break;
		text = take_word(text, argv[count++]);
		if (!text)
			break;
	}
	command_free(argv);
	return NULL;
}

void command_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}
