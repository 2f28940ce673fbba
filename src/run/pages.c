/* Memory in criu's images: pages that were copied beforehand are brought together with those of the dump. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <src/run/criu.pb-c.h> /* made by protoc-c in the build folder */

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "pages.h"

/* A pagemap-*.img (criu's images/pagemap.proto, criu/pagemap.c): two magic numbers, then records with their sizes before them, of
 * which the first names the file of the pages. Those of all records with PRESENT lie in it one behind the other. */
#define MAGIC_SIZE 8
#define MAP_MAX    (256u << 20)
#define NAME_MAX_  64
#define IMAGE_MODE 0644

enum { IN_PARENT = 1, LAZY = 2, PRESENT = 4 };

struct piece {
	uint64_t at; /* address */
	uint64_t pages;
	unsigned flags;
	uint64_t offset; /* in the file of pages */
};

/* One folder's part of what one process, or one shared memory, has. */
struct map {
	struct piece *piece;
	size_t count;
	char *text;  /* the file */
	size_t head; /* bytes of it before the pieces */
	int pages;   /* the other file */
	char pages_name[NAME_MAX_];
};

static void map_clear(struct map *map)
{
	free(map->piece);
	free(map->text);
	if (map->pages >= 0)
		close(map->pages);
	*map = (struct map){.pages = -1};
}

/* The record at *at, without its size; moves on behind it. */
static const uint8_t *next_record(const char *text, size_t len, size_t *at, uint32_t *ret_size)
{
	const uint8_t *record;

	if (len - *at < sizeof(*ret_size))
		return NULL;
	memcpy(ret_size, text + *at, sizeof(*ret_size));
	if (len - *at - sizeof(*ret_size) < *ret_size)
		return NULL;
	record = (const uint8_t *)text + *at + sizeof(*ret_size);
	*at += sizeof(*ret_size) + *ret_size;
	return record;
}

static int add_piece(struct map *map, const CriuPages *pages, uint64_t *offset)
{
	struct piece *more = reallocarray(map->piece, map->count + 1, sizeof(*more));
	struct piece piece = {
		.at = pages->address,
		.pages = pages->has_count ? pages->count : pages->count32,
		.flags = pages->has_flags   ? pages->flags
			 : pages->in_parent ? IN_PARENT
					    : PRESENT, /* criu before 3.0 */
		.offset = *offset,
	};

	if (!more)
		return -ENOMEM;
	map->piece = more;
	map->piece[map->count++] = piece;
	if (piece.flags & PRESENT)
		*offset += piece.pages * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

static int parse(struct map *map, size_t len, int images)
{
	size_t at = MAGIC_SIZE;
	uint64_t offset = 0;
	uint32_t size = 0;
	const uint8_t *record = len < at ? NULL : next_record(map->text, len, &at, &size);
	CriuPagesHead *head = record ? criu_pages_head__unpack(NULL, size, record) : NULL;
	int r = 0;

	if (!head)
		return -EBADMSG;
	map->head = at;
	(void)str_print(map->pages_name, sizeof(map->pages_name), "pages-%u.img", head->pages_id);
	criu_pages_head__free_unpacked(head, NULL);
	while (r == 0 && at < len) {
		record = next_record(map->text, len, &at, &size);
		CriuPages *pages = record ? criu_pages__unpack(NULL, size, record) : NULL;

		r = pages ? add_piece(map, pages, &offset) : -EBADMSG;
		if (pages)
			criu_pages__free_unpacked(pages, NULL);
	}
	if (r < 0)
		return r;
	map->pages = openat(images, map->pages_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return map->pages < 0 && errno != ENOENT ? -errno : 0; /* a process may have none */
}

/* -ENOENT: there is no such map in the folder. */
static int load(int images, const char *name, struct map *ret)
{
	struct map map = {.pages = -1};
	size_t len = 0;
	int r = file_read(images, name, MAP_MAX, &map.text, &len);

	if (r == 0)
		r = parse(&map, len, images);
	if (r < 0)
		map_clear(&map);
	else
		*ret = map;
	return r;
}

static int copy_bytes(int from, uint64_t offset, int to, uint64_t len)
{
	off_t at = (off_t)offset;

	while (len > 0) {
		ssize_t n = copy_file_range(from, &at, to, NULL, len > (1u << 30) ? 1u << 30 : (size_t)len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		len -= (uint64_t)n;
	}
	return 0;
}

static const struct piece *find(const struct map *map, uint64_t address)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t low = 0, high = map->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (map->piece[middle].at + map->piece[middle].pages * page <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->count && map->piece[low].at <= address ? &map->piece[low] : NULL;
}

/* Some pages from the first of the maps, or, where that leaves them to the next, from there. */
static int copy_pages(const struct map *maps, size_t count, uint64_t address, uint64_t pages, int to)
{
	uint64_t size = (uint64_t)sysconf(_SC_PAGESIZE);
	int r = count ? 0 : -ENODATA;

	while (r == 0 && pages > 0) {
		const struct piece *piece = find(maps, address);

		if (!piece)
			return -ENODATA;
		uint64_t skipped = (address - piece->at) / size, some = piece->pages - skipped;

		if (some > pages)
			some = pages;
		if (piece->flags & PRESENT)
			r = maps->pages < 0 ? -ENODATA : copy_bytes(maps->pages, piece->offset + skipped * size, to, some * size);
		else
			r = piece->flags & IN_PARENT ? copy_pages(maps + 1, count - 1, address, some, to) : -ENODATA;
		address += some * size;
		pages -= some;
	}
	return r;
}

static int add_record(struct buf *out, const struct piece *piece)
{
	CriuPages pages = CRIU_PAGES__INIT;
	uint8_t bytes[64];
	unsigned flags = piece->flags & IN_PARENT ? (piece->flags & ~IN_PARENT) | PRESENT : piece->flags;

	if (piece->pages > UINT32_MAX)
		return -EFBIG;
	pages.address = piece->at;
	pages.count32 = (uint32_t)piece->pages;
	pages.has_count = true;
	pages.count = piece->pages;
	pages.has_flags = true;
	pages.flags = flags;
	uint32_t size = (uint32_t)criu_pages__pack(&pages, bytes);

	buf_add_bytes(out, &size, sizeof(size));
	buf_add_bytes(out, bytes, size);
	return 0;
}

/* Both files of maps[0] anew, with the pages of all. */
static int write_whole(int images, const char *name, const struct map *maps, size_t count, uint64_t *bytes)
{
	auto_buf struct buf out = {0};
	auto_close int pages = openat(images, "pages-joined", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* The restore opens it again as the guest's root. */
	int r = pages < 0 || fchmod(pages, IMAGE_MODE) < 0 ? -errno : 0;

	buf_add_bytes(&out, maps->text, maps->head);
	for (size_t i = 0; r == 0 && i < maps->count; i++) {
		const struct piece *piece = &maps->piece[i];

		if (piece->flags & (PRESENT | IN_PARENT))
			r = copy_pages(maps, count, piece->at, piece->pages, pages);
		if (piece->flags & IN_PARENT)
			*bytes += piece->pages * (uint64_t)sysconf(_SC_PAGESIZE);
		if (r == 0)
			r = add_record(&out, piece);
	}
	if (r == 0 && out.failed)
		r = -ENOMEM;
	if (r == 0 && renameat(images, "pages-joined", images, maps->pages_name) < 0)
		r = -errno;
	if (r == 0)
		r = file_replace_quick(images, name, out.data, out.len, IMAGE_MODE, NULL);
	if (r < 0)
		(void)unlinkat(images, "pages-joined", 0);
	return r;
}

static bool leaves_some(const struct map *map)
{
	for (size_t i = 0; i < map->count; i++)
		if (map->piece[i].flags & IN_PARENT)
			return true;
	return false;
}

static int join_one(int images, const int *before, size_t count, const char *name, uint64_t *bytes)
{
	struct map *maps = calloc(count + 1, sizeof(*maps));
	size_t have = 0;
	int r = maps ? load(images, name, &maps[0]) : -ENOMEM;

	if (r == 0) {
		have = 1;
		if (leaves_some(&maps[0])) {
			for (; r == 0 && have <= count; have += r == 0)
				r = load(before[have - 1], name, &maps[have]);
			if (r == -ENOENT)
				r = 0; /* it was not there that early: what is needed is in those in between */
			if (r == 0)
				r = write_whole(images, name, maps, have, bytes);
		}
	}
	for (size_t i = 0; i < have; i++)
		map_clear(&maps[i]);
	free(maps);
	return r;
}

/* fn on each file whose name begins so. */
static int each_named(int images, const char *prefix, int (*fn)(void *arg, const char *name), void *arg)
{
	int again = openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	auto_closedir DIR *entries = again < 0 ? NULL : fdopendir(again);

	if (!entries) {
		r = -errno;
		if (again >= 0)
			close(again);
		return r;
	}
	for (struct dirent *entry; r == 0 && (entry = readdir(entries));)
		if (str_starts(entry->d_name, prefix))
			r = fn(arg, entry->d_name);
	return r;
}

struct job {
	int images;
	const int *before;
	size_t count;
	uint64_t size;
	struct err *err;
};

static int add_size(void *arg, const char *name)
{
	struct job *job = arg;
	struct stat st;

	if (fstatat(job->images, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	job->size += (uint64_t)st.st_size;
	return 0;
}

int pages_size(int images, uint64_t *ret)
{
	struct job job = {.images = images};
	int r = each_named(images, "pages-", add_size, &job);

	*ret = job.size;
	return r;
}

static int join_named(void *arg, const char *name)
{
	struct job *job = arg;
	int r = join_one(job->images, job->before, job->count, name, &job->size);

	return r < 0 ? err_num(job->err, r, "bring the pages of %s together", name) : 0;
}

int pages_join(int images, const int *before, size_t count, uint64_t *ret_bytes, struct err *err)
{
	struct job job = {.images = images, .before = before, .count = count, .err = err};
	int r = count ? each_named(images, "pagemap-", join_named, &job) : 0;

	*ret_bytes = job.size;
	return r;
}
