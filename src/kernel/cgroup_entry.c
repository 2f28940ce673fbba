/* How a process enters a guest's control groups. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_layout.h"

int cgroup_entry_open(const char *cgroup, struct cgroup_entry *ret, struct err *err)
{
	const struct cgroup_layout_map *map = cgroup_layout();
	struct cgroup_entry entry = {.folder = -1};
	char path[PATH_MAX];

	if (!map->unified[0] || !cgroup_is_name(cgroup) ||
	    str_print(path, sizeof(path), "%s/%s/" CGROUP_GUEST, map->unified, cgroup) < 0)
		return cgroup_none(err);
	entry.folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (entry.folder < 0)
		return err_sys(err, "open %s", path);
	for (int i = 0; i < map->v1_count; i++) {
		/* Hierarchies with several controllers stand in the map once for each. */
		if (i > 0 && strcmp(map->v1[i].path, map->v1[i - 1].path) == 0)
			continue;
		if (str_print(path, sizeof(path), "%s/%s/tasks", map->v1[i].path, cgroup) < 0)
			continue;
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		if (fd < 0) {
			int r = err_sys(err, "open %s", path);

			cgroup_entry_close(&entry);
			return r;
		}
		entry.tasks[entry.count++] = fd;
	}
	*ret = entry;
	return 0;
}

void cgroup_entry_close(struct cgroup_entry *entry)
{
	if (entry->folder >= 0)
		close(take_fd(&entry->folder));
	while (entry->count > 0)
		close(entry->tasks[--entry->count]);
}

int cgroup_entry_enter(const struct cgroup_entry *entry, struct err *err)
{
	for (int i = 0; i < entry->count; i++)
		if (write(entry->tasks[i], "0", 1) != 1)
			return err_sys(err, "enter the guest's control groups");
	return 0;
}

/* Of a text of "ID:NAMES:PATH" lines (cgroups(7)) the path in the hierarchy that has the controller, up to its line's end; NULL. */
static const char *path_in(const char *text, const char *controller, size_t *ret_len)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		char names[256];
		const char *at = strchr(line, ':');
		size_t len = at ? strcspn(at + 1, ":\n") : 0;

		if (!at || at[1 + len] != ':' || str_print(names, sizeof(names), "%.*s", (int)len, at + 1) < 0 ||
		    !cgroup_has_word(names, controller))
			continue;
		at += len + 2;
		*ret_len = strcspn(at, "\n");
		return at;
	}
	return NULL;
}

static int follow_in(const struct cgroup_hierarchy *row, const char *theirs, const char *own, struct cgroup_entry *entry,
		     struct err *err)
{
	size_t there, here;
	const char *to = path_in(theirs, row->controller, &there), *from = path_in(own, row->controller, &here);
	char path[PATH_MAX];

	if (!to || !from || (there == here && strncmp(to, from, here) == 0) || entry->count == CGROUP_V1_MAX)
		return 0;
	if (str_print(path, sizeof(path), "%s%.*s/tasks", row->path, (int)there, to) < 0)
		return err_num(err, ENAMETOOLONG, "enter the guest's control groups");
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open %s", path);
	entry->tasks[entry->count++] = fd;
	return 0;
}

int cgroup_entry_follow(pid_t pid, struct cgroup_entry *entry, struct err *err)
{
	const struct cgroup_layout_map *map = cgroup_layout();
	auto_free char *theirs = NULL, *own = NULL;
	char path[64];
	int r;

	if (map->other_count == 0)
		return 0;
	(void)str_print(path, sizeof(path), "/proc/%d/cgroup", pid);
	r = file_read(AT_FDCWD, path, 65536, &theirs, NULL);
	if (r == 0)
		r = file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &own, NULL);
	if (r < 0)
		return err_num(err, r, "find the guest's control groups");
	for (int i = 0; r == 0 && i < map->other_count; i++)
		r = follow_in(&map->other[i], theirs, own, entry, err);
	return r;
}
