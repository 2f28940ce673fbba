/* The option parser: isle's form, LXC's form, and command lines that must be refused. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../src/cli/help.h"
#include "../../src/cli/options.h"
#include "../../src/cli/report.h"

#define ARGV_MAX 32

static const struct option_row rows[] = {
	{.name = "force", .letter = 'f', .doc = "Force."},
	{.name = "kill", .doc = "Kill.", .lxc = "-k --kill"},
	{.name = "timeout", .letter = 't', .arg = "SECONDS", .doc = "Wait.", .lxc = "-t --shutdown-timeout"},
	{.name = "env", .letter = 'e', .arg = "NAME=VALUE", .doc = "Set.", .lxc = "-v --set-var", .repeats = true},
	{.name = "lines", .letter = 'n', .arg = "N", .doc = "Lines."},
	{.name = "secret", .letter = 's'},
	{NULL},
};

static const struct verb many = {
	.name = "stop", .synopsis = "[OPTIONS] NAME...", .options = rows, .min = 1, .max = -1, .takes_all = true};
static const struct verb one = {.name = "info", .options = rows, .min = 1, .max = 1, .complete = COMPLETE_GUEST};
static const struct verb maker = {.name = "create", .options = rows, .min = 1, .max = 1, .rest = true};
static const struct verb inside = {.name = "exec", .options = rows, .min = 1, .max = 1, .rest = true, .stop_at_first = true};
static const struct verb bare = {.name = "version"};

static struct call call;
static struct err err;

static int parse(const struct verb *verb, int lxc, ...)
{
	static char *argv[ARGV_MAX];
	int argc = 0;
	va_list ap;

	call_free(&call);
	call = (struct call){0};
	err = (struct err){0};
	va_start(ap, lxc);
	for (char *word; (word = va_arg(ap, char *)) && argc < ARGV_MAX;)
		argv[argc++] = word;
	va_end(ap);
	return call_parse(verb, lxc, argc, argv, &call, &err);
}

static int teardown(void **state)
{
	call_free(&call);
	call = (struct call){0};
	return 0;
}

static void refused(const struct verb *verb, bool lxc, const char *word, const char *text)
{
	assert_int_equal(parse(verb, lxc, word, NULL), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.what, text))
		fail_msg("'%s' lacks '%s'", err.what, text);
}

static void values_in_every_form(void **state)
{
	const char *forms[][3] = {
		{"--timeout=5", NULL}, {"--timeout", "5", NULL}, {"-t5", NULL}, {"-t", "5", NULL}, {"-ft5", NULL}};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		assert_int_equal(parse(&many, false, "web1", forms[i][0], forms[i][1], NULL), 0);
		assert_string_equal(call_value(&call, "timeout"), "5");
		assert_int_equal(call.argc, 1);
		assert_string_equal(call.argv[0], "web1");
		assert_null(call.argv[1]);
	}
	assert_true(call_has(&call, "force"));
	assert_int_equal(parse(&many, false, "--timeout=", "web1", NULL), 0);
	assert_string_equal(call_value(&call, "timeout"), "");
	assert_int_equal(parse(&many, false, "--timeout=a=b", "web1", NULL), 0);
	assert_string_equal(call_value(&call, "timeout"), "a=b");
	/* A value may look like an option. */
	assert_int_equal(parse(&many, false, "-t", "--force", "web1", NULL), 0);
	assert_string_equal(call_value(&call, "timeout"), "--force");
	assert_false(call_has(&call, "force"));
}

static void repeated_values_keep_their_order(void **state)
{
	const char *const *values;

	assert_int_equal(parse(&many, false, "-e", "A=1", "--timeout=3", "--env=B=2", "-f", "-eC=3", "-t4", "web1", NULL), 0);
	assert_int_equal(call_values(&call, "env", &values), 3);
	assert_string_equal(values[0], "A=1");
	assert_string_equal(values[1], "B=2");
	assert_string_equal(values[2], "C=3");
	assert_string_equal(call_value(&call, "timeout"), "4");
	assert_int_equal(call_values(&call, "kill", &values), 0);
	assert_null(call_value(&call, "kill"));
}

static void two_dashes_end_options(void **state)
{
	assert_int_equal(parse(&many, false, "--", "--force", "-x", NULL), 0);
	assert_int_equal(call.argc, 2);
	assert_string_equal(call.argv[0], "--force");
	assert_false(call_has(&call, "force"));

	assert_int_equal(parse(&maker, false, "web1", "-f", "--", "--release", "sid", "--", "-f", NULL), 0);
	assert_int_equal(call.argc, 1);
	assert_int_equal(call.rest_argc, 4);
	assert_string_equal(call.rest[0], "--release");
	assert_string_equal(call.rest[2], "--");
	assert_int_equal(parse(&many, false, "-", NULL), 0);
	assert_string_equal(call.argv[0], "-");
}

static void exec_hands_on_its_command(void **state)
{
	assert_int_equal(parse(&inside, false, "-f", "web1", "--env=A=1", "ls", "-f", "--", "--kill", NULL), 0);
	assert_int_equal(call.argc, 1);
	assert_string_equal(call.argv[0], "web1");
	assert_string_equal(call_value(&call, "env"), "A=1");
	assert_int_equal(call.rest_argc, 4);
	assert_string_equal(call.rest[0], "ls");
	assert_string_equal(call.rest[1], "-f");
	assert_string_equal(call.rest[2], "--");
	assert_false(call_has(&call, "kill"));

	assert_int_equal(parse(&inside, false, "web1", "--", "-odd", NULL), 0);
	assert_int_equal(call.rest_argc, 1);
	assert_string_equal(call.rest[0], "-odd");

	/* lxc-attach names the guest by -n; the first argument is the command. */
	assert_int_equal(parse(&inside, true, "-n", "web1", "-v", "A=1", "id", "-n", NULL), 0);
	assert_int_equal(call.argc, 1);
	assert_string_equal(call.argv[0], "web1");
	assert_string_equal(call_value(&call, "env"), "A=1");
	assert_int_equal(call.rest_argc, 2);
	assert_string_equal(call.rest[1], "-n");
	assert_int_equal(parse(&inside, true, "-nweb1", "--", "id", NULL), 0);
	assert_string_equal(call.rest[0], "id");
	assert_int_equal(parse(&inside, true, "web1", "--", "id", NULL), 0);
	assert_string_equal(call.argv[0], "web1");
}

static void lxc_form(void **state)
{
	const char *forms[][3] = {{"-n", "web1", NULL}, {"-nweb1", NULL}, {"--name=web1", NULL}, {"--name", "web1", NULL}};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		assert_int_equal(parse(&many, true, forms[i][0], forms[i][1], NULL), 0);
		assert_int_equal(call.argc, 1);
		assert_string_equal(call.argv[0], "web1");
	}
	/* -n is LXC's there, even where isle's verb has another -n. */
	assert_int_equal(parse(&one, true, "-n", "web1", "--lines=3", NULL), 0);
	assert_string_equal(call.argv[0], "web1");
	assert_string_equal(call_value(&call, "lines"), "3");
	assert_int_equal(parse(&one, false, "-n", "3", "web1", NULL), 0);
	assert_string_equal(call_value(&call, "lines"), "3");

	assert_int_equal(
		parse(&many, true, "-kn", "web1", "-P", "/x", "-q", "-o", "log", "-l", "DEBUG", "--shutdown-timeout", "9", NULL),
		0);
	assert_true(call_has(&call, "kill"));
	assert_true(call.quiet);
	assert_string_equal(call.path, "/x");
	assert_string_equal(call_value(&call, "logfile"), "log");
	assert_string_equal(call_value(&call, "timeout"), "9");
	assert_int_equal(parse(&many, true, "--lxcpath=/y", "--logpriority=INFO", "web1", NULL), 0);
	assert_string_equal(call.path, "/y");
	assert_int_equal(parse(&many, true, "-?", NULL), 0);
	assert_true(call_has(&call, "help"));
	assert_int_equal(parse(&many, true, "-v", "A=1", "-n", "web1", NULL), 0);
	assert_int_equal(call.verbose, 0);

	/* LXC's spellings belong to that form only. */
	refused(&many, false, "-k", "unknown option '-k'");
	refused(&many, false, "--lxcpath", "unknown option '--lxcpath'");
	refused(&many, false, "-?", "unknown option");
	refused(&bare, true, "-nweb1", "unknown option '-n'");
}

static void names_by_option(void **state)
{
	assert_int_equal(parse(&many, false, "web2", "--name", "web1", "--name=db", "-f", "web3", NULL), 0);
	assert_int_equal(call.argc, 4);
	assert_string_equal(call.argv[0], "web1");
	assert_string_equal(call.argv[1], "db");
	assert_string_equal(call.argv[2], "web2");
	assert_string_equal(call.argv[3], "web3");
	assert_null(call.argv[4]);
}

static void shared_options(void **state)
{
	assert_int_equal(parse(&many, false, "--json", "-qvv", "-v", "-P", "/srv", "web1", NULL), 0);
	assert_true(call.json && call.quiet);
	assert_int_equal(call.verbose, 3);
	assert_string_equal(call.path, "/srv");
	assert_int_equal(parse(&many, false, "--all", NULL), 0);
	assert_int_equal(parse(&many, false, "-a", "-j4", NULL), 0);
	assert_int_equal(parse(&many, false, "--all", "web1", NULL), -EINVAL);
	refused(&one, false, "--all", "unknown option '--all'");
	refused(&many, false, "--path=", "--path is empty");
	/* A wrong line that asks for JSON is answered in JSON. */
	assert_int_equal(parse(&many, false, "--json", "--bogus", NULL), -EINVAL);
	assert_true(call.json);
}

static void wrong_lines(void **state)
{
	refused(&many, false, "--tmeout=5", "did you mean '--timeout'?");
	refused(&many, false, "--zzzzzzzzzz", "unknown option '--zzzzzzzzzz'");
	refused(&many, false, "-z", "unknown option '-z'");
	refused(&many, false, "-fz", "unknown option '-z'");
	refused(&many, false, "-force", "did you mean '--force'?");
	refused(&many, false, "--force=yes", "takes no value");
	refused(&many, false, "--timeout", "needs a value: SECONDS");
	refused(&many, false, "-t", "needs a value: SECONDS");
	refused(&many, false, "-e", "needs a value: NAME=VALUE");
	refused(&many, false, "--=x", "unknown option");
	refused(&many, false, "--sekret", "unknown option '--sekret'");
	assert_null(strstr(err.what, "secret")); /* hidden ones are not suggested */
	assert_int_equal(parse(&many, false, NULL), -EINVAL);
	assert_non_null(strstr(err.what, "no guest was named"));
	assert_non_null(strstr(err.hint, "usage: isle stop [OPTIONS] NAME..."));
	assert_int_equal(parse(&one, true, "-n", "a", "b", NULL), -EINVAL);
	assert_non_null(strstr(err.what, "one argument too many: 'b'"));
	assert_non_null(strstr(err.hint, "usage: isle-info"));
	refused(&bare, false, "x", "one argument too many");
}

static void hostile_lines(void **state)
{
	char *huge = malloc(100001);

	assert_non_null(huge);
	memset(huge, 'A', 100000);
	huge[100000] = '\0';
	huge[0] = huge[1] = '-';
	assert_int_equal(parse(&many, false, huge, NULL), -EINVAL);
	assert_int_equal(err.code, ERR_USAGE);
	assert_true(strlen(err.what) < sizeof(err.what));
	memcpy(huge, "-t", 2);
	assert_int_equal(parse(&many, false, huge, "web1", NULL), 0);
	assert_int_equal(strlen(call_value(&call, "timeout")), 99998);
	memset(huge, 'f', 100000);
	huge[0] = '-';
	assert_int_equal(parse(&many, false, huge, "web1", NULL), 0); /* 99,999 flags together */
	assert_true(call_has(&call, "force"));
	free(huge);
	assert_int_equal(parse(&many, false, "--%s%n%s", NULL), -EINVAL);
	assert_non_null(strstr(err.what, "--%s%n%s"));
	assert_int_equal(parse(&many, false, "", NULL), 0); /* an empty name is the name check's to refuse */
	assert_string_equal(call.argv[0], "");
}

static void typed_values(void **state)
{
	unsigned long number;

	assert_int_equal(parse(&many, false, "-t", "2m", "-j", "8", "x", NULL), 0);
	assert_int_equal(call_duration(&call, "timeout", 7, &number, &err), 0);
	assert_int_equal(number, 120000);
	assert_int_equal(call_number(&call, "jobs", 1, 1, 64, &number, &err), 0);
	assert_int_equal(number, 8);
	assert_int_equal(call_number(&call, "lines", 11, 1, 64, &number, &err), 0);
	assert_int_equal(number, 11);

	const char *bad[] = {"", "-1", "1x", "999999999999999999999", "5 ", "1e3"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		number = 77;
		assert_int_equal(parse(&many, false, "-t", bad[i], "-j", bad[i], "x", NULL), 0);
		assert_int_equal(call_duration(&call, "timeout", 7, &number, &err), -EINVAL);
		assert_int_equal(err.code, ERR_USAGE);
		err = (struct err){0};
		assert_int_equal(call_number(&call, "jobs", 1, 1, 64, &number, &err), -EINVAL);
		assert_int_equal(number, 77);
	}
}

static void every_verb_has_its_help(void **state)
{
	for (const struct verb *const *verb = verb_table; *verb; verb++) {
		const struct verb *v = *verb;

		assert_ptr_equal(verb_find(v->name), v);
		assert_true(v->run && v->summary && *v->summary);
		assert_true(v->synopsis != NULL);
		assert_true(v->max < 0 || v->max >= v->min);
		if (v->group == GROUP_INTERNAL)
			continue;
		if (!v->text || !v->examples)
			fail_msg("isle %s has no text or no examples", v->name);
		for (const struct option_row *row = v->options; row && row->name; row++) {
			const char *word = row->lxc;

			assert_true(strlen(row->name) > 1);
			for (const struct option_row *other = row + 1; other->name; other++) {
				if (!strcmp(row->name, other->name) || (row->letter && row->letter == other->letter))
					fail_msg("isle %s: --%s and --%s clash", v->name, row->name, other->name);
			}
			for (size_t n; (n = option_word(&word)); word += n) {
				if (!(n == 2 && word[0] == '-' && word[1] != '-') && !(n > 3 && !memcmp(word, "--", 2)))
					fail_msg("isle %s --%s: LXC's spelling '%.*s'", v->name, row->name, (int)n, word);
			}
		}
		for (const struct verb *const *other = verb + 1; *other; other++)
			assert_false(verb_is(*other, v->name));
	}
	assert_null(verb_find(""));
	assert_null(verb_find("nosuchverb"));
	assert_ptr_equal(verb_find("ls"), verb_find("list"));
}

static void near_verbs(void **state)
{
	char near[64];

	assert_true(help_near_verb("listt", near));
	assert_string_equal(near, "list");
	assert_true(help_near_verb("doctr", near));
	assert_string_equal(near, "doctor");
	assert_false(help_near_verb("xyzzyxyzzy", near));
	assert_false(help_near_verb("_complet", near));
}

static void headlines(void **state)
{
	static const struct verb phrase = {.name = "create", .headline = "create guest % from a template"};
	const struct {
		const struct verb *verb;
		const char *name, *text;
	} cases[] = {
		{&phrase, "web1", "cannot create guest 'web1' from a template"},
		{&phrase, NULL, "cannot create guests from a template"},
		{&many, "web1", "cannot stop guest 'web1'"},
		{&bare, NULL, "'isle version' failed"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct call c = {.verb = cases[i].verb};
		const struct err e = {.code = ERR_FAILED};
		char *text = report_headline(&c, &e, cases[i].name);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
	assert_int_equal(report_status(&(struct err){.code = ERR_TIMEOUT}), 5);
	assert_int_equal(report_status(&(struct err){.code = ERR_NONE}), 1);
	assert_int_equal(report_status(&(struct err){.code = 99}), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(values_in_every_form, teardown),
		cmocka_unit_test_teardown(repeated_values_keep_their_order, teardown),
		cmocka_unit_test_teardown(two_dashes_end_options, teardown),
		cmocka_unit_test_teardown(exec_hands_on_its_command, teardown),
		cmocka_unit_test_teardown(lxc_form, teardown),
		cmocka_unit_test_teardown(names_by_option, teardown),
		cmocka_unit_test_teardown(shared_options, teardown),
		cmocka_unit_test_teardown(wrong_lines, teardown),
		cmocka_unit_test_teardown(hostile_lines, teardown),
		cmocka_unit_test_teardown(typed_values, teardown),
		cmocka_unit_test(every_verb_has_its_help),
		cmocka_unit_test(near_verbs),
		cmocka_unit_test(headlines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
