/* Tests of isle-unpack: archives that try to get out, and one that does not. */
#include "config.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "../../src/base/clean.h"
#include "../../src/base/proc.h"
#include "../../src/base/str.h"
#include "scratch.h"

/* One entry. data: a file's text, a link's target. */
struct item {
	const char *name;
	unsigned type; /* AE_IF*; 0 with data: a hard link */
	const char *data;
	mode_t perm;
	int64_t uid, gid;
	int64_t size; /* beyond data: a hole */
	dev_t device;
	bool capability;
};

static void write_archive(const struct scratch *scratch, const struct item *items, size_t count, bool compressed)
{
	auto_free char *path = str_format("%s/archive", scratch->path);
	struct archive *archive = archive_write_new();

	assert_int_equal(archive_write_set_format_pax(archive), ARCHIVE_OK);
	if (compressed)
		assert_int_equal(archive_write_add_filter_gzip(archive), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(archive, path), ARCHIVE_OK);
	for (size_t i = 0; i < count; i++) {
		struct archive_entry *entry = archive_entry_new();
		const struct item *item = &items[i];
		int64_t left = item->size;

		archive_entry_set_pathname(entry, item->name);
		archive_entry_set_perm(entry, item->perm ? item->perm : 0644);
		archive_entry_set_uid(entry, item->uid);
		archive_entry_set_gid(entry, item->gid);
		archive_entry_set_mtime(entry, 1000000000, 0);
		archive_entry_set_filetype(entry, item->type ? item->type : AE_IFREG);
		if (!item->type)
			archive_entry_set_hardlink(entry, item->data);
		else if (item->type == AE_IFLNK)
			archive_entry_set_symlink(entry, item->data);
		else if (item->type == AE_IFREG)
			archive_entry_set_size(entry, left ? left : (int64_t)strlen(item->data ? item->data : ""));
		if (item->device)
			archive_entry_set_rdev(entry, item->device);
		if (item->capability) {
			/* VFS_CAP_REVISION_2 and cap_net_raw. */
			static const unsigned char value[20] = {1, 0, 0, 2, 0, 0x20};

			archive_entry_xattr_add_entry(entry, "security.capability", value, sizeof(value));
			archive_entry_xattr_add_entry(entry, "trusted.overlay.opaque", "y", 1);
			archive_entry_xattr_add_entry(entry, "user.mark", "y", 1);
		}
		assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
		if (item->type == AE_IFREG && left) {
			static const char zeros[65536];

			for (; left > 0; left -= (int64_t)sizeof(zeros))
				(void)archive_write_data(archive, zeros,
							 left > (int64_t)sizeof(zeros) ? sizeof(zeros) : (size_t)left);
		} else if (item->type == AE_IFREG && item->data) {
			(void)archive_write_data(archive, item->data, strlen(item->data));
		}
		archive_entry_free(entry);
	}
	archive_write_close(archive);
	archive_write_free(archive);
}

/* Unpacks into DIR/root; the error's text or NULL. */
static char *unpack(const struct scratch *scratch, const char *option)
{
	auto_free char *path = str_format("%s/archive", scratch->path);
	auto_free char *root = str_format("%s/root", scratch->path);
	const char *const argv[] = {"./isle-unpack", "--timeout", "60", option ? option : "--max-entries=1000", path, root, NULL};
	const struct proc proc = {.argv = argv, .timeout_ms = 60000};
	struct err err = {0};

	if (geteuid() != 0 || access("./isle-unpack", X_OK) < 0) {
		print_message("needs root and isle-unpack in the working folder\n");
		skip();
	}
	(void)mkdirat(scratch->fd, "root", 0755);
	return proc_run(&proc, &err) < 0 ? strdup(err.what) : NULL; /* caller frees */
}

#define ARCHIVE(scratch, ...)                                                              \
	do {                                                                               \
		const struct item items_[] = {__VA_ARGS__};                                \
		write_archive(scratch, items_, sizeof(items_) / sizeof(items_[0]), false); \
	} while (0)

static void refused(const struct scratch *scratch, const char *entry, const char *why)
{
	auto_free char *text = unpack(scratch, NULL);

	if (!text)
		fail_msg("'%s' was unpacked", entry);
	if (!strstr(text, entry) || !strstr(text, why))
		fail_msg("'%s' is told as: %s", entry, text);
	/* What was begun is the caller's to remove. */
	assert_int_equal(file_remove_tree(scratch->fd, "root", NULL), 0);
}

static bool exists(const struct scratch *scratch, const char *name, struct stat *ret)
{
	struct stat st;

	return fstatat(scratch->fd, name, ret ? ret : &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_text(const struct scratch *scratch, const char *name, const char *text)
{
	auto_free char *got = NULL;

	assert_int_equal(file_read(scratch->fd, name, 4096, &got, NULL), 0);
	assert_string_equal(got, text);
}

static void good_archive(void **state)
{
	struct scratch *scratch = *state;
	struct stat st;
	const struct item items[] = {
		{"./", AE_IFDIR, .perm = 0755},
		{"./usr/bin/", AE_IFDIR, .perm = 0755},
		{"./bin", AE_IFLNK, "usr/bin"},
		{"bin/through-link", AE_IFREG, "link", .perm = 0755},
		{"./root-only", AE_IFREG, "root", .perm = 0600, .uid = 65535, .gid = 65534},
		{"./usr/bin/su", AE_IFREG, "su", .perm = 04755},
		{"usr/bin/ping", AE_IFREG, "ping", .perm = 0755, .capability = true},
		{"hard", 0, "./usr/bin/su"},
		{"dev/null", AE_IFCHR, .device = makedev(1, 3)},
		{"dev/sda", AE_IFBLK, .device = makedev(8, 0)},
		{"run/fifo", AE_IFIFO, .perm = 0622},
		{"etc/mtab", AE_IFLNK, "../proc/self/mounts", .uid = 3},
		{"outward", AE_IFLNK, "../../../../etc"},
		{"twice", AE_IFREG, "first"},
		{"twice", AE_IFREG, "second"},
		{"tmp/", AE_IFDIR, .perm = 01777, .uid = 7},
		{"tmp/x", AE_IFREG, "x"},
	};

	write_archive(scratch, items, sizeof(items) / sizeof(items[0]), true);
	auto_free char *text = unpack(scratch, NULL);

	if (text)
		fail_msg("%s", text);
	assert_text(scratch, "root/usr/bin/through-link", "link");
	assert_text(scratch, "root/root-only", "root");
	assert_true(exists(scratch, "root/root-only", &st));
	assert_int_equal(st.st_uid, 65535);
	assert_int_equal(st.st_gid, 65534);
	assert_int_equal(st.st_mtime, 1000000000);
	assert_true(exists(scratch, "root/usr/bin/su", &st));
	assert_int_equal(st.st_mode & 07777, 04755);
	assert_int_equal(st.st_nlink, 2);
	assert_false(exists(scratch, "root/dev/null", NULL));
	assert_false(exists(scratch, "root/dev/sda", NULL));
	assert_true(exists(scratch, "root/run/fifo", &st));
	assert_true(S_ISFIFO(st.st_mode));
	assert_true(exists(scratch, "root/etc/mtab", &st));
	assert_int_equal(st.st_uid, 3);
	assert_text(scratch, "root/twice", "second");
	assert_true(exists(scratch, "root/tmp", &st));
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_mtime, 1000000000);
	auto_free char *ping = str_format("%s/root/usr/bin/ping", scratch->path);
	char value[32];

	assert_int_equal(getxattr(ping, "security.capability", value, sizeof(value)), 20);
	assert_int_equal(getxattr(ping, "trusted.overlay.opaque", value, sizeof(value)), -1);
	assert_int_equal(getxattr(ping, "user.mark", value, sizeof(value)), -1);
}

static void names_that_lead_out(void **state)
{
	struct scratch *scratch = *state;

	ARCHIVE(scratch, {"../out", AE_IFREG, "x"});
	refused(scratch, "../out", "leads out");
	ARCHIVE(scratch, {"a/../../out", AE_IFREG, "x"});
	refused(scratch, "a/../../out", "leads out");
	ARCHIVE(scratch, {"/../out", AE_IFREG, "x"});
	refused(scratch, "/../out", "absolute");
	ARCHIVE(scratch, {".//../out", AE_IFREG, "x"});
	refused(scratch, ".//../out", "leads out");
	ARCHIVE(scratch, {"a/..", AE_IFDIR});
	refused(scratch, "a/..", "leads out");
	ARCHIVE(scratch, {".", AE_IFLNK, "/"});
	refused(scratch, "", "replace the root");
	ARCHIVE(scratch, {"/srv/file", AE_IFREG, "x"});
	refused(scratch, "/srv/file", "absolute");
	ARCHIVE(scratch, {"/", AE_IFDIR, .perm = 0755});
	refused(scratch, "/", "absolute");
	assert_false(exists(scratch, "out", NULL));
}

static void links_on_the_way(void **state)
{
	struct scratch *scratch = *state;

	mkdirat(scratch->fd, "outside", 0755);
	ARCHIVE(scratch, {"a", AE_IFLNK, "../outside"}, {"a/file", AE_IFREG, "x"});
	refused(scratch, "a/file", "leads out");
	ARCHIVE(scratch, {"a", AE_IFLNK, "/etc"}, {"a/isle-test", AE_IFREG, "x"});
	refused(scratch, "a/isle-test", "leads out");
	ARCHIVE(scratch, {"a", AE_IFLNK, "."}, {"a/a/a/file", AE_IFREG, "x"});
	assert_null(unpack(scratch, NULL));
	assert_int_equal(file_remove_tree(scratch->fd, "root", NULL), 0);
	/* A folder that becomes a link between two entries. */
	ARCHIVE(scratch, {"d/", AE_IFDIR, .perm = 0755}, {"d", AE_IFLNK, "/etc"}, {"d/isle-test", AE_IFREG, "x"});
	refused(scratch, "d", "replace");
	/* A file that is written through a link of its own name. */
	ARCHIVE(scratch, {"f", AE_IFLNK, "/etc/isle-test"}, {"f", AE_IFREG, "inside"});
	assert_null(unpack(scratch, NULL));
	assert_text(scratch, "root/f", "inside");
	assert_int_equal(access("/etc/isle-test", F_OK), -1);
}

static void hard_links_out(void **state)
{
	struct scratch *scratch = *state;

	ARCHIVE(scratch, {"h", 0, "../archive"});
	refused(scratch, "h", "hard link");
	ARCHIVE(scratch, {"h", 0, "/etc/passwd"});
	refused(scratch, "h", "hard link");
	ARCHIVE(scratch, {"file", AE_IFREG, "x"}, {"h", 0, "/file"});
	refused(scratch, "h", "hard link");
	ARCHIVE(scratch, {"h", 0, "etc/passwd"});
	refused(scratch, "h", "No such file");
	ARCHIVE(scratch, {"etc", AE_IFLNK, "/etc"}, {"h", 0, "etc/passwd"});
	refused(scratch, "h", "leads out");
	ARCHIVE(scratch, {"d/", AE_IFDIR, .perm = 0755}, {"h", 0, "d"});
	refused(scratch, "h", "no file");
}

static void devices(void **state)
{
	struct scratch *scratch = *state;

	ARCHIVE(scratch, {"srv/disk", AE_IFBLK, .device = makedev(8, 0)});
	refused(scratch, "srv/disk", "device node");
	ARCHIVE(scratch, {"devious", AE_IFCHR, .device = makedev(1, 1)});
	refused(scratch, "devious", "device node");
}

static void owners(void **state)
{
	struct scratch *scratch = *state;

	ARCHIVE(scratch, {"f", AE_IFREG, "x", .uid = 65536});
	refused(scratch, "f", "65,536");
	ARCHIVE(scratch, {"f", AE_IFREG, "x", .gid = 4294967295});
	refused(scratch, "f", "65,536");
}

static void bombs(void **state)
{
	struct scratch *scratch = *state;
	auto_free char *text = NULL, *entries = NULL, *huge = NULL;
	struct item many[300] = {0};
	char names[300][8];

	const struct item big[] = {{"zeros", AE_IFREG, .size = 64 << 20}};

	write_archive(scratch, big, 1, true);
	text = unpack(scratch, "--max-bytes=16M");
	assert_non_null(text);
	assert_non_null(strstr(text, "larger than allowed"));
	assert_non_null(strstr(text, "zeros"));
	assert_int_equal(file_remove_tree(scratch->fd, "root", NULL), 0);

	/* Several that are each within the bound. */
	const struct item several[] = {{"a", AE_IFREG, .size = 10 << 20}, {"b", AE_IFREG, .size = 10 << 20}};

	write_archive(scratch, several, 2, true);
	huge = unpack(scratch, "--max-bytes=16M");
	assert_non_null(huge);
	assert_non_null(strstr(huge, "'b'"));
	assert_int_equal(file_remove_tree(scratch->fd, "root", NULL), 0);

	for (size_t i = 0; i < 300; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "f%zu", i);
		many[i] = (struct item){names[i], AE_IFREG, "x"};
	}
	write_archive(scratch, many, 300, false);
	entries = unpack(scratch, "--max-entries=200");
	assert_non_null(entries);
	assert_non_null(strstr(entries, "200 entries"));
}

/* An archive that comes to no end, by whoever sends it: it is the time that ends it. */
static void no_end(void **state)
{
	struct scratch *scratch = *state;
	auto_free char *path = str_format("%s/slow", scratch->path);
	char start[512] = {0};

	assert_int_equal(mkfifoat(scratch->fd, "slow", 0600), 0);
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, start, sizeof(start)), sizeof(start));
	assert_int_equal(renameat(scratch->fd, "slow", scratch->fd, "archive"), 0);
	auto_free char *text = unpack(scratch, "--timeout=1");

	assert_non_null(text);
	assert_non_null(strstr(text, "not done after 1 seconds"));
	assert_int_equal(unlinkat(scratch->fd, "archive", 0), 0);
}

static void put_raw(const struct scratch *scratch, const void *data, size_t len)
{
	auto_close int fd = openat(scratch->fd, "archive", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, data, len), len);
}

static void damaged(void **state)
{
	struct scratch *scratch = *state;
	auto_free char *whole = NULL;
	size_t len;
	char noise[4096];

	put_raw(scratch, "", 0);
	free(unpack(scratch, NULL));
	assert_false(exists(scratch, "root/x", NULL));
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)(i * 7919 >> 3);
	put_raw(scratch, noise, sizeof(noise));
	refused(scratch, "", "archive");
	/* Cut anywhere it is an error, never a success. */
	const struct item items[] = {{"one", AE_IFREG, .size = 300000}, {"two", AE_IFREG, "text"}};

	write_archive(scratch, items, 2, true);
	assert_int_equal(file_read(scratch->fd, "archive", 1 << 20, &whole, &len), 0);
	put_raw(scratch, whole, len / 2);
	auto_free char *text = unpack(scratch, NULL);

	assert_non_null(text);
}

static void the_target_must_be_empty(void **state)
{
	struct scratch *scratch = *state;

	assert_int_equal(mkdirat(scratch->fd, "root", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "root/there", 0755), 0);
	ARCHIVE(scratch, {"f", AE_IFREG, "x"});
	refused(scratch, "root", "not empty");
}

static void control_bytes_are_escaped(void **state)
{
	struct scratch *scratch = *state;

	ARCHIVE(scratch, {"a\033[2J\n/../x", AE_IFREG, "x"});
	auto_free char *text = unpack(scratch, NULL);

	assert_non_null(text);
	assert_true(str_printable(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(good_archive),
		scratch_test(names_that_lead_out),
		scratch_test(links_on_the_way),
		scratch_test(hard_links_out),
		scratch_test(devices),
		scratch_test(owners),
		scratch_test(bombs),
		scratch_test(no_end),
		scratch_test(damaged),
		scratch_test(the_target_must_be_empty),
		scratch_test(control_bytes_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
