/* Removes control groups with all below them, however deep a guest has nested its own. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "cgroup_layout.h"

/* The first folder inside dir, "" when there is none. */
static int first_folder(int dir, char name[NAME_MAX + 1])
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	name[0] = '\0';
	if (fd < 0)
		return -errno;
	auto_closedir DIR *entries = fdopendir(fd);

	if (!entries) {
		close(fd);
		return -ENOMEM;
	}
	for (struct dirent *entry; (entry = readdir(entries));)
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return str_copy(name, NAME_MAX + 1, entry->d_name);
	return 0;
}

/* A dying task leaves its group a moment after its parent heard of it. */
static int remove_waiting(int dir, const char *name, uint64_t deadline)
{
	for (;;) {
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		if (errno != EBUSY)
			return -errno;
		if (proc_now_ms() >= deadline)
			return -EBUSY;
		(void)poll(NULL, 0, 1); /* v1 has no event for "empty" */
	}
}

/* The way down from the folder that is being removed: a guest may nest its groups as deep as it likes. */
struct trail {
	char (*name)[NAME_MAX + 1];
	size_t count, room;
};

static int trail_push(struct trail *trail, const char *name)
{
	if (trail->count == trail->room) {
		size_t room = trail->room ? trail->room * 2 : 16;
		void *more = reallocarray(trail->name, room, sizeof(*trail->name));

		if (!more)
			return -ENOMEM;
		trail->name = more;
		trail->room = room;
	}
	return str_copy(trail->name[trail->count++], NAME_MAX + 1, name);
}

static int step_to(int *at, const char *name)
{
	int next = openat(*at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (next < 0)
		return -errno;
	close(*at);
	*at = next;
	return 0;
}

/* Down to a leaf, remove it from its parent, on from there: two descriptors whatever the depth. */
static int remove_below(int at_fd, struct trail *trail, uint64_t deadline)
{
	auto_close int at = at_fd;

	for (;;) {
		char child[NAME_MAX + 1];
		int r = first_folder(at, child);

		if (r == 0 && child[0]) {
			r = trail_push(trail, child);
			if (r == 0)
				r = step_to(&at, child);
		} else if (r == 0) {
			if (trail->count == 0)
				return 0;
			r = step_to(&at, "..");
			if (r == 0)
				r = remove_waiting(at, trail->name[--trail->count], deadline);
		}
		if (r < 0)
			return r;
	}
}

/* systemd removes the groups of a scope that has ended at the same time: what it takes from under us is looked at anew. */
static int remove_groups(int dir, const char *name, uint64_t deadline)
{
	for (;;) {
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
			return 0;
		int at = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (at < 0)
			return errno == ENOENT ? 0 : -errno;
		struct trail trail = {0};
		int r = remove_below(at, &trail, deadline);

		free(trail.name);
		if (r == 0)
			return remove_waiting(dir, name, deadline);
		if (r != -ENOENT || proc_now_ms() >= deadline)
			return r;
	}
}

int cgroup_remove(const char *cgroup, int timeout_ms, struct err *err)
{
	const struct cgroup_layout_map *map = cgroup_layout();
	uint64_t deadline = proc_now_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);

	if (!cgroup_is_name(cgroup))
		return err_num(err, EINVAL, "remove cgroup '%s', which is no guest's", cgroup);
	if (!map->unified[0])
		return cgroup_none(err); /* or it could not be found now, which does not mean that there is nothing to remove */
	for (int i = -1; i < map->v1_count; i++) {
		const char *base = i < 0 ? map->unified : map->v1[i].path;

		if (!base[0])
			continue;
		auto_close int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (dir < 0)
			return err_sys(err, "open %s", base);
		int r = remove_groups(dir, cgroup, deadline);
		if (r < 0)
			return err_num(err, r, "rmdir %s/%s", base, cgroup);
		char parent[PATH_MAX];
		char *slash = str_copy(parent, sizeof(parent), cgroup) < 0 ? NULL : strrchr(parent, '/');

		if (slash) {
			*slash = '\0';
			(void)unlinkat(dir, parent, AT_REMOVEDIR); /* only the last guest's end succeeds */
		}
	}
	return 0;
}
