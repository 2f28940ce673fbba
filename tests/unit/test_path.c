/* Tests of src/base/path.c: links and dots that try to lead out of a root. */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "../../src/base/clean.h"
#include "../../src/base/path.h"
#include "scratch.h"

/* root/ with a folder, escaping links in many forms, and secrets beside it. */
static int make_root(const struct scratch *scratch)
{
	char up[128];
	int root;

	assert_int_equal(mkdirat(scratch->fd, "root", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "outside", 0700), 0);
	assert_int_equal(file_replace_quick(scratch->fd, "secret", "secret", 6, 0600, NULL), 0);
	root = openat(scratch->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	assert_int_equal(mkdirat(root, "folder", 0700), 0);
	(void)snprintf(up, sizeof(up), "%s/secret", scratch->path);
	assert_int_equal(symlinkat(up, root, "absolute"), 0);
	assert_int_equal(symlinkat("../secret", root, "relative"), 0);
	assert_int_equal(symlinkat("../../../../../../../../etc/passwd", root, "folder/high"), 0);
	assert_int_equal(symlinkat("../outside", root, "out"), 0);
	assert_int_equal(symlinkat("/folder", root, "inside"), 0);
	assert_int_equal(symlinkat("/proc/self/fd", root, "magic"), 0);
	assert_int_equal(symlinkat("self", root, "self"), 0);
	return root;
}

static void escapes_fail(void **state)
{
	static const char *const tries[] = {"absolute",   "relative",      "folder/high",         "../secret",
					    "/../secret", "out/../secret", "folder/../../secret", "inside/../../secret",
					    "magic/0"};
	struct scratch *scratch = *state;
	auto_close int root = make_root(scratch);

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		assert_int_equal(path_open_in_root(root, tries[i], O_RDONLY, 0), -ENOENT);
		assert_true(path_open_beneath(root, tries[i], O_RDONLY, 0) < 0);
	}
	assert_int_equal(path_open_in_root(root, "self", O_RDONLY, 0), -ELOOP);
	assert_int_equal(path_open_beneath(root, "inside", O_RDONLY, 0), -ELOOP);
	assert_int_equal(path_open_beneath(root, "/folder", O_RDONLY, 0), -EXDEV);
}

static void links_inside_work(void **state)
{
	struct scratch *scratch = *state;
	auto_close int root = make_root(scratch);
	auto_close int made = path_open_in_root(root, "/inside/new", O_WRONLY | O_CREAT | O_EXCL, 0640);
	auto_close int found = path_open_beneath(root, "folder/new", O_RDONLY, 07777); /* mode without O_CREAT is ignored */

	assert_true(made >= 0);
	assert_true(found >= 0);
	assert_true(fcntl(found, F_GETFD) & FD_CLOEXEC);
	/* O_CREAT through a link that leads out makes the file inside or nowhere. */
	assert_true(path_open_in_root(root, "relative", O_WRONLY | O_CREAT, 0600) >= 0);
	assert_int_equal(faccessat(root, "secret", F_OK, 0), 0);
}

static void make_in_root(void **state)
{
	struct scratch *scratch = *state;
	auto_close int root = make_root(scratch);
	auto_close int deep = -1, again = -1, linked = -1, top = -1;
	mode_t mask = umask(077);
	struct stat st, st2;

	deep = path_make_in_root(root, "//a/b/./c//", 0755);
	umask(mask);
	assert_true(deep >= 0);
	assert_int_equal(fstatat(root, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* whatever the umask is */
	assert_int_equal(fstat(deep, &st2), 0);
	assert_true(st.st_ino == st2.st_ino);
	again = path_make_in_root(root, "a/b/c", 0700);
	assert_true(again >= 0);
	assert_int_equal(fstatat(root, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* what exists stays as it is */

	linked = path_make_in_root(root, "inside/x/../y", 0755);
	assert_true(linked >= 0);
	assert_int_equal(faccessat(root, "folder/y", F_OK, 0), 0);
	top = path_make_in_root(root, "/", 0755);
	assert_true(top >= 0);

	/* A link to a folder that is not there inside, though it is outside: refused, nothing made out there. */
	assert_int_equal(path_make_in_root(root, "out/x", 0755), -ENOENT);
	assert_int_equal(faccessat(scratch->fd, "outside/x", F_OK, 0), -1);
	assert_int_equal(path_make_in_root(root, "../../x", 0755) >= 0, 1);
	assert_int_equal(faccessat(root, "x", F_OK, 0), 0); /* ".." at the root is the root */
	assert_int_equal(file_replace_quick(root, "folder/file", "", 0, 0600, NULL), 0);
	assert_int_equal(path_make_in_root(root, "folder/file/x", 0755), -ENOTDIR);
	assert_int_equal(path_make_in_root(root, "folder/file", 0755), -ENOTDIR);
}

static void join(void **state)
{
	static const struct {
		const char *a, *b, *joined;
	} rows[] = {
		{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a//", "//b", "a/b"}, {"/", "b", "/b"}, {"/", "/", "/"},
		{"", "b", "b"},    {"a", "", "a"},     {"a/", "/", "a"},      {"", "/b", "/b"}, {"a", "b/c/", "a/b/c/"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		auto_free char *joined = path_join(rows[i].a, rows[i].b);

		assert_string_equal(joined, rows[i].joined);
	}
}

static void make_on_host(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/x//y/z/", scratch->path);
	assert_int_equal(path_make(path, 0711, &err), 0);
	assert_int_equal(fstatat(scratch->fd, "x/y/z", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(path_make(path, 0711, &err), 0);
	assert_int_equal(file_replace_quick(scratch->fd, "file", "", 0, 0600, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/file/x", scratch->path);
	assert_int_equal(path_make(path, 0711, &err), -ENOTDIR);
	assert_non_null(strstr(err.what, "/file"));
	err_clear(&err);
	assert_int_equal(symlinkat("nowhere", scratch->fd, "dangling"), 0);
	(void)snprintf(path, sizeof(path), "%s/dangling", scratch->path);
	assert_int_equal(path_make(path, 0711, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(escapes_fail), scratch_test(links_inside_work), scratch_test(make_in_root),
		cmocka_unit_test(join),     scratch_test(make_on_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
