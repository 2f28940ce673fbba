/* Tests of src/base/tree.c: trees that were made to harm whoever removes them. */
#include "config.h"

#include <errno.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/clean.h"
#include "scratch.h"

static void touch(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void remove_whole(const struct scratch *scratch)
{
	struct err err = {0};
	int r = file_remove_tree(scratch->fd, "tree", &err);

	if (r < 0)
		err_print(&err, "remove_whole");
	assert_int_equal(r, 0);
	assert_false(exists(scratch->fd, "tree"));
}

static void nothing_there(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};

	assert_int_equal(file_remove_tree(scratch->fd, "none", &err), 0);
	assert_int_equal(file_remove_tree(scratch->fd, "none/below", &err), 0);
	assert_int_equal(file_remove_tree(scratch->fd, "", &err), -EINVAL);
	assert_int_equal(file_remove_tree(scratch->fd, ".", &err), -EINVAL);
	assert_int_equal(file_remove_tree(scratch->fd, "x/..", &err), -EINVAL);
	assert_int_equal(file_remove_tree(AT_FDCWD, "/", &err), -EINVAL);
}

static void all_kinds_of_files(void **state)
{
	struct scratch *scratch = *state;
	auto_close int tree = -1;

	mkdirat(scratch->fd, "tree", 0700);
	tree = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	touch(tree, "file");
	touch(tree, "-rf");
	touch(tree, "line\nbreak");
	assert_int_equal(mkfifoat(tree, "fifo", 0600), 0);
	assert_int_equal(mknodat(tree, "socket", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(symlinkat("/nowhere", tree, "dangling"), 0);
	assert_int_equal(symlinkat(".", tree, "loop"), 0);
	for (int i = 0; i < 300; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "folder%d", i);
		assert_int_equal(mkdirat(tree, name, i % 2 ? 0 : 0700), 0);
	}
	remove_whole(scratch);
	/* A single file, and a path with a slash at its end. */
	touch(scratch->fd, "tree");
	remove_whole(scratch);
	mkdirat(scratch->fd, "tree", 0700);
	assert_int_equal(file_remove_tree(scratch->fd, "tree///", NULL), 0);
	assert_false(exists(scratch->fd, "tree"));
}

static void links_are_not_followed(void **state)
{
	struct scratch *scratch = *state;
	auto_close int tree = -1;
	char up[128];

	mkdirat(scratch->fd, "outside", 0700);
	mkdirat(scratch->fd, "outside/folder", 0700);
	mkdirat(scratch->fd, "tree", 0700);
	tree = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(up, sizeof(up), "%s/outside", scratch->path);
	assert_int_equal(symlinkat(up, tree, "absolute"), 0);
	assert_int_equal(symlinkat("../outside", tree, "relative"), 0);
	remove_whole(scratch);
	assert_true(exists(scratch->fd, "outside/folder"));
	/* The tree itself is a link: the link goes. */
	assert_int_equal(symlinkat("outside", scratch->fd, "tree"), 0);
	remove_whole(scratch);
	assert_true(exists(scratch->fd, "outside/folder"));
}

/* Makes a chain of folders and returns a descriptor of the deepest. */
static int make_chain(int top_fd, int depth)
{
	int fd = openat(top_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "deeper", 0700), 0);
		next = openat(fd, "deeper", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	return fd;
}

static void deep_tree(void **state)
{
	struct scratch *scratch = *state;
	struct rlimit before, few;
	int tree, deepest, status;
	pid_t child;

	mkdirat(scratch->fd, "tree", 0700);
	tree = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	touch(tree, ".up-0"); /* a name that the removal may want for itself */
	mkdirat(tree, ".up-1", 0700);
	deepest = make_chain(tree, 10000);
	touch(deepest, "file");
	close(deepest);
	close(tree);
	/* In a child with few descriptors and little memory. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	child = fork();
	if (child == 0) {
		few = (struct rlimit){.rlim_cur = 60, .rlim_max = before.rlim_max};
		_exit(setrlimit(RLIMIT_NOFILE, &few) < 0 || file_remove_tree(scratch->fd, "tree", NULL) < 0);
	}
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_false(exists(scratch->fd, "tree"));
}

/* Broad below the depth at which folders are moved up. */
static void deep_and_broad(void **state)
{
	struct scratch *scratch = *state;
	auto_close int tree = -1, deep = -1;

	mkdirat(scratch->fd, "tree", 0700);
	tree = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	deep = make_chain(tree, 40);
	for (int i = 0; i < 200; i++) {
		char name[32];
		int fd;

		(void)snprintf(name, sizeof(name), "side%d", i);
		assert_int_equal(mkdirat(deep, name, 0700), 0);
		fd = openat(deep, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(make_chain(fd, 40));
		touch(fd, "file");
		close(fd);
	}
	remove_whole(scratch);
}

static int set_flags(int dir_fd, const char *name, int flags)
{
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -1 : ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static void immutable_files(void **state)
{
	struct scratch *scratch = *state;
	auto_close int tree = -1, deep = -1;

	mkdirat(scratch->fd, "tree", 0700);
	tree = openat(scratch->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	touch(tree, "immutable");
	touch(tree, "append");
	mkdirat(tree, "folder", 0700);
	mkdirat(tree, "folder/sub", 0700);
	touch(tree, "folder/sub/file");
	if (geteuid() || set_flags(tree, "immutable", FS_IMMUTABLE_FL) < 0)
		skip(); /* not root, or a file system without flags */
	assert_int_equal(set_flags(tree, "append", FS_APPEND_FL), 0);
	assert_int_equal(set_flags(tree, "folder/sub", FS_APPEND_FL), 0);
	assert_int_equal(set_flags(tree, "folder", FS_IMMUTABLE_FL), 0);
	deep = make_chain(tree, 70);
	touch(deep, "file");
	assert_int_equal(set_flags(deep, ".", FS_IMMUTABLE_FL), 0);
	assert_int_equal(set_flags(tree, ".", FS_IMMUTABLE_FL), 0);
	remove_whole(scratch);
}

/* In a mount namespace of its own: what is mounted in the tree survives, and the error says so. */
static void mounts_are_not_crossed(void **state)
{
	struct scratch *scratch = *state;
	struct err err = {0};
	int status;
	pid_t child;

	if (geteuid())
		skip();
	assert_int_equal(mkdirat(scratch->fd, "outside", 0700), 0);
	touch(scratch->fd, "outside/precious");
	assert_int_equal(mkdirat(scratch->fd, "tree", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "tree/a", 0700), 0);
	assert_int_equal(mkdirat(scratch->fd, "tree/a/mounted", 0700), 0);
	child = fork();
	if (child == 0) {
		if (chdir(scratch->path) < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(100);
		if (mount("outside", "tree/a/mounted", NULL, MS_BIND, NULL) < 0) /* the same st_dev */
			_exit(101);
		if (file_remove_tree(AT_FDCWD, "tree", &err) != -EBUSY || !strstr(err.what, "mounted"))
			_exit(1);
		if (!exists(AT_FDCWD, "tree/a/mounted/precious"))
			_exit(2);
		/* The tree itself is where something is mounted. */
		if (file_remove_tree(AT_FDCWD, "tree/a/mounted", NULL) != -EBUSY || !exists(AT_FDCWD, "outside/precious"))
			_exit(3);
		/* A file mounted on a file. */
		touch(AT_FDCWD, "tree/file");
		if (umount2("tree/a/mounted", 0) < 0 || mount("outside/precious", "tree/file", NULL, MS_BIND, NULL) < 0)
			_exit(102);
		if (file_remove_tree(AT_FDCWD, "tree", NULL) != -EBUSY || !exists(AT_FDCWD, "outside/precious"))
			_exit(4);
		if (umount2("tree/file", 0) < 0)
			_exit(103);
		_exit(file_remove_tree(AT_FDCWD, "tree", NULL) < 0 ? 5 : 0);
	}
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(exists(scratch->fd, "outside/precious"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(nothing_there),          scratch_test(all_kinds_of_files),
		scratch_test(links_are_not_followed), scratch_test(deep_tree),
		scratch_test(deep_and_broad),         scratch_test(immutable_files),
		scratch_test(mounts_are_not_crossed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
