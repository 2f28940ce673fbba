/* The manual page of the config and its example say what the key table says. */
#include "config.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/cli/gendocs.h"
#include "../../src/guest/spec.h"

static void example_is_the_one_in_the_tree(void **state)
{
	auto_free char *made = gendocs_example();
	auto_free char *kept = NULL;

	assert_int_equal(file_read(AT_FDCWD, TOP_SOURCE "/config/example.conf", 1 << 20, &kept, NULL), 0);
	assert_string_equal(made, kept); /* if not: isle _docs DIR, then copy DIR/example.conf there */
}

/* Without the '#' before keys and sections every example holds, all together. */
static void example_is_a_config(void **state)
{
	auto_free char *text = gendocs_example();
	auto_buf struct buf bare = {0};
	struct spec *spec = NULL;
	struct err err = {0};

	assert_int_equal(spec_parse(text, strlen(text), "example", &spec, &err), 0);
	spec_free(spec);
	for (char *at = text, *line; (line = strsep(&at, "\n"));)
		buf_addf(&bare, "%s%s", line + (line[0] == '#' && line[1] != ' '), at ? "\n" : "");
	if (spec_parse(bare.data, bare.len, "example", &spec, &err))
		fail_msg("%s %s", err.where, err.what);
	for (size_t i = 0; i < key_count; i++) {
		const struct section_info *section = &section_table[key_table[i].section];
		auto_free char *name = str_format("%s%s%s.%s", section->name, section->many ? "." : "",
						  section->many ? section->member : "", key_table[i].name);
		auto_free char *value = NULL;

		if (key_table[i].internal)
			continue;
		assert_int_equal(spec_get(spec, name, &value, &err), 0);
		assert_true(*value);
	}
	spec_free(spec);
}

static void page_has_every_key_and_default(void **state)
{
	auto_free char *page = gendocs_conf();

	assert_non_null(strstr(page, ".TH"));
	for (size_t i = 0; i < key_count; i++) {
		char name[64] = "\\fB";
		size_t at = 3;

		for (const char *c = key_table[i].name; *c && at < sizeof name - 3; c++) {
			if (*c == '-')
				name[at++] = '\\';
			name[at++] = *c;
		}
		name[at] = '\0';
		if (!strstr(page, name))
			fail_msg("%s is not in the page", key_table[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_is_the_one_in_the_tree),
		cmocka_unit_test(example_is_a_config),
		cmocka_unit_test(page_has_every_key_and_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
