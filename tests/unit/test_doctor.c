/* The examination of a host: what it tries leaves nothing, and what is taken away is noticed. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/kernel/doctor.h"

static char dir[] = "/tmp/isle-test-XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	return file_remove_tree(AT_FDCWD, dir, NULL);
}

static int count_entries(const char *path)
{
	DIR *folder = opendir(path);
	int count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

/* How many entries' names begin so; other tests may make theirs beside ours. */
static int count_named(const char *path, const char *prefix)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int count = 0;

	while (folder && (entry = readdir(folder)))
		count += !strncmp(entry->d_name, prefix, strlen(prefix));
	if (folder)
		closedir(folder);
	return count;
}

static const struct host_finding *find(const struct host_finding *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(list[i].name, name))
			return &list[i];
	}
	return NULL;
}

static void findings_are_whole(void **state)
{
	struct host_finding *list;
	size_t count;
	struct err err = {0};
	char group[32];

	assert_int_equal(host_examine(dir, 0, &list, &count, &err), 0);
	assert_true(count > 30);
	for (size_t i = 0; i < count; i++) {
		assert_non_null(list[i].topic);
		assert_true(*list[i].name && *list[i].found);
		assert_in_range(list[i].level, HOST_GOOD, HOST_BAD);
		/* Whatever is not good says what it costs and what to do. */
		assert_true((list[i].level == HOST_GOOD) == (*list[i].means == '\0'));
		assert_true((list[i].level == HOST_GOOD) == (*list[i].fix == '\0'));
	}
	assert_non_null(find(list, count, "version"));
	assert_non_null(find(list, count, "layout"));
	free(list);
	assert_int_equal(count_entries(dir), 2);
	assert_int_equal(count_named("/sys/class/net", "isledoctor"), 0);
	snprintf(group, sizeof(group), "isle-doctor-%d", (int)getpid());
	assert_int_equal(count_named(host_get()->cgroup2, group), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_missing_folder_is_said(void **state)
{
	struct host_finding *list;
	size_t count;

	assert_int_equal(host_examine("/nonexistent/guests", 0, &list, &count, NULL), 0);
	assert_int_equal(find(list, count, "folder of guests")->level, HOST_INFO);
	free(list);
}

/* In a mount namespace of its own: the folder on a tmpfs that no program may run from. */
static int try_noexec(void *arg)
{
	struct host_finding *list;
	size_t count;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", dir, "tmpfs", MS_NOEXEC | MS_NOSUID, "size=1m") < 0)
		return -errno;
	if (host_examine(dir, 0, &list, &count, NULL) < 0)
		return -EIO;
	const struct host_finding *flags = find(list, count, "mount flags"), *room = find(list, count, "free space");
	int rc = flags && flags->level == HOST_BAD && strstr(flags->found, "noexec nosuid") && room->level == HOST_WARN ? 0
															: -EPROTO;

	free(list);
	return rc;
}

static void bad_mount_flags_are_noticed(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(doctor_try(try_noexec, NULL), 0);
}

/* Without CAP_SYS_ADMIN nothing of what guests need can be made. */
static int try_powerless(void *arg)
{
	static const char *const bad[] = {"mount namespace", "pid namespace", "network namespace"};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	struct host_finding *list;
	size_t count;

	if (syscall(SYS_capset, &header, none) < 0 || host_examine(dir, 0, &list, &count, NULL) < 0)
		return -errno;
	int rc = 0;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct host_finding *finding = find(list, count, bad[i]);

		if (!finding || finding->level != HOST_BAD || !*finding->fix)
			rc = -EPROTO;
	}
	free(list);
	return rc;
}

static void lost_capabilities_are_noticed(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(doctor_try(try_powerless, NULL), 0);
}

static int hang(void *arg)
{
	while (pause() < 0 && errno == EINTR)
		;
	return 0;
}

static int die(void *arg)
{
	return raise(SIGKILL);
}

static int answer(void *arg)
{
	return *(int *)arg;
}

static void tries_end(void **state)
{
	int codes[] = {0, -EPERM, -ENOSYS, -EOPNOTSUPP};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		assert_int_equal(doctor_try(answer, &codes[i]), codes[i]);
	assert_int_equal(doctor_try(die, NULL), -EINTR);
	assert_int_equal(doctor_try(hang, NULL), -ETIMEDOUT);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void long_texts_are_cut(void **state)
{
	struct doctor d = {0};
	char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 100; i++)
		doctor_add(&d, &(struct doctor_note){
				       .topic = "t", .name = "n", .level = HOST_BAD, .found = text, .means = text, .fix = text});
	assert_int_equal(d.count, 100);
	assert_int_equal(strlen(d.list[99].found), sizeof(d.list[99].found) - 1);
	assert_int_equal(strlen(d.list[99].fix), sizeof(d.list[99].fix) - 1);
	free(d.list);
}

static void numbers_are_checked(void **state)
{
	long long number = 42;
	char text[8];

	assert_int_equal(doctor_number("/nonexistent", &number), -ENOENT);
	assert_true(doctor_number("/proc/version", &number) < 0);
	assert_int_equal(number, 42);
	assert_int_equal(doctor_number("/proc/sys/kernel/pid_max", &number), 0);
	assert_true(number > 300);
	assert_int_equal(doctor_read("/proc/version", text, sizeof(text)), 0);
	assert_string_equal(text, "Linux v");
	assert_true(doctor_has_program("sh"));
	assert_false(doctor_has_program("no-such-program-at-all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_are_whole),
		cmocka_unit_test(a_missing_folder_is_said),
		cmocka_unit_test(bad_mount_flags_are_noticed),
		cmocka_unit_test(lost_capabilities_are_noticed),
		cmocka_unit_test(tries_end),
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(numbers_are_checked),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
