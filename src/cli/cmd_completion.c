/* isle _complete: candidates for the shells' completion, made from the verbs' tables. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/str.h"
#include "../guest/checkpoint.h"
#include "../guest/image.h"
#include "../guest/keys.h"
#include "../guest/plan.h"
#include "../guest/record.h"
#include "help.h"
#include "options.h"

/* What the shell completes itself; config/completion knows these words. */
#define ASK_FILES    "@files"
#define ASK_COMMANDS "@commands"

struct completion {
	struct call *call; /* isle _complete itself: its store is the one of the line being completed */
	const struct verb *verb;
	bool lxc;
	const char *prefix; /* before the candidate: "--columns=" */
	const char *word;   /* what is being typed, without the prefix */
	char *const *words; /* after the verb */
	int count;          /* of words before the one being typed */
	const char *guest;  /* the first name among them; NULL: none yet */
};

static void offer(const struct completion *c, const char *candidate)
{
	if (str_starts(candidate, c->word) && str_printable(candidate))
		printf("%s%s\n", c->prefix, candidate);
}

static bool already_given(const struct completion *c, const char *name)
{
	for (int i = 0; i < c->count; i++) {
		if (!strcmp(c->words[i], name))
			return true;
	}
	return false;
}

/* The line's store; opening makes folders, which a line that is only being typed must not. */
static int open_store(const struct completion *c, const struct store **ret)
{
	const char *path = c->call->path ? c->call->path : getenv("ISLE_PATH");

	return access(path ? path : "/var/lib/isle", R_OK | X_OK) < 0 ? -ENOENT : call_store(c->call, ret, NULL);
}

/* Without the right to look, or without a single guest, nothing is offered and nothing is said. */
static void offer_guests(const struct completion *c, enum complete kind)
{
	const struct store *store;
	char **names = NULL;

	if (open_store(c, &store) < 0 || store_names(store, &names, NULL) < 0)
		return;
	for (char **name = names; *name; name++) {
		enum state state = STATE_STOPPED;

		if (!str_starts(*name, c->word) || already_given(c, *name))
			continue;
		if (kind != COMPLETE_GUEST)
			state = guest_state(store, *name, NULL);
		bool up = state != STATE_STOPPED && state != STATE_CHECKPOINTED;

		if (kind == COMPLETE_GUEST || up == (kind == COMPLETE_RUNNING))
			offer(c, *name);
	}
	store_names_free(names);
}

static void offer_images(const struct completion *c)
{
	const struct store *store;
	char **keys = NULL;

	if (open_store(c, &store) < 0 || image_list(store, &keys, NULL) < 0)
		return;
	for (char **key = keys; *key; key++)
		offer(c, *key);
	store_names_free(keys);
}

/* The guest that the line names first; NULL: none. */
static struct guest *first_guest(const struct completion *c)
{
	const struct store *store;
	struct guest *guest = NULL;

	return c->guest && open_store(c, &store) == 0 && guest_open(store, c->guest, &guest, NULL) == 0 ? guest : NULL;
}

static void offer_checkpoints(const struct completion *c)
{
	struct guest *guest = first_guest(c);
	char **ids = NULL;

	if (guest && checkpoint_ids(guest, &ids, NULL) == 0)
		for (char **id = ids; *id; id++)
			offer(c, *id);
	store_names_free(ids);
	guest_free(guest);
}

static void offer_devices(const struct completion *c)
{
	struct guest *guest = first_guest(c);

	if (!guest)
		return;
	for (size_t i = 0; i < guest->spec->device_count; i++)
		offer(c, guest->spec->devices[i].name);
	guest_free(guest);
}

static void offer_templates(const struct completion *c)
{
	static const struct {
		const char *dir, *prefix;
	} places[] = {{ISLE_DATADIR "/templates", ""}, {"/usr/share/lxc/templates", "lxc-"}};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		auto_closedir DIR *dir = opendir(places[i].dir);
		struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			if (entry->d_name[0] != '.' && !strchr(entry->d_name, '.') && str_starts(entry->d_name, places[i].prefix))
				offer(c, entry->d_name);
		}
	}
}

static void offer_keys(const struct completion *c)
{
	for (size_t i = 0; i < key_count; i++) {
		const struct section_info *section = &section_table[key_table[i].section];
		auto_free char *key = str_format("%s.%s%s%s", section->name,
						 key_table[i].section == SECTION_NETWORK ? section->member
						 : section->many                         ? "NAME"
											 : "",
						 section->many ? "." : "", key_table[i].name);

		if (key && !key_table[i].internal)
			offer(c, key);
	}
}

static void offer_plans(const struct completion *c)
{
	const struct store *store;
	char **names = NULL;

	if (open_store(c, &store) < 0 || plan_names(store, &names, NULL) < 0)
		return;
	for (char **name = names; *name; name++)
		offer(c, *name);
	store_names_free(names);
}

static void offer_limits(const struct completion *c)
{
	for (size_t i = 0; i < key_count; i++)
		if (key_table[i].section == SECTION_LIMITS)
			offer(c, key_table[i].name);
}

static void offer_verbs(const struct completion *c)
{
	for (const struct verb *const *verb = verb_table; *verb; verb++) {
		const char *word = (*verb)->aliases;

		if (!help_group((*verb)->group))
			continue;
		offer(c, (*verb)->name);
		for (size_t n; *c->word && (n = option_word(&word)); word += n) {
			char alias[64];

			if (str_print(alias, sizeof(alias), "%.*s", (int)n, word) == 0)
				offer(c, alias);
		}
	}
}

static void offer_kind(const struct completion *c, enum complete kind)
{
	switch (kind) {
	case COMPLETE_GUEST:
	case COMPLETE_RUNNING:
	case COMPLETE_STOPPED:
		offer_guests(c, kind);
		break;
	case COMPLETE_FILE:
		puts(ASK_FILES);
		break;
	case COMPLETE_TEMPLATE:
		offer_templates(c);
		break;
	case COMPLETE_KEY:
		offer_keys(c);
		break;
	case COMPLETE_IMAGE:
		offer_images(c);
		break;
	case COMPLETE_PLAN:
		offer_plans(c);
		break;
	case COMPLETE_LIMIT:
		offer_limits(c);
		break;
	case COMPLETE_VERB:
		offer_verbs(c);
		break;
	case COMPLETE_DEVICE:
		offer_devices(c);
		break;
	case COMPLETE_CHECKPOINT:
		offer_checkpoints(c);
		break;
	case COMPLETE_NOTHING:
		break;
	}
}

/* One word of verb->args: a kind, or the alternatives themselves, "get|set|unset". */
static void offer_argument(const struct completion *c, const char *text, size_t len)
{
	static const struct {
		const char *name;
		enum complete kind;
	} kinds[] = {
		{"GUEST", COMPLETE_GUEST},
		{"RUNNING", COMPLETE_RUNNING},
		{"STOPPED", COMPLETE_STOPPED},
		{"FILE", COMPLETE_FILE},
		{"TEMPLATE", COMPLETE_TEMPLATE},
		{"KEY", COMPLETE_KEY},
		{"IMAGE", COMPLETE_IMAGE},
		{"VERB", COMPLETE_VERB},
		{"NOTHING", COMPLETE_NOTHING},
		{"DEVICE", COMPLETE_DEVICE},
		{"PLAN", COMPLETE_PLAN},
		{"LIMIT", COMPLETE_LIMIT},
		{"CHECKPOINT", COMPLETE_CHECKPOINT},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i].name) == len && !memcmp(kinds[i].name, text, len)) {
			offer_kind(c, kinds[i].kind);
			return;
		}
	}
	for (size_t n; len > 0; text += n, len -= n) {
		char word[64];

		if (*text == '|') {
			n = 1;
			continue;
		}
		n = strcspn(text, "| ");
		if (str_print(word, sizeof(word), "%.*s", (int)n, text) == 0)
			offer(c, word);
	}
}

static void offer_positional(const struct completion *c, int at)
{
	const char *word = c->verb->args;

	if (c->verb->max >= 0 && at >= c->verb->max)
		return;
	if (!word) {
		offer_kind(c, c->verb->complete);
		return;
	}
	for (size_t n; (n = option_word(&word)); word += n) {
		if (at-- == 0 || !strchr(word + n, ' ')) {
			offer_argument(c, word, n);
			return;
		}
	}
}

static void offer_rows(const struct completion *c, const struct option_row *rows)
{
	for (; rows && rows->name; rows++) {
		const char *word = c->lxc ? rows->lxc : NULL;
		auto_free char *name = str_format("--%s", rows->name);

		if (name && rows->doc)
			offer(c, name);
		for (size_t n; name && (n = option_word(&word)); word += n) {
			auto_free char *spelling = str_format("%.*s", (int)n, word);

			if (spelling && strcmp(spelling, name) && str_starts(spelling, "--"))
				offer(c, spelling);
		}
	}
}

static void offer_options(const struct completion *c)
{
	if (c->verb) {
		offer_rows(c, c->verb->options);
		offer_rows(c, c->verb->takes_all ? option_names : NULL);
		offer_rows(c, c->lxc ? option_lxc + (c->verb->max == 0) : NULL);
	}
	offer_rows(c, option_global);
}

/* The row that the word names if it wants its value in the next word. */
static const struct option_row *awaits_value(const struct completion *c, const char *word)
{
	const struct verb none = {.name = "", .max = 0};
	const struct call call = {.verb = c->verb ? c->verb : &none, .lxc = c->lxc};
	const struct option_row *row = NULL;

	if (word[0] != '-' || !word[1] || strchr(word, '='))
		return NULL;
	if (word[1] == '-')
		row = option_find(&call, true, word + 2, strlen(word + 2));
	for (const char *letter = word + 1; word[1] != '-' && *letter; letter++) {
		row = option_find(&call, false, letter, 1);
		if (!row || row->arg) {
			row = row && !letter[1] ? row : NULL; /* -nVALUE has it already */
			break;
		}
	}
	return row && row->arg ? row : NULL;
}

static void add_positional(struct completion *c, const char *word, int *count)
{
	if (!c->guest)
		c->guest = word;
	++*count;
}

/* Walks the words before the one being typed: what does the line expect now? */
static void complete_words(struct completion *c)
{
	const struct option_row *awaited = NULL;
	int positional = 0;

	for (int i = 0; i < c->count; i++) {
		const char *word = c->words[i];

		if (awaited) {
			if (!strcmp(awaited->name, "name"))
				add_positional(c, word, &positional);
			if (!strcmp(awaited->name, "path"))
				c->call->path = word;
			awaited = NULL;
		} else if (!strcmp(word, "--")) {
			if (!c->verb->rest)
				continue;
			if (c->verb->stop_at_first)
				puts(i + 1 == c->count ? ASK_COMMANDS : ASK_FILES);
			return;
		} else if (word[0] != '-' && c->verb->stop_at_first && positional >= c->verb->max) {
			puts(ASK_FILES);
			return;
		} else if (word[0] == '-' && word[1]) {
			awaited = awaits_value(c, word);
		} else {
			add_positional(c, word, &positional);
		}
	}
	const char *equals = str_starts(c->word, "--") ? strchr(c->word, '=') : NULL;

	if (equals && !awaited) {
		auto_free char *prefix = str_format("%.*s=", (int)(equals - c->word), c->word);
		auto_free char *name = str_format("%.*s", (int)(equals - c->word), c->word);

		awaited = name ? awaits_value(c, name) : NULL;
		if (!awaited || !prefix)
			return;
		c->prefix = prefix;
		c->word = equals + 1;
		offer_kind(c, awaited->complete);
		c->prefix = "";
	} else if (awaited) {
		offer_kind(c, awaited->complete);
	} else if (c->word[0] == '-') {
		offer_options(c);
	} else if (c->verb->stop_at_first && positional >= c->verb->max) {
		puts(ASK_COMMANDS);
	} else {
		offer_positional(c, positional);
	}
}

static int run_complete(struct call *call, struct err *err)
{
	struct completion c = {.call = call, .prefix = "", .words = call->rest};

	(void)err;
	if (call->rest_argc < 2)
		return 0;
	const char *base = strrchr(call->rest[0], '/');

	base = base ? base + 1 : call->rest[0];
	c.word = call->rest[call->rest_argc - 1];
	c.lxc = str_starts(base, "isle-");
	int at = 1, last = call->rest_argc - 1;

	if (c.lxc)
		c.verb = verb_find(base + strlen("isle-"));
	while (!c.lxc && !c.verb && at < last) {
		const struct option_row *row = awaits_value(&c, call->rest[at]);

		if (row && !strcmp(row->name, "path") && at + 1 < last)
			call->path = call->rest[at + 1];
		if (row && at + 1 == last) {
			offer_kind(&c, row->complete);
			return 0;
		}
		if (!row && call->rest[at][0] != '-') {
			c.verb = verb_find(call->rest[at]);
			if (!c.verb)
				return 0;
		}
		at += row ? 2 : 1;
	}
	c.words = call->rest + at;
	c.count = last - at;
	if (c.verb)
		complete_words(&c);
	else if (!c.lxc && c.word[0] == '-')
		offer_options(&c);
	else if (!c.lxc)
		offer_verbs(&c);
	return 0;
}

const struct verb verb_complete = {
	.name = "_complete",
	.group = GROUP_INTERNAL,
	.synopsis = "-- WORD...",
	.summary = "Print candidates for the last WORD of a command line.",
	.headline = "complete the line",
	.rest = true,
	.run = run_complete,
};
