/* Whole trees of files: copied with everything that makes a system of them. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "copy.h"

#define DEPTH_MAX 320 /* three descriptors a level, of the 1,024 that a process has by default */

/* Where the first name of a file with several was copied to. */
struct twin {
	ino_t ino;
	char *path; /* below the copy's root */
};

struct tree {
	dev_t dev;
	int root_fd; /* the copy's root */
	bool no_clone;
	char *buffer;
	struct twin *twins;
	size_t twin_count, twin_room; /* open addressing; twin_room is a power of two */
	char path[PATH_MAX];          /* of the entry in hand, below the root */
	size_t path_len;
	int depth;
	struct err *err;
};

#define BUFFER_SIZE (256 << 10)

static void tree_end(struct tree *tree)
{
	for (size_t i = 0; i < tree->twin_room; i++)
		free(tree->twins[i].path);
	free(tree->twins);
	free(tree->buffer);
}
#define auto_tree __attribute__((cleanup(tree_end)))

static int fail(struct tree *tree, const char *what)
{
	return err_sys(tree->err, "%s %s", what, tree->path_len ? tree->path : "the root folder");
}

/* The slot of ino: its own, or the empty one where it belongs. */
static struct twin *twin_slot(struct twin *twins, size_t room, ino_t ino)
{
	size_t at = (size_t)(str_hash(STR_HASH_SEED, &ino, sizeof(ino)) & (room - 1));

	while (twins[at].path && twins[at].ino != ino)
		at = (at + 1) & (room - 1);
	return &twins[at];
}

static int twin_grow(struct tree *tree)
{
	size_t room = tree->twin_room ? tree->twin_room * 2 : 256;
	struct twin *twins = calloc(room, sizeof(*twins));

	if (!twins)
		return -ENOMEM;
	for (size_t i = 0; i < tree->twin_room; i++)
		if (tree->twins[i].path)
			*twin_slot(twins, room, tree->twins[i].ino) = tree->twins[i];
	free(tree->twins);
	tree->twins = twins;
	tree->twin_room = room;
	return 0;
}

/* *ret_first: the path of the name met before, NULL when this is the first. */
static int twin_meet(struct tree *tree, ino_t ino, const char **ret_first)
{
	if (tree->twin_count * 2 >= tree->twin_room && twin_grow(tree) < 0)
		return err_num(tree->err, ENOMEM, "remember the hard link %s", tree->path);
	struct twin *twin = twin_slot(tree->twins, tree->twin_room, ino);

	if (twin->path) {
		*ret_first = twin->path;
		return 0;
	}
	twin->path = strdup(tree->path);
	if (!twin->path)
		return err_num(tree->err, ENOMEM, "remember the hard link %s", tree->path);
	twin->ino = ino;
	tree->twin_count++;
	*ret_first = NULL;
	return 0;
}

static int path_push(struct tree *tree, const char *name)
{
	size_t len = strlen(name);

	if (tree->path_len + len + 2 > sizeof(tree->path))
		return err_num(tree->err, ENAMETOOLONG, "walk %s", tree->path);
	if (tree->path_len)
		tree->path[tree->path_len++] = '/';
	memcpy(tree->path + tree->path_len, name, len + 1);
	tree->path_len += len;
	return 0;
}

static void path_cut(struct tree *tree, size_t len)
{
	tree->path_len = len;
	tree->path[len] = '\0';
}

static int copy_xattrs(struct tree *tree, int src, int dst)
{
	char names[4096], value[4096];
	ssize_t len = flistxattr(src, names, sizeof(names));

	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : fail(tree, "list the attributes of");
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t size = fgetxattr(src, name, value, sizeof(value));

		if (size < 0)
			return fail(tree, "read an attribute of");
		if (fsetxattr(dst, name, value, (size_t)size, 0) < 0)
			return fail(tree, "write an attribute of");
	}
	return 0;
}

/* Owner first: chown(2) clears set-id bits and capabilities. */
static int copy_marks(struct tree *tree, int src, int dst, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if ((st->st_uid || st->st_gid) && fchown(dst, st->st_uid, st->st_gid) < 0)
		return fail(tree, "set the owner of");
	if (fchmod(dst, st->st_mode & 07777) < 0)
		return fail(tree, "set the mode of");
	int r = copy_xattrs(tree, src, dst);

	if (r < 0)
		return r;
	if (futimens(dst, times) < 0)
		return fail(tree, "set the times of");
	return 0;
}

/* One run of data at both files' offset `at`. */
static int copy_run(struct tree *tree, int src, int dst, off_t at, off_t end)
{
	off_t to = at;

	while (at < end) {
		ssize_t done = copy_file_range(src, &at, dst, &to, (size_t)(end - at), 0);

		if (done > 0)
			continue;
		if (done == 0)
			return 0; /* shorter than it was */
		if (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
			return fail(tree, "copy");
		break;
	}
	while (at < end) {
		if (!tree->buffer && !(tree->buffer = malloc(BUFFER_SIZE)))
			return err_num(tree->err, ENOMEM, "copy %s", tree->path);
		size_t want = end - at > BUFFER_SIZE ? BUFFER_SIZE : (size_t)(end - at);
		ssize_t got = pread(src, tree->buffer, want, at);

		if (got < 0)
			return fail(tree, "read");
		if (got == 0)
			return 0;
		for (ssize_t put = 0; put < got;) {
			ssize_t done = pwrite(dst, tree->buffer + put, (size_t)(got - put), at + put);

			if (done < 0)
				return fail(tree, "write");
			put += done;
		}
		at += got;
	}
	return 0;
}

static int copy_data(struct tree *tree, int src, int dst, const struct stat *st)
{
	if (!tree->no_clone) {
		if (ioctl(dst, FICLONE, src) == 0)
			return 0;
		tree->no_clone = true;
	}
	if (st->st_blocks * 512 >= st->st_size)
		return copy_run(tree, src, dst, 0, st->st_size);
	if (ftruncate(dst, st->st_size) < 0)
		return fail(tree, "set the size of");
	for (off_t end = 0;;) {
		off_t at = lseek(src, end, SEEK_DATA);

		if (at < 0)
			return errno == ENXIO ? 0 : fail(tree, "find the data of");
		end = lseek(src, at, SEEK_HOLE);
		if (end < 0)
			return fail(tree, "find the holes of");
		int r = copy_run(tree, src, dst, at, end);

		if (r < 0)
			return r;
	}
}

static int copy_file(struct tree *tree, int src_dir, int dst_dir, const char *name, const struct stat *seen)
{
	if (seen->st_nlink > 1) {
		const char *first = NULL;
		int r = twin_meet(tree, seen->st_ino, &first);

		if (r < 0)
			return r;
		if (first)
			return linkat(tree->root_fd, first, dst_dir, name, 0) < 0 ? fail(tree, "link") : 0;
	}
	auto_close int src = openat(src_dir, name, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (src < 0 || fstat(src, &st) < 0)
		return fail(tree, "open");
	if (!S_ISREG(st.st_mode))
		return err_num(tree->err, EAGAIN, "copy %s, which changes meanwhile", tree->path);
	auto_close int dst = openat(dst_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (dst < 0)
		return fail(tree, "create");
	int r = st.st_size ? copy_data(tree, src, dst, &st) : 0;

	return r < 0 ? r : copy_marks(tree, src, dst, &st);
}

static int copy_link(struct tree *tree, int src_dir, int dst_dir, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(src_dir, name, target, sizeof(target) - 1);
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (len < 0)
		return fail(tree, "read the link");
	target[len] = '\0';
	if (symlinkat(target, dst_dir, name) < 0)
		return fail(tree, "make the link");
	if ((st->st_uid || st->st_gid) && fchownat(dst_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(tree, "set the owner of");
	if (utimensat(dst_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(tree, "set the times of");
	return 0;
}

/* Fifos, and the 0:0 devices by which an overlay marks what is gone. */
static int copy_node(struct tree *tree, int dst_dir, const char *name, const struct stat *st)
{
	if (mknodat(dst_dir, name, (st->st_mode & S_IFMT) | 0600, 0) < 0)
		return fail(tree, "make the node");
	if (fchownat(dst_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(tree, "set the owner of");
	if (fchmodat(dst_dir, name, st->st_mode & 07777, 0) < 0)
		return fail(tree, "set the mode of");
	return 0;
}

static int copy_folder(struct tree *tree, int src_dir, int dst_dir, const char *name);

static int copy_entry(struct tree *tree, int src_dir, int dst_dir, const char *name)
{
	struct stat st;

	if (fstatat(src_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(tree, "look at");
	if (S_ISDIR(st.st_mode))
		return copy_folder(tree, src_dir, dst_dir, name);
	if (st.st_dev != tree->dev)
		return 0;
	if (S_ISREG(st.st_mode))
		return copy_file(tree, src_dir, dst_dir, name, &st);
	if (S_ISLNK(st.st_mode))
		return copy_link(tree, src_dir, dst_dir, name, &st);
	if (S_ISFIFO(st.st_mode) || (S_ISCHR(st.st_mode) && st.st_rdev == 0))
		return copy_node(tree, dst_dir, name, &st);
	return 0; /* devices and sockets */
}

/* Copies each entry of the folder src, which it takes over. */
static int each_entry(struct tree *tree, int src, int dst)
{
	auto_closedir DIR *dir = fdopendir(src);
	size_t len = tree->path_len;

	if (!dir) {
		int r = fail(tree, "read the folder");

		close(src);
		return r;
	}
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(dir);

		if (!entry)
			return errno ? fail(tree, "read the folder") : 0;
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int r = path_push(tree, entry->d_name);

		if (r == 0)
			r = copy_entry(tree, src, dst, entry->d_name);
		if (r < 0)
			return r;
		path_cut(tree, len);
	}
}

static int copy_folder(struct tree *tree, int src_dir, int dst_dir, const char *name)
{
	auto_close int src = openat(src_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (src < 0 || fstat(src, &st) < 0)
		return fail(tree, "open");
	if (mkdirat(dst_dir, name, 0700) < 0)
		return fail(tree, "make the folder");
	auto_close int dst = openat(dst_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dst < 0)
		return fail(tree, "open the new folder");
	if (tree->root_fd < 0) {
		tree->root_fd = dst;
		tree->dev = st.st_dev;
	}
	if (++tree->depth > DEPTH_MAX)
		return err_num(tree->err, ELOOP, "copy a tree nested too deeply: %.150s", tree->path);
	if (st.st_dev == tree->dev) {
		int again = openat(src, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (again < 0)
			return fail(tree, "open");
		int r = each_entry(tree, again, dst);

		if (r < 0)
			return r;
	}
	tree->depth--;
	return copy_marks(tree, src, dst, &st);
}

int copy_tree(int src_fd, int dst_fd, const char *name, struct err *err)
{
	auto_tree struct tree tree = {.root_fd = -1, .err = err};

	return copy_folder(&tree, src_fd, dst_fd, name);
}

int copy_take(int src_fd, int dst_fd, const char *name, struct err *err)
{
	if (renameat2(src_fd, name, dst_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	return errno == EXDEV ? copy_tree(src_fd, dst_fd, name, err) : err_sys(err, "move %s", name);
}

int copy_replace(int from_fd, int dst_fd, const char *name, const struct copy_moment *moment, struct err *err)
{
	static const char beside[] = ".new-load";
	int r = file_remove_tree(dst_fd, beside, err);

	if (r < 0)
		return r;
	if (mkdirat(dst_fd, beside, 0700) < 0)
		return err_sys(err, "make a folder for the copy of %s", name);
	auto_close int at = openat(dst_fd, beside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	r = at < 0 ? err_sys(err, "open the folder for the copy of %s", name) : copy_tree(from_fd, at, name, err);
	if (r == 0 && syncfs(at) < 0)
		r = err_sys(err, "write the copy of %s to disk", name);
	if (r == 0)
		r = moment->fn(moment->arg, err);
	if (r == 0 && renameat2(at, name, dst_fd, name, RENAME_EXCHANGE) < 0)
		r = err_sys(err, "put the copy of %s in its place", name);
	int gone = file_remove_tree(dst_fd, beside, r == 0 ? err : NULL);

	return r < 0 ? r : gone;
}
