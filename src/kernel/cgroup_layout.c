/* Finds the control group hierarchies of this host and reads and writes their files. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_parts.h"

/* The v1 controllers that carry a guest's limits and figures; each hierarchy costs a start and a stop 0.1 ms. Freezing, killing and
 * device rules work on cgroup2 everywhere. */
static const char *const used_controllers[] = {"memory", "pids", "cpu", "cpuacct", "cpuset", "blkio", "hugetlb"};

#define USED (sizeof(used_controllers) / sizeof(used_controllers[0]))

bool cgroup_has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len)
		if ((at == list || strchr(" ,\n", at[-1])) && strchr(" ,\n", at[len]))
			return true;
	return false;
}

static void add_other(struct cgroup_layout_map *map, const char *path, const char *options)
{
	struct cgroup_hierarchy *row = &map->other[map->other_count];
	const char *last = strrchr(options, ',');

	if (map->other_count < CGROUP_OTHER_MAX && last && str_copy(row->path, sizeof(row->path), path) == 0 &&
	    str_copy(row->controller, sizeof(row->controller), last + 1) == 0)
		map->other_count++;
}

static void add_v1(struct cgroup_layout_map *map, const char *path, const char *options)
{
	bool used = false;

	for (size_t i = 0; i < USED && map->v1_count < CGROUP_V1_MAX; i++) {
		struct cgroup_hierarchy *row = &map->v1[map->v1_count];

		if (!cgroup_has_word(options, used_controllers[i]))
			continue;
		used = true;
		if (str_copy(row->path, sizeof(row->path), path) == 0 &&
		    str_copy(row->controller, sizeof(row->controller), used_controllers[i]) == 0)
			map->v1_count++;
	}
	if (!used)
		add_other(map, path, options);
}

/* mountinfo (proc_pid_mountinfo(5)): ID PARENT DEV ROOT PATH OPTIONS ... - TYPE SOURCE SUPER */
static void read_line(struct cgroup_layout_map *map, char *line)
{
	char *tail = strstr(line, " - cgroup");
	char *path = line;

	if (!tail)
		return;
	*tail = '\0';
	tail += 3;
	for (int i = 0; i < 4 && path; i++) {
		path = strchr(path, ' ');
		if (path)
			path++;
	}
	if (!path)
		return;
	path[strcspn(path, " ")] = '\0';
	if (str_starts(tail, "cgroup2 ")) {
		if (!map->unified[0])
			(void)str_copy(map->unified, sizeof(map->unified), path);
		return;
	}
	char *options = strrchr(tail, ' ');

	if (options)
		add_v1(map, path, options + 1);
}

void cgroup_layout_parse(char *text, struct cgroup_layout_map *map)
{
	for (char *line; (line = strsep(&text, "\n"));)
		read_line(map, line);
}

const struct cgroup_layout_map *cgroup_layout(void)
{
	static struct cgroup_layout_map map;
	static bool read_once;

	if (read_once)
		return &map;
	auto_free char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/self/mountinfo", 8 << 20, &text, NULL) < 0)
		return &map; /* read again when it is asked for again: what was made must be undone */
	read_once = true;
	cgroup_layout_parse(text, &map);
	return &map;
}

const char *cgroup_v1_path(const char *controller)
{
	const struct cgroup_layout_map *map = cgroup_layout();

	for (int i = 0; i < map->v1_count; i++)
		if (strcmp(map->v1[i].controller, controller) == 0)
			return map->v1[i].path;
	return NULL;
}

bool cgroup_same_text(const char *asked, const char *shown)
{
	return strcmp(asked, shown) == 0;
}

bool cgroup_same_bytes(const char *asked, const char *shown)
{
	uint64_t want, have, page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (strcmp(asked, shown) == 0)
		return true;
	if (str_to_u64(asked, 0, UINT64_MAX, &want) < 0 || str_to_u64(shown, 0, UINT64_MAX, &have) < 0)
		return false;
	return have == want / page * page;
}

int cgroup_read_text(const char *folder, const char *file, char **ret)
{
	char path[PATH_MAX];

	if (str_print(path, sizeof(path), "%s/%s", folder, file) < 0)
		return -ENAMETOOLONG;
	int r = file_read(AT_FDCWD, path, 65536, ret, NULL);
	if (r < 0)
		return r;
	(*ret)[strcspn(*ret, "\n")] = '\0';
	return 0;
}

int cgroup_set(const char *folder, const char *file, const char *value, bool (*same)(const char *asked, const char *shown),
	       struct err *err)
{
	char path[PATH_MAX];
	auto_free char *shown = NULL;

	if (str_print(path, sizeof(path), "%s/%s", folder, file) < 0)
		return err_num(err, ENAMETOOLONG, "write %s in %s", file, folder);
	int r = file_poke(AT_FDCWD, path, value);
	if (r == -ENOENT) {
		(void)err_num(err, EOPNOTSUPP, "write %s to %s: this kernel offers no such control", value, path);
		return err_hint(err, "enable the controller in the kernel, or unset the limit");
	}
	if (r < 0)
		return err_num(err, r, "write %s to %s", value, path);
	r = cgroup_read_text(folder, file, &shown);
	if (r < 0)
		return err_num(err, r, "read %s back", path);
	if (!same(value, shown))
		return err_set(err, ERR_FAILED, "write %s to %s: the kernel kept %s instead", value, path, shown);
	return 0;
}

int cgroup_read_u64(const char *folder, const char *file, uint64_t *ret)
{
	auto_free char *text = NULL;
	int r = cgroup_read_text(folder, file, &text);

	if (r < 0)
		return r;
	if (strcmp(text, "max") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return str_to_u64(text, 0, UINT64_MAX, ret);
}

uint64_t cgroup_read_word(const char *folder, const char *file, const char *word)
{
	auto_free char *path = str_format("%s/%s", folder, file);
	auto_free char *text = NULL;
	size_t len = strlen(word);
	uint64_t value;

	if (!path || file_read(AT_FDCWD, path, 65536, &text, NULL) < 0)
		return UINT64_MAX;
	for (char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		if (strncmp(line, word, len) != 0 || line[len] != ' ')
			continue;
		char *number = line + len + 1;

		number[strcspn(number, "\n")] = '\0';
		return str_to_u64(number, 0, UINT64_MAX, &value) == 0 ? value : UINT64_MAX;
	}
	return UINT64_MAX;
}
