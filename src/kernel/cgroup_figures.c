/* What a group's processes have used and suffered: processor time, memory by kind, throttling, disk traffic, pressure. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_figures.h"
#include "cgroup_parts.h"

#define FILE_MOST 65536
#define LARGEST   ((uint64_t)INT64_MAX / 2) /* what v1 shows for "no limit" is more */

/* The number behind "word " at the beginning of a line. */
static uint64_t word_of(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = text; at && *at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, word, len) == 0 && at[len] == ' ')
			return strtoull(at + len + 1, NULL, 10);
	}
	return UINT64_MAX;
}

static char *read_of(const char *folder, const char *file)
{
	char path[PATH_MAX];
	char *text = NULL;

	if (str_print(path, sizeof(path), "%s/%s", folder, file) < 0 || file_read(AT_FDCWD, path, FILE_MOST, &text, NULL) < 0)
		return NULL;
	return text;
}

static uint64_t number_of(const char *folder, const char *file)
{
	uint64_t number = UINT64_MAX;

	(void)cgroup_read_u64(folder, file, &number); /* stays "the kernel does not say" */
	return number > LARGEST ? UINT64_MAX : number;
}

static void read_memory(const char *folder, bool v1, struct cgroup_figures *ret)
{
	auto_free char *stat = read_of(folder, "memory.stat");

	ret->anon = word_of(stat, v1 ? "total_rss" : "anon");
	ret->file = word_of(stat, v1 ? "total_cache" : "file");
	ret->shmem = word_of(stat, v1 ? "total_shmem" : "shmem");
	if (v1) {
		ret->kernel = number_of(folder, "memory.kmem.usage_in_bytes");
		ret->swap = word_of(stat, "total_swap");
		uint64_t both = number_of(folder, "memory.memsw.limit_in_bytes");

		if (both != UINT64_MAX && ret->stat.memory_limit != UINT64_MAX)
			ret->swap_limit = both > ret->stat.memory_limit ? both - ret->stat.memory_limit : 0;
		return;
	}
	ret->kernel = word_of(stat, "kernel");
	if (ret->kernel == UINT64_MAX) /* before Linux 5.18 */
		ret->kernel = word_of(stat, "slab");
	ret->swap = number_of(folder, "memory.swap.current");
	ret->swap_limit = number_of(folder, "memory.swap.max");
	ret->memory_high = number_of(folder, "memory.high");
}

static void read_cpu_limit(const char *folder, bool v1, struct cgroup_figures *ret)
{
	uint64_t quota = UINT64_MAX, period = UINT64_MAX;

	if (v1) {
		quota = number_of(folder, "cpu.cfs_quota_us");
		period = number_of(folder, "cpu.cfs_period_us");
	} else {
		auto_free char *text = read_of(folder, "cpu.max");
		char *end = text;

		quota = text && *text != 'm' ? strtoull(text, &end, 10) : UINT64_MAX;
		period = end && *end == ' ' ? strtoull(end + 1, NULL, 10) : UINT64_MAX;
	}
	if (quota != UINT64_MAX && period != UINT64_MAX && period)
		ret->cpu_limit = quota * 1000 / period;
}

static void read_cpu(const char *folder, bool v1, struct cgroup_figures *ret)
{
	auto_free char *stat = read_of(folder, "cpu.stat");

	ret->periods = word_of(stat, "nr_periods");
	ret->throttled = word_of(stat, "nr_throttled");
	ret->throttled_usec = word_of(stat, v1 ? "throttled_time" : "throttled_usec");
	if (v1 && ret->throttled_usec != UINT64_MAX)
		ret->throttled_usec /= 1000;
	if (!v1) {
		ret->user_usec = word_of(stat, "user_usec");
		ret->system_usec = word_of(stat, "system_usec");
	}
	read_cpu_limit(folder, v1, ret);
}

static void read_accounts(const char *folder, struct cgroup_figures *ret)
{
	auto_free char *stat = read_of(folder, "cpuacct.stat");
	uint64_t user = word_of(stat, "user"), system = word_of(stat, "system");
	long hertz = sysconf(_SC_CLK_TCK);

	if (user == UINT64_MAX || system == UINT64_MAX || hertz <= 0)
		return;
	ret->user_usec = user * 1000000 / (uint64_t)hertz;
	ret->system_usec = system * 1000000 / (uint64_t)hertz;
}

/* "some avg10=0.12 avg60=0.00 avg300=0.00 total=1234", and a line "full" of the same form. */
static bool read_pressure_line(const char *text, const char *kind, uint64_t *usec, unsigned *share)
{
	const char *line = text ? strstr(text, kind) : NULL;
	const char *average = line ? strstr(line, "avg10=") : NULL, *total = line ? strstr(line, "total=") : NULL;
	char *point;

	if (!average || !total)
		return false;
	*usec = strtoull(total + strlen("total="), NULL, 10);
	*share = (unsigned)strtoul(average + strlen("avg10="), &point, 10) * 100;
	if (*point == '.') /* two digits, always */
		*share += (unsigned)strtoul(point + 1, NULL, 10);
	return true;
}

/* Pressure is cgroup2's, on a hybrid host as well: the guest's processes are in both. */
static void read_pressure(const char *cgroup, struct cgroup_figures *ret)
{
	static const char *const files[] = {"cpu.pressure", "memory.pressure", "io.pressure"};
	char folder[PATH_MAX];

	if (str_print(folder, sizeof(folder), "%s/%s", cgroup_layout()->unified, cgroup) < 0)
		return;
	for (size_t i = 0; i < CGROUP_PRESSURES; i++) {
		auto_free char *text = read_of(folder, files[i]);

		if (!read_pressure_line(text, "some ", &ret->pressure[i].some_usec, &ret->pressure[i].some_10))
			continue;
		if (!read_pressure_line(text, "full ", &ret->pressure[i].full_usec, &ret->pressure[i].full_10))
			ret->pressure[i].full_usec = 0; /* older kernels have no such line for CPUs */
	}
}

int cgroup_figures(const char *cgroup, struct cgroup_figures *ret)
{
	char folder[PATH_MAX];
	bool v1;

	memset(ret, 0xff, sizeof(*ret)); /* UINT64_MAX everywhere */
	if (!cgroup_exists(cgroup))
		return -ENOENT;
	int r = cgroup_stat(cgroup, &ret->stat);
	if (r < 0)
		return r;
	if (cgroup_place("memory", cgroup, folder, &v1) == 0)
		read_memory(folder, v1, ret);
	if (cgroup_place("cpu", cgroup, folder, &v1) == 0)
		read_cpu(folder, v1, ret);
	if (cgroup_place("cpuacct", cgroup, folder, &v1) == 0 && v1)
		read_accounts(folder, ret);
	if (cgroup_place("pids", cgroup, folder, &v1) == 0)
		ret->processes_limit = number_of(folder, "pids.max");
	if (cgroup_place("io", cgroup, folder, &v1) == 0)
		for (unsigned i = 0; i < CGROUP_IO_KINDS; i++)
			ret->io[i] = cgroup_io_done(folder, v1, i);
	read_pressure(cgroup, ret);
	return 0;
}
