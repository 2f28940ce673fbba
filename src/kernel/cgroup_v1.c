/* The v1 half: limits and figures of guests on a host whose controllers are on cgroup v1. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_layout.h"

static int folder_of(const char *controller, const char *cgroup, char ret[PATH_MAX])
{
	const char *base = cgroup_v1_path(controller);

	if (!base)
		return -ENOENT;
	if (!cgroup[0])
		return -EINVAL; /* that would be the root */
	return str_print(ret, PATH_MAX, "%s/%s", base, cgroup);
}

/* A cpuset group takes no task before it has CPUs and memory nodes: it inherits its parent's. */
static int fill_cpuset(const char *base, const char *below, struct err *err)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

	for (size_t i = 0; i < 2; i++) {
		char from[PATH_MAX], to[PATH_MAX];
		auto_free char *value = NULL;

		if (str_print(to, sizeof(to), "%s/%s/%s", base, below, files[i]) < 0)
			return err_num(err, ENAMETOOLONG, "prepare cpuset group %s", below);
		if (file_read(AT_FDCWD, to, 65536, &value, NULL) == 0 && value[0] != '\n' && value[0])
			continue;
		free(take_ptr(&value));
		char *slash = strrchr(below, '/');

		if (str_print(from, sizeof(from), "%s/%.*s/%s", base, slash ? (int)(slash - below) : 0, below, files[i]) < 0)
			return err_num(err, ENAMETOOLONG, "prepare cpuset group %s", below);
		int r = file_read(AT_FDCWD, from, 65536, &value, NULL);
		if (r == 0)
			r = file_poke(AT_FDCWD, to, value);
		if (r < 0)
			return err_num(err, r, "copy %s to %s", from, to);
	}
	return 0;
}

/* mkdir -p of one hierarchy's folder, filling each cpuset on the way. */
static int make_way(const struct cgroup_hierarchy *hierarchy, const char *cgroup, struct err *err)
{
	bool cpuset = strcmp(hierarchy->controller, "cpuset") == 0;
	int r = 0;

	for (const char *at = cgroup; r == 0; at++) {
		char below[PATH_MAX], path[PATH_MAX];

		at = strchrnul(at, '/');
		if (str_print(below, sizeof(below), "%.*s", (int)(at - cgroup), cgroup) < 0 ||
		    str_print(path, sizeof(path), "%s/%s", hierarchy->path, below) < 0)
			return err_num(err, ENAMETOOLONG, "make cgroup %s", cgroup);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return err_sys(err, "mkdir %s", path);
		if (cpuset)
			r = fill_cpuset(hierarchy->path, below, err);
		if (!*at)
			break;
	}
	return r;
}

int cgroup_v1_create(const char *cgroup, struct err *err)
{
	const struct cgroup_layout_map *map = cgroup_layout();
	int r = 0;

	for (int i = 0; r == 0 && i < map->v1_count; i++)
		r = make_way(&map->v1[i], cgroup, err);
	return r;
}

static void read_into(const char *controller, const char *cgroup, const char *file, uint64_t *ret)
{
	char folder[PATH_MAX];

	if (folder_of(controller, cgroup, folder) == 0)
		(void)cgroup_read_u64(folder, file, ret); /* stays "the kernel does not say" */
}

static uint64_t read_word(const char *controller, const char *cgroup, const char *file, const char *word)
{
	char folder[PATH_MAX];

	return folder_of(controller, cgroup, folder) == 0 ? cgroup_read_word(folder, file, word) : UINT64_MAX;
}

void cgroup_v1_stat(const char *cgroup, struct cgroup_stat *stat)
{
	uint64_t nsec = UINT64_MAX;

	read_into("memory", cgroup, "memory.usage_in_bytes", &stat->memory);
	read_into("memory", cgroup, "memory.max_usage_in_bytes", &stat->memory_peak);
	read_into("memory", cgroup, "memory.limit_in_bytes", &stat->memory_limit);
	stat->oom_kills = read_word("memory", cgroup, "memory.oom_control", "oom_kill");
	read_into("pids", cgroup, "pids.current", &stat->processes);
	read_into("cpuacct", cgroup, "cpuacct.usage", &nsec);
	if (nsec != UINT64_MAX)
		stat->cpu_usec = nsec / 1000;
	/* v1 shows "no limit" as the largest page-aligned number. */
	if (stat->memory_limit >= (uint64_t)INT64_MAX / 4096 * 4096)
		stat->memory_limit = UINT64_MAX;
}
