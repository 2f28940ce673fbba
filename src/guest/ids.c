/* Id ranges: each guest's own 65,536 host ids, taken once and never shared. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "ids_table.h"
#include "store.h"

static void take_span(struct ids_table *taken, uint64_t first, uint64_t count)
{
	if (count == 0 || first > IDS_LAST || first + count <= IDS_FIRST)
		return;
	uint64_t from = first < IDS_FIRST ? IDS_FIRST : first;
	uint64_t to = first + count - 1 > IDS_LAST ? IDS_LAST : first + count - 1;

	for (uint64_t i = (from - IDS_FIRST) / IDS_SPAN; i <= (to - IDS_FIRST) / IDS_SPAN && i < IDS_RANGES; i++)
		taken->bit[i / 8] |= (uint8_t)(1u << (i % 8));
}

void ids_table_add(struct ids_table *taken, char *text, bool subordinate)
{
	for (char *line; (line = strsep(&text, "\n"));) {
		char *field[4] = {NULL};
		uint64_t a, b;

		for (size_t i = 0; i < 4 && line; i++)
			field[i] = strsep(&line, ":");
		if (subordinate && field[2] && str_to_u64(field[1], 0, UINT32_MAX, &a) == 0 &&
		    str_to_u64(field[2], 0, UINT32_MAX, &b) == 0)
			take_span(taken, a, b);
		if (!subordinate && field[3]) {
			if (str_to_u64(field[2], 0, UINT32_MAX, &a) == 0)
				take_span(taken, a, 1);
			if (str_to_u64(field[3], 0, UINT32_MAX, &b) == 0)
				take_span(taken, b, 1);
		}
	}
}

static int read_table(const char *path, bool subordinate, struct ids_table *taken, struct err *err)
{
	auto_free char *text = NULL;
	int r = file_read(AT_FDCWD, path, 16 << 20, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? 0 : err_num(err, r, "read %s", path);
	ids_table_add(taken, text, subordinate);
	return 0;
}

int store_ids_take(const struct store *store, const char *guest_id, uint64_t *ret, struct err *err)
{
	struct ids_table taken = {0};
	int r = read_table("/etc/subuid", true, &taken, err);
	if (r == 0)
		r = read_table("/etc/subgid", true, &taken, err);
	if (r == 0)
		r = read_table("/etc/passwd", false, &taken, err);
	if (r < 0)
		return r;
	auto_close int dir = open(store->ids, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_sys(err, "open %s", store->ids);
	/* Instances that share a host begin at different places, so that their ranges do not meet. */
	uint64_t begin = store->tag[0] ? strtoul(store->tag, NULL, 16) % (IDS_RANGES / 2) + 1024 : 0;

	for (uint64_t n = 0; n < IDS_RANGES; n++) {
		uint64_t i = (begin + n) % IDS_RANGES;
		char name[16];

		if (taken.bit[i / 8] & (1u << (i % 8)))
			continue;
		(void)str_print(name, sizeof(name), "%llu", (unsigned long long)(IDS_FIRST + i * IDS_SPAN));
		if (symlinkat(guest_id, dir, name) == 0) {
			*ret = IDS_FIRST + i * IDS_SPAN;
			return 0;
		}
		if (errno != EEXIST)
			return err_sys(err, "take ids from %s in %s", name, store->ids);
	}
	(void)err_set(err, ERR_FAILED, "find 65,536 free ids for a guest: all %u ranges are taken", IDS_RANGES);
	return err_hint(err, "see %s, /etc/subuid and /etc/passwd", store->ids);
}

int store_ids_claim(const struct store *store, const char *guest_id, uint64_t first, struct err *err)
{
	auto_close int dir = open(store->ids, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[24], owner[64];

	if (dir < 0)
		return err_sys(err, "open %s", store->ids);
	(void)str_print(name, sizeof(name), "%llu", (unsigned long long)first);
	ssize_t len = readlinkat(dir, name, owner, sizeof(owner) - 1);

	if (len < 0 && errno == ENOENT)
		return symlinkat(guest_id, dir, name) < 0 ? err_sys(err, "take ids from %s in %s", name, store->ids) : 0;
	if (len < 0)
		return err_sys(err, "look whose the ids from %s are, in %s", name, store->ids);
	owner[len] = '\0';
	if (strcmp(owner, guest_id) == 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "take its ids from %s: they are another guest's, %s", name, owner);
	return err_hint(err, "isle list --columns name,guest.id,security.ids shows whose");
}

int store_ids_drop(const struct store *store, const char *guest_id, struct err *err)
{
	auto_closedir DIR *dir = opendir(store->ids);
	char owner[64];

	if (!dir)
		return err_sys(err, "read %s", store->ids);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		ssize_t len = readlinkat(dirfd(dir), entry->d_name, owner, sizeof(owner) - 1);

		if (len < 0)
			continue;
		owner[len] = '\0';
		if (!strcmp(owner, guest_id) && unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
			return err_sys(err, "free the ids %s", entry->d_name);
	}
	return 0;
}
