/* A guest's groups as text and back again, on folders that play groups. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/kernel/cgroup_saved.h"
#include "scratch.h"

#define OWNER 100000
#define USER  101000

static const char *const fresh[][2] = {
	{"cgroup.procs", ""}, {"cgroup.subtree_control", ""}, {"cgroup.type", "domain"}, {"memory.max", "max"}, {"pids.max", "max"},
	{"io.max", ""},
};

static void put(int top, const char *group, const char *file, const char *text)
{
	auto_free char *path = str_format("%s/%s", group, file);

	assert_int_equal(file_replace_quick(top, path, text, strlen(text), 0644, NULL), 0);
}

static void has(int top, const char *group, const char *file, const char *wanted)
{
	auto_free char *path = str_format("%s/%s", group, file);
	auto_free char *text = NULL;

	assert_int_equal(file_read(top, path, 4096, &text, NULL), 0);
	assert_string_equal(text, wanted);
}

static void give(int top, const char *path, uid_t owner)
{
	assert_int_equal(fchownat(top, path, owner, owner, 0), 0);
}

/* As the kernel makes one. */
static void fill(int top, const char *group)
{
	for (size_t i = 0; i < sizeof(fresh) / sizeof(fresh[0]); i++)
		put(top, group, fresh[i][0], fresh[i][1]);
}

static int make(const struct scratch *scratch, const char *name, bool filled)
{
	static const char *const groups[] = {".", "system.slice", "system.slice/web.service", "user.slice"};

	assert_int_equal(mkdirat(scratch->fd, name, 0755), 0);
	int top = openat(scratch->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(top >= 0);
	fill(top, ".");
	for (size_t i = 1; filled && i < sizeof(groups) / sizeof(groups[0]); i++) {
		assert_int_equal(mkdirat(top, groups[i], 0755), 0);
		fill(top, groups[i]);
	}
	return top;
}

static char *saved(int top)
{
	char *text = NULL;

	assert_int_equal(cgroup_saved_read(top, OWNER, &text), 0);
	return text;
}

static void write_back(int top, const char *text, enum cgroup_step step)
{
	char *at = NULL;

	assert_int_equal(cgroup_saved_write(top, text, step, &at), 0);
	assert_null(at);
}

static bool says(const char *text, const char *line)
{
	auto_free char *whole = str_format("%s\n", line);

	return whole && strstr(text, whole);
}

static void test_what_is_noted(void **state)
{
	auto_close int top = make(*state, "one", true);

	put(top, ".", "cgroup.subtree_control", "memory pids\n");
	put(top, ".", "memory.max", "1048576\n"); /* the host's limit: not the guest's business */
	put(top, "system.slice", "cgroup.subtree_control", "memory pids\n");
	put(top, "system.slice/web.service", "memory.max", "4194304\n");
	put(top, "system.slice/web.service", "io.max", "8:0 rbps=1 wbps=max\n8:16 rbps=2 wbps=max\n");
	put(top, "user.slice", "cgroup.type", "threaded\n");
	give(top, "user.slice", USER);
	give(top, "user.slice/cgroup.procs", USER);
	auto_free char *text = saved(top);

	assert_true(str_starts(text, "at /\nhand memory pids\nat /"));
	assert_true(says(text, "at /system.slice/web.service"));
	assert_true(says(text, "set memory.max 4194304"));
	assert_true(says(text, "set io.max 8:0 rbps=1 wbps=max"));
	assert_true(says(text, "set io.max 8:16 rbps=2 wbps=max"));
	assert_true(says(text, "type threaded"));
	assert_true(says(text, "mode 755 101000 101000"));
	assert_true(says(text, "own 101000 101000 644 cgroup.procs"));
	assert_null(strstr(text, "1048576"));
	assert_null(strstr(text, "set pids.max")); /* as a new one has it */
}

static void test_each_thing_in_its_step(void **state)
{
	auto_close int top = make(*state, "two", false);
	static const char text[] = "at /\nhand memory\nat /a\nmode 711 101000 101001\nhand pids\nset pids.max 7\n"
				   "own 101000 101000 640 cgroup.procs\nat /a/b c\nmode 755 0 0\nset memory.max 5\nunheard of\n";
	struct stat st;

	write_back(top, text, CGROUP_MAKE);
	assert_int_equal(fstatat(top, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_uid, 101000);
	assert_int_equal(st.st_gid, 101001);
	fill(top, "a");
	fill(top, "a/b c");
	write_back(top, text, CGROUP_HAND_ON);
	has(top, ".", "cgroup.subtree_control", "+memory");
	has(top, "a", "cgroup.subtree_control", "+pids");
	has(top, "a", "pids.max", "max");
	write_back(top, text, CGROUP_SETTLE);
	has(top, "a", "pids.max", "7ax"); /* no kernel here to make a number of it */
	has(top, "a/b c", "memory.max", "5ax");
	assert_int_equal(fstatat(top, "a/cgroup.procs", &st, 0), 0);
	assert_int_equal(st.st_uid, 101000);
	assert_int_equal(st.st_mode & 07777, 0640);
}

/* What the host that it comes to does not have, and a group that is gone again. */
static void test_passed_over(void **state)
{
	auto_close int top = make(*state, "three", false);

	write_back(top, "at /gone\nset memory.max 5\nat /\nset io.latency 8:0 target=1\nset new.file 1\n", CGROUP_SETTLE);
}

static void test_bad_text(void **state)
{
	static const char *const bad[] = {
		"at ../out\n",         "at out\n",
		"at /../out\n",        "at /a/../../out\n",
		"at /.\nmode\n",       "at /a\nmode x 0 0\n",
		"at /a\nmode 755 0\n", "at /a\nmode 755 0 -\n",
	};
	auto_close int top = make(*state, "four", false);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		auto_free char *at = NULL;

		assert_int_equal(cgroup_saved_write(top, bad[i], CGROUP_MAKE, &at), -EBADMSG);
		assert_non_null(at);
	}
	auto_free char *at = NULL;

	assert_int_equal(cgroup_saved_write(top, "at /a\nown 0 0 644 ../../x\n", CGROUP_SETTLE, &at), -EBADMSG);
	assert_int_equal(faccessat(((const struct scratch *)*state)->fd, "out", F_OK, 0), -1);
}

static void test_attributes(void **state)
{
	static const char bytes[] = {'a', 0, ' ', '\n', (char)0xff};
	auto_close int top = make(*state, "five", true);
	auto_close int group = openat(top, "user.slice", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char got[16];

	if (fsetxattr(group, "user.isle", bytes, sizeof(bytes), 0) < 0 && errno == EOPNOTSUPP)
		skip(); /* a tmpfs of an older kernel */
	auto_free char *text = saved(top);

	assert_true(says(text, "xattr user.isle 6100200aff"));
	assert_int_equal(fremovexattr(group, "user.isle"), 0);
	write_back(top, text, CGROUP_MAKE);
	assert_int_equal(fgetxattr(group, "user.isle", got, sizeof(got)), sizeof(bytes));
	assert_memory_equal(got, bytes, sizeof(bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_what_is_noted), scratch_test(test_each_thing_in_its_step),
		scratch_test(test_passed_over),   scratch_test(test_bad_text),
		scratch_test(test_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
