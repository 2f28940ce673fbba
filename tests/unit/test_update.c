/* Live changes of a guest's limits, on a control group of this test's own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/proc.h"
#include "../../src/guest/record.h"
#include "../../src/kernel/cgroup.h"
#include "../../src/run/limits.h"
#include "../../src/run/update.h"

struct scene {
	char folder[40];
	struct store *store;
	struct guest guest;
	struct spec *old;
	struct record record;
	pid_t child;
	struct err err;
};

static struct spec *spec_of(const char *text)
{
	struct spec *spec = NULL;
	struct err err = {0};

	if (spec_parse(text, strlen(text), "test", &spec, &err))
		fail_msg("%s", err.what);
	return spec;
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);

	*state = scene;
	if (geteuid())
		return 0;
	assert_int_equal(str_copy(scene->folder, sizeof scene->folder, "/tmp/isle-test-update-XXXXXX"), 0);
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(store_open(scene->folder, true, &scene->store, &scene->err), 0);
	assert_int_equal(mkdirat(scene->store->run_fd, "web1", 0700), 0);
	scene->guest = (struct guest){.store = scene->store, .name = "web1", .dir_fd = -1, .lock_fd = -1};

	scene->child = fork();
	if (scene->child == 0) {
		pause();
		_exit(0);
	}
	struct record *record = &scene->record;

	assert_int_equal(str_copy(record->phase, sizeof record->phase, "running"), 0);
	assert_int_equal(proc_boot_id(record->boot_id), 0);
	record->init_pid = scene->child;
	record->init_start = proc_start_time(scene->child);
	assert_int_equal(str_print(record->cgroup, sizeof record->cgroup, "isle-test-%d/web1", (int)getpid()), 0);
	assert_int_equal(record_save(scene->store, "web1", record, &scene->err), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	if (scene->child > 0) {
		kill(scene->child, SIGKILL);
		assert_int_equal(waitpid(scene->child, NULL, 0), scene->child);
		assert_int_equal(cgroup_remove(scene->record.cgroup, 1000, &scene->err), 0);
		*strrchr(scene->record.cgroup, '/') = '\0';
		assert_int_equal(cgroup_remove(scene->record.cgroup, 1000, &scene->err), 0);
	}
	spec_free(scene->old);
	spec_free(scene->guest.spec);
	store_free(scene->store);
	if (*scene->folder)
		assert_int_equal(file_remove_tree(AT_FDCWD, scene->folder, NULL), 0);
	free(scene);
	return 0;
}

/* The group with the old limits; skipped by name where this machine gives no such group. */
static void begin(struct scene *scene, const char *old, const char *now)
{
	if (geteuid()) {
		print_message("skipped: needs root\n");
		skip();
	}
	scene->old = spec_of(old);
	scene->guest.spec = spec_of(now);
	struct cgroup_limits limits;

	cgroup_limits_none(&limits);
	limits.number[CGROUP_MEMORY] = scene->old->limits.memory;
	limits.number[CGROUP_PROCESSES] = scene->old->limits.processes;
	limits.number[CGROUP_CPUS] = scene->old->limits.cpus;
	if (cgroup_create(scene->record.cgroup, 0, &scene->err) ||
	    cgroup_limit(scene->record.cgroup, &limits, limits_changed(NULL, scene->old), &scene->err)) {
		print_message("skipped: %s\n", scene->err.what);
		skip();
	}
}

static uint64_t memory_limit(const struct scene *scene)
{
	struct cgroup_stat stat;

	assert_int_equal(cgroup_stat(scene->record.cgroup, &stat), 0);
	return stat.memory_limit;
}

static void limits_change_at_once(void **state)
{
	struct scene *scene = *state;

	begin(scene, "[limits]\nmemory = 64M\n", "[limits]\nmemory = 96M\n");
	assert_int_equal(guest_state(scene->store, "web1", NULL), STATE_RUNNING);
	assert_int_equal(memory_limit(scene), 64 << 20);
	if (update_apply(&scene->guest, scene->old, 0, NULL, &scene->err))
		fail_msg("%s", scene->err.what);
	assert_int_equal(memory_limit(scene), 96 << 20);
	/* Not asked for: not done. */
	assert_int_equal(update_apply(&scene->guest, scene->guest.spec, 0, NULL, &scene->err), 0);
}

static void limits_are_lifted_at_once(void **state)
{
	struct scene *scene = *state;
	struct cgroup_uses uses;

	begin(scene, "[limits]\nmemory = 64M\ncpus = 0.5\nprocesses = 20\n", "");
	assert_int_equal(cgroup_uses(scene->record.cgroup, &uses), 0);
	assert_int_equal(uses.of[CGROUP_MEMORY].limit, 64 << 20);
	assert_int_equal(uses.of[CGROUP_CPUS].limit, 500);
	assert_int_equal(uses.of[CGROUP_PROCESSES].limit, 20);
	if (update_apply(&scene->guest, scene->old, 0, NULL, &scene->err))
		fail_msg("%s", scene->err.what);
	assert_int_equal(cgroup_uses(scene->record.cgroup, &uses), 0);
	assert_true(uses.of[CGROUP_MEMORY].limit == cgroup_share_of_memory());
	assert_true(uses.of[CGROUP_CPUS].limit == UINT64_MAX);
	assert_int_equal(uses.of[CGROUP_PROCESSES].limit, cgroup_share_of_processes());
}

static void what_is_named_is_set_anew(void **state)
{
	struct scene *scene = *state;
	struct cgroup_limits other;

	begin(scene, "[limits]\nmemory = 64M\n", "[limits]\nmemory = 64M\n");
	cgroup_limits_none(&other);
	other.number[CGROUP_MEMORY] = 80 << 20;
	assert_int_equal(cgroup_limit(scene->record.cgroup, &other, CGROUP_BIT(CGROUP_MEMORY), &scene->err), 0);
	assert_int_equal(update_apply(&scene->guest, scene->old, 0, NULL, &scene->err), 0);
	assert_int_equal(memory_limit(scene), 80 << 20);
	assert_int_equal(update_apply(&scene->guest, scene->old, CGROUP_BIT(CGROUP_MEMORY), NULL, &scene->err), 0);
	assert_int_equal(memory_limit(scene), 64 << 20);
}

static void a_failure_sets_all_back(void **state)
{
	struct scene *scene = *state;

	/* The CPU does not exist: memory was raised before it, and goes back. */
	begin(scene, "[limits]\nmemory = 64M\n", "[limits]\nmemory = 96M\ncpuset = 8000\n");
	assert_true(update_apply(&scene->guest, scene->old, 0, NULL, &scene->err) < 0);
	assert_non_null(strstr(scene->err.what, "cpuset"));
	assert_int_equal(memory_limit(scene), 64 << 20);
}

static void a_stopped_guest_is_left_alone(void **state)
{
	struct scene *scene = *state;

	begin(scene, "[limits]\nmemory = 64M\n", "[limits]\nmemory = 96M\n");
	assert_int_equal(record_remove(scene->store, "web1", &scene->err), 0);
	assert_int_equal(update_apply(&scene->guest, scene->old, 0, NULL, &scene->err), 0);
	assert_int_equal(memory_limit(scene), 64 << 20);
}

static void some_keys_wait_for_the_next_start(void **state)
{
	(void)state;
	assert_true(update_is_live(key_find(SECTION_LIMITS, "memory")));
	assert_true(update_is_live(key_find(SECTION_GUEST, "autostart")));
	assert_false(update_is_live(key_find(SECTION_GUEST, "init")));
	assert_false(update_is_live(key_find(SECTION_LIMITS, "open-files")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(limits_change_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_failure_sets_all_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stopped_guest_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits_are_lifted_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_named_is_set_anew, set_up, tear_down),
		cmocka_unit_test(some_keys_wait_for_the_next_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
