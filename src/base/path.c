/* Descriptor-relative walks with openat2(2): nothing that a guest plants leads out of its root. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clean.h"
#include "path.h"
#include "str.h"

/* openat2(2) refuses what it cannot prove safe while somebody renames on the way: EAGAIN, try again. */
#define RACE_TRIES 64

static int open_resolved(int dir_fd, const char *path, int flags, unsigned mode, uint64_t resolve)
{
	bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.mode = makes ? mode : 0,
		.resolve = resolve,
	};
	long fd;

	for (int i = 0; i < RACE_TRIES; i++) {
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

int path_open_in_root(int root_fd, const char *path, int flags, unsigned mode)
{
	return open_resolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int path_open_beneath(int dir_fd, const char *path, int flags, unsigned mode)
{
	return open_resolved(dir_fd, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int path_open_in_mount(int dir_fd, const char *path, int flags, unsigned mode)
{
	return open_resolved(dir_fd, path, flags, mode,
			     RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

/* mkdir that gives exactly mode, whatever the umask is; an existing entry is left as it is. */
static int make_one(int parent_fd, const char *name, unsigned mode)
{
	auto_close int fd = -1;

	if (mkdirat(parent_fd, name, mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	/* Without following a link, should the entry have been exchanged in the meantime. */
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return -errno;
	return 0;
}

int path_make_in_root(int root_fd, const char *path, unsigned mode)
{
	auto_close int parent = path_open_in_root(root_fd, ".", O_PATH | O_DIRECTORY, 0);
	auto_free char *walk = strdup(path);
	char *at = walk;

	if (!walk)
		return -ENOMEM;
	/* Each prefix is resolved from the root again: a link in it is relative to the root, not to its folder. */
	while (parent >= 0 && *(at += strspn(at, "/"))) {
		char *end = at + strcspn(at, "/");
		char held = *end;
		int fd;

		*end = '\0';
		fd = path_open_in_root(root_fd, walk, O_PATH | O_DIRECTORY, 0);
		if (fd == -ENOENT) {
			int r = make_one(parent, at, mode);

			if (r < 0)
				return r;
			fd = path_open_in_root(root_fd, walk, O_PATH | O_DIRECTORY, 0);
		}
		close(parent);
		parent = fd;
		*end = held;
		at = end;
	}
	return take_fd(&parent);
}

char *path_join(const char *a, const char *b)
{
	size_t len = strlen(a);

	if (!len)
		return strdup(b);
	while (len && a[len - 1] == '/')
		len--;
	b += strspn(b, "/");
	if (!*b && len)
		return strndup(a, len);
	return str_format("%.*s/%s", (int)len, a, b);
}

int path_make(const char *path, unsigned mode, struct err *err)
{
	auto_free char *walk = strdup(path);
	struct stat st;

	if (!walk)
		return err_num(err, ENOMEM, "make folder %s", path);
	for (char *at = walk; *(at += strspn(at, "/"));) {
		char *end = at + strcspn(at, "/");
		char held = *end;

		*end = '\0';
		if (stat(walk, &st) < 0) {
			int r = errno == ENOENT ? make_one(AT_FDCWD, walk, mode) : -errno;

			if (r < 0)
				return err_num(err, r, "make folder %s", walk);
			if (stat(walk, &st) < 0)
				return err_sys(err, "make folder %s", walk);
		}
		if (!S_ISDIR(st.st_mode))
			return err_num(err, ENOTDIR, "make folder %s", walk);
		*end = held;
		at = end;
	}
	return 0;
}
