/* Folders being made: under a dot-name, held by a lock, renamed into place when they are complete. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/str.h"
#include "workdir.h"

#define REMOVE_TRIES 40

static int open_folder(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Whether name is still the folder that fd holds: a lock on one that was renamed or removed guards nothing. */
static bool is_still(int dir_fd, const char *name, int fd)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

static int lock_folder(int fd, int operation)
{
	while (flock(fd, operation) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int workdir_remove(int dir_fd, const char *name, struct err *err)
{
	/* A template that was killed with its isle may be dying still. */
	for (int tries = 0; tries < REMOVE_TRIES; tries++) {
		if (file_remove_tree(dir_fd, name, NULL) == 0)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = 25000000}, NULL);
	}
	return file_remove_tree(dir_fd, name, err);
}

/* The folder as a killed process left it, emptied by making it anew under the same lock: the lock is the inode's. */
static int empty_folder(int fd, struct err *err)
{
	auto_closedir DIR *dir = NULL;
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (again >= 0)
		dir = fdopendir(again);
	if (!dir) {
		int r = err_sys(err, "read a folder that was left half made");

		clean_close(&again);
		return r;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int r = workdir_remove(fd, entry->d_name, err);

		if (r < 0)
			return r;
		rewinddir(dir);
	}
	return 0;
}

int workdir_make(int dir_fd, const char *name, int *ret_fd, bool *ret_waited, struct err *err)
{
	bool waited = false;

	for (;;) {
		if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
			return err_sys(err, "make the folder %s", name);
		auto_close int fd = open_folder(dir_fd, name);

		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0) {
			int r = err_sys(err, "open the folder %s", name);

			(void)unlinkat(dir_fd, name, AT_REMOVEDIR); /* only an empty one; who has just made it makes it again */
			return r;
		}
		int r = lock_folder(fd, LOCK_EX | LOCK_NB);

		if (r == -EWOULDBLOCK) {
			waited = true;
			log_warn("waiting for another isle that makes %s", str_starts(name, ".new-") ? name + 5 : name);
			r = lock_folder(fd, LOCK_EX);
		}
		if (r < 0)
			return err_num(err, r, "lock the folder %s", name);
		if (!is_still(dir_fd, name, fd)) {
			/* Its maker has finished, or given up: the caller looks which before it makes its own. */
			if (!waited || !ret_waited)
				continue;
			*ret_fd = -1;
			*ret_waited = true;
			return 0;
		}
		r = empty_folder(fd, err);
		if (r < 0) {
			(void)unlinkat(dir_fd, name, AT_REMOVEDIR); /* what cannot be emptied is swept later */
			return r;
		}
		*ret_fd = take_fd(&fd);
		if (ret_waited)
			*ret_waited = waited;
		return 0;
	}
}

int workdir_finish(int dir_fd, const char *name, int fd, const char *dst_name, bool whole, struct err *err)
{
	if ((whole ? syncfs(fd) : fsync(fd)) < 0)
		return err_sys(err, "write %s to disk", dst_name);
	if (renameat2(dir_fd, name, dir_fd, dst_name, RENAME_NOREPLACE) < 0)
		return err_sys(err, "rename %s to %s", name, dst_name);
	return fsync(dir_fd) < 0 ? err_sys(err, "write the folder of %s to disk", dst_name) : 0;
}

static int sweep_one(int dir_fd, const char *name, struct err *err)
{
	auto_close int fd = open_folder(dir_fd, name);

	if (fd < 0 || lock_folder(fd, LOCK_EX | LOCK_NB) < 0 || !is_still(dir_fd, name, fd))
		return 0; /* gone, or being made */
	return workdir_remove(dir_fd, name, err);
}

int workdir_sweep(int dir_fd, const char *prefix, struct err *err)
{
	int again = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again >= 0 ? fdopendir(again) : NULL;

	if (!dir) {
		int r = err_sys(err, "read the folder to sweep");

		clean_close(&again);
		return r;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		int r = str_starts(entry->d_name, prefix) ? sweep_one(dir_fd, entry->d_name, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int open_locked(int dir_fd, const char *name, int operation, int *ret_fd)
{
	auto_close int fd = open_folder(dir_fd, name);

	if (fd < 0)
		return -errno;
	int r = lock_folder(fd, operation);

	if (r < 0)
		return r == -EWOULDBLOCK ? -EBUSY : r;
	if (!is_still(dir_fd, name, fd))
		return -ENOENT;
	*ret_fd = take_fd(&fd);
	return 0;
}

int workdir_share(int dir_fd, const char *name, int *ret_fd)
{
	return open_locked(dir_fd, name, LOCK_SH, ret_fd);
}

int workdir_claim(int dir_fd, const char *name, int *ret_fd)
{
	return open_locked(dir_fd, name, LOCK_EX | LOCK_NB, ret_fd);
}

int workdir_discard(int dir_fd, const char *name, struct err *err)
{
	auto_free char *away = str_format(".old-%s", name);

	if (!away)
		return err_num(err, ENOMEM, "remove %s", name);
	int r = workdir_remove(dir_fd, away, err); /* left by a removal that was killed */

	if (r < 0)
		return r;
	if (renameat(dir_fd, name, dir_fd, away) < 0)
		return err_sys(err, "rename %s away", name);
	return workdir_remove(dir_fd, away, err);
}
