/* A table-driven option parser: isle's own form and LXC's. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "options.h"

const struct option_row option_global[] = {
	{"path", 'P', "DIR", "Keep all state below DIR instead of the default places (also: environment ISLE_PATH).",
	 "-P --lxcpath", false, COMPLETE_FILE},
	{"json", 0, NULL, "Print JSON; errors are a JSON object on standard error.", NULL, false, COMPLETE_NOTHING},
	{"quiet", 'q', NULL, "Say only what failed.", "-q --quiet", false, COMPLETE_NOTHING},
	{"verbose", 'v', NULL, "Say what is being done; twice: in detail.", NULL, true, COMPLETE_NOTHING},
	{"help", 'h', NULL, "Show help.", "-h -? --usage", false, COMPLETE_NOTHING},
	{"version", 0, NULL, "Show isle's version.", "--version", false, COMPLETE_NOTHING},
	{NULL},
};

const struct option_row option_names[] = {
	{"all", 'a', NULL, "Every guest instead of named ones.", NULL, false, COMPLETE_NOTHING},
	{"name", 'n', "NAME", "A guest, as a plain argument would name it.", NULL, true, COMPLETE_GUEST},
	{"jobs", 'j', "N", "Work on at most N guests at a time (default: twice the number of processors).", NULL, false,
	 COMPLETE_NOTHING},
	{NULL},
};

const struct option_row option_lxc[] = {
	{"name", 'n', "NAME", "The guest.", "-n --name", true, COMPLETE_GUEST},
	{"logfile", 'o', "FILE", "Write the log to FILE.", "-o --logfile", false, COMPLETE_FILE},
	{"logpriority", 'l', "LEVEL", "Log lines from this level on: ERROR, WARN, INFO, DEBUG.", "-l --logpriority", false,
	 COMPLETE_NOTHING},
	{NULL},
};

struct option_values {
	size_t count;
	const struct option_row **rows; /* rows[i] was given with the value values[i]; kept grouped by row */
	const char **values;            /* "" for a flag */
};

struct parser {
	struct call *call;
	struct err *err;
	int argc;
	char **argv;
	int at;    /* the next argument */
	int names; /* of call->argv came from -n */
};

size_t option_word(const char **words)
{
	if (!*words)
		return 0;
	*words += strspn(*words, " ");
	return strcspn(*words, " ");
}

/* True when the row's LXC spellings hold the word dashes + text. */
static bool lxc_spelling(const struct option_row *row, const char *dashes, const char *text, size_t len)
{
	const char *word = row->lxc;
	size_t dash = strlen(dashes);

	for (size_t n; (n = option_word(&word)); word += n) {
		if (n == dash + len && !strncmp(word, dashes, dash) && !memcmp(word + dash, text, len))
			return true;
	}
	return false;
}

enum form { FORM_LXC, FORM_OWN };

static const struct option_row *find_in(const struct option_row *rows, enum form form, bool is_long, const char *text, size_t len)
{
	for (const struct option_row *row = rows; row && row->name; row++) {
		if (form == FORM_LXC) {
			if (lxc_spelling(row, is_long ? "--" : "-", text, len))
				return row;
		} else if (is_long ? strlen(row->name) == len && !memcmp(row->name, text, len)
				   : row->letter && row->letter == *text) {
			return row;
		}
	}
	return NULL;
}

const struct option_row *option_find(const struct call *call, bool is_long, const char *text, size_t len)
{
	const struct verb *verb = call->verb;
	const struct {
		const struct option_row *rows;
		enum form form;
		bool wanted;
	} places[] = {
		{verb->options, FORM_LXC, call->lxc},
		{verb->options, FORM_OWN, is_long},
		{option_lxc + (verb->max == 0), FORM_LXC, call->lxc},
		{option_global, FORM_LXC, call->lxc},
		{verb->options, FORM_OWN, !is_long},
		{option_names, FORM_OWN, verb->takes_all},
		{option_global, FORM_OWN, true},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const struct option_row *row =
			places[i].wanted ? find_in(places[i].rows, places[i].form, is_long, text, len) : NULL;

		if (row)
			return row;
	}
	return NULL;
}

__attribute__((format(printf, 3, 0))) static int usage_va(const struct call *call, struct err *err, const char *fmt, va_list ap)
{
	auto_free char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	int rc = err_set(err, ERR_USAGE, "%s", text ? text : "wrong arguments");
	const struct verb *verb = call->verb;

	if (verb && verb->name && *verb->name)
		err_hint(err, "usage: isle%s%s %s", call->lxc ? "-" : " ", verb->name, verb->synopsis ? verb->synopsis : "");
	else
		err_hint(err, "see: isle help");
	return rc;
}

int call_usage(const struct call *call, struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int rc = usage_va(call, err, fmt, ap);
	va_end(ap);
	return rc;
}

static const char *near_option(const struct call *call, const char *name)
{
	const struct option_row *tables[] = {call->verb->options, call->verb->takes_all ? option_names : NULL, option_global};
	const char *candidates[128];
	size_t count = 0;

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct option_row *row = tables[t]; row && row->name; row++) {
			if (row->doc && count < sizeof(candidates) / sizeof(candidates[0]))
				candidates[count++] = row->name;
		}
	}
	return str_near(name, candidates, count);
}

static int unknown_long(struct parser *p, const char *name, size_t len)
{
	auto_free char *word = strndup(name, len);
	const char *near = word ? near_option(p->call, word) : NULL;

	if (near)
		return call_usage(p->call, p->err, "unknown option '--%s', did you mean '--%s'?", word, near);
	return call_usage(p->call, p->err, "unknown option '--%s'", word ? word : "");
}

static int add_name(struct parser *p, char *name)
{
	struct call *call = p->call;

	memmove(call->argv + p->names + 1, call->argv + p->names, (size_t)(call->argc - p->names) * sizeof(*call->argv));
	call->argv[p->names++] = name;
	call->argc++;
	return 0;
}

/* Room for one more; the arrays double, since nothing bounds how often an option is given. */
static int reserve(struct option_values *v, struct err *err)
{
	size_t room = v->count ? 2 * v->count : 1;

	if (v->count & (v->count - 1))
		return 0;
	const struct option_row **rows = reallocarray(v->rows, room, sizeof(*rows));

	if (rows)
		v->rows = rows;
	const char **values = reallocarray(v->values, room, sizeof(*values));

	if (values)
		v->values = values;
	return rows && values ? 0 : err_num(err, ENOMEM, "parse the command line");
}

/* Keeps a given option. Values of one row stay together, so that call_values can show them as one array. */
static int add_value(struct parser *p, const struct option_row *row, const char *value)
{
	struct call *call = p->call;
	struct option_values *v = call->options;

	if ((row == &option_lxc[0] || row == &option_names[1]) && value)
		return add_name(p, (char *)value);
	int r = reserve(v, p->err);

	if (r < 0)
		return r;
	const struct option_row **rows = v->rows;
	const char **values = v->values;
	size_t at = v->count;

	for (size_t i = v->count; i > 0; i--) {
		if (rows[i - 1] == row) {
			at = i;
			break;
		}
	}
	memmove(rows + at + 1, rows + at, (v->count - at) * sizeof(*rows));
	memmove(values + at + 1, values + at, (v->count - at) * sizeof(*values));
	rows[at] = row;
	values[at] = value ? value : "";
	v->count++;
	return 0;
}

static int parse_long(struct parser *p, const char *text)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	const struct option_row *row = option_find(p->call, true, text, len);

	if (!row)
		return unknown_long(p, text, len);
	if (!row->arg && value)
		return call_usage(p->call, p->err, "option '--%.*s' takes no value", (int)len, text);
	if (row->arg && !value) {
		if (p->at >= p->argc)
			return call_usage(p->call, p->err, "option '--%s' needs a value: %s", text, row->arg);
		value = p->argv[p->at++];
	}
	return add_value(p, row, value);
}

/* -f, -abc (flags together), -xVALUE, -x VALUE, -x=VALUE is the value "=VALUE" as in getopt(3). */
static int parse_letters(struct parser *p, const char *text)
{
	for (const char *c = text; *c; c++) {
		const struct option_row *row = option_find(p->call, false, c, 1);

		if (!row && text[1] && option_find(p->call, true, text, strcspn(text, "=")))
			return call_usage(p->call, p->err, "unknown option '-%s', did you mean '--%s'?", text, text);
		if (!row)
			return call_usage(p->call, p->err, "unknown option '-%c'", *c);
		if (!row->arg) {
			int rc = add_value(p, row, NULL);

			if (rc < 0)
				return rc;
			continue;
		}
		if (c[1])
			return add_value(p, row, c + 1);
		if (p->at >= p->argc)
			return call_usage(p->call, p->err, "option '-%c' needs a value: %s", *c, row->arg);
		return add_value(p, row, p->argv[p->at++]);
	}
	return 0;
}

static int take_rest(struct parser *p)
{
	p->call->rest = p->argv + p->at;
	p->call->rest_argc = p->argc - p->at;
	p->at = p->argc;
	return 0;
}

static int parse_words(struct parser *p)
{
	struct call *call = p->call;
	const struct verb *verb = call->verb;
	bool only_words = false;

	while (p->at < p->argc) {
		char *word = p->argv[p->at++];
		int rc = 0;

		if (only_words || word[0] != '-' || !word[1]) {
			if (verb->stop_at_first && call->argc >= verb->max) {
				p->at--;
				return take_rest(p);
			}
			call->argv[call->argc++] = word;
		} else if (!strcmp(word, "--")) {
			if (verb->rest)
				return take_rest(p);
			only_words = true;
		} else if (word[1] == '-') {
			rc = parse_long(p, word + 2);
		} else {
			rc = parse_letters(p, word + 1);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_counts(struct call *call, struct err *err)
{
	const struct verb *verb = call->verb;

	if (call_has(call, "help") || call_has(call, "version"))
		return 0;
	if (verb->takes_all && call_has(call, "all"))
		return call->argc && !verb->takes_words ? call_usage(call, err, "names and --all exclude each other") : 0;
	if (call->argc < verb->min) {
		if (verb->takes_all ||
		    (call->argc == 0 && (verb->complete == COMPLETE_GUEST || verb->complete == COMPLETE_RUNNING ||
					 verb->complete == COMPLETE_STOPPED)))
			return call_usage(call, err, "no guest was named");
		return call_usage(call, err, "too few arguments: %d given, %s%d needed", call->argc,
				  verb->max == verb->min ? "" : "at least ", verb->min);
	}
	if (verb->max >= 0 && call->argc > verb->max)
		return call_usage(call, err, "one argument too many: '%s'", call->argv[verb->max]);
	return 0;
}

int call_parse(const struct verb *verb, bool lxc, int argc, char **argv, struct call *call, struct err *err)
{
	struct parser p = {.call = call, .err = err, .argc = argc, .argv = argv};
	const char *value;

	call->verb = verb;
	call->lxc = lxc;
	call->argv = calloc((size_t)argc + 1, sizeof(*call->argv));
	call->options = calloc(1, sizeof(*call->options));
	if (!call->argv || !call->options)
		return err_num(err, ENOMEM, "parse the command line");

	int rc = parse_words(&p);

	/* Even a wrong command line is complained about in the form that it asked for. */
	call->json = call->json || call_has(call, "json");
	if (rc < 0)
		return rc;
	call->argv[call->argc] = NULL; /* never beyond argc: each -n takes at least one argument */
	value = call_value(call, "path");
	if (value)
		call->path = value;
	call->quiet = call->quiet || call_has(call, "quiet");
	const char *const *all;

	call->verbose += (int)call_values(call, "verbose", &all);
	if (call->path && !*call->path)
		return call_usage(call, err, "the value of --path is empty");
	return check_counts(call, err);
}

void call_free(struct call *call)
{
	if (call->options) {
		free(call->options->rows);
		free(call->options->values);
	}
	free(call->options);
	free(call->argv);
	call->options = NULL;
	call->argv = NULL;
	call->argc = 0;
	store_free(call->store);
	call->store = NULL;
}

size_t call_values(const struct call *call, const char *option, const char *const **ret)
{
	const struct option_values *v = call->options;
	size_t first = 0, count = 0;

	while (v && first < v->count && strcmp(v->rows[first]->name, option))
		first++;
	while (v && first + count < v->count && v->rows[first + count] == v->rows[first])
		count++;
	*ret = count ? v->values + first : NULL;
	return count;
}

bool call_has(const struct call *call, const char *option)
{
	const char *const *values;

	return call_values(call, option, &values) > 0;
}

const char *call_value(const struct call *call, const char *option)
{
	const char *const *values;
	size_t count = call_values(call, option, &values);

	return count ? values[count - 1] : NULL;
}

int call_duration(const struct call *call, const char *option, unsigned long fallback_ms, unsigned long *ret, struct err *err)
{
	const char *text = call_value(call, option);
	uint64_t ms = fallback_ms;

	if (text && (str_to_duration(text, &ms) < 0 || ms > INT32_MAX))
		return call_usage(call, err, "--%s: '%s' is not a duration, such as 90, 500ms or 2m", option, text);
	*ret = (unsigned long)ms;
	return 0;
}

int call_number(const struct call *call, const char *option, unsigned long fallback, unsigned long min, unsigned long max,
		unsigned long *ret, struct err *err)
{
	const char *text = call_value(call, option);
	uint64_t number = fallback;

	if (text && str_to_u64(text, min, max, &number) < 0)
		return call_usage(call, err, "--%s: '%s' is not a number from %lu to %lu", option, text, min, max);
	*ret = (unsigned long)number;
	return 0;
}
