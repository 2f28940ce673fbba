/* The device program, on a control group of this test's own: what a child in it can open and make. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/str.h"
#include "../../src/kernel/bpfdev.h"
#include "../../src/kernel/cgroup.h"
#include "../../src/kernel/ns.h"

#define LOOP_MAJOR 7

struct scene {
	char folder[40];
	char cgroup[64];
	bool made;
};

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);

	*state = scene;
	assert_int_equal(str_copy(scene->folder, sizeof scene->folder, "/tmp/isle-test-bpfdev-XXXXXX"), 0);
	assert_non_null(mkdtemp(scene->folder));
	assert_int_equal(str_print(scene->cgroup, sizeof scene->cgroup, "isle-test-%d/dev", (int)getpid()), 0);
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	if (scene->made) {
		assert_int_equal(umount(scene->folder), 0);
		assert_int_equal(cgroup_remove(scene->cgroup, 5000, NULL), 0);
		*strrchr(scene->cgroup, '/') = '\0';
		assert_int_equal(cgroup_remove(scene->cgroup, 5000, NULL), 0);
	}
	assert_int_equal(rmdir(scene->folder), 0);
	free(scene);
	return 0;
}

static void begin(struct scene *scene)
{
	struct err err = {0};

	if (geteuid()) {
		print_message("skipped: needs root\n");
		skip();
	}
	if (bpfdev_probe() < 0) {
		print_message("skipped: this kernel has no device programs: %s\n", strerror(-bpfdev_probe()));
		skip();
	}
	/* Of its own: where temporary files are kept no device may open, often. */
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("none", scene->folder, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k"), 0);
	scene->made = true;
	if (cgroup_create(scene->cgroup, 0, &err) < 0)
		fail_msg("%s", err.what);
}

static void attach(const struct scene *scene, const struct bpfdev_rule *rules, size_t count)
{
	struct err err = {0};

	if (bpfdev_attach(scene->cgroup, rules, count, &err) < 0)
		fail_msg("%s", err.what);
}

/* In a child that is born in the group below the one with the program. Returns 0 or the errno. */
static int in_group(const struct scene *scene, int (*fn)(const char *folder, const void *arg), const void *arg)
{
	struct cgroup_entry entry;
	struct err err = {0};
	int status, pidfd = -1;

	assert_int_equal(cgroup_entry_open(scene->cgroup, &entry, &err), 0);
	struct ns_clone how = {.cgroup_fd = entry.folder};
	pid_t pid = ns_clone(&how, &pidfd, &err);

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn(scene->folder, arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pidfd);
	cgroup_entry_close(&entry);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

struct node {
	mode_t kind;
	unsigned major, minor;
	int flags;
};

static int make(const char *folder, const void *arg)
{
	const struct node *node = arg;
	char path[64];

	if (str_print(path, sizeof path, "%s/made", folder) < 0)
		return EINVAL;
	int r = mknod(path, node->kind | 0600, makedev(node->major, node->minor)) < 0 ? errno : 0;

	(void)unlink(path);
	return r;
}

/* The node is made outside the group, so that only the opening is judged. */
static int open_it(const char *folder, const void *arg)
{
	const struct node *node = arg;
	char path[64];

	if (str_print(path, sizeof path, "%s/node", folder) < 0)
		return EINVAL;
	int fd = open(path, node->flags | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int try_open(const struct scene *scene, mode_t kind, unsigned major, unsigned minor, int flags)
{
	struct node node = {kind, major, minor, flags};
	char path[64];

	assert_int_equal(str_print(path, sizeof path, "%s/node", scene->folder), 0);
	assert_int_equal(mknod(path, kind | 0600, makedev(major, minor)), 0);
	int r = in_group(scene, open_it, &node);

	assert_int_equal(unlink(path), 0);
	return r;
}

static int try_make(const struct scene *scene, mode_t kind, unsigned major, unsigned minor)
{
	struct node node = {kind, major, minor, 0};

	return in_group(scene, make, &node);
}

static void usual_devices_work_and_no_others(void **state)
{
	struct scene *scene = *state;
	static const unsigned good[][2] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}};
	static const unsigned bad[][2] = {{1, 1}, {1, 2}, {1, 4}, {1, 11}, {5, 1}, {4, 0}, {10, 232}, {10, 237}};

	begin(scene);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 11, O_RDONLY), 0); /* kmsg, without a program */
	attach(scene, bpfdev_usual, bpfdev_usual_count);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(try_open(scene, S_IFCHR, good[i][0], good[i][1], O_RDWR), 0);
		assert_int_equal(try_make(scene, S_IFCHR, good[i][0], good[i][1]), 0);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(try_open(scene, S_IFCHR, bad[i][0], bad[i][1], O_RDONLY), EPERM);
		assert_int_equal(try_make(scene, S_IFCHR, bad[i][0], bad[i][1]), EPERM);
	}
	assert_int_equal(try_open(scene, S_IFBLK, LOOP_MAJOR, 0, O_RDONLY), EPERM);
	assert_int_equal(try_make(scene, S_IFBLK, LOOP_MAJOR, 0), EPERM);
	assert_int_equal(try_make(scene, S_IFBLK, 1, 3), EPERM);   /* the numbers of null, and another kind */
	assert_int_equal(try_make(scene, S_IFCHR, 136, 0), EPERM); /* opened, but not made */
	assert_int_equal(try_make(scene, S_IFCHR, 0, 0), 0);       /* overlayfs's whiteout opens nothing */
	assert_int_equal(try_make(scene, S_IFCHR, 257, 3), EPERM); /* 1:3 in the lower bytes */
	assert_int_equal(try_make(scene, S_IFCHR, 1, 0x103), EPERM);
}

static void access_is_what_the_rule_says(void **state)
{
	struct scene *scene = *state;
	const struct bpfdev_rule reading[] = {{BPFDEV_CHAR, BPFDEV_READ, 1, 5}};
	const struct bpfdev_rule making[] = {{BPFDEV_CHAR, BPFDEV_MKNOD, 1, 5}};
	const struct bpfdev_rule all_of_1[] = {{BPFDEV_CHAR, BPFDEV_READ | BPFDEV_WRITE, 1, BPFDEV_ANY}};
	const struct bpfdev_rule two[] = {{BPFDEV_CHAR, BPFDEV_READ, 1, 5}, {BPFDEV_CHAR, BPFDEV_WRITE, 1, 5}};

	begin(scene);
	attach(scene, reading, 1);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_RDONLY), 0);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_WRONLY), EPERM);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_RDWR), EPERM);
	assert_int_equal(try_make(scene, S_IFCHR, 1, 5), EPERM);
	attach(scene, making, 1);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_RDONLY), EPERM);
	assert_int_equal(try_make(scene, S_IFCHR, 1, 5), 0);
	attach(scene, all_of_1, 1);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 3, O_RDWR), 0);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 11, O_RDONLY), 0);
	assert_int_equal(try_make(scene, S_IFCHR, 1, 3), EPERM);
	attach(scene, two, 2);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_WRONLY), 0);
	attach(scene, NULL, 0);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 3, O_RDONLY), EPERM);
}

static void a_full_program_is_taken_and_a_fuller_one_is_not(void **state)
{
	struct scene *scene = *state;
	struct bpfdev_rule rules[BPFDEV_RULES + 1];
	struct err err = {0};

	begin(scene);
	for (size_t i = 0; i <= BPFDEV_RULES; i++)
		rules[i] = (struct bpfdev_rule){BPFDEV_BLOCK, BPFDEV_READ, LOOP_MAJOR, (uint32_t)i};
	rules[BPFDEV_RULES - 1] = (struct bpfdev_rule){BPFDEV_CHAR, BPFDEV_READ, 1, 5};
	attach(scene, rules, BPFDEV_RULES);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_RDONLY), 0);
	assert_int_equal(bpfdev_attach(scene->cgroup, rules, BPFDEV_RULES + 1, &err), -E2BIG);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_RDONLY), 0);
}

/* A child that opens null over and over while the program is exchanged never finds it closed. */
static int opens_all_the_time(const char *folder, const void *arg)
{
	int pipe_in = *(const int *)arg, failed = 0;
	char byte;

	(void)folder;
	(void)fcntl(pipe_in, F_SETFL, O_NONBLOCK);
	while (read(pipe_in, &byte, 1) < 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC), kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

		if (null < 0 || kmsg >= 0)
			failed = 1;
		(void)close(null);
	}
	return failed;
}

static void a_program_is_exchanged_at_one_stroke(void **state)
{
	struct scene *scene = *state;
	struct cgroup_entry entry;
	int stop[2], status, pidfd = -1;

	begin(scene);
	attach(scene, bpfdev_usual, bpfdev_usual_count);
	assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
	assert_int_equal(cgroup_entry_open(scene->cgroup, &entry, NULL), 0);
	struct ns_clone how = {.cgroup_fd = entry.folder};
	pid_t pid = ns_clone(&how, &pidfd, NULL);

	assert_true(pid >= 0);
	if (pid == 0) {
		close(stop[1]);
		_exit(opens_all_the_time("", &stop[0]));
	}
	close(stop[0]);
	for (int i = 0; i < 200; i++)
		attach(scene, bpfdev_usual, bpfdev_usual_count);
	close(stop[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(pidfd);
	cgroup_entry_close(&entry);
	assert_int_equal(status, 0);
	/* And none of the two hundred stayed, which would have been refused at the sixty-fifth. */
	attach(scene, NULL, 0);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 3, O_RDONLY), EPERM);
}

static void groups_above_hold_as_well(void **state)
{
	struct scene *scene = *state;
	const struct bpfdev_rule null_only[] = {{BPFDEV_CHAR, BPFDEV_READ, 1, 3}};
	char above[64];

	begin(scene);
	assert_int_equal(str_copy(above, sizeof above, scene->cgroup), 0);
	*strrchr(above, '/') = '\0';
	assert_int_equal(bpfdev_attach(above, null_only, 1, NULL), 0);
	attach(scene, bpfdev_usual, bpfdev_usual_count);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 3, O_RDONLY), 0);
	assert_int_equal(try_open(scene, S_IFCHR, 1, 5, O_RDONLY), EPERM);
}

static void rules_are_compared_as_the_program_does(void **state)
{
	const struct bpfdev_rule pts = {BPFDEV_CHAR, BPFDEV_READ, 136, 77}, disk = {BPFDEV_BLOCK, BPFDEV_READ, 8, 0};
	const struct bpfdev_rule made = {BPFDEV_CHAR, BPFDEV_READ | BPFDEV_MKNOD, 136, 77};

	(void)state;
	assert_true(bpfdev_allows(bpfdev_usual, bpfdev_usual_count, &pts));
	assert_false(bpfdev_allows(bpfdev_usual, bpfdev_usual_count, &made));
	assert_false(bpfdev_allows(bpfdev_usual, bpfdev_usual_count, &disk));
}

static void names_that_are_none_are_refused(void **state)
{
	(void)state;
	assert_int_equal(bpfdev_attach("", NULL, 0, NULL), -EINVAL);
	assert_int_equal(bpfdev_attach("../x", NULL, 0, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(usual_devices_work_and_no_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(access_is_what_the_rule_says, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_program_is_taken_and_a_fuller_one_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_program_is_exchanged_at_one_stroke, set_up, tear_down),
		cmocka_unit_test_setup_teardown(groups_above_hold_as_well, set_up, tear_down),
		cmocka_unit_test(rules_are_compared_as_the_program_does),
		cmocka_unit_test(names_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
