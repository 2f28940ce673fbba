/* Checkpoints in folders of the administrator's: what such a folder must be, and the note of one that is being made. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "checkpoint_place.h"
#include "workdir.h"

#define NOTE      "checkpoint-to" /* below guests/NAME: the path of one that is being made elsewhere */
#define DEPTH_MAX 128
#define FILES_MAX (CHECKPOINT_IMAGES_MAX + 100) /* of criu's own there are a few besides */

static int theirs(const char *path, const char *what, struct err *err)
{
	(void)err_set(err, ERR_FAILED, "use %s: %s", path, what);
	return err_hint(err, "checkpoints hold all that the guest had in memory: keep them where only root may write");
}

/* sticky: what is in such a folder can be removed or renamed by its owner only (chmod(1)). */
static int check_owner(int fd, const char *path, bool sticky_will_do, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at %s", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return theirs(path, "it belongs to another user", err);
	if ((st.st_mode & S_IWOTH || (st.st_mode & S_IWGRP && st.st_gid != 0)) && !(sticky_will_do && st.st_mode & S_ISVTX))
		return theirs(path, "other users may write there", err);
	return 0;
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static bool is_at(const struct stat *st, const char *path)
{
	struct stat at;

	return path && stat(path, &at) == 0 && same(st, &at);
}

/* What lies there is swept, listed and removed by its name. */
static bool is_own(const struct store *store, const struct stat *st)
{
	const char *const own[] = {store->root, store->guests, store->images, store->run, store->ids, store->leases, store->cache};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (is_at(st, own[i]))
			return true;
	return false;
}

/* From the folder up to the root. */
static int check_way(const struct store *store, int folder, const char *path, struct err *err)
{
	auto_close int at = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char shown[PATH_MAX], link[32];

	for (int depth = 0; at >= 0 && depth < DEPTH_MAX; depth++) {
		struct stat here, above;

		(void)str_print(link, sizeof(link), "/proc/self/fd/%d", at);
		ssize_t len = readlink(link, shown, sizeof(shown) - 1);

		shown[len > 0 ? len : 0] = '\0';
		int r = check_owner(at, shown, depth > 0, err);
		if (r < 0)
			return r;
		auto_close int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (up < 0 || fstat(at, &here) < 0 || fstat(up, &above) < 0)
			break;
		if (is_own(store, &here)) {
			(void)err_set(err, ERR_FAILED, "use %s: it lies among isle's own files", path);
			return err_hint(err, "without --to a checkpoint is kept there");
		}
		if (same(&here, &above))
			return 0;
		close(at);
		at = take_fd(&up);
	}
	return err_sys(err, "look at the folders above %s", path);
}

static int is_empty(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), count = 0;
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		clean_close(&fd);
		return -errno;
	}
	while (readdir(dir))
		count++;
	return count <= 2;
}

static int check_free(const struct checkpoint_place *place, struct err *err)
{
	struct statx stx;

	if (statx(place->parent, place->name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "look at %s", place->path);
	if (!S_ISDIR(stx.stx_mode))
		return err_set(err, ERR_FAILED, "use %s: it is no folder", place->path);
	if (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
		(void)err_set(err, ERR_FAILED, "use %s: a file system is mounted there", place->path);
		return err_hint(err, "name a folder in it, which isle makes: %s/NAME", place->path);
	}
	int r = is_empty(place->parent, place->name);

	if (r < 0)
		return err_num(err, r, "look at %s", place->path);
	if (r)
		return 0;
	(void)err_set(err, ERR_FAILED, "use %s: there is something in it", place->path);
	return err_hint(err, "name a folder that is not there yet, or an empty one");
}

/* The folder above and the last part. */
static int split(const char *path, char **ret_above, const char **ret_name, char *copy)
{
	size_t len = strlen(copy);

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;

	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || !str_printable(path))
		return -EINVAL;
	if (slash)
		*slash = '\0';
	*ret_above = slash == copy ? strdup("/") : strdup(slash ? copy : ".");
	*ret_name = name;
	return *ret_above ? 0 : -ENOMEM;
}

int checkpoint_place_choose(struct guest *guest, const char *path, struct checkpoint_place *ret, struct err *err)
{
	auto_free char *copy = strdup(path);
	auto_free char *above = NULL;
	char real[PATH_MAX], link[32];
	const char *name = NULL;

	if (!copy)
		return err_num(err, ENOMEM, "use %s", path);
	if (split(path, &above, &name, copy) < 0 || str_copy(ret->name, sizeof(ret->name) - sizeof(CHECKPOINT_NEW), name) < 0)
		return err_set(err, ERR_USAGE, "--to wants the name of a folder to be made, not '%.80s'", path);
	ret->parent = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->parent < 0) {
		int r = err_sys(err, "open %s", above);

		return r == -ENOENT ? err_hint(err, "make the folder above it first: mkdir -p -m 700 %s", above) : r;
	}
	(void)str_print(link, sizeof(link), "/proc/self/fd/%d", ret->parent);
	ssize_t len = readlink(link, real, sizeof(real) - 1);

	if (len < 0)
		return err_sys(err, "find %s", above);
	real[len] = '\0';
	ret->path = str_format("%s/%s", strcmp(real, "/") == 0 ? "" : real, ret->name);
	if (!ret->path)
		return err_num(err, ENOMEM, "use %s", path);
	int r = check_way(guest->store, ret->parent, ret->path, err);
	if (r == 0)
		r = check_free(ret, err);
	return r < 0 ? r : file_replace(guest->dir_fd, NOTE, ret->path, strlen(ret->path), 0600, err);
}

void checkpoint_place_done(struct guest *guest)
{
	(void)unlinkat(guest->dir_fd, NOTE, 0);
}

void checkpoint_place_sweep(struct guest *guest)
{
	auto_free char *path = NULL;

	if (file_read(guest->dir_fd, NOTE, PATH_MAX, &path, NULL) < 0)
		return;
	char *slash = strrchr(path, '/');
	auto_free char *name = slash ? str_format(CHECKPOINT_NEW "%s", slash + 1) : NULL;

	if (name) {
		*slash = '\0';
		auto_close int parent = open(*path ? path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		auto_close int fd = -1;

		/* It was checked before the note was written; what has taken its place since is somebody's. */
		if (parent >= 0 && check_owner(parent, path, false, NULL) == 0 && workdir_claim(parent, name, &fd) == 0 &&
		    check_owner(fd, name, false, NULL) == 0)
			(void)workdir_remove(parent, name, NULL);
	}
	checkpoint_place_done(guest);
}

/* fd: the images' folder, or the checkpoint's. */
static int check_files(int fd, const char *path, struct err *err)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0;
	auto_closedir DIR *dir = again < 0 ? NULL : fdopendir(again);
	int r = 0;

	if (!dir) {
		clean_close(&again);
		return err_sys(err, "read %s", path);
	}
	for (struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		auto_free char *shown = str_format("%s/%s", path, entry->d_name);
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		auto_close int file = openat(fd, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (file < 0 || fstat(file, &st) < 0 || !shown)
			return err_sys(err, "look at %s/%s", path, entry->d_name);
		if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			return theirs(shown, "it is neither a plain file nor a folder", err);
		r = count++ < FILES_MAX ? check_owner(file, shown, false, err) : err_num(err, E2BIG, "read %s", path);
	}
	return r;
}

int checkpoint_open_at(const char *path, int *ret_fd, struct err *err)
{
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *below = str_format("%s/" CHECKPOINT_IMAGES, path);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(err, ERR_NOT_FOUND, "open the checkpoint in %s: there is none", path);
	if (fd < 0 || !below)
		return err_sys(err, "open the checkpoint in %s", path);
	auto_close int images = openat(fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (images < 0)
		return err_set(err, ERR_NOT_FOUND, "open the checkpoint in %s: there is none", path);
	int r = check_owner(fd, path, false, err);
	if (r == 0)
		r = check_files(fd, path, err);
	if (r == 0)
		r = check_files(images, below, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}
