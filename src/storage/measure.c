/* Adds up the blocks of a tree of files. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "measure.h"

#define DEPTH_MAX 200 /* folders open at once; what lies deeper is put off, by its handle */

struct file {
	dev_t dev;
	ino_t ino;
};

struct deep {
	struct deep *next;
	struct file_handle handle; /* the last member: its size is the file system's */
};

struct measure {
	int root;
	uint64_t bytes;
	struct file *seen; /* files with several names; open addressing, ino 0: empty; room is a power of two */
	size_t count, room;
	struct deep *deep;
};

static void measure_end(struct measure *m)
{
	for (struct deep *one; (one = m->deep);) {
		m->deep = one->next;
		free(one);
	}
	free(m->seen);
}
#define auto_measure __attribute__((cleanup(measure_end)))

static struct file *slot_of(struct file *files, size_t room, const struct file *file)
{
	size_t at = (size_t)(str_hash(str_hash(STR_HASH_SEED, &file->ino, sizeof(file->ino)), &file->dev, sizeof(file->dev)) &
			     (room - 1));

	while (files[at].ino && (files[at].ino != file->ino || files[at].dev != file->dev))
		at = (at + 1) & (room - 1);
	return &files[at];
}

static int grow(struct measure *m)
{
	size_t room = m->room ? m->room * 2 : 256;
	struct file *files = calloc(room, sizeof(*files));

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < m->room; i++)
		if (m->seen[i].ino)
			*slot_of(files, room, &m->seen[i]) = m->seen[i];
	free(m->seen);
	m->seen = files;
	m->room = room;
	return 0;
}

/* 1 when it was met before. */
static int meet(struct measure *m, const struct stat *st)
{
	const struct file file = {st->st_dev, st->st_ino};

	if (m->count * 2 >= m->room && grow(m) < 0)
		return -ENOMEM;
	struct file *slot = slot_of(m->seen, m->room, &file);

	if (slot->ino)
		return 1;
	*slot = file;
	m->count++;
	return 0;
}

static int put_off(struct measure *m, int dir, const char *name)
{
	struct deep *one = malloc(sizeof(*one) + MAX_HANDLE_SZ);
	int mount;

	if (!one)
		return -ENOMEM;
	one->handle.handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(dir, name, &one->handle, &mount, 0) < 0) {
		int r = errno == ENOENT || errno == ESTALE ? 0 : -errno;

		free(one);
		return r;
	}
	struct deep *small = realloc(one, sizeof(*one) + one->handle.handle_bytes);

	one = small ? small : one;
	one->next = m->deep;
	m->deep = one;
	return 0;
}

/* A device number of its own has what is mounted there, and a subvolume of btrfs. */
static bool is_mount(int dir, const char *name)
{
	struct statx st;

	return statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, 0, &st) < 0 ||
	       !(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || st.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static int each_entry(struct measure *m, int fd, dev_t dev, int depth);

static int take_entry(struct measure *m, int dir, const char *name, dev_t dev, int depth)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_dev != dev && is_mount(dir, name))
		return 0;
	if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		int r = meet(m, &st);

		if (r != 0)
			return r < 0 ? r : 0;
	}
	m->bytes += (uint64_t)st.st_blocks * 512;
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (depth == DEPTH_MAX)
		return put_off(m, dir, name);
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) /* gone, or something else by now */
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	return each_entry(m, fd, st.st_dev, depth + 1);
}

/* Closes fd. */
static int each_entry(struct measure *m, int fd, dev_t dev, int depth)
{
	auto_closedir DIR *dir = fdopendir(fd);
	int r = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0) {
		errno = 0;
		const struct dirent *entry = readdir(dir);

		if (!entry)
			return errno == ENOENT ? 0 : -errno; /* a folder that was removed says so */
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = take_entry(m, fd, entry->d_name, dev, depth);
	}
	return r;
}

static int take_deep(struct measure *m)
{
	struct deep *one = m->deep;
	struct stat st;

	m->deep = one->next;
	int fd = open_by_handle_at(m->root, &one->handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int num = errno;

	free(one);
	if (fd < 0)
		return num == ESTALE || num == ENOENT ? 0 : -num;
	if (fstat(fd, &st) < 0) {
		close(fd);
		return -EIO;
	}
	return each_entry(m, fd, st.st_dev, 0);
}

int measure_folder(int dir_fd, const char *name, uint64_t *ret, struct err *err)
{
	auto_close int root = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_measure struct measure m = {.root = root};
	struct stat st;

	if (root < 0 || fstat(root, &st) < 0)
		return err_sys(err, "open %s to measure it", name);
	int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "measure %s", name);
	m.bytes = (uint64_t)st.st_blocks * 512;
	int r = each_entry(&m, fd, st.st_dev, 0);

	while (r == 0 && m.deep)
		r = take_deep(&m);
	if (r < 0)
		return err_num(err, r, "measure %s", name);
	*ret = m.bytes;
	return 0;
}
