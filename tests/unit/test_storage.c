/* Tests of src/storage: copies of trees, and roots mounted through a user namespace's ids. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "../../src/base/clean.h"
#include "../../src/base/file.h"
#include "../../src/base/str.h"
#include "../../src/storage/copy.h"
#include "../../src/storage/measure.h"
#include "../../src/storage/overlay.h"
#include "scratch.h"

#define FIRST_ID 700000

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
}

static int make_folder(int dir_fd, const char *name, mode_t mode)
{
	assert_int_equal(mkdirat(dir_fd, name, 0700), 0);
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	return fd;
}

static void put(int dir_fd, const char *name, const char *text, mode_t mode)
{
	auto_close int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static struct stat look(int dir_fd, const char *name)
{
	struct stat st = {0};

	assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void assert_text(int dir_fd, const char *name, const char *text)
{
	auto_free char *got = NULL;

	assert_int_equal(file_read(dir_fd, name, 4096, &got, NULL), 0);
	assert_string_equal(got, text);
}

static char *mount_table(void)
{
	char *text = NULL;

	assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &text, NULL), 0);
	return text;
}

/* A user namespace with a guest's ids, held by a process that sleeps. */
struct userns {
	pid_t pid;
	int fd;
};

static struct userns userns_make(void)
{
	struct userns userns;
	char path[64], map[64];
	int ready[2];

	assert_int_equal(pipe(ready), 0);
	userns.pid = fork();
	assert_true(userns.pid >= 0);
	if (userns.pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	char byte;

	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	(void)str_print(map, sizeof(map), "0 %d 65536\n", FIRST_ID);
	(void)str_print(path, sizeof(path), "/proc/%d/uid_map", userns.pid);
	assert_int_equal(file_poke(AT_FDCWD, path, map), 0);
	(void)str_print(path, sizeof(path), "/proc/%d/gid_map", userns.pid);
	assert_int_equal(file_poke(AT_FDCWD, path, map), 0);
	(void)str_print(path, sizeof(path), "/proc/%d/ns/user", userns.pid);
	userns.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(userns.fd >= 0);
	return userns;
}

static void userns_end(struct userns *userns)
{
	close(userns->fd);
	kill(userns->pid, SIGKILL);
	waitpid(userns->pid, NULL, 0);
}

/* Runs fn(root) in a child that is root of the user namespace; its return value is the exit status. */
static int as_guest(const struct userns *userns, int root_fd, int (*fn)(int root_fd))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (setns(userns->fd, CLONE_NEWUSER) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
			_exit(100);
		_exit(fn(root_fd));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* images/ and guest/ in the scratch folder, the image with a little system. */
struct place {
	int image_fd, guest_fd;
	struct storage_place place;
};

static struct place place_make(const struct scratch *scratch, const struct storage *storage)
{
	struct place place = {.image_fd = make_folder(scratch->fd, "image", 0700),
			      .guest_fd = make_folder(scratch->fd, "guest", 0700)};
	auto_close int rootfs = make_folder(place.image_fd, "rootfs", 0755);
	auto_close int etc = make_folder(rootfs, "etc", 0755);

	put(etc, "hostname", "image\n", 0644);
	put(etc, "shadow", "secret\n", 0600);
	assert_int_equal(storage->clone(place.guest_fd, place.image_fd, NULL), 0);
	place.place = (struct storage_place){
		.guest_fd = place.guest_fd, .image_fd = place.image_fd, .guest_path = scratch->path, .image_path = scratch->path};
	return place;
}

static void place_end(struct place *place)
{
	close(place->image_fd);
	close(place->guest_fd);
}

static void copy_keeps_everything(void **state)
{
	struct scratch *scratch = *state;
	const struct timespec times[2] = {{1000000000, 5}, {1100000000, 7}};
	char value[8] = "";

	need_root();
	auto_close int src = make_folder(scratch->fd, "from", 0700);
	auto_close int dst = make_folder(scratch->fd, "to", 0700);
	auto_close int tree = make_folder(src, "rootfs", 0751);
	auto_close int sub = make_folder(tree, "sub", 01777);

	put(tree, "one", "text", 0640);
	assert_int_equal(fchownat(tree, "one", 12, 34, 0), 0);
	assert_int_equal(linkat(tree, "one", sub, "two", 0), 0);
	put(tree, "suid", "x", 0600);
	assert_int_equal(fchownat(tree, "suid", 5, 6, 0), 0);
	assert_int_equal(fchmodat(tree, "suid", 06755, 0), 0);
	put(tree, "empty", "", 0);
	assert_int_equal(symlinkat("/etc/passwd", tree, "link"), 0);
	assert_int_equal(fchownat(tree, "link", 77, 78, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(mkfifoat(tree, "fifo", 0600), 0);
	assert_int_equal(fchmodat(tree, "fifo", 0622, 0), 0);
	assert_int_equal(mknodat(tree, "null", S_IFCHR | 0666, makedev(1, 3)), 0);
	auto_close int sparse = openat(tree, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(ftruncate(sparse, 64 << 20), 0);
	assert_int_equal(pwrite(sparse, "end", 3, (48 << 20)), 3);
	auto_close int one = openat(tree, "one", O_RDONLY | O_CLOEXEC);
	bool has_xattr = fsetxattr(one, "user.mark", "yes", 3, 0) == 0;

	assert_int_equal(futimens(one, times), 0);
	assert_int_equal(futimens(sub, times), 0);
	assert_int_equal(copy_tree(src, dst, "rootfs", NULL), 0);

	auto_close int copy = openat(dst, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st = look(copy, "one");

	assert_int_equal(look(dst, "rootfs").st_mode & 07777, 0751);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_sec, 1100000000);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
	assert_int_equal(st.st_ino, look(copy, "sub/two").st_ino);
	assert_int_not_equal(st.st_ino, look(tree, "one").st_ino);
	assert_text(copy, "sub/two", "text");
	assert_int_equal(look(copy, "sub").st_mode & 07777, 01777);
	assert_int_equal(look(copy, "sub").st_mtim.tv_sec, 1100000000);
	assert_int_equal(look(copy, "suid").st_mode & 07777, 06755);
	assert_int_equal(look(copy, "empty").st_mode & 07777, 0);
	assert_true(S_ISLNK(look(copy, "link").st_mode));
	assert_int_equal(look(copy, "link").st_uid, 77);
	assert_true(S_ISFIFO(look(copy, "fifo").st_mode));
	assert_int_equal(look(copy, "fifo").st_mode & 07777, 0622);
	assert_int_equal(fstatat(copy, "null", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(look(copy, "sparse").st_size, 64 << 20);
	assert_true(look(copy, "sparse").st_blocks < 1024);
	auto_close int sparse_copy = openat(copy, "sparse", O_RDONLY | O_CLOEXEC);

	assert_int_equal(pread(sparse_copy, value, 3, 48 << 20), 3);
	assert_memory_equal(value, "end", 3);
	if (has_xattr) {
		auto_close int one_copy = openat(copy, "one", O_RDONLY | O_CLOEXEC);

		assert_int_equal(fgetxattr(one_copy, "user.mark", value, sizeof(value)), 3);
	}
	/* A second copy does not mix with the first. */
	assert_int_equal(copy_tree(src, dst, "rootfs", NULL), -EEXIST);
}

static void usage_counts_links_once(void **state)
{
	struct scratch *scratch = *state;
	auto_close int tree = make_folder(scratch->fd, "rootfs", 0755);
	char block[65536] = "x";
	uint64_t once = 0, twice = 0;
	auto_close int fd = openat(tree, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(measure_folder(scratch->fd, "rootfs", &once, NULL), 0);
	assert_true(once >= sizeof(block));
	assert_int_equal(linkat(tree, "file", tree, "again", 0), 0);
	assert_int_equal(measure_folder(scratch->fd, "rootfs", &twice, NULL), 0);
	assert_true(twice < once + sizeof(block));
	assert_int_equal(measure_folder(scratch->fd, "none", &twice, NULL), -ENOENT);
}

static void a_bottomless_tree_is_refused(void **state)
{
	struct scratch *scratch = *state;
	auto_close int dst = make_folder(scratch->fd, "to", 0700);
	int fd = make_folder(scratch->fd, "rootfs", 0755);
	struct err err = {0};

	for (int i = 0; i < 600; i++) {
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(copy_tree(scratch->fd, dst, "rootfs", &err), -ELOOP);
	assert_non_null(strstr(err.what, "deep"));
}

/* What every storage owes its guests. */
static int write_as_guest(int root_fd)
{
	struct stat st;

	if (fstatat(root_fd, "etc/hostname", &st, 0) < 0 || st.st_uid != 0 || st.st_gid != 0)
		return 1;
	int fd = openat(root_fd, "etc/hostname", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, "guest\n", 6) != 6)
		return 2;
	close(fd);
	if (unlinkat(root_fd, "etc/shadow", 0) < 0)
		return 3;
	if (mkdirat(root_fd, "made", 0755) < 0 || fchownat(root_fd, "made", 1000, 1000, 0) < 0)
		return 4;
	/* Ids beyond the guest's have no place in it. */
	if (fchownat(root_fd, "made", 65536, 0, 0) == 0)
		return 5;
	if (mknodat(root_fd, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
		return 6;
	return 0;
}

typedef int mount_fn(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err);

/* A copy has what the guest has, and goes its own way. */
static void check_copy(const struct scratch *scratch, const struct storage *storage, mount_fn *mount_root,
		       const struct place *place, int userns_fd)
{
	auto_free char *path = str_format("%s/copy", scratch->path);
	struct storage_place second = place->place;
	struct err err = {0};
	struct stat st;
	int root_fd = -1;

	assert_int_equal(mkdir(path, 0700), 0);
	second.guest_path = path;
	second.guest_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(storage->copy(place->guest_fd, second.guest_fd, false, &err), 0);
	assert_int_equal(mount_root(&second, userns_fd, &root_fd, &err), 0);
	assert_text(root_fd, "etc/hostname", "guest\n");
	assert_int_equal(fstatat(root_fd, "etc/shadow", &st, 0), -1);
	assert_int_equal(look(root_fd, "etc/hostname").st_uid, FIRST_ID);
	close(root_fd);
	assert_int_equal(storage->copy(place->guest_fd, second.guest_fd, false, &err), -EEXIST);
	assert_int_equal(storage->copy(place->guest_fd, second.guest_fd, true, &err), -EEXIST);
	close(second.guest_fd);
	assert_int_equal(file_remove_tree(AT_FDCWD, path, NULL), 0);
}

static void check_mapped(const struct scratch *scratch, const struct storage *storage, mount_fn *mount_root, const char *files)
{
	need_root();
	struct place place = place_make(scratch, storage);
	struct userns userns = userns_make();
	auto_free char *before = mount_table();
	struct err err = {0};
	int root_fd = -1;
	struct stat st;
	int r = mount_root(&place.place, userns.fd, &root_fd, &err);

	if (r < 0)
		err_print(&err, "mount");
	assert_int_equal(r, 0);
	auto_free char *after = mount_table();

	assert_string_equal(before, after);
	assert_int_equal(look(root_fd, "etc/hostname").st_uid, FIRST_ID);
	assert_int_equal(fstat(root_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(as_guest(&userns, root_fd, write_as_guest), 0);

	/* On disk ids are the guest's own, and the image is as it was. */
	auto_close int files_fd = openat(place.guest_fd, files, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_text(files_fd, "etc/hostname", "guest\n");
	assert_int_equal(look(files_fd, "etc/hostname").st_uid, 0);
	assert_int_equal(look(files_fd, "made").st_uid, 1000);
	assert_text(place.image_fd, "rootfs/etc/hostname", "image\n");
	assert_text(place.image_fd, "rootfs/etc/shadow", "secret\n");
	assert_int_equal(fstatat(root_fd, "etc/shadow", &st, 0), -1);
	close(root_fd);
	/* What was written is there at the next mount. */
	assert_int_equal(mount_root(&place.place, userns.fd, &root_fd, &err), 0);
	assert_text(root_fd, "etc/hostname", "guest\n");
	assert_int_equal(fstatat(root_fd, "etc/shadow", &st, 0), -1);
	close(root_fd);
	check_copy(scratch, storage, mount_root, &place, userns.fd);
	userns_end(&userns);
	place_end(&place);
}

static void dir_is_mapped(void **state)
{
	check_mapped(*state, &storage_dir, storage_dir.mount, "rootfs");
}

static void need_overlay(const struct scratch *scratch)
{
	need_root();
	struct err err = {0};

	if (storage_overlay.usable(scratch->fd, &err) < 0) {
		print_message("no overlay here: %s\n", err.what);
		skip();
	}
}

static void overlay_is_mapped(void **state)
{
	need_overlay(*state);
	check_mapped(*state, &storage_overlay, storage_overlay.mount, "upper");
}

static void overlay_by_path(void **state)
{
	need_overlay(*state);
	check_mapped(*state, &storage_overlay, overlay_mount_by_path, "upper");
}

static void overlay_by_descriptor(void **state)
{
	struct scratch *scratch = *state;

	need_overlay(scratch);
	struct place place = place_make(scratch, &storage_overlay);
	int root_fd = -1;
	int r = overlay_mount_by_fd(&place.place, -1, &root_fd, NULL);

	place_end(&place);
	if (r < 0) {
		print_message("this kernel takes no layers by descriptor\n");
		skip();
	}
	close(root_fd);
	assert_int_equal(file_remove_tree(scratch->fd, "image", NULL), 0);
	assert_int_equal(file_remove_tree(scratch->fd, "guest", NULL), 0);
	check_mapped(scratch, &storage_overlay, overlay_mount_by_fd, "upper");
}

static void overlay_without_map(void **state)
{
	struct scratch *scratch = *state;

	need_overlay(scratch);
	struct place place = place_make(scratch, &storage_overlay);
	auto_close int root_fd = -1;

	assert_int_equal(storage_overlay.mount(&place.place, -1, &root_fd, NULL), 0);
	assert_int_equal(look(root_fd, "etc/hostname").st_uid, 0);
	put(root_fd, "file", "x", 0600);
	assert_int_equal(look(place.guest_fd, "upper/file").st_uid, 0);
	place_end(&place);
}

static void overlay_has_no_image(void **state)
{
	struct scratch *scratch = *state;

	need_overlay(scratch);
	struct place place = place_make(scratch, &storage_overlay);
	int root_fd = -1;
	struct err err = {0};

	close(place.image_fd);
	place.place.image_fd = -1;
	assert_true(storage_overlay.mount(&place.place, -1, &root_fd, &err) < 0);
	assert_non_null(strstr(err.what, "image"));
	close(place.guest_fd);
}

/* A stop and a start right behind it: the old mount lets go a moment later. */
static void overlay_waits_for_the_one_before(void **state)
{
	struct scratch *scratch = *state;

	need_overlay(scratch);
	struct place place = place_make(scratch, &storage_overlay);
	int root_fd = -1, ready[2];
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();

	if (pid == 0) {
		if (storage_overlay.mount(&place.place, -1, &root_fd, NULL) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(storage_overlay.mount(&place.place, -1, &root_fd, NULL), 0);
	close(root_fd);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
	place_end(&place);
}

static void probing_leaves_nothing(void **state)
{
	struct scratch *scratch = *state;
	int count = 0;

	need_root();
	auto_free char *before = mount_table();

	(void)storage_best(scratch->fd, NULL);
	auto_free char *after = mount_table();
	auto_closedir DIR *dir = opendir(scratch->path);

	while (readdir(dir))
		count++;
	assert_int_equal(count, 2);
	assert_string_equal(before, after);
}

static int trials, trial_result;

static int count_trial(int dir_fd, struct err *err)
{
	(void)dir_fd;
	(void)err;
	trials++;
	return trial_result;
}

static void trial_is_made_once_a_boot(void **state)
{
	struct scratch *scratch = *state;
	const struct storage fake = {.name = "fake", .usable = count_trial};
	auto_free char *note = str_format("%s/storage-fake", scratch->path);
	static const char other_boot[] = "fake on 0 in boot 00000000-0000-0000-0000-000000000000\n";

	trials = 0;
	trial_result = -EOPNOTSUPP;
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(storage_try(&fake, scratch->fd, scratch->path, NULL), -EOPNOTSUPP);
		assert_int_equal(trials, i);
		assert_int_equal(access(note, F_OK), -1);
	}
	trial_result = 0;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(storage_try(&fake, scratch->fd, scratch->path, NULL), 0);
		assert_int_equal(trials, 3);
	}
	/* What another boot found, or half a note, counts for nothing. */
	assert_int_equal(file_replace_quick(AT_FDCWD, note, other_boot, strlen(other_boot), 0600, NULL), 0);
	assert_int_equal(storage_try(&fake, scratch->fd, scratch->path, NULL), 0);
	assert_int_equal(trials, 4);
	assert_int_equal(truncate(note, 7), 0);
	assert_int_equal(storage_try(&fake, scratch->fd, scratch->path, NULL), 0);
	assert_int_equal(trials, 5);
	assert_int_equal(storage_try(&fake, scratch->fd, NULL, NULL), 0);
	assert_int_equal(trials, 6);
	assert_int_equal(unlink(note), 0);
}

static void names(void **state)
{
	(void)state;
	assert_ptr_equal(storage_find("dir"), &storage_dir);
	assert_ptr_equal(storage_find("overlay"), &storage_overlay);
	assert_null(storage_find("lvm"));
	assert_null(storage_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(copy_keeps_everything),
		scratch_test(usage_counts_links_once),
		scratch_test(a_bottomless_tree_is_refused),
		scratch_test(dir_is_mapped),
		scratch_test(overlay_is_mapped),
		scratch_test(overlay_by_path),
		scratch_test(overlay_by_descriptor),
		scratch_test(overlay_without_map),
		scratch_test(overlay_has_no_image),
		scratch_test(overlay_waits_for_the_one_before),
		scratch_test(probing_leaves_nothing),
		scratch_test(trial_is_made_once_a_boot),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
