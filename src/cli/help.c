/* Help texts, made from the verbs' tables. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "help.h"
#include "options.h"

#define COLUMN 26 /* where an option's description begins */
#define WIDTH  98

static const char *const group_titles[] = {
	[GROUP_LIFE] = "Life",       [GROUP_LOOK] = "Look",   [GROUP_INSIDE] = "Inside",      [GROUP_SETTINGS] = "Settings",
	[GROUP_STORAGE] = "Storage", [GROUP_STATE] = "State", [GROUP_HOST] = "Host and help", [GROUP_INTERNAL] = NULL,
};

const char *help_group(enum verb_group group)
{
	return group_titles[group];
}

bool help_near_verb(const char *name, char out[64])
{
	char words[128][64];
	const char *candidates[128];
	size_t count = 0;

	for (const struct verb *const *verb = verb_table; *verb && count < 100; verb++) {
		const char *word = (*verb)->aliases;

		if (!help_group((*verb)->group))
			continue;
		candidates[count++] = (*verb)->name;
		for (size_t n; (n = option_word(&word)) && count < 128; word += n) {
			if (str_print(words[count], sizeof(words[count]), "%.*s", (int)n, word) == 0) {
				candidates[count] = words[count];
				count++;
			}
		}
	}
	const char *near = str_near(name, candidates, count);

	return near && str_copy(out, 64, near) == 0;
}

static void put_spaces(FILE *to, int count)
{
	fprintf(to, "%*s", count > 0 ? count : 0, "");
}

/* Writes text from column `at` on, broken at blanks; a newline in the text is kept. */
static void put_wrapped(FILE *to, const char *text, int indent, int at)
{
	while (*text) {
		size_t word = strcspn(text, " \n");

		if (at + (int)word > WIDTH && at > indent) {
			fputc('\n', to);
			put_spaces(to, indent);
			at = indent;
		}
		fwrite(text, 1, word, to);
		at += (int)word;
		text += word;
		if (*text == '\n') {
			fputc('\n', to);
			if (text[1] && text[1] != '\n')
				put_spaces(to, indent);
			at = indent;
			text++;
		} else if (*text == ' ') {
			text += strspn(text, " ");
			if (at + 1 + (int)strcspn(text, " \n") <= WIDTH) {
				fputc(' ', to);
				at++;
			} else {
				at = WIDTH;
			}
		}
	}
	fputc('\n', to);
}

/* Writes "-P, --path DIR" of an option row; lxc: with LXC's spellings too. Returns the width. */
static int put_spelling(FILE *to, const struct option_row *row, bool lxc)
{
	int width = 0;
	const char *word = lxc ? row->lxc : NULL;

	if (row->letter)
		width += fprintf(to, "-%c, ", row->letter);
	width += fprintf(to, "--%s", row->name);
	if (row->arg)
		width += fprintf(to, " %s", row->arg);
	for (size_t n; (n = option_word(&word)); word += n) {
		bool shown = (n == 2 && word[1] == row->letter) ||
			     (n > 2 && strlen(row->name) == n - 2 && !strncmp(word + 2, row->name, n - 2));

		if (!shown)
			width += fprintf(to, ", %.*s", (int)n, word);
	}
	return width;
}

static void put_options(FILE *to, const struct option_row *rows, bool lxc)
{
	for (; rows && rows->name; rows++) {
		if (!rows->doc)
			continue;
		put_spaces(to, rows->letter ? 2 : 6);
		int at = (rows->letter ? 2 : 6) + put_spelling(to, rows, lxc);

		if (at >= COLUMN - 1) {
			fputc('\n', to);
			at = 0;
		}
		put_spaces(to, COLUMN - at);
		put_wrapped(to, rows->doc, COLUMN, COLUMN);
	}
}

int help_version(void)
{
	printf("isle %s\n", PACKAGE_VERSION);
	return 0;
}

int help_overview(bool wrong)
{
	FILE *to = wrong ? stderr : stdout;

	fputs("isle runs complete Linux systems side by side on one kernel.\n\nusage: isle [OPTIONS] COMMAND [ARGUMENTS]\n", to);
	for (int group = 0; group < GROUP_INTERNAL; group++) {
		bool titled = false;

		for (const struct verb *const *verb = verb_table; *verb; verb++) {
			if ((int)(*verb)->group != group)
				continue;
			if (!titled)
				fprintf(to, "\n%s\n", help_group((enum verb_group)group));
			titled = true;
			fprintf(to, "  %-13s %s\n", (*verb)->name, (*verb)->summary);
		}
	}
	fputs("\nOptions\n", to);
	put_options(to, option_global, false);
	fputs("\n'isle help COMMAND' explains a command; each is also 'isle-COMMAND', with LXC's options.\n", to);
	return wrong ? ERR_USAGE : 0;
}

int help_verb(const struct verb *verb, bool lxc)
{
	printf("usage: isle%s%s %s\n\n", lxc ? "-" : " ", verb->name, verb->synopsis ? verb->synopsis : "");
	put_wrapped(stdout, verb->summary, 0, 0);
	if (verb->aliases)
		printf("Also called: %s\n", verb->aliases);
	if (verb->text) {
		putchar('\n');
		put_wrapped(stdout, verb->text, 0, 0);
	}
	if (verb->options && verb->options->name) {
		puts("\nOptions");
		put_options(stdout, verb->options, lxc);
	}
	if (verb->takes_all) {
		puts("\nWhich guests");
		put_options(stdout, option_names, false);
	}
	puts("\nFor every command");
	if (lxc)
		put_options(stdout, option_lxc + (verb->max == 0), true);
	put_options(stdout, option_global, lxc);
	if (verb->examples) {
		puts("\nExamples");
		for (const char *line = verb->examples; *line; line += strcspn(line, "\n"), line += *line == '\n')
			printf("  %.*s\n", (int)strcspn(line, "\n"), line);
	}
	return 0;
}
