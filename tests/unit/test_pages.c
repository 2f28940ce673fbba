/* Pages of several dumps are brought together: images as criu writes them, of which each page holds its name. */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include <src/run/criu.pb-c.h> /* made by protoc-c in the build folder */

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/run/pages.h"
#include "scratch.h"

#define MAP  "pagemap-7.img"
#define DATA "pages-3.img"
#define BASE UINT64_C(0x7f0000000000)

enum { IN_PARENT = 1, LAZY = 2, PRESENT = 4 };

struct run {
	unsigned first, count, flags; /* in pages from BASE */
};

static const uint8_t magic[8] = {0x19, 0x43, 0x56, 0x54, 0x25, 0x40, 0x08, 0x56};

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void add(struct buf *out, const void *record, size_t size)
{
	uint32_t small = (uint32_t)size;

	buf_add_bytes(out, &small, sizeof(small));
	buf_add_bytes(out, record, size);
}

/* A folder of images with the pages that are PRESENT in runs: each begins with `letter` and its number. */
static int make(const struct scratch *scratch, const char *name, char letter, const struct run *runs, size_t count)
{
	auto_buf struct buf map = {0}, data = {0};
	CriuPagesHead head = CRIU_PAGES_HEAD__INIT;
	uint8_t record[64];
	auto_free char *page = calloc(1, page_size());

	assert_int_equal(mkdirat(scratch->fd, name, 0700), 0);
	int dir = openat(scratch->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	head.pages_id = 3;
	buf_add_bytes(&map, magic, sizeof(magic));
	add(&map, record, criu_pages_head__pack(&head, record));
	for (size_t i = 0; i < count; i++) {
		CriuPages pages = CRIU_PAGES__INIT;

		pages.address = BASE + runs[i].first * page_size();
		pages.count32 = runs[i].count;
		pages.has_flags = true;
		pages.flags = runs[i].flags;
		add(&map, record, criu_pages__pack(&pages, record));
		for (unsigned at = 0; runs[i].flags & PRESENT && at < runs[i].count; at++) {
			(void)str_print(page, page_size(), "%c%u", letter, runs[i].first + at);
			buf_add_bytes(&data, page, page_size());
		}
	}
	assert_int_equal(file_replace_quick(dir, MAP, map.data, map.len, 0600, NULL), 0);
	assert_int_equal(file_replace_quick(dir, DATA, data.data ? data.data : "", data.len, 0600, NULL), 0);
	return dir;
}

/* "a0 b1 " of what is in the images now, in the order of the map; every piece must stand by itself. */
static char *told(int dir)
{
	auto_free char *map = NULL, *data = NULL;
	size_t len = 0, data_len = 0, used = 0;
	struct buf out = {0};
	uint32_t size;

	assert_int_equal(file_read(dir, MAP, 1 << 20, &map, &len), 0);
	assert_int_equal(file_read(dir, DATA, 1 << 24, &data, &data_len), 0);
	assert_memory_equal(map, magic, sizeof(magic));
	memcpy(&size, map + 8, 4);
	for (size_t at = 12 + size; at < len; at += 4 + size) {
		memcpy(&size, map + at, 4);
		CriuPages *pages = criu_pages__unpack(NULL, size, (const uint8_t *)map + at + 4);

		assert_non_null(pages);
		assert_false(pages->flags & IN_PARENT);
		for (unsigned i = 0; pages->flags & PRESENT && i < pages->count32; i++, used += page_size())
			buf_addf(&out, "%s ", data + used);
		criu_pages__free_unpacked(pages, NULL);
	}
	assert_int_equal(used, data_len);
	return buf_take(&out);
}

static void test_three_dumps(void **state)
{
	static const struct run first[] = {{0, 4, PRESENT}, {6, 2, PRESENT | LAZY}};
	static const struct run second[] = {
		{0, 1, IN_PARENT}, {1, 1, PRESENT}, {2, 2, IN_PARENT}, {6, 2, IN_PARENT | LAZY}, {9, 1, PRESENT}};
	static const struct run last[] = {
		{0, 3, IN_PARENT}, {3, 1, PRESENT}, {6, 1, PRESENT}, {7, 1, IN_PARENT | LAZY}, {9, 1, IN_PARENT}};
	auto_close int a = make(*state, "a", 'a', first, 2), b = make(*state, "b", 'b', second, 5),
		       c = make(*state, "c", 'c', last, 5);
	const int before[] = {b, a};
	uint64_t bytes = 0, size = 0;
	struct stat st;

	assert_int_equal(pages_size(c, &size), 0);
	assert_int_equal(size, 2 * page_size());
	assert_int_equal(pages_join(c, before, 2, &bytes, NULL), 0);
	auto_free char *text = told(c);

	assert_string_equal(text, "a0 b1 a2 c3 c6 a7 b9 ");
	assert_int_equal(bytes, 5 * page_size());
	assert_int_equal(fstatat(c, DATA, &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644); /* it is the guest's root who opens it again */
	auto_free char *untouched = told(a);

	assert_string_equal(untouched, "a0 a1 a2 a3 a6 a7 ");
}

/* A process that came between the two copies. */
static void test_without_a_first(void **state)
{
	static const struct run second[] = {{0, 2, PRESENT}}, last[] = {{0, 2, IN_PARENT}, {5, 1, PRESENT}};
	auto_close int b = make(*state, "b", 'b', second, 1), c = make(*state, "c", 'c', last, 2);
	struct scratch *scratch = *state;
	uint64_t bytes = 0;

	assert_int_equal(mkdirat(scratch->fd, "a", 0700), 0);
	auto_close int a = openat(scratch->fd, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const int before[] = {b, a};

	assert_int_equal(pages_join(c, before, 2, &bytes, NULL), 0);
	auto_free char *text = told(c);

	assert_string_equal(text, "b0 b1 c5 ");
}

static void test_lost_pages(void **state)
{
	static const struct run first[] = {{0, 1, PRESENT}}, last[] = {{0, 2, IN_PARENT}};
	auto_close int a = make(*state, "a", 'a', first, 1), c = make(*state, "c", 'c', last, 1);
	uint64_t bytes;
	struct err err = {0};

	assert_int_equal(pages_join(c, &a, 1, &bytes, &err), -ENODATA);
	assert_non_null(strstr(err.what, MAP));
	assert_int_equal(faccessat(c, "pages-joined", F_OK, 0), -1);
}

static void test_broken(void **state)
{
	static const struct run last[] = {{0, 2, IN_PARENT}};
	auto_close int c = make(*state, "c", 'c', last, 1);
	auto_free char *map = NULL;
	size_t len = 0;
	uint64_t bytes;

	assert_int_equal(file_read(c, MAP, 1 << 20, &map, &len), 0);
	for (size_t cut = 1; cut < len; cut++) {
		assert_int_equal(file_replace_quick(c, MAP, map, cut, 0600, NULL), 0);
		int r = pages_join(c, &c, 1, &bytes, NULL);

		assert_true(r == -EBADMSG || (r == 0 && cut == 14)); /* with the head alone: a process without memory */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_three_dumps),
		scratch_test(test_without_a_first),
		scratch_test(test_lost_pages),
		scratch_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
