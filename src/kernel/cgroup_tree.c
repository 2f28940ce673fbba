/* What is in a guest's cgroup2 tree: its processes and its folders. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_layout.h"

#define DEPTH_MAX 128       /* isle allows a guest 64 */
#define PROCS_MAX (8 << 20) /* bytes of one cgroup.procs */

/* fn on each folder from `at` down, the outer first; closes at. */
static int each_folder(int at, unsigned depth, int (*fn)(void *arg, int folder), void *arg)
{
	auto_closedir DIR *entries = fdopendir(at);

	if (!entries) {
		close(at);
		return -ENOMEM;
	}
	int r = depth > DEPTH_MAX ? -ELOOP : fn(arg, dirfd(entries));

	for (struct dirent *entry; r == 0 && (entry = readdir(entries));) {
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int below = openat(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (below >= 0) /* one that went meanwhile has nothing in it */
			r = each_folder(below, depth + 1, fn, arg);
	}
	return r;
}

static int open_tree_of(const char *cgroup, const char *below)
{
	char path[PATH_MAX];

	if (!cgroup_is_name(cgroup) || !cgroup_layout()->unified[0])
		return -EINVAL;
	int r = str_print(path, sizeof(path), "%s/%s%s%s", cgroup_layout()->unified, cgroup, below[0] ? "/" : "", below);
	int fd = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 && r >= 0 ? -errno : fd;
}

struct pids {
	int (*fn)(void *arg, pid_t pid);
	void *arg;
};

static int pids_of(void *arg, int folder)
{
	const struct pids *pids = arg;
	auto_free char *text = NULL;
	int r = file_read(folder, "cgroup.procs", PROCS_MAX, &text, NULL);

	if (r == -ENODEV || r == -ENOENT || r == -EOPNOTSUPP) /* gone, or one of threads only */
		return 0;
	char *rest = text;

	for (char *line; r == 0 && rest && (line = strsep(&rest, "\n"));) {
		uint64_t pid;

		if (line[0] && str_to_u64(line, 1, INT32_MAX, &pid) == 0)
			r = pids->fn(pids->arg, (pid_t)pid);
	}
	return r;
}

int cgroup_each_pid(const char *cgroup, int (*fn)(void *arg, pid_t pid), void *arg)
{
	struct pids pids = {fn, arg};
	int fd = open_tree_of(cgroup, "");

	return fd < 0 ? fd : each_folder(fd, 0, pids_of, &pids);
}

struct giving {
	uid_t owner;
	bool inside; /* below the guest's own group */
};

/* What the host's root made becomes the guest's root's; other users of the guest keep what they have. */
static int give_file(const struct giving *giving, int folder, const char *name)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != 0)
		return 0; /* gone, or somebody's */
	return fchownat(folder, name, giving->owner, giving->owner, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT ? -errno : 0;
}

/* In the guest's own group limits are isle's; below it every file is as if the guest had made it. */
static int give_folder(void *arg, int folder)
{
	static const char *const files[] = {".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
	struct giving *giving = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && !giving->inside && i < sizeof(files) / sizeof(files[0]); i++)
		r = give_file(giving, folder, files[i]);
	if (!giving->inside) {
		giving->inside = true;
		return r;
	}
	int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *entries = again < 0 ? NULL : fdopendir(again);

	if (!entries && again >= 0)
		close(again);
	for (struct dirent *entry; r == 0 && entries && (entry = readdir(entries));)
		if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0)
			r = give_file(giving, folder, entry->d_name);
	return r;
}

int cgroup_give(const char *cgroup, uid_t owner, struct err *err)
{
	struct giving giving = {.owner = owner};
	int fd = open_tree_of(cgroup, CGROUP_GUEST);
	int r = fd < 0 ? fd : each_folder(fd, 0, give_folder, &giving);

	return r < 0 ? err_num(err, r, "give cgroup %s/" CGROUP_GUEST " to uid %u", cgroup, owner) : 0;
}

struct shifting {
	uid_t from, to;
	unsigned count;
};

static uid_t shifted(const struct shifting *shifting, uid_t id)
{
	return id >= shifting->from && id - shifting->from < shifting->count ? id - shifting->from + shifting->to : id;
}

static int shift_folder(void *arg, int folder)
{
	const struct shifting *shifting = arg;
	int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	auto_closedir DIR *entries = again < 0 ? NULL : fdopendir(again);

	if (!entries && again >= 0)
		close(again);
	for (struct dirent *entry; r == 0 && entries && (entry = readdir(entries));) {
		struct stat st;

		if ((entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0) ||
		    fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		uid_t uid = shifted(shifting, st.st_uid), gid = shifted(shifting, st.st_gid);

		if ((uid != st.st_uid || gid != st.st_gid) && fchownat(folder, entry->d_name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 &&
		    errno != ENOENT)
			r = -errno;
	}
	return r;
}

int cgroup_shift(const char *cgroup, uid_t from, uid_t to, unsigned count, struct err *err)
{
	struct shifting shifting = {.from = from, .to = to, .count = count};
	int fd = open_tree_of(cgroup, CGROUP_GUEST);
	int r = fd < 0 ? fd : each_folder(fd, 0, shift_folder, &shifting);

	return r < 0 ? err_num(err, r, "give cgroup %s/" CGROUP_GUEST " to uid %u", cgroup, to) : 0;
}

int cgroup_open_guest(const char *cgroup)
{
	return open_tree_of(cgroup, CGROUP_GUEST);
}
