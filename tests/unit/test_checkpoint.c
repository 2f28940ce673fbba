/* Checkpoints on disk: the manifest and its signature, ids, the note that a guest sleeps. */
#include "config.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/guest/checkpoint.h"
#include "../../src/guest/checkpoint_pack.h"
#include "../../src/guest/record.h"
#include "scratch.h"

#define GOOD "[guest]\nid = 0123456789abcdef0123456789abcdef\n"

struct place {
	struct store *store;
	struct guest *guest;
	struct checkpoint checkpoint;
	struct checkpoint_place at;
};

static void put(int dir, const char *name, const char *text)
{
	assert_int_equal(file_replace_quick(dir, name, text, strlen(text), 0600, NULL), 0);
}

/* A guest with an unsealed checkpoint of two images. */
static struct place begin(const struct scratch *scratch)
{
	struct place place = {.at = {.parent = -1, .fd = -1}};

	assert_int_equal(store_open(scratch->path, true, &place.store, NULL), 0);
	if (mkdirat(place.store->guests_fd, "web1", 0700) == 0)
		put(place.store->guests_fd, "web1/config", GOOD);
	assert_int_equal(guest_open(place.store, "web1", &place.guest, NULL), 0);
	assert_int_equal(checkpoint_begin(place.guest, NULL, &place.checkpoint, &place.at, NULL), 0);
	put(place.at.fd, CHECKPOINT_IMAGES "/pages-1.img", "pages");
	put(place.at.fd, CHECKPOINT_IMAGES "/pstree.img", "tree");
	put(place.at.fd, CHECKPOINT_IMAGES "/" CHECKPOINT_LOG, "not an image");
	(void)str_copy(place.checkpoint.guest_name, sizeof(place.checkpoint.guest_name), "web1");
	(void)str_copy(place.checkpoint.console, sizeof(place.checkpoint.console), "tty[8803:1a]");
	(void)str_copy(place.checkpoint.init_kind, sizeof(place.checkpoint.init_kind), "systemd");
	place.checkpoint.ids = 524288;
	place.checkpoint.frozen = 205000;
	place.checkpoint.cpu = strdup("fpu sse avx");
	place.checkpoint.mount[0] = strdup("/dev/null");
	place.checkpoint.mount[1] = strdup("/srv/with = and blanks");
	place.checkpoint.mount_count = 2;
	(void)str_copy(place.checkpoint.link[0].inside, 16, "eth0");
	(void)str_copy(place.checkpoint.link[0].mac, 18, "02:00:00:00:00:01");
	place.checkpoint.link_count = 1;
	return place;
}

static struct place sealed(const struct scratch *scratch)
{
	struct place place = begin(scratch);

	assert_int_equal(checkpoint_seal(place.store, place.at.fd, &place.checkpoint, NULL), 0);
	return place;
}

static void end(struct place *place)
{
	checkpoint_place_close(&place->at);
	checkpoint_clear(&place->checkpoint);
	guest_free(place->guest);
	store_free(place->store);
}

static void test_round_trip(void **state)
{
	struct place place = sealed(*state);
	struct checkpoint seen = {0};

	assert_int_equal(place.checkpoint.bytes, strlen("pages") + strlen("tree"));
	assert_int_equal(checkpoint_verify(place.store, place.at.fd, false, &seen, NULL), 0);
	assert_string_equal(seen.id, place.checkpoint.id);
	assert_string_equal(seen.guest_name, "web1");
	assert_string_equal(seen.console, "tty[8803:1a]");
	assert_string_equal(seen.init_kind, "systemd");
	assert_string_equal(seen.image, "");
	assert_string_equal(seen.cpu, "fpu sse avx");
	assert_int_equal(seen.ids, 524288);
	assert_int_equal(seen.frozen, 205000);
	assert_int_equal(seen.bytes, place.checkpoint.bytes);
	assert_int_equal(seen.mount_count, 2);
	assert_string_equal(seen.mount[1], "/srv/with = and blanks");
	assert_int_equal(seen.link_count, 1);
	assert_string_equal(seen.link[0].inside, "eth0");
	assert_string_equal(seen.link[0].mac, "02:00:00:00:00:01");
	checkpoint_clear(&seen);
	end(&place);
}

/* Refused in words that say what, and with trust taken as it is. */
static void refused(const struct place *place, const char *why, bool even_trusted)
{
	struct checkpoint seen = {0};
	struct err err = {0};

	assert_true(checkpoint_verify(place->store, place->at.fd, false, &seen, &err) < 0);
	if (!strstr(err.what, why))
		fail_msg("expected '%s', read '%s'", why, err.what);
	err_clear(&err);
	assert_int_equal(checkpoint_verify(place->store, place->at.fd, true, &seen, NULL) < 0, even_trusted);
	checkpoint_clear(&seen);
}

static void test_image_changed(void **state)
{
	struct place place = sealed(*state);

	put(place.at.fd, CHECKPOINT_IMAGES "/pages-1.img", "pAges");
	refused(&place, "image pages-1.img was changed", false);
	put(place.at.fd, CHECKPOINT_IMAGES "/pages-1.img", "pages and more");
	refused(&place, "image pages-1.img was changed", false);
	assert_int_equal(unlinkat(place.at.fd, CHECKPOINT_IMAGES "/pages-1.img", 0), 0);
	refused(&place, "image pages-1.img", false);
	assert_int_equal(symlinkat("/etc/passwd", place.at.fd, CHECKPOINT_IMAGES "/pages-1.img"), 0);
	refused(&place, "image pages-1.img", false);
	end(&place);
}

/* What criu would read besides: images that nobody signed. */
static void test_image_added(void **state)
{
	struct place place = sealed(*state);

	put(place.at.fd, CHECKPOINT_IMAGES "/core-1.img", "smuggled");
	refused(&place, "an image was put among", false);
	end(&place);
}

static void test_log_may_change(void **state)
{
	struct place place = sealed(*state);
	struct checkpoint seen = {0};

	put(place.at.fd, CHECKPOINT_IMAGES "/" CHECKPOINT_LOG, "another");
	put(place.at.fd, CHECKPOINT_IMAGES "/restore.log", "new");
	put(place.at.fd, CHECKPOINT_IMAGES "/stats-restore", "new");
	assert_int_equal(checkpoint_verify(place.store, place.at.fd, false, &seen, NULL), 0);
	checkpoint_clear(&seen);
	end(&place);
}

static void test_manifest_changed(void **state)
{
	struct place place = sealed(*state);
	auto_free char *text = NULL;

	assert_int_equal(file_read(place.at.fd, "manifest", 1u << 20, &text, NULL), 0);
	char *at = text ? strstr(text, "ids=524288") : NULL;

	if (!at)
		fail_msg("no ids in the manifest");
	else
		at[4] = '6';
	put(place.at.fd, "manifest", text);
	refused(&place, "did not sign", false);
	end(&place);
}

static void test_signature(void **state)
{
	struct place place = sealed(*state);

	put(place.at.fd, "signature", "0000");
	refused(&place, "did not sign", false);
	put(place.at.fd, "signature", "");
	refused(&place, "did not sign", false);
	assert_int_equal(unlinkat(place.at.fd, "signature", 0), 0);
	refused(&place, "did not sign", false);
	end(&place);
}

static void test_another_host(void **state)
{
	struct place place = sealed(*state);
	char key[32];

	memset(key, 'k', sizeof(key));
	assert_int_equal(file_replace_quick(place.store->guests_fd, "../host-key", key, sizeof(key), 0600, NULL), 0);
	refused(&place, "did not sign", false);
	end(&place);
}

static void test_damaged(void **state)
{
	static const char *const texts[] = {
		"",
		"isle-checkpoint=3\n",
		"id=x\n",
		"isle-checkpoint=2\nids=many\n",
		"isle-checkpoint=2\nids=-1\n",
		"isle-checkpoint=2\nids=99999999999999999999999\n",
		"isle-checkpoint=2\nlink=eth0\n",
		"isle-checkpoint=2\nlink=a-name-of-more-than-15-letters 02:00:00:00:00:01\n",
		"isle-checkpoint=2\nid="
		"0123456789012345678901234567890123456789"
		"\n",
	};
	struct place place = sealed(*state);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct checkpoint seen = {0};

		put(place.at.fd, "manifest", texts[i]);
		if (checkpoint_load(place.at.fd, &seen, NULL) == 0)
			fail_msg("taken: %s", texts[i]);
		assert_int_equal(seen.mount_count, 0);
		assert_true(checkpoint_verify(place.store, place.at.fd, true, &seen, NULL) < 0);
	}
	assert_int_equal(unlinkat(place.at.fd, "manifest", 0), 0);
	refused(&place, "manifest", true);
	end(&place);
}

/* More than there is room for. */
static void test_too_many(void **state)
{
	struct place place = sealed(*state);
	struct checkpoint seen = {0};
	auto_buf struct buf text = {0};

	buf_addf(&text, "isle-checkpoint=2\n");
	for (int i = 0; i <= CHECKPOINT_LINKS_MAX; i++)
		buf_addf(&text, "link=eth%d 02:00:00:00:00:01\n", i);
	put(place.at.fd, "manifest", text.data);
	assert_true(checkpoint_load(place.at.fd, &seen, NULL) < 0);
	text.len = 0;
	buf_addf(&text, "isle-checkpoint=2\n");
	for (int i = 0; i <= CHECKPOINT_MOUNTS_MAX; i++)
		buf_addf(&text, "mount=/%d\n", i);
	put(place.at.fd, "manifest", text.data);
	assert_true(checkpoint_load(place.at.fd, &seen, NULL) < 0);
	end(&place);
}

/* In memory: on a disk so many files take seconds. The caller unmounts the folder of images. */
static void fill(const struct place *place, unsigned count)
{
	char name[40];

	if (geteuid() != 0)
		skip();
	assert_int_equal(fchdir(place->at.fd), 0);
	assert_int_equal(mount("none", CHECKPOINT_IMAGES, "tmpfs", 0, NULL), 0);
	auto_close int images = open(CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (unsigned i = 0; i < count; i++) {
		(void)str_print(name, sizeof(name), "ghost-file-%u.img", i);
		int fd = openat(images, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		assert_true(fd >= 0);
		close(fd);
	}
}

/* A guest can hold as many deleted files open as it likes: each is an image. What was sealed can be woken. */
static void test_many_images(void **state)
{
	struct place place = begin(*state);
	struct checkpoint seen = {0};

	fill(&place, 20000);
	assert_int_equal(checkpoint_seal(place.store, place.at.fd, &place.checkpoint, NULL), 0);
	assert_int_equal(checkpoint_verify(place.store, place.at.fd, false, &seen, NULL), 0);
	checkpoint_clear(&seen);
	put(place.at.fd, CHECKPOINT_IMAGES "/core-1.img", "smuggled");
	refused(&place, "an image was put among", false);
	assert_int_equal(umount2(CHECKPOINT_IMAGES, MNT_DETACH), 0);
	end(&place);
}

/* More than is taken again must be refused while the guest can still go on. */
static void test_too_many_images(void **state)
{
	struct place place = begin(*state);
	struct err err = {0};

	fill(&place, CHECKPOINT_IMAGES_MAX + 1);
	assert_true(checkpoint_seal(place.store, place.at.fd, &place.checkpoint, &err) < 0);
	assert_non_null(strstr(err.what, "images"));
	assert_int_equal(umount2(CHECKPOINT_IMAGES, MNT_DETACH), 0);
	end(&place);
}

static void test_place(void **state)
{
	struct place place = sealed(*state);
	char asleep[32], **ids = NULL;
	int fd = -1;

	assert_int_equal(checkpoint_asleep(place.store, "web1", asleep, NULL), 0);
	assert_string_equal(asleep, "");
	assert_int_equal(checkpoint_open(place.guest, place.checkpoint.id, &fd, NULL), -ENOENT);
	assert_int_equal(checkpoint_ids(place.guest, &ids, NULL), 0);
	assert_null(ids[0]);
	store_names_free(ids);
	assert_int_equal(checkpoint_keep(place.guest, &place.checkpoint, &place.at, true, NULL), 0);
	assert_int_equal(checkpoint_asleep(place.store, "web1", asleep, NULL), 0);
	assert_string_equal(asleep, place.checkpoint.id);
	assert_int_equal(checkpoint_ids(place.guest, &ids, NULL), 0);
	assert_string_equal(ids[0], place.checkpoint.id);
	assert_null(ids[1]);
	store_names_free(ids);
	assert_int_equal(checkpoint_open(place.guest, place.checkpoint.id, &fd, NULL), 0);
	close(fd);
	assert_int_equal(checkpoint_delete(place.guest, place.checkpoint.id, NULL), 0);
	assert_int_equal(checkpoint_asleep(place.store, "web1", asleep, NULL), 0);
	assert_string_equal(asleep, "");
	assert_int_equal(faccessat(place.guest->dir_fd, "checkpoints", F_OK, 0), -1);
	end(&place);
}

/* A note that cannot be read is no leave to start it anew. */
static void test_asleep_unknown(void **state)
{
	static const char *const notes[] = {"", "\n/somewhere", "../x", ".hidden", "0123456789012345678901234567890123"};
	struct place place = begin(*state);
	char asleep[32];

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
		put(place.guest->dir_fd, "asleep", notes[i]);
		assert_int_equal(checkpoint_asleep(place.store, "web1", asleep, NULL), -EBADMSG);
		assert_string_equal(asleep, "");
		assert_int_equal(guest_state(place.store, "web1", NULL), STATE_CHECKPOINTED);
	}
	assert_int_equal(unlinkat(place.guest->dir_fd, "asleep", 0), 0);
	assert_int_equal(mkdirat(place.guest->dir_fd, "asleep", 0700), 0);
	assert_int_equal(checkpoint_asleep(place.store, "web1", asleep, NULL), -EISDIR);
	assert_int_equal(unlinkat(place.guest->dir_fd, "asleep", AT_REMOVEDIR), 0);
	assert_int_equal(checkpoint_asleep(place.store, "web1", asleep, NULL), 0);
	assert_int_equal(guest_state(place.store, "web1", NULL), STATE_STOPPED);
	end(&place);
}

static void test_names(void **state)
{
	static const char *const names[] = {"",    ".",      "..",   "../web1",
					    "a/b", ".new-x", "a\nb", "0123456789012345678901234567890123"};
	struct place place = sealed(*state);
	int fd = -1;

	assert_int_equal(checkpoint_keep(place.guest, &place.checkpoint, &place.at, false, NULL), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(checkpoint_open(place.guest, names[i], &fd, NULL), -ENOENT);
	end(&place);
}

static void test_dropped(void **state)
{
	struct place place = sealed(*state);

	checkpoint_drop(place.guest, &place.at);
	assert_int_equal(faccessat(place.guest->dir_fd, "checkpoints", F_OK, 0), -1);
	end(&place);
}

/* What a killed one left under a dot-name goes with the next. */
static void test_swept(void **state)
{
	struct place place = sealed(*state), next;
	auto_free char *left = str_format("checkpoints/.new-%s", place.checkpoint.id);

	end(&place);
	next = begin(*state);
	assert_int_equal(faccessat(next.guest->dir_fd, left, F_OK, 0), -1);
	end(&next);
}

/* More than the buffers of packing and unpacking hold, and an empty one. */
static void test_packed(void **state)
{
	struct place place = begin(*state);
	auto_free char *long_text = calloc(1, 1000001);
	auto_free char *back = NULL;
	size_t len = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < 1000000; i++)
		long_text[i] = (char)('a' + i * i % 23);
	put(place.at.fd, CHECKPOINT_IMAGES "/long.img", long_text);
	put(place.at.fd, CHECKPOINT_IMAGES "/empty.img", "");
	auto_close int images = openat(place.at.fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY);

	assert_int_equal(checkpoint_pack(images, &bytes, NULL), 0);
	assert_int_equal(bytes, 1000000 + strlen("pages") + strlen("tree"));
	assert_int_equal(faccessat(images, "long.img", F_OK, 0), -1);
	assert_int_equal(faccessat(images, CHECKPOINT_LOG, F_OK, 0), 0);
	assert_int_equal(mkdirat(place.at.fd, "out", 0700), 0);
	auto_close int out = openat(place.at.fd, "out", O_RDONLY | O_DIRECTORY);

	assert_true(checkpoint_unpack(images, out, bytes - 1, NULL) < 0);
	assert_int_equal(file_remove_tree(place.at.fd, "out", NULL), 0);
	assert_int_equal(mkdirat(place.at.fd, "out", 0700), 0);
	auto_close int again = openat(place.at.fd, "out", O_RDONLY | O_DIRECTORY);

	assert_int_equal(checkpoint_unpack(images, again, bytes, NULL), 0);
	assert_int_equal(file_read(again, "long.img", 2000000, &back, &len), 0);
	assert_int_equal(len, 1000000);
	assert_memory_equal(back, long_text, len);
	assert_int_equal(faccessat(again, "empty.img", F_OK, 0), 0);
	assert_int_equal(faccessat(again, CHECKPOINT_LOG, F_OK, 0), -1);
	end(&place);
}

/* In a folder of the administrator's: what is refused, and what a killed command leaves. */
static void test_elsewhere(void **state)
{
	struct place place = sealed(*state);
	const struct scratch *scratch = *state;
	auto_free char *open_to_all = str_format("%s/open", scratch->path);
	auto_free char *inside = str_format("%s/guests/web1/here", scratch->path);
	auto_free char *below = str_format("%s/open/here", scratch->path);
	char out[] = "/var/tmp/isle-unit-XXXXXX";
	struct checkpoint checkpoint = {0};
	struct checkpoint_place at;

	assert_int_equal(mkdir(open_to_all, 0700), 0);
	assert_int_equal(chmod(open_to_all, 01777), 0);
	assert_true(checkpoint_begin(place.guest, below, &checkpoint, &at, NULL) < 0);
	assert_true(checkpoint_begin(place.guest, inside, &checkpoint, &at, NULL) < 0);
	assert_int_equal(checkpoint_begin(place.guest, "", &checkpoint, &at, NULL), -EINVAL);
	assert_int_equal(checkpoint_begin(place.guest, "/", &checkpoint, &at, NULL), -EINVAL);
	assert_non_null(mkdtemp(out));
	auto_free char *good = str_format("%s/here", out);
	auto_free char *half = str_format("%s/.new-here", out);

	assert_int_equal(checkpoint_begin(place.guest, good, &checkpoint, &at, NULL), 0);
	assert_int_equal(access(half, F_OK), 0);
	checkpoint_place_close(&at); /* as a kill does */
	checkpoint_sweep(place.guest);
	assert_int_equal(access(half, F_OK), -1);
	assert_int_equal(checkpoint_begin(place.guest, good, &checkpoint, &at, NULL), 0);
	assert_int_equal(checkpoint_keep(place.guest, &checkpoint, &at, true, NULL), 0);
	checkpoint_place_close(&at);
	auto_free char *asleep = checkpoint_asleep_at(place.store, "web1");
	auto_close int fd = -1;

	assert_string_equal(asleep, good);
	assert_int_equal(checkpoint_open_at(good, &fd, NULL), 0);
	assert_int_equal(chmod(good, 0702), 0);
	assert_true(checkpoint_open_at(good, &fd, NULL) < 0);
	assert_int_equal(file_remove_tree(AT_FDCWD, out, NULL), 0);
	end(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_round_trip),     scratch_test(test_image_changed),    scratch_test(test_image_added),
		scratch_test(test_log_may_change), scratch_test(test_manifest_changed), scratch_test(test_signature),
		scratch_test(test_another_host),   scratch_test(test_damaged),          scratch_test(test_too_many),
		scratch_test(test_many_images),    scratch_test(test_too_many_images),  scratch_test(test_place),
		scratch_test(test_names),          scratch_test(test_asleep_unknown),   scratch_test(test_dropped),
		scratch_test(test_swept),          scratch_test(test_packed),           scratch_test(test_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
