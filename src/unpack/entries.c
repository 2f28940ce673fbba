/* Writes an archive's entries below the root. */
#include "config.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "unpack.h"

#define ID_MAX          65535 /* a guest has 65,536 ids */
#define CAPABILITY_SIZE 20    /* struct vfs_cap_data, without a namespace's root id */

/* A folder's times are set when nothing is written in it any more. */
struct folder_time {
	char *name;
	struct timespec times[2];
};

struct unpack {
	struct archive *archive;
	const struct unpack_limits *limits;
	struct archive_entry *entry;
	int root_fd;
	const char *name; /* the entry's, below the root; "" is the root itself */
	uint64_t entries, bytes;
	struct folder_time *folders;
	size_t folder_count, folder_room;
	struct err *err;
};

static void unpack_end(struct unpack *unpack)
{
	for (size_t i = 0; i < unpack->folder_count; i++)
		free(unpack->folders[i].name);
	free(unpack->folders);
}
#define auto_unpack __attribute__((cleanup(unpack_end)))

static int refuse(struct unpack *unpack, const char *why)
{
	auto_free char *name = str_escape(unpack->name);

	return err_set(unpack->err, ERR_FAILED, "unpack '%.120s': %s", name ? name : "", why);
}

static int fail(struct unpack *unpack, const char *what)
{
	int num = errno;
	auto_free char *name = str_escape(unpack->name);

	return err_num(unpack->err, num, "%s '%.120s'", what, name ? name : "");
}

/* The name below the root without "./" in front. NULL for one that leads elsewhere: absolute, with "..", or too long. */
static const char *plain_name(const char *name)
{
	if (*name == '/')
		return NULL;
	while (name[0] == '.' && (name[1] == '/' || !name[1])) {
		name++;
		name += strspn(name, "/");
	}
	for (const char *part = name; *part;) {
		size_t len = strcspn(part, "/");

		if (len == 2 && part[0] == '.' && part[1] == '.')
			return NULL;
		if (len > 255)
			return NULL;
		part += len;
		part += strspn(part, "/");
	}
	return strlen(name) < PATH_MAX ? name : NULL;
}

/* Opens a folder without leaving the root: links on the way count only while they stay below it. */
static int open_beneath(struct unpack *unpack, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, unpack->root_fd, *path ? path : ".", &how, sizeof(how));
}

/* Makes the folders of path that the archive has no entry for. */
static int make_folders(struct unpack *unpack, const char *path)
{
	auto_free char *copy = strdup(path);
	auto_close int above = open_beneath(unpack, "", O_PATH | O_DIRECTORY);

	if (!copy || above < 0)
		return -errno;
	for (char *part = copy + strspn(copy, "/"); *part;) {
		char *end = part + strcspn(part, "/");
		const char kept = *end;

		*end = '\0';
		int fd = open_beneath(unpack, copy, O_PATH | O_DIRECTORY);

		if (fd < 0 && errno == ENOENT && mkdirat(above, part, 0755) == 0)
			fd = open_beneath(unpack, copy, O_PATH | O_DIRECTORY);
		if (fd < 0)
			return -errno;
		close(above);
		above = fd;
		*end = kept;
		part = end + strspn(end, "/");
	}
	return 0;
}

/* The folder that name lies in. *ret_copy holds the name cut in two, *ret_base its last part. -errno with err set. */
static int open_parent(struct unpack *unpack, const char *name, bool make, char **ret_copy, char **ret_base)
{
	auto_free char *copy = strdup(name);

	if (!copy)
		return err_num(unpack->err, ENOMEM, "unpack");
	for (size_t len = strlen(copy); len && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	char *slash = strrchr(copy, '/');

	if (slash)
		*slash = '\0';
	const char *parent = slash ? copy : "";
	int fd = open_beneath(unpack, parent, O_RDONLY | O_DIRECTORY);

	if (fd < 0 && errno == ENOENT && make) {
		errno = -make_folders(unpack, parent);
		if (!errno)
			fd = open_beneath(unpack, parent, O_RDONLY | O_DIRECTORY);
	}
	if (fd < 0 && (errno == EXDEV || errno == ELOOP))
		return refuse(unpack, "its folder is a link that leads out of the target");
	if (fd < 0)
		return fail(unpack, "open the folder of");
	*ret_base = slash ? slash + 1 : copy;
	*ret_copy = take_ptr(&copy);
	return fd;
}

static int owner_of(struct unpack *unpack, uid_t *ret_uid, gid_t *ret_gid)
{
	int64_t uid = archive_entry_uid(unpack->entry), gid = archive_entry_gid(unpack->entry);

	if (uid < 0 || uid > ID_MAX || gid < 0 || gid > ID_MAX)
		return refuse(unpack, "its owner or group is outside of the 65,536 ids that a guest has");
	*ret_uid = (uid_t)uid;
	*ret_gid = (gid_t)gid;
	return 0;
}

static void times_of(struct archive_entry *entry, struct timespec times[2])
{
	times[1] = (struct timespec){.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)};
	times[0] = archive_entry_atime_is_set(entry)
			   ? (struct timespec){archive_entry_atime(entry), archive_entry_atime_nsec(entry)}
			   : times[1];
}

/* File capabilities as any namespace means them; all other attributes are dropped. */
static int set_capability(struct unpack *unpack, int fd)
{
	const char *name;
	const void *value;
	size_t size;

	archive_entry_xattr_reset(unpack->entry);
	while (archive_entry_xattr_next(unpack->entry, &name, &value, &size) == ARCHIVE_OK)
		if (name && !strcmp(name, "security.capability") && size == CAPABILITY_SIZE &&
		    fsetxattr(fd, name, value, size, 0) < 0)
			return fail(unpack, "set the capabilities of");
	return 0;
}

/* Owner first: it clears set-id bits and capabilities. */
static int set_marks(struct unpack *unpack, int fd, bool is_file)
{
	struct timespec times[2];
	uid_t uid = 0;
	gid_t gid = 0;
	int r = owner_of(unpack, &uid, &gid);

	if (r < 0)
		return r;
	if (fchown(fd, uid, gid) < 0)
		return fail(unpack, "set the owner of");
	if (fchmod(fd, archive_entry_perm(unpack->entry) & 07777) < 0)
		return fail(unpack, "set the mode of");
	if (!is_file)
		return 0;
	r = set_capability(unpack, fd);
	times_of(unpack->entry, times);
	if (r == 0 && futimens(fd, times) < 0)
		return fail(unpack, "set the times of");
	return r;
}

static int read_failure(struct unpack *unpack)
{
	auto_free char *text =
		str_escape(archive_error_string(unpack->archive) ? archive_error_string(unpack->archive) : "it is damaged");
	auto_free char *name = str_escape(unpack->name);

	if (!*unpack->name)
		return err_set(unpack->err, ERR_FAILED, "read the archive: %.150s", text ? text : "");
	return err_set(unpack->err, ERR_FAILED, "read '%.90s' from the archive: %.120s", name ? name : "", text ? text : "");
}

static int write_data(struct unpack *unpack, int fd)
{
	for (;;) {
		const void *data;
		size_t len;
		int64_t at;
		int r = archive_read_data_block(unpack->archive, &data, &len, &at);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r < ARCHIVE_WARN)
			return read_failure(unpack);
		/* Neither in all nor, for holes in it, by itself. */
		if (at < 0 || len > unpack->limits->bytes - unpack->bytes || (uint64_t)at > unpack->limits->bytes - len)
			return refuse(unpack, "the archive is larger than allowed");
		unpack->bytes += len;
		for (size_t put = 0; put < len;) {
			ssize_t done = pwrite(fd, (const char *)data + put, len - put, at + (off_t)put);

			if (done < 0)
				return fail(unpack, "write");
			put += (size_t)done;
		}
	}
}

static int put_file(struct unpack *unpack, int dir_fd, const char *base)
{
	int64_t size = archive_entry_size(unpack->entry);
	auto_close int fd = openat(dir_fd, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return fail(unpack, "create");
	if (size < 0 || (uint64_t)size > unpack->limits->bytes)
		return refuse(unpack, "it is larger than allowed");
	int r = write_data(unpack, fd);

	if (r < 0)
		return r;
	if (archive_entry_size_is_set(unpack->entry) && ftruncate(fd, size) < 0)
		return fail(unpack, "set the size of");
	return set_marks(unpack, fd, true);
}

static int put_link(struct unpack *unpack, int dir_fd, const char *base)
{
	const char *target = archive_entry_symlink(unpack->entry);
	struct timespec times[2];
	uid_t uid = 0;
	gid_t gid = 0;
	int r = owner_of(unpack, &uid, &gid);

	if (r < 0)
		return r;
	if (!target || !*target || strlen(target) >= PATH_MAX)
		return refuse(unpack, "it is a link to nothing");
	/* Where it leads is the guest's affair; nothing is ever written through it but below the root. */
	if (symlinkat(target, dir_fd, base) < 0)
		return fail(unpack, "make the link");
	if (fchownat(dir_fd, base, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(unpack, "set the owner of");
	times_of(unpack->entry, times);
	return utimensat(dir_fd, base, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail(unpack, "set the times of") : 0;
}

static int put_hardlink(struct unpack *unpack, int dir_fd, const char *base)
{
	const char *target = plain_name(archive_entry_hardlink(unpack->entry));
	auto_free char *copy = NULL;
	char *target_base;
	struct stat st;

	if (!target || !*target)
		return refuse(unpack, "it is a hard link out of the target");
	auto_close int target_fd = open_parent(unpack, target, false, &copy, &target_base);

	if (target_fd < 0)
		return -EIO;
	if (fstatat(target_fd, target_base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(unpack, "find the target of the hard link");
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return refuse(unpack, "it is a hard link to what is no file");
	return linkat(target_fd, target_base, dir_fd, base, 0) < 0 ? fail(unpack, "make the hard link") : 0;
}

static int put_fifo(struct unpack *unpack, int dir_fd, const char *base)
{
	uid_t uid = 0;
	gid_t gid = 0;
	int r = owner_of(unpack, &uid, &gid);

	if (r < 0)
		return r;
	if (mknodat(dir_fd, base, S_IFIFO | 0600, 0) < 0)
		return fail(unpack, "make the fifo");
	if (fchownat(dir_fd, base, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(unpack, "set the owner of");
	return fchmodat(dir_fd, base, archive_entry_perm(unpack->entry) & 07777, 0) < 0 ? fail(unpack, "set the mode of") : 0;
}

static int remember_times(struct unpack *unpack)
{
	if (unpack->folder_count == unpack->folder_room) {
		size_t room = unpack->folder_room ? unpack->folder_room * 2 : 256;
		struct folder_time *more = reallocarray(unpack->folders, room, sizeof(*more));

		if (!more)
			return err_num(unpack->err, ENOMEM, "unpack");
		unpack->folders = more;
		unpack->folder_room = room;
	}
	struct folder_time *folder = &unpack->folders[unpack->folder_count];

	folder->name = strdup(unpack->name);
	if (!folder->name)
		return err_num(unpack->err, ENOMEM, "unpack");
	times_of(unpack->entry, folder->times);
	unpack->folder_count++;
	return 0;
}

static int put_folder(struct unpack *unpack, int dir_fd, const char *base)
{
	if (*base && mkdirat(dir_fd, base, 0700) < 0 && errno != EEXIST)
		return fail(unpack, "make the folder");
	auto_close int fd = openat(dir_fd, *base ? base : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return fail(unpack, "open the folder");
	int r = set_marks(unpack, fd, false);

	return r < 0 ? r : remember_times(unpack);
}

/* What isle mounts itself: nodes below /dev are left out in silence. */
static bool is_static_node(const struct unpack *unpack)
{
	return !strncmp(unpack->name, "dev/", 4);
}

static int put_entry(struct unpack *unpack)
{
	unsigned type = archive_entry_filetype(unpack->entry);
	auto_free char *copy = NULL;
	char *base;
	struct stat st;
	bool is_hardlink = archive_entry_hardlink(unpack->entry) != NULL;

	if ((type == AE_IFCHR || type == AE_IFBLK) && !is_hardlink)
		return is_static_node(unpack) ? 0 : refuse(unpack, "it is a device node");
	if (type == AE_IFSOCK && !is_hardlink)
		return 0;
	if (!*unpack->name && type != AE_IFDIR)
		return refuse(unpack, "it would replace the root");
	auto_close int dir_fd = open_parent(unpack, unpack->name, true, &copy, &base);

	if (dir_fd < 0)
		return -EIO;
	/* Of two entries of one name the last one counts, as with tar; a folder is never replaced by something else. */
	if (*base && fstatat(dir_fd, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && !(S_ISDIR(st.st_mode) && type == AE_IFDIR) &&
	    unlinkat(dir_fd, base, 0) < 0)
		return fail(unpack, "replace");
	if (is_hardlink)
		return put_hardlink(unpack, dir_fd, base);
	switch (type) {
	case AE_IFREG:
		return put_file(unpack, dir_fd, base);
	case AE_IFDIR:
		return put_folder(unpack, dir_fd, base);
	case AE_IFLNK:
		return put_link(unpack, dir_fd, base);
	case AE_IFIFO:
		return put_fifo(unpack, dir_fd, base);
	default:
		return refuse(unpack, "it is of a kind that is not known");
	}
}

static int set_folder_times(struct unpack *unpack)
{
	for (size_t i = unpack->folder_count; i-- > 0;) {
		auto_close int fd = open_beneath(unpack, unpack->folders[i].name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);

		/* One that was replaced meanwhile has got the times that it has. */
		if (fd >= 0 && futimens(fd, unpack->folders[i].times) < 0)
			return err_sys(unpack->err, "set the times of a folder");
	}
	return 0;
}

int unpack_entries(struct archive *archive, int root_fd, const struct unpack_limits *limits, struct err *err)
{
	auto_unpack struct unpack unpack = {.archive = archive, .limits = limits, .root_fd = root_fd, .name = "", .err = err};

	for (;;) {
		int r = archive_read_next_header(archive, &unpack.entry);

		if (r == ARCHIVE_EOF)
			break;
		if (r < ARCHIVE_WARN)
			return read_failure(&unpack);
		if (++unpack.entries > limits->entries)
			return err_set(err, ERR_FAILED, "unpack: the archive has more than %llu entries",
				       (unsigned long long)limits->entries);
		const char *name = archive_entry_pathname(unpack.entry);

		unpack.name = name ? name : "";
		if (*unpack.name == '/')
			return refuse(&unpack, "its name is absolute");
		name = name ? plain_name(name) : NULL;
		if (!name)
			return refuse(&unpack, "its name leads out of the target");
		unpack.name = name;
		r = put_entry(&unpack);
		if (r < 0)
			return r;
		unpack.name = "";
	}
	if (!unpack.entries)
		return err_set(err, ERR_FAILED, "unpack: the archive is empty");
	return set_folder_times(&unpack);
}
