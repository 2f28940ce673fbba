/* isle _complete and the manual's pages: run as the shell runs them, on a store of our own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/cli/gendocs.h"
#include "../../src/cli/help.h"
#include "../../src/cli/options.h"
#include "../../src/cli/roff.h"

static char root[] = "/tmp/isle-test-XXXXXX";

static int make_store(void **state)
{
	static const char device[] = "[device gpu]\nsource = /dev/dri/renderD128\n";
	static const char *const dirs[] = {"guests", "guests/web1", "guests/web2", "guests/db", "guests/.making"};
	char path[128];

	if (!mkdtemp(root))
		return -1;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, dirs[i]);
		if (mkdir(path, 0700) < 0)
			return -1;
		if (strlen(dirs[i]) > 6) {
			snprintf(path, sizeof(path), "%s/%s/config", root, dirs[i]);
			fclose(fopen(path, "w"));
		}
	}
	snprintf(path, sizeof(path), "%s/guests/db/config", root);
	if (file_replace_quick(AT_FDCWD, path, device, sizeof(device) - 1, 0600, NULL) < 0)
		return -1;
	return setenv("ISLE_PATH", root, 1);
}

static int remove_store(void **state)
{
	return file_remove_tree(AT_FDCWD, root, NULL);
}

/* Runs fn with stdout kept. */
static char *output_of(int (*fn)(void *arg), void *arg)
{
	static char out[65536];
	FILE *file = tmpfile();
	int saved = dup(STDOUT_FILENO);

	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	int rc = fn(arg);

	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	assert_int_equal(rc, 0);
	rewind(file);
	out[fread(out, 1, sizeof(out) - 1, file)] = '\0';
	fclose(file);
	return out;
}

static int run_complete(void *arg)
{
	char **words = arg;
	const struct verb *verb = verb_find("_complete");
	struct call call = {0};
	struct err err = {0};
	int count = 0;

	while (words[count])
		count++;
	assert_int_equal(call_parse(verb, false, count, words, &call, &err), 0);
	int rc = verb->run(&call, &err);

	call_free(&call);
	return rc;
}

/* "isle info w" -> its candidates, joined by blanks; "~" stands for an empty word. */
static const char *complete(const char *line)
{
	char copy[512], *words[32] = {(char *)"--"}, *save = NULL;
	int count = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &save); word && count < 31; word = strtok_r(NULL, " ", &save))
		words[count++] = strcmp(word, "~") ? word : (char *)"";
	words[count] = NULL;
	char *out = output_of(run_complete, words);

	for (char *c = out; *c; c++)
		*c = *c == '\n' ? ' ' : *c;
	return out;
}

static void verbs_and_options(void **state)
{
	assert_string_equal(complete("isle lis"), "list ");
	assert_string_equal(complete("/usr/bin/isle lis"), "list ");
	assert_non_null(strstr(complete("isle ~"), "doctor "));
	assert_null(strstr(complete("isle ~"), "_complete"));
	assert_non_null(strstr(complete("isle --js"), "--json "));
	assert_non_null(strstr(complete("isle list --co"), "--columns "));
	assert_null(strstr(complete("isle list --fan"), "--fancy"));
	assert_non_null(strstr(complete("isle-ls --fan"), "--fancy "));
	assert_string_equal(complete("isle help doct"), "doctor ");
	assert_string_equal(complete("isle nosuch ~"), "");
	assert_string_equal(complete("isle-nosuch ~"), "");
	assert_string_equal(complete("isle-info --na"), "--name ");
	assert_string_equal(complete("isle-doctor --na"), ""); /* it takes no guest */
	assert_string_equal(complete("isle info web1 ~"), "");
}

static void guests(void **state)
{
	assert_string_equal(complete("isle info w"), "web1 web2 ");
	assert_string_equal(complete("isle info ~"), "db web1 web2 ");
	assert_string_equal(complete("isle --json info -s d"), "db ");
	assert_string_equal(complete("isle list web1 ~"), "db web2 ");
	assert_string_equal(complete("isle-info -n d"), "db ");
	assert_string_equal(complete("isle-info --name=d"), "--name=db ");
	/* A folder that is not there is not made either. */
	assert_string_equal(complete("isle -P /nonexistent/x/y info w"), "");
	assert_int_equal(access("/nonexistent", F_OK), -1);
}

static void values(void **state)
{
	assert_string_equal(complete("isle -P ~"), "@files ");
	assert_string_equal(complete("isle list -P /e"), "@files ");
	assert_non_null(strstr(complete("isle info -c limits.mem"), "limits.memory "));
	assert_non_null(strstr(complete("isle info --config=limits.mem"), "--config=limits.memory "));
	assert_non_null(strstr(complete("isle info -sc limits.mem"), "limits.memory "));
	assert_string_equal(complete("isle list --sort -"), ""); /* its value, of which nothing is known */
	assert_string_equal(complete("isle list --running="), "");
}

static void arguments_by_place(void **state)
{
	assert_string_equal(complete("isle config d"), "db ");
	assert_string_equal(complete("isle config web1 ~"), "get set unset show edit ");
	assert_string_equal(complete("isle config web1 get limits.memory-h"), "limits.memory-high ");
	assert_string_equal(complete("isle config web1 get limits.cpus limits.memory-g"), "limits.memory-guarantee ");
	assert_string_equal(complete("isle rename web1 ~"), "");
	assert_string_equal(complete("isle device db remove ~"), "gpu ");
	assert_string_equal(complete("isle device --mode 0660 db remove ~"), "gpu ");
	assert_string_equal(complete("isle-device -n db remove ~"), "gpu ");
	assert_string_equal(complete("isle-device --uid 0 -n db remove ~"), "gpu ");
	assert_string_equal(complete("isle start w"), "web1 web2 ");
	assert_string_equal(complete("isle stop w"), "");
	assert_string_equal(complete("isle exec web1 ~"), "@commands ");
	assert_string_equal(complete("isle exec web1 -- ~"), "@commands ");
	assert_string_equal(complete("isle exec web1 -- cat ~"), "@files ");
	assert_string_equal(complete("isle-attach -n web1 ~"), "@commands ");
}

static int run_verb_help(void *arg)
{
	return help_verb(arg, true);
}

static int run_overview(void *arg)
{
	return help_overview(false);
}

static void help_covers_all(void **state)
{
	char overview[16384];

	snprintf(overview, sizeof(overview), "%s", output_of(run_overview, NULL));
	for (const struct verb *const *verb = verb_table; *verb; verb++) {
		char line[64];

		snprintf(line, sizeof(line), "\n  %s ", (*verb)->name);
		assert_true(((*verb)->group != GROUP_INTERNAL) == (strstr(overview, line) != NULL));
		const char *text = output_of(run_verb_help, (void *)*verb);

		for (const struct option_row *row = (*verb)->options; row && row->name; row++) {
			snprintf(line, sizeof(line), "--%s", row->name);
			if (row->doc && !strstr(text, line))
				fail_msg("help of %s lacks --%s", (*verb)->name, row->name);
		}
		for (const char *c = text; *c; c += strcspn(c, "\n"), c += *c == '\n')
			assert_true(strcspn(c, "\n") <= 132);
	}
}

static void manual_covers_all(void **state)
{
	struct err err = {0};
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(gendocs_verbs(root, &err), 0);
	for (const struct verb *const *verb = verb_table; *verb; verb++) {
		char file[64], *text = NULL;

		snprintf(file, sizeof(file), "isle-%s.1", (*verb)->name);
		assert_int_equal(file_read(fd, file, 1 << 20, &text, NULL), (*verb)->group == GROUP_INTERNAL ? -ENOENT : 0);
		if (text) {
			assert_non_null(strstr(text, "\n.SH SYNOPSIS\n"));
			assert_non_null(strstr(text, "\n.SH EXAMPLES\n"));
			assert_non_null(strstr(text, "\n.SH \"EXIT STATUS\"\n"));
		}
		free(text);
	}
	close(fd);
	assert_true(gendocs_verbs("/nonexistent/folder", &err) < 0);
}

static void roff_is_safe(void **state)
{
	struct buf page = {0};

	roff_text(&page, ".SH injected\n\n'br \\n(.g --option isle.conf(5) (web*) it's");
	assert_string_equal(page.data,
			    "\\&.SH injected\n.PP\n\\&\\(aqbr \\en(.g \\-\\-option \\fBisle.conf\\fR(5) (web*) it\\(aqs\n");
	buf_free(&page);
	page = (struct buf){0};
	roff_literal(&page, ".so /etc/passwd\na\\b\n");
	assert_string_equal(page.data, ".PP\n.RS 4\n.nf\n\\&.so /etc/passwd\na\\eb\n.fi\n.RE\n");
	buf_free(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs_and_options),  cmocka_unit_test(guests),          cmocka_unit_test(values),
		cmocka_unit_test(arguments_by_place), cmocka_unit_test(help_covers_all), cmocka_unit_test(manual_covers_all),
		cmocka_unit_test(roff_is_safe),
	};

	return cmocka_run_group_tests(tests, make_store, remove_store);
}
