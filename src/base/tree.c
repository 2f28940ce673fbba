/* Removal of a tree that somebody hostile may have made: any depth, no link followed, no mount crossed. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clean.h"
#include "file.h"
#include "str.h"

/* Folders open at once. What lies deeper is moved up to the top of the tree and met there again, so that
 * neither descriptors nor memory depend on a depth that a guest chose. */
#define DEPTH_MAX 32

#define VOLUME_INODE BTRFS_FIRST_FREE_OBJECTID /* of the folder that a subvolume of btrfs is */

struct level {
	DIR *dir;
	char name[NAME_MAX + 1]; /* in the level above */
	dev_t device;            /* each subvolume of btrfs has its own */
	bool again;              /* it has got entries that its scan may have missed */
};

struct removal {
	const char *tree; /* for messages */
	struct level levels[DEPTH_MAX];
	int depth;      /* levels in use */
	uint64_t moved; /* names the next folder that is moved up */
	struct err *err;
};

static int fail(const struct removal *removal, int num, const char *name)
{
	return err_num(removal->err, num, "remove %s (in %s)", name, removal->tree);
}

/* Opens a real folder of this mount: neither a link nor something mounted there. */
static int open_folder(int dir_fd, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

	if (fd >= 0)
		return (int)fd;
	return errno == EXDEV ? -EBUSY : -errno;
}

/* Takes the flags "immutable" and "append only" off an open file. True when there were any. */
static bool clear_flags(int fd)
{
	int flags;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
		return false;
	flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* The same for an entry and for the folder that holds it: either keeps the entry from being removed. */
static bool clear_flags_of(int dir_fd, const char *name)
{
	bool cleared = clear_flags(dir_fd);
	auto_close int fd = -1;
	struct stat st;

	/* Only these two kinds have flags, and opening a device could do anything. */
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return clear_flags(fd) || cleared;
}

static int unlink_entry(int dir_fd, const char *name, int flags)
{
	if (unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT)
		return 0;
	if (errno != EPERM && errno != EACCES)
		return -errno;
	if (!clear_flags_of(dir_fd, name))
		return -EPERM;
	return unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT ? 0 : -errno;
}

/* Moves a folder from one level up into another. */
static int move_up(struct removal *removal, int from, const char *name, struct level *to)
{
	int top = dirfd(to->dir);
	bool cleared = false;
	char up[40];

	for (;;) {
		(void)snprintf(up, sizeof(up), ".up-%llu", (unsigned long long)removal->moved++);
		if (renameat2(from, name, top, up, RENAME_NOREPLACE) == 0)
			break;
		if (errno == EEXIST)
			continue;
		if ((errno != EPERM && errno != EACCES) || cleared)
			return -errno;
		(void)clear_flags(top);
		(void)clear_flags_of(from, name);
		cleared = true;
	}
	to->again = true;
	return 0;
}

/* On a folder of btrfs anybody makes subvolumes, and write-protects them. */
static void let_write(int fd, ino_t inode)
{
	uint64_t flags;

	if (inode != VOLUME_INODE || ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) < 0 || !(flags & BTRFS_SUBVOL_RDONLY))
		return;
	flags &= ~(uint64_t)BTRFS_SUBVOL_RDONLY;
	(void)ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags); /* what it was for fails, and says so */
}

static int enter(struct removal *removal, int dir_fd, const char *name)
{
	struct level *level = &removal->levels[removal->depth];
	auto_close int fd = open_folder(dir_fd, name);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	let_write(fd, st.st_ino);
	level->device = st.st_dev;
	level->again = false;
	level->dir = fdopendir(fd);
	if (!level->dir)
		return -errno;
	(void)take_fd(&fd);
	(void)str_copy(level->name, sizeof(level->name), name);
	removal->depth++;
	return 0;
}

static void close_level(struct removal *removal)
{
	struct level *level = &removal->levels[--removal->depth];

	closedir(level->dir);
	level->dir = NULL;
}

/* Beyond DEPTH_MAX. No folder moves from one subvolume to another, so it goes to the top of its own; but a subvolume does, and one
 * that has no room left goes up itself. */
static int put_off(struct removal *removal, const char *name)
{
	int last = removal->depth - 1, at = last;

	while (at > 0 && removal->levels[at - 1].device == removal->levels[last].device)
		at--;
	if (at == 0 || at < last)
		return move_up(removal, dirfd(removal->levels[last].dir), name, &removal->levels[at]);
	int r = move_up(removal, dirfd(removal->levels[last - 1].dir), removal->levels[last].name, &removal->levels[0]);

	if (r == 0)
		close_level(removal);
	return r;
}

/* Removes an entry of the deepest level, or enters it when it is a folder with something in it. */
static int take_entry(struct removal *removal, const struct dirent *entry)
{
	int dir_fd = dirfd(removal->levels[removal->depth - 1].dir);
	bool folder = entry->d_type == DT_DIR;
	int r;

	if (entry->d_type == DT_UNKNOWN) {
		struct stat st;

		if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : -errno;
		folder = S_ISDIR(st.st_mode);
	}
	r = unlink_entry(dir_fd, entry->d_name, folder ? AT_REMOVEDIR : 0);
	if (!folder || (r != -ENOTEMPTY && r != -EEXIST))
		return r;
	return removal->depth < DEPTH_MAX ? enter(removal, dir_fd, entry->d_name) : put_off(removal, entry->d_name);
}

/* Leaves the deepest level, which is empty now, and removes it from the one above. */
static int leave(struct removal *removal, int parent_fd)
{
	struct level *level = &removal->levels[removal->depth - 1];
	int r;

	if (level->again) {
		level->again = false;
		rewinddir(level->dir);
		return 0;
	}
	if (removal->depth > 1)
		parent_fd = dirfd(level[-1].dir);
	r = unlink_entry(parent_fd, level->name, AT_REMOVEDIR);
	if (r < 0)
		return r;
	close_level(removal);
	return 0;
}

static int walk(struct removal *removal, int parent_fd)
{
	while (removal->depth) {
		struct level *level = &removal->levels[removal->depth - 1];
		struct dirent *entry;
		int r;

		errno = 0;
		entry = readdir(level->dir);
		if (!entry && errno)
			return fail(removal, errno, level->name);
		if (!entry) {
			r = leave(removal, parent_fd);
			if (r < 0)
				return fail(removal, r, level->name);
			continue;
		}
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		r = take_entry(removal, entry);
		if (r < 0)
			return fail(removal, r, entry->d_name);
	}
	return 0;
}

/* Splits a path into its folder, opened, and its last part. */
static int open_parent(int dir_fd, char *path, const char **ret_base)
{
	size_t len = strlen(path);
	char *slash;
	int fd;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	*ret_base = slash ? slash + 1 : path;
	if (!**ret_base || !strcmp(*ret_base, ".") || !strcmp(*ret_base, ".."))
		return -EINVAL;
	if (!slash)
		fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else if (slash == path)
		fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else {
		*slash = '\0';
		fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

int file_remove_tree(int dir_fd, const char *name, struct err *err)
{
	struct removal removal = {.tree = name, .err = err};
	auto_free char *path = strdup(name);
	const char *base = NULL;
	auto_close int parent = path ? open_parent(dir_fd, path, &base) : -ENOMEM;
	struct stat st;
	int r = 0;

	if (parent == -ENOENT)
		return 0;
	if (parent < 0)
		return err_num(err, parent, "remove %s", name);
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "remove %s", name);
	if (S_ISDIR(st.st_mode))
		r = enter(&removal, parent, base);
	else
		r = unlink_entry(parent, base, 0);
	if (r < 0)
		return err_num(err, r, "remove %s", name);
	r = walk(&removal, parent);
	while (removal.depth)
		closedir(removal.levels[--removal.depth].dir);
	return r;
}
