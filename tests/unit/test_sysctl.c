/* The host's shared limits: how much for how many guests, and the file that raises them at every boot. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../../src/kernel/sysctl.h"
#include "scratch.h"

/* A tree with proc/sys: every limit of the table holds `value`. */
static void make_limits(const struct scratch *scratch, const char *value)
{
	for (size_t i = 0; i < sysctl_count; i++) {
		char path[256];

		(void)snprintf(path, sizeof(path), "%s/proc/sys/%s", scratch->path, sysctl_table[i].name);
		char *name = path + strlen(scratch->path) + strlen("/proc/sys/");

		for (char *at = name; *at; at++)
			if (*at == '.')
				*at = '/';
		for (char *at = path + strlen(scratch->path) + 1; (at = strchr(at, '/')); at++) {
			*at = '\0';
			assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
			*at = '/';
		}
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		assert_true(fd >= 0);
		assert_int_equal(file_write_all(fd, value, strlen(value)), 0);
		close(fd);
	}
}

static void put(const struct scratch *scratch, const char *path, const char *text)
{
	int fd = openat(scratch->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static char *get(const struct scratch *scratch, const char *path)
{
	char *text = NULL;

	assert_int_equal(file_read(scratch->fd, path, 65536, &text, NULL), 0);
	return text;
}

static struct sysctl_change *find(struct sysctl_change *changes, const char *name)
{
	for (size_t i = 0; i < sysctl_count; i++)
		if (!strcmp(changes[i].row->name, name))
			return &changes[i];
	fail_msg("no row %s", name);
	return NULL;
}

static void more_guests_want_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < sysctl_count; i++) {
		const struct sysctl_row *row = &sysctl_table[i];

		assert_true(row->base >= row->least && row->most >= row->base && row->means[0]);
		assert_true(sysctl_wanted(row, 1) <= sysctl_wanted(row, 1000));
		assert_true(sysctl_wanted(row, SYSCTL_GUESTS_MAX) <= row->most);
		assert_true(sysctl_wanted(row, ~0ul) <= row->most);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(row->name, sysctl_table[k].name);
	}
	const struct sysctl_row row = {.base = 100, .each = 7, .most = 1000};

	assert_int_equal(sysctl_wanted(&row, 0), 100);
	assert_int_equal(sysctl_wanted(&row, 10), 170);
	assert_int_equal(sysctl_wanted(&row, 200), 1000);
	assert_int_equal(sysctl_wanted(&row, ~0ul), 1000);
}

static void what_is_low_is_raised(void **state)
{
	const struct scratch *scratch = *state;
	struct sysctl_change *changes;
	struct err err = {0};

	make_limits(scratch, "100\n");
	put(scratch, "proc/sys/fs/aio-max-nr", "99999999999\n");
	assert_int_equal(unlinkat(scratch->fd, "proc/sys/net/netfilter/nf_conntrack_max", 0), 0);
	assert_int_equal(sysctl_look(scratch->path, 50, &changes, &err), 0);
	assert_int_equal(find(changes, "fs.aio-max-nr")->result, SYSCTL_KEPT);
	assert_int_equal(find(changes, "kernel.pty.max")->result, SYSCTL_LOW);
	assert_int_equal(find(changes, "net.netfilter.nf_conntrack_max")->result, SYSCTL_ABSENT);
	/* Looking changes nothing. */
	assert_int_equal(faccessat(scratch->fd, "etc", F_OK, 0), -1);

	assert_int_equal(sysctl_raise(scratch->path, 50, changes, &err), 0);
	assert_int_equal(find(changes, "kernel.pty.max")->result, SYSCTL_RAISED);
	assert_int_equal(find(changes, "kernel.pty.max")->before, 100);
	assert_int_equal(find(changes, "kernel.pty.max")->after, 4096 + 50 * 16);
	char *text = get(scratch, SYSCTL_FILE), *live = get(scratch, "proc/sys/kernel/pty/max"),
	     *kept = get(scratch, "proc/sys/fs/aio-max-nr");

	assert_non_null(strstr(text, "\nkernel.pty.max = 4896\n"));
	assert_null(strstr(text, "aio-max-nr"));
	assert_null(strstr(text, "conntrack"));
	assert_string_equal(live, "4896\n");
	assert_string_equal(kept, "99999999999\n");
	free(text);
	free(live);
	free(kept);
	free(changes);
}

/* Run again: for fewer guests, and after the administrator has raised one by himself. */
static void nothing_is_lowered(void **state)
{
	const struct scratch *scratch = *state;
	struct sysctl_change *changes;
	struct err err = {0};
	struct stat first, second;

	make_limits(scratch, "100\n");
	assert_int_equal(sysctl_look(scratch->path, 1000, &changes, &err), 0);
	assert_int_equal(sysctl_raise(scratch->path, 1000, changes, &err), 0);
	free(changes);
	assert_int_equal(fstatat(scratch->fd, SYSCTL_FILE, &first, 0), 0);
	assert_int_equal(first.st_mode & 07777, 0644);

	assert_int_equal(sysctl_look(scratch->path, 10, &changes, &err), 0);
	for (size_t i = 0; i < sysctl_count; i++)
		assert_int_equal(changes[i].result, SYSCTL_KEPT);
	assert_int_equal(sysctl_raise(scratch->path, 10, changes, &err), 0);
	free(changes);
	assert_int_equal(fstatat(scratch->fd, SYSCTL_FILE, &second, 0), 0);
	assert_int_equal(first.st_ino, second.st_ino); /* not even written anew */

	put(scratch, "proc/sys/kernel/pty/max", "90000\n");
	assert_int_equal(sysctl_look(scratch->path, 10, &changes, &err), 0);
	assert_int_equal(sysctl_raise(scratch->path, 10, changes, &err), 0);
	char *text = get(scratch, SYSCTL_FILE);

	assert_non_null(strstr(text, "\nkernel.pty.max = 90000\n"));
	assert_non_null(strstr(text, "\nfs.aio-max-nr = 1089536\n"));
	free(text);
	free(changes);

	/* The file was for more than what the kernel has now: a boot without it. */
	make_limits(scratch, "100\n");
	assert_int_equal(sysctl_look(scratch->path, 10, &changes, &err), 0);
	assert_int_equal(sysctl_raise(scratch->path, 10, changes, &err), 0);
	text = get(scratch, SYSCTL_FILE);
	assert_non_null(strstr(text, "\nkernel.pty.max = 90000\n"));
	free(text);
	free(changes);
}

static void a_damaged_file_is_replaced(void **state)
{
	const struct scratch *scratch = *state;
	struct sysctl_change *changes;
	struct err err = {0};

	make_limits(scratch, "100\n");
	assert_int_equal(mkdirat(scratch->fd, "etc", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "etc/sysctl.d", 0755), 0);
	put(scratch, SYSCTL_FILE, "kernel.pty.max\n =\nkernel.pty.max = many\nkernel.pty.maximum = 7\n-fs.nr_open=2000000");
	assert_int_equal(sysctl_look(scratch->path, 1, &changes, &err), 0);
	assert_int_equal(find(changes, "kernel.pty.max")->filed, 0);
	assert_int_equal(find(changes, "fs.nr_open")->filed, 2000000);
	assert_int_equal(sysctl_raise(scratch->path, 1, changes, &err), 0);
	char *text = get(scratch, SYSCTL_FILE);

	assert_non_null(strstr(text, "\nkernel.pty.max = 4112\n"));
	assert_non_null(strstr(text, "\nfs.nr_open = 2000000\n"));
	assert_null(strstr(text, "many"));
	free(text);
	free(changes);
}

static void what_is_refused_is_named_and_not_filed(void **state)
{
	const struct scratch *scratch = *state;
	struct sysctl_change *changes;
	struct err err = {0};
	char path[128];

	if (geteuid() != 0)
		skip();
	make_limits(scratch, "100\n");
	(void)snprintf(path, sizeof(path), "%s/proc/sys/kernel/pty", scratch->path);
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount(path, path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL), 0);
	int r = sysctl_look(scratch->path, 1, &changes, &err);

	if (r == 0)
		r = sysctl_raise(scratch->path, 1, changes, &err);
	assert_int_equal(umount(path), 0);
	assert_int_equal(r, 0);
	assert_int_equal(find(changes, "kernel.pty.max")->result, SYSCTL_REFUSED);
	assert_int_equal(find(changes, "kernel.pty.max")->error, EROFS);
	assert_int_equal(find(changes, "kernel.pid_max")->result, SYSCTL_RAISED);
	char *text = get(scratch, SYSCTL_FILE);

	assert_null(strstr(text, "kernel.pty.max"));
	assert_non_null(strstr(text, "\nkernel.pid_max = 4194304\n"));
	free(text);
	free(changes);
}

/* When the file cannot be written no limit changes. */
static void all_or_nothing(void **state)
{
	const struct scratch *scratch = *state;
	struct sysctl_change *changes;
	struct err err = {0};

	make_limits(scratch, "100\n");
	put(scratch, "etc", "not a folder\n");
	assert_int_equal(sysctl_look(scratch->path, 1, &changes, &err), 0);
	assert_int_equal(sysctl_raise(scratch->path, 1, changes, &err), -ENOTDIR);
	assert_non_null(strstr(err.what, "etc"));
	char *live = get(scratch, "proc/sys/kernel/pty/max");

	assert_string_equal(live, "100\n");
	free(live);
	free(changes);
	assert_int_equal(sysctl_look("/nonexistent", 1, &changes, &err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_guests_want_more),
		cmocka_unit_test_setup_teardown(what_is_low_is_raised, scratch_open, scratch_close),
		cmocka_unit_test_setup_teardown(nothing_is_lowered, scratch_open, scratch_close),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_replaced, scratch_open, scratch_close),
		cmocka_unit_test_setup_teardown(what_is_refused_is_named_and_not_filed, scratch_open, scratch_close),
		cmocka_unit_test_setup_teardown(all_or_nothing, scratch_open, scratch_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
