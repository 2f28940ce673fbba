/* What a guest made of its cgroup2 tree, as a text, and making the same again. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "cgroup_layout.h"
#include "cgroup_saved.h"

/* The text: "at /system.slice" begins a group, the outer before the inner, and "at /" is the top; lines about it follow, a word and
 * its value each. */

#define DEPTH_MAX  128   /* isle allows a guest 64 */
#define VALUE_MAX  65536 /* bytes of a file or an attribute */
#define XATTRS_MAX 65536 /* bytes of their names */
#define SUBTREE    "cgroup.subtree_control"

/* What systemd and others set, and what a new group has. */
static const struct {
	const char *file, *fresh;
} settings[] = {
	{"cgroup.max.depth", "max"},
	{"cgroup.max.descendants", "max"},
	{"cgroup.pressure", "1"},
	{"cpu.max", "max 100000"},
	{"cpu.max.burst", "0"},
	{"cpu.uclamp.max", "max"},
	{"cpu.uclamp.min", "0.00"},
	{"cpu.weight", "100"},
	{"cpu.idle", "0"}, /* after the weight, which it takes away */
	{"cpuset.cpus", ""},
	{"cpuset.cpus.exclusive", ""},
	{"cpuset.cpus.partition", "member"},
	{"cpuset.mems", ""},
	{"io.bfq.weight", "default 100"},
	{"io.latency", ""},
	{"io.max", ""},
	{"io.prio.class", "no-change"},
	{"io.weight", "default 100"},
	{"memory.high", "max"},
	{"memory.low", "0"},
	{"memory.max", "max"},
	{"memory.min", "0"},
	{"memory.oom.group", "0"},
	{"memory.swap.high", "max"},
	{"memory.swap.max", "max"},
	{"memory.zswap.max", "max"},
	{"memory.zswap.writeback", "1"},
	{"pids.max", "max"},
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

struct saving {
	struct buf text;
	uid_t owner;
};

/* A file's text without its last newline; "" when there is none. */
static int read_value(int folder, const char *file, char **ret)
{
	size_t len = 0;
	int r = file_read(folder, file, VALUE_MAX, ret, &len);

	if (r == -ENOENT || r == -ENODEV || r == -EOPNOTSUPP) {
		*ret = strdup("");
		return *ret ? 0 : -ENOMEM;
	}
	while (r == 0 && len > 0 && strchr(" \n", (*ret)[len - 1]))
		(*ret)[--len] = '\0';
	return r;
}

static int save_settings(struct saving *saving, int folder)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		auto_free char *value = NULL;
		int r = read_value(folder, settings[i].file, &value);

		if (r < 0)
			return r;
		if (!value[0] || strcmp(value, settings[i].fresh) == 0)
			continue;
		char *rest = value;

		/* The kernel takes lines for several devices one by one. */
		for (char *line; (line = strsep(&rest, "\n"));)
			buf_addf(&saving->text, "set %s %s\n", settings[i].file, line);
	}
	return 0;
}

/* systemd keeps notes there: whose group it is, and whether it was handed to somebody. */
static int save_xattrs(struct saving *saving, int folder)
{
	auto_free char *names = malloc(XATTRS_MAX), *value = malloc(VALUE_MAX);
	ssize_t len = names && value ? flistxattr(folder, names, XATTRS_MAX) : -1;

	if (!names || !value)
		return -ENOMEM;
	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		ssize_t size =
			str_starts(name, "user.") || str_starts(name, "trusted.") ? fgetxattr(folder, name, value, VALUE_MAX) : -1;

		if (size < 0 || strpbrk(name, " \n"))
			continue;
		buf_addf(&saving->text, "xattr %s ", name);
		for (ssize_t i = 0; i < size; i++)
			buf_addf(&saving->text, "%02x", (unsigned char)value[i]);
		buf_add(&saving->text, "\n");
	}
	return 0;
}

/* Files of others than the guest's root: of a user's, whose own systemd has groups there. The host's root made what came with a
 * controller since, and those are the guest's root's too. */
static int save_owners(struct saving *saving, DIR *entries)
{
	for (struct dirent *entry; (entry = readdir(entries));) {
		struct stat st;

		if (entry->d_type != DT_REG || strpbrk(entry->d_name, " \n"))
			continue;
		if (fstatat(dirfd(entries), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (st.st_uid != 0 && (st.st_uid != saving->owner || st.st_gid != saving->owner))
			buf_addf(&saving->text, "own %u %u %o %s\n", st.st_uid, st.st_gid, st.st_mode & 07777, entry->d_name);
	}
	rewinddir(entries);
	return 0;
}

static int save_group(struct saving *saving, DIR *entries)
{
	int folder = dirfd(entries);
	auto_free char *type = NULL;
	struct stat st;

	if (fstat(folder, &st) < 0)
		return -errno;
	buf_addf(&saving->text, "mode %o %u %u\n", st.st_mode & 07777, st.st_uid, st.st_gid);
	int r = read_value(folder, "cgroup.type", &type);
	if (r < 0)
		return r;
	if (strcmp(type, "threaded") == 0)
		buf_add(&saving->text, "type threaded\n");
	r = save_settings(saving, folder);
	return r < 0 ? r : save_owners(saving, entries);
}

/* Closes at. path: "" for the top, of which the host made all but what is handed on. */
static int save_tree(struct saving *saving, int at, const char *path, unsigned depth)
{
	auto_closedir DIR *entries = fdopendir(at);

	if (!entries) {
		close(at);
		return -ENOMEM;
	}
	buf_addf(&saving->text, "at %s\n", path[0] ? path : "/");
	auto_free char *handed = NULL;
	int r = depth > DEPTH_MAX ? -ELOOP : path[0] ? save_group(saving, entries) : 0;
	if (r == 0)
		r = save_xattrs(saving, dirfd(entries));
	if (r == 0)
		r = read_value(dirfd(entries), SUBTREE, &handed);
	if (r == 0 && handed[0])
		buf_addf(&saving->text, "hand %s\n", handed);
	for (struct dirent *entry; r == 0 && (entry = readdir(entries));) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		auto_free char *below = str_format("%s/%s", path, entry->d_name);
		int fd = openat(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd >= 0 && below)
			r = save_tree(saving, fd, below, depth + 1);
		else if (fd >= 0)
			close(fd);
	}
	return r;
}

int cgroup_saved_read(int top, uid_t owner, char **ret)
{
	struct saving saving = {.owner = owner};
	int again = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = again < 0 ? -errno : save_tree(&saving, again, "", 0);

	if (r < 0) {
		buf_free(&saving.text);
		return r;
	}
	*ret = buf_take(&saving.text);
	return *ret ? 0 : -ENOMEM;
}

/* "644 " of "644 0 0": moves on behind it. */
static int next_number(char **rest, int base, unsigned *ret)
{
	char *end;

	errno = 0;
	unsigned long value = strtoul(*rest, &end, base);

	if (end == *rest || errno || value > UINT32_MAX)
		return -EINVAL;
	*ret = (unsigned)value;
	*rest = end + (*end == ' ');
	return 0;
}

static int put_mode(int folder, char *value)
{
	unsigned mode = 0, uid = 0, gid = 0;

	if (next_number(&value, 8, &mode) < 0 || next_number(&value, 10, &uid) < 0 || next_number(&value, 10, &gid) < 0)
		return -EBADMSG;
	return fchown(folder, uid, gid) < 0 || fchmod(folder, mode) < 0 ? -errno : 0;
}

static int put_type(int folder, char *value)
{
	return file_poke(folder, "cgroup.type", value);
}

/* "NAME HEX" */
static int put_xattr(int folder, char *value)
{
	char *hex = strchr(value, ' ');

	if (!hex)
		return -EBADMSG;
	*hex++ = '\0';
	size_t size = strlen(hex) / 2;
	auto_free unsigned char *bytes = malloc(size + 1);

	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++) {
		char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'}, *end;

		bytes[i] = (unsigned char)strtoul(digits, &end, 16);
		if (*end)
			return -EBADMSG;
	}
	return fsetxattr(folder, value, bytes, size, 0) < 0 ? -errno : 0;
}

/* One by one: of those that this host has none is left out for another. */
static int put_handed(int folder, char *value)
{
	for (char *word; (word = strsep(&value, " "));) {
		char change[40];

		if (!word[0] || str_print(change, sizeof(change), "+%s", word) < 0)
			continue;
		int r = file_poke(folder, SUBTREE, change);

		if (r < 0 && r != -ENOENT && r != -EINVAL)
			return r;
	}
	return 0;
}

/* "FILE LINE" */
static int put_setting(int folder, char *value)
{
	char *line = strchr(value, ' ');

	if (!line)
		return -EBADMSG;
	*line++ = '\0';
	for (size_t i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].file, value) == 0)
			return file_poke(folder, value, line);
	return 0; /* of a newer isle */
}

/* "UID GID MODE FILE" */
static int put_owner(int folder, char *value)
{
	unsigned uid = 0, gid = 0, mode = 0;

	if (next_number(&value, 10, &uid) < 0 || next_number(&value, 10, &gid) < 0 || next_number(&value, 8, &mode) < 0 ||
	    strchr(value, '/'))
		return -EBADMSG;
	if (fchownat(folder, value, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return fchmodat(folder, value, mode, 0) < 0 ? -errno : 0;
}

static const struct word {
	const char *name;
	enum cgroup_step step;
	int (*put)(int folder, char *value); /* -EBADMSG: that is no value */
} words[] = {
	{"mode", CGROUP_MAKE, put_mode},      {"type", CGROUP_MAKE, put_type},     {"xattr", CGROUP_MAKE, put_xattr},
	{"hand", CGROUP_HAND_ON, put_handed}, {"set", CGROUP_SETTLE, put_setting}, {"own", CGROUP_SETTLE, put_owner},
};

/* What a kernel says of something that another had: not this controller, not this device, not this range. */
static bool is_lack(int r)
{
	return r == -ENOENT || r == -EINVAL || r == -ERANGE || r == -ENODEV || r == -EOPNOTSUPP;
}

static int put_line(int folder, enum cgroup_step step, char *line)
{
	char *value = strchr(line, ' ');

	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].step == step && strcmp(words[i].name, line) == 0) {
			int r = words[i].put(folder, value);

			return is_lack(r) ? 0 : r;
		}
	return 0;
}

/* -ENOENT: it went since it was made. */
static int open_group(int top, const char *path, bool make)
{
	if (strcmp(path, "/") == 0)
		return path_open_beneath(top, ".", O_RDONLY | O_DIRECTORY, 0);
	if (path[0] != '/' || !cgroup_is_name(path + 1))
		return -EBADMSG;
	if (make && mkdirat(top, path + 1, 0755) < 0 && errno != EEXIST)
		return -errno;
	return path_open_beneath(top, path + 1, O_RDONLY | O_DIRECTORY, 0);
}

int cgroup_saved_write(int top, const char *saved, enum cgroup_step step, char **ret_at)
{
	auto_free char *copy = strdup(saved);
	auto_close int folder = -1;
	const char *at = "";
	char *rest = copy;
	int r = copy ? 0 : -ENOMEM;

	for (char *line; r == 0 && (line = strsep(&rest, "\n"));) {
		if (str_starts(line, "at ")) {
			if (folder >= 0)
				close(take_fd(&folder));
			at = line + strlen("at ");
			folder = open_group(top, at, step == CGROUP_MAKE);
			r = folder >= 0 || folder == -ENOENT ? 0 : folder;
		} else if (folder >= 0 && line[0]) {
			r = put_line(folder, step, line);
		}
	}
	*ret_at = r < 0 ? strdup(at) : NULL;
	return r;
}

int cgroup_save(const char *cgroup, uid_t owner, char **ret, struct err *err)
{
	auto_close int top = cgroup_open_guest(cgroup);
	int r = top < 0 ? top : cgroup_saved_read(top, owner, ret);

	return r < 0 ? err_num(err, r, "read the groups in cgroup %s/" CGROUP_GUEST, cgroup) : 0;
}

int cgroup_put_back(const char *cgroup, const char *saved, enum cgroup_step step, struct err *err)
{
	static const char *const deeds[] = {
		[CGROUP_MAKE] = "make",
		[CGROUP_HAND_ON] = "hand controllers on in",
		[CGROUP_SETTLE] = "set the limits of",
	};
	auto_free char *at = NULL;
	auto_close int top = cgroup_open_guest(cgroup);
	int r = top < 0 ? top : cgroup_saved_write(top, saved, step, &at);

	return r < 0 ? err_num(err, r, "%s cgroup %s/" CGROUP_GUEST "%s", deeds[step], cgroup, at ? at : "") : 0;
}
