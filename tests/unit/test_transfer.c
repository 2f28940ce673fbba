/* Tests of the stream of files between host and guest: what a hostile end sends. */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/run/transfer_stream.h"
#include "scratch.h"

static void put_raw(struct transfer_stream *stream, unsigned kind, const char *name, uint16_t name_len, const char *link)
{
	struct transfer_header header = {
		.kind = kind, .mode = 0644, .name_len = name_len, .link_len = (uint16_t)(link ? strlen(link) : 0)};

	assert_int_equal(transfer_put(stream, &header, sizeof(header)), 0);
	assert_int_equal(transfer_put(stream, name, name_len), 0);
	if (link)
		assert_int_equal(transfer_put(stream, link, header.link_len), 0);
}

static void put_named(struct transfer_stream *stream, unsigned kind, const char *name)
{
	put_raw(stream, kind, name, (uint16_t)strlen(name), kind == TRANSFER_LINK ? "/etc" : NULL);
}

static void put_chunk(struct transfer_stream *stream, uint32_t len, const char *data)
{
	assert_int_equal(transfer_put(stream, &len, sizeof(len)), 0);
	assert_int_equal(transfer_put(stream, data, strlen(data)), 0);
}

/* What becomes of the bytes that fill() writes when source was asked for, received into the scratch folder's `in`. */
static int received_as(const struct scratch *scratch, const char *source, void (*fill)(struct transfer_stream *), struct err *err)
{
	const char *const sources[] = {source};
	auto_free char *target = str_format("%s/in", scratch->path);
	struct transfer transfer = {
		.sources = sources, .source_count = 1, .target = target, .to_host = true, .owner = -1, .group = -1};
	auto_free struct transfer_stream *stream = calloc(1, sizeof(*stream));
	auto_free char *file = str_format("%s/stream", scratch->path);

	(void)mkdir(target, 0755);
	stream->fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(stream->fd >= 0);
	fill(stream);
	assert_int_equal(transfer_flush(stream), 0);
	assert_int_equal(lseek(stream->fd, 0, SEEK_SET), 0);
	*err = (struct err){0};
	int r = transfer_receive(&transfer, stream->fd, err);

	close(stream->fd);
	return r;
}

/* The same of what is in a folder, where each name may come. */
static int received(const struct scratch *scratch, void (*fill)(struct transfer_stream *), struct err *err)
{
	return received_as(scratch, "/folder/.", fill, err);
}

static void open_folder(struct transfer_stream *stream)
{
	put_named(stream, TRANSFER_FOLDER, "");
}

static void dots(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_FOLDER, "..");
}

static void dot_link(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_LINK, ".");
}

static void slash(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_FILE, "../out");
}

static void absolute(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_LINK, "/etc/x");
}

static void no_name(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_FILE, "");
}

static void cut_name(struct transfer_stream *stream)
{
	open_folder(stream);
	put_raw(stream, TRANSFER_FILE, "a\0b", 3, NULL);
}

static void long_name(struct transfer_stream *stream)
{
	char name[TRANSFER_NAME_SIZE];

	memset(name, 'a', sizeof(name));
	put_raw(stream, TRANSFER_FOLDER, name, sizeof(name), NULL);
}

static void up_too_far(struct transfer_stream *stream)
{
	put_named(stream, TRANSFER_UP, "");
}

static void no_kind(struct transfer_stream *stream)
{
	put_named(stream, 99, "x");
}

static void nameless_below(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_FOLDER, "a");
	put_named(stream, TRANSFER_FOLDER, "");
}

static void deep(struct transfer_stream *stream)
{
	open_folder(stream);
	for (int i = 0; i < 2000; i++)
		put_named(stream, TRANSFER_FOLDER, "d");
}

static void large_chunk(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_FILE, "large");
	put_chunk(stream, TRANSFER_CHUNK + 1, "x");
}

static void refused(void **state)
{
	static void (*const fills[])(struct transfer_stream *) = {dots,    dot_link,       slash,     absolute,
								  no_name, cut_name,       long_name, up_too_far,
								  no_kind, nameless_below, deep,      large_chunk};
	const struct scratch *scratch = *state;

	for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		struct err err;

		assert_true(received(scratch, fills[i], &err) < 0);
		assert_non_null(strstr(err.what, "no list of files"));
		assert_int_not_equal(faccessat(scratch->fd, "out", F_OK, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_not_equal(faccessat(scratch->fd, "in/large", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	}
}

static void through_link(struct transfer_stream *stream)
{
	open_folder(stream);
	put_named(stream, TRANSFER_LINK, "way");
	put_named(stream, TRANSFER_FOLDER, "way");
	put_named(stream, TRANSFER_FILE, "isle-test-out");
}

static void not_through_links(void **state)
{
	struct err err;

	assert_true(received(*state, through_link, &err) < 0);
	assert_int_not_equal(access("/etc/isle-test-out", F_OK), 0);
}

static void cut_file(struct transfer_stream *stream)
{
	uint32_t cut = TRANSFER_CUT;

	open_folder(stream);
	put_named(stream, TRANSFER_FILE, "half");
	put_chunk(stream, 1, "x");
	assert_int_equal(transfer_put(stream, &cut, sizeof(cut)), 0);
}

static void half_header(struct transfer_stream *stream)
{
	assert_int_equal(transfer_put(stream, "abc", 3), 0);
}

static void halves_leave_nothing(void **state)
{
	auto_free char *folder = str_format("%s/in", ((const struct scratch *)*state)->path);
	struct err err;

	assert_int_equal(received(*state, cut_file, &err), -EPIPE);
	assert_int_equal(received(*state, half_header, &err), -EPIPE);
	assert_int_equal(rmdir(folder), 0);
}

static void a_file(struct transfer_stream *stream)
{
	struct transfer_entry entry = {.header = {.kind = TRANSFER_FILE, .mode = 06755}};

	open_folder(stream);
	(void)str_copy(entry.name, sizeof(entry.name), "good");
	assert_int_equal(transfer_put_entry(stream, &entry), 0);
	put_chunk(stream, 3, "abc");
	put_chunk(stream, 0, "");
	put_named(stream, TRANSFER_UP, "");
	put_named(stream, TRANSFER_END, "");
}

static void no_set_id_on_the_host(void **state)
{
	auto_free char *file = str_format("%s/in/good", ((const struct scratch *)*state)->path);
	struct stat st;
	struct err err;

	if (geteuid() != 0)
		skip();
	assert_int_equal(received(*state, a_file, &err), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_size, 3);
}

static void put_text(struct transfer_stream *stream, const char *name)
{
	put_named(stream, TRANSFER_FILE, name);
	put_chunk(stream, 3, "abc");
	put_chunk(stream, 0, "");
}

static void the_one(struct transfer_stream *stream)
{
	put_text(stream, "wanted");
	put_named(stream, TRANSFER_END, "");
}

static void another(struct transfer_stream *stream)
{
	put_text(stream, "unwanted");
	put_named(stream, TRANSFER_END, "");
}

static void one_more(struct transfer_stream *stream)
{
	put_text(stream, "wanted");
	another(stream);
}

static void none(struct transfer_stream *stream)
{
	put_named(stream, TRANSFER_END, "");
}

static void a_link(struct transfer_stream *stream)
{
	put_named(stream, TRANSFER_LINK, "wanted");
	put_named(stream, TRANSFER_END, "");
}

static void its_contents(struct transfer_stream *stream)
{
	put_named(stream, TRANSFER_FOLDER, "");
	put_text(stream, "unwanted");
	put_named(stream, TRANSFER_UP, "");
	put_named(stream, TRANSFER_END, "");
}

static void only_what_was_asked_for(void **state)
{
	static void (*const fills[])(struct transfer_stream *) = {another, one_more, none, a_link, its_contents};
	const struct scratch *scratch = *state;
	struct err err;

	assert_int_equal(received_as(scratch, "/srv/wanted", the_one, &err), 0);
	for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		assert_true(received_as(scratch, "/srv/wanted", fills[i], &err) < 0);
		assert_non_null(strstr(err.what, "no list of files"));
		assert_int_not_equal(faccessat(scratch->fd, "in/unwanted", F_OK, AT_SYMLINK_NOFOLLOW), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(refused),
		scratch_test(not_through_links),
		scratch_test(halves_leave_nothing),
		scratch_test(no_set_id_on_the_host),
		scratch_test(only_what_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
