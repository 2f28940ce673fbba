/* Plans and the host's defaults below a guest's config. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/guest/plan.h"

struct scene {
	char folder[40];
	struct store *store;
	struct spec *spec;
	struct err err;
};

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);

	*state = scene;
	assert_int_equal(str_copy(scene->folder, sizeof scene->folder, "/tmp/isle-test-plan-XXXXXX"), 0);
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(store_open(scene->folder, true, &scene->store, &scene->err), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	spec_free(scene->spec);
	store_free(scene->store);
	assert_int_equal(file_remove_tree(AT_FDCWD, scene->folder, NULL), 0);
	free(scene);
	return 0;
}

static void write_file(const struct scene *scene, const char *name, const char *text)
{
	auto_free char *path = str_format("%s/%s", scene->folder, name);

	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static int parse(struct scene *scene, const char *text)
{
	spec_free(scene->spec);
	scene->spec = NULL;
	scene->err = (struct err){0};
	return plan_parse(scene->store, text, strlen(text), "web1/config", &scene->spec, &scene->err);
}

static void expect(struct scene *scene, const char *dotted, const char *value, enum spec_source source)
{
	auto_free char *got = NULL;
	struct spec_name name;

	assert_int_equal(spec_get(scene->spec, dotted, &got, NULL), 0);
	assert_string_equal(got, value);
	assert_int_equal(spec_name_parse(dotted, &name, NULL), 0);
	assert_int_equal(spec_source_of(scene->spec, name.key), source);
}

static void each_layer_covers_those_below(void **state)
{
	struct scene *scene = *state;

	write_file(scene, "isle.conf", "[guest]\nstop-timeout = 30s\nstart-order = 7\n[limits]\nprocesses = 100\ncpus = 4\n");
	write_file(scene, "plans/small", "# a plan\n[limits]\nmemory = 256M\nprocesses = 200\n[guest]\nstart-order = 8\n");
	assert_int_equal(parse(scene, "[guest]\nplan = small\n[limits]\nmemory = 512M\n"), 0);
	expect(scene, "limits.memory", "512M", SPEC_FROM_GUEST);
	expect(scene, "limits.processes", "200", SPEC_FROM_PLAN);
	expect(scene, "guest.start-order", "8", SPEC_FROM_PLAN);
	expect(scene, "limits.cpus", "4", SPEC_FROM_HOST);
	expect(scene, "guest.stop-timeout", "30s", SPEC_FROM_HOST);
	expect(scene, "guest.start-delay", "0s", SPEC_FROM_DEFAULT);
}

static void the_host_names_a_plan_for_all(void **state)
{
	struct scene *scene = *state;

	write_file(scene, "isle.conf", "[guest]\nplan = small\n");
	write_file(scene, "plans/small", "[limits]\nmemory = 256M\n");
	write_file(scene, "plans/large", "[limits]\nmemory = 1G\n");
	assert_int_equal(parse(scene, "[guest]\nautostart = yes\n"), 0);
	expect(scene, "limits.memory", "256M", SPEC_FROM_PLAN);
	assert_int_equal(parse(scene, "[guest]\nplan = large\n"), 0);
	expect(scene, "limits.memory", "1G", SPEC_FROM_PLAN);
	assert_int_equal(parse(scene, "[guest]\nplan = none\n"), 0);
	expect(scene, "limits.memory", "", SPEC_FROM_DEFAULT);
}

static void a_guest_can_be_without_a_plans_limit(void **state)
{
	struct scene *scene = *state;

	write_file(scene, "plans/small", "[limits]\nmemory = 256M\n[guest]\nautostart = yes\n");
	assert_int_equal(parse(scene, "[guest]\nplan = small\nautostart = no\n[limits]\nmemory = unlimited\n"), 0);
	expect(scene, "limits.memory", "", SPEC_FROM_GUEST);
	assert_true(scene->spec->limits.memory == SPEC_UNSET);
	/* Written anew, the config says the same, and of the plan nothing but its name. */
	auto_free char *text = spec_format(scene->spec);

	assert_non_null(text);
	assert_non_null(strstr(text, "memory = unlimited\n"));
	assert_non_null(strstr(text, "autostart = no\n"));
	assert_int_equal(parse(scene, text), 0);
	assert_true(scene->spec->limits.memory == SPEC_UNSET);
	assert_false(scene->spec->guest.autostart);
	assert_int_equal(parse(scene, "[guest]\nplan = small\n"), 0);
	auto_free char *bare = spec_format(scene->spec);

	assert_non_null(bare);
	assert_null(strstr(bare, "memory"));
	assert_non_null(strstr(bare, "plan = small\n"));
}

static void what_is_one_guests_own_is_refused(void **state)
{
	static const struct {
		const char *text, *fault, *where;
	} cases[] = {
		{"[limits]\nmemory = 1G\n[guest]\nhostname = www\n", "hostname", "plans/bad:4"},
		{"[network eth0]\ntype = none\n", "network", "plans/bad:1"},
		{"[security]\nids = 600000\n", "ids", "plans/bad:2"},
		{"[security]\nprivileged = yes\n", "privileged", "plans/bad:2"},
		{"[guest]\nplan = other\n", "plan", "plans/bad:2"},
		{"[limits]\nmemory = lots\n", "memory", "plans/bad:2"},
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		write_file(scene, "plans/bad", cases[i].text);
		assert_true(parse(scene, "[guest]\nplan = bad\n") < 0);
		if (!strstr(scene->err.what, cases[i].fault) || !strstr(scene->err.where, cases[i].where))
			fail_msg("%s: %s at %s", cases[i].text, scene->err.what, scene->err.where);
	}
}

static void a_plan_that_is_not_there_names_those_that_are(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(parse(scene, "[guest]\nplan = smal\n"), -ENOENT);
	assert_non_null(strstr(scene->err.hint, "there is none yet"));
	write_file(scene, "plans/small", "");
	write_file(scene, "plans/large", "");
	write_file(scene, "plans/.hidden", "");
	assert_int_equal(parse(scene, "[guest]\nplan = smal\n"), -ENOENT);
	assert_int_equal(scene->err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(scene->err.what, "'smal'"));
	assert_non_null(strstr(scene->err.hint, "'small'"));
	assert_non_null(strstr(scene->err.hint, "large, small"));
	assert_null(strstr(scene->err.hint, "hidden"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_layer_covers_those_below, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_host_names_a_plan_for_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_guest_can_be_without_a_plans_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_one_guests_own_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_plan_that_is_not_there_names_those_that_are, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
