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

#define PERIOD_USEC       100000u
#define SHARES_PER_WEIGHT 1024u / 100u

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

static int set_v1(const char *controller, const char *cgroup, const char *file, const char *value,
		  bool (*same)(const char *, const char *), struct err *err)
{
	char folder[PATH_MAX];

	if (folder_of(controller, cgroup, folder) < 0) {
		(void)err_num(err, EOPNOTSUPP, "set %s: the %s controller is not mounted", file, controller);
		return err_hint(err, "mount the %s controller, or unset the limit", controller);
	}
	return cgroup_set(folder, file, value, same, err);
}

/* memsw must never be below memory, so which is written first depends on the direction: try one, then the other. */
static int set_memory(const char *cgroup, const struct cgroup_limits *limits, struct err *err)
{
	static const char memory_file[] = "memory.limit_in_bytes", both_file[] = "memory.memsw.limit_in_bytes";
	char memory[24], both[24];

	if (limits->memory == UINT64_MAX) {
		if (limits->swap == UINT64_MAX)
			return 0;
		(void)err_set(err, ERR_USAGE,
			      "set limits.swap without limits.memory: on this host swap is limited together with memory");
		return err_hint(err, "set limits.memory too");
	}
	(void)str_print(memory, sizeof(memory), "%llu", (unsigned long long)limits->memory);
	if (limits->swap == UINT64_MAX)
		return set_v1("memory", cgroup, memory_file, memory, cgroup_same_bytes, err);
	uint64_t sum = limits->memory > UINT64_MAX - limits->swap ? UINT64_MAX / 2 : limits->memory + limits->swap;

	(void)str_print(both, sizeof(both), "%llu", (unsigned long long)sum);
	if (set_v1("memory", cgroup, memory_file, memory, cgroup_same_bytes, NULL) == 0)
		return set_v1("memory", cgroup, both_file, both, cgroup_same_bytes, err);
	int r = set_v1("memory", cgroup, both_file, both, cgroup_same_bytes, err);
	if (r < 0)
		return r;
	return set_v1("memory", cgroup, memory_file, memory, cgroup_same_bytes, err);
}

int cgroup_v1_limit(const char *cgroup, const struct cgroup_limits *limits, struct err *err)
{
	char value[32];
	int r = set_memory(cgroup, limits, err);

	if (r == 0 && limits->cpus != UINT64_MAX) {
		(void)str_print(value, sizeof(value), "%llu", (unsigned long long)(limits->cpus * PERIOD_USEC / 1000));
		r = set_v1("cpu", cgroup, "cpu.cfs_quota_us", value, cgroup_same_text, err);
	}
	if (r == 0 && limits->cpu_weight != UINT64_MAX) {
		uint64_t shares = limits->cpu_weight * SHARES_PER_WEIGHT;

		(void)str_print(value, sizeof(value), "%llu", (unsigned long long)(shares < 2 ? 2 : shares));
		r = set_v1("cpu", cgroup, "cpu.shares", value, cgroup_same_text, err);
	}
	if (r == 0 && limits->processes != UINT64_MAX) {
		(void)str_print(value, sizeof(value), "%llu", (unsigned long long)limits->processes);
		r = set_v1("pids", cgroup, "pids.max", value, cgroup_same_text, err);
	}
	if (r == 0 && limits->cpuset)
		r = set_v1("cpuset", cgroup, "cpuset.cpus", limits->cpuset, cgroup_same_text, err);
	return r;
}

static void read_into(const char *controller, const char *cgroup, const char *file, uint64_t *ret)
{
	char folder[PATH_MAX];

	if (folder_of(controller, cgroup, folder) == 0)
		(void)cgroup_read_u64(folder, file, ret); /* stays "the kernel does not say" */
}

void cgroup_v1_stat(const char *cgroup, struct cgroup_stat *stat)
{
	uint64_t nsec = UINT64_MAX;

	read_into("memory", cgroup, "memory.usage_in_bytes", &stat->memory);
	read_into("memory", cgroup, "memory.max_usage_in_bytes", &stat->memory_peak);
	read_into("memory", cgroup, "memory.limit_in_bytes", &stat->memory_limit);
	read_into("pids", cgroup, "pids.current", &stat->processes);
	read_into("cpuacct", cgroup, "cpuacct.usage", &nsec);
	if (nsec != UINT64_MAX)
		stat->cpu_usec = nsec / 1000;
	/* v1 shows "no limit" as the largest page-aligned number. */
	if (stat->memory_limit >= (uint64_t)INT64_MAX / 4096 * 4096)
		stat->memory_limit = UINT64_MAX;
}
