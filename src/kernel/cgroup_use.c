/* What a guest has used of each limit, and how often it met one; and the watch on processes that died for want of memory. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "cgroup_parts.h"

#define LARGEST    ((uint64_t)INT64_MAX / 2) /* what v1 shows for "no limit" is more */
#define DEPTH_MOST 64

struct reading {
	const char *cgroup;
	struct cgroup_uses *uses;
	char folder[PATH_MAX];
	bool v1;
};

static bool at(struct reading *r, const char *controller)
{
	return cgroup_place(controller, r->cgroup, r->folder, &r->v1) == 0;
}

/* Either layout's file; NULL: that layout has none. */
static uint64_t number(const struct reading *r, const char *v2, const char *v1)
{
	uint64_t value = UINT64_MAX;

	if (r->v1 ? v1 != NULL : v2 != NULL)
		(void)cgroup_read_u64(r->folder, r->v1 ? v1 : v2, &value); /* stays "the kernel does not say" */
	return r->v1 && value > LARGEST ? UINT64_MAX : value;
}

static uint64_t word(const struct reading *r, const char *file, const char *name)
{
	return r->v1 ? UINT64_MAX : cgroup_read_word(r->folder, file, name);
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a == UINT64_MAX || b == UINT64_MAX ? UINT64_MAX : a > b ? a - b : 0;
}

static void read_memory(struct reading *r)
{
	struct cgroup_use *memory = &r->uses->of[CGROUP_MEMORY], *swap = &r->uses->of[CGROUP_SWAP];

	*memory = (struct cgroup_use){
		.limit = number(r, "memory.max", "memory.limit_in_bytes"),
		.use = number(r, "memory.current", "memory.usage_in_bytes"),
		.peak = number(r, "memory.peak", "memory.max_usage_in_bytes"),
		.hits = r->v1 ? number(r, NULL, "memory.failcnt") : word(r, "memory.events", "max"),
	};
	*swap = (struct cgroup_use){
		.limit = number(r, "memory.swap.max", "memory.memsw.limit_in_bytes"),
		.use = number(r, "memory.swap.current", "memory.memsw.usage_in_bytes"),
		.peak = number(r, "memory.swap.peak", NULL),
		.hits = r->v1 ? number(r, NULL, "memory.memsw.failcnt") : word(r, "memory.swap.events", "max"),
	};
	if (r->v1) {
		swap->limit = less(swap->limit, memory->limit);
		swap->use = less(swap->use, memory->use);
	}
	r->uses->of[CGROUP_MEMORY_HIGH] =
		(struct cgroup_use){number(r, "memory.high", NULL), UINT64_MAX, UINT64_MAX, word(r, "memory.events", "high")};
	r->uses->of[CGROUP_MEMORY_GUARANTEE] =
		(struct cgroup_use){number(r, "memory.low", NULL), UINT64_MAX, UINT64_MAX, word(r, "memory.events", "low")};
	r->uses->oom_kills = cgroup_read_word(r->folder, r->v1 ? "memory.oom_control" : "memory.events", "oom_kill");
	/* With no swap v1 meets the limit of both first, whose failures newer kernels do not count. */
	if (r->v1 && memory->hits != UINT64_MAX && r->uses->oom_kills != UINT64_MAX && memory->hits < r->uses->oom_kills)
		memory->hits = r->uses->oom_kills;
}

static void read_cpu(struct reading *r)
{
	struct cgroup_use *cpus = &r->uses->of[CGROUP_CPUS];
	auto_free char *text = NULL;
	uint64_t quota = UINT64_MAX, period = UINT64_MAX;

	if (r->v1) {
		quota = number(r, NULL, "cpu.cfs_quota_us");
		period = number(r, NULL, "cpu.cfs_period_us");
	} else if (cgroup_read_text(r->folder, "cpu.max", &text) == 0) {
		char *space = strchr(text, ' ');

		if (space)
			*space++ = '\0';
		(void)str_to_u64(text, 1, UINT64_MAX, &quota); /* "max" is none */
		if (space)
			(void)str_to_u64(space, 1, UINT64_MAX, &period);
	}
	if (quota != UINT64_MAX && period != UINT64_MAX && period)
		cpus->limit = quota * 1000 / period;
	cpus->hits = cgroup_read_word(r->folder, "cpu.stat", "nr_throttled");
	cpus->use = word(r, "cpu.stat", "usage_usec");
	struct cgroup_use *weight = &r->uses->of[CGROUP_CPU_WEIGHT];

	if (cgroup_scope_is(r->cgroup))
		*strrchr(r->folder, '/') = '\0';
	weight->limit = number(r, "cpu.weight", "cpu.shares");
	if (r->v1 && weight->limit != UINT64_MAX)
		weight->limit =
			(weight->limit * 100 + 512) / 1024; /* 10 shares are one part; of what rounding took, half comes back */
}

static void read_disks(struct reading *r)
{
	for (unsigned i = 0; i < CGROUP_IO_KINDS; i++) {
		struct cgroup_use *use = &r->uses->of[CGROUP_IO_READ + i];

		cgroup_io_read(r->folder, r->v1, i, &r->uses->io[i]);
		if (r->uses->io[i].count > 0)
			use->limit = r->uses->io[i].device[0].rate;
		use->use = cgroup_io_done(r->folder, r->v1, i);
	}
	struct cgroup_use *weight = &r->uses->of[CGROUP_IO_WEIGHT];

	if (cgroup_scope_is(r->cgroup))
		*strrchr(r->folder, '/') = '\0';
	weight->limit = word(r, "io.weight", "default");
	if (weight->limit == UINT64_MAX)
		weight->limit = number(r, "io.bfq.weight", "blkio.bfq.weight");
	if (weight->limit == UINT64_MAX)
		weight->limit = word(r, "io.bfq.weight", "default");
}

static int add_huge(void *arg, const char *name, uint64_t size, uint64_t pages)
{
	struct reading *r = arg;
	struct cgroup_use *huge = &r->uses->of[CGROUP_HUGEPAGES];
	const char *files[] = {r->v1 ? "limit_in_bytes" : "max", r->v1 ? "usage_in_bytes" : "current",
			       r->v1 ? "max_usage_in_bytes" : NULL};
	uint64_t *fields[] = {&huge->limit, &huge->use, &huge->peak};

	(void)size;
	(void)pages;
	for (size_t i = 0; i < 3; i++) {
		auto_free char *file = files[i] ? str_format("hugetlb.%s.%s", name, files[i]) : NULL;
		uint64_t value;

		if (!file || cgroup_read_u64(r->folder, file, &value) < 0 || value > LARGEST)
			continue;
		/* Use adds up over the sizes; the limit is one for each, rounded to it: the largest is what was asked. */
		if (*fields[i] == UINT64_MAX)
			*fields[i] = value;
		else if (i == 0)
			*fields[i] = value > *fields[i] ? value : *fields[i];
		else
			*fields[i] += value;
	}
	auto_free char *events = r->v1 ? NULL : str_format("hugetlb.%s.events", name);
	auto_free char *failed = r->v1 ? str_format("hugetlb.%s.failcnt", name) : NULL;
	uint64_t hits = UINT64_MAX;

	if (events)
		hits = cgroup_read_word(r->folder, events, "max");
	else if (failed)
		(void)cgroup_read_u64(r->folder, failed, &hits);
	if (hits != UINT64_MAX)
		huge->hits = huge->hits == UINT64_MAX ? hits : huge->hits + hits;
	return 0;
}

/* Before Linux 6.11 cgroup2 counts a fork that fails where the process is, not where the limit is. */
static uint64_t failed_forks(const char *folder, int depth)
{
	auto_free char *local = path_join(folder, "pids.events.local");
	uint64_t sum = cgroup_read_word(folder, "pids.events", "max");
	auto_closedir DIR *dir = !local || access(local, F_OK) == 0 || depth == DEPTH_MOST ? NULL : opendir(folder);

	for (struct dirent *entry; sum != UINT64_MAX && dir && (entry = readdir(dir));) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		auto_free char *below = path_join(folder, entry->d_name);
		uint64_t more = below ? failed_forks(below, depth + 1) : UINT64_MAX;

		sum += more == UINT64_MAX ? 0 : more;
	}
	return sum;
}

static void read_processes(struct reading *r)
{
	r->uses->of[CGROUP_PROCESSES] = (struct cgroup_use){
		.limit = number(r, "pids.max", "pids.max"),
		.use = number(r, "pids.current", "pids.current"),
		.peak = number(r, "pids.peak", "pids.peak"),
		.hits = r->v1 ? cgroup_read_word(r->folder, "pids.events", "max") : failed_forks(r->folder, 0),
	};
}

/* No limit is often the list of the group above, copied: see all_cpus in cgroup_limits.c. */
static void read_cpuset(struct reading *r)
{
	auto_free char *cpus = NULL, *above = NULL;

	if (cgroup_read_text(r->folder, "cpuset.cpus", &cpus) < 0)
		return;
	*strrchr(r->folder, '/') = '\0';
	if (cgroup_read_text(r->folder, r->v1 ? "cpuset.cpus" : "cpuset.cpus.effective", &above) == 0 && strcmp(cpus, above) == 0)
		return;
	if (str_copy(r->uses->cpuset, sizeof(r->uses->cpuset), cpus) < 0)
		r->uses->cpuset[0] = '\0'; /* "none" is what a list that is too long for us looks like */
}

int cgroup_uses(const char *cgroup, struct cgroup_uses *ret)
{
	struct reading r = {.cgroup = cgroup, .uses = ret};
	uint64_t nsec = UINT64_MAX;

	*ret = (struct cgroup_uses){.oom_kills = UINT64_MAX};
	for (size_t i = 0; i < CGROUP_KINDS; i++)
		ret->of[i] = (struct cgroup_use){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
	if (!cgroup_exists(cgroup))
		return -ENOENT;
	if (at(&r, "memory"))
		read_memory(&r);
	if (at(&r, "cpu"))
		read_cpu(&r);
	if (at(&r, "cpuacct") && r.v1 && cgroup_read_u64(r.folder, "cpuacct.usage", &nsec) == 0)
		ret->of[CGROUP_CPUS].use = nsec / 1000;
	if (at(&r, "cpuset"))
		read_cpuset(&r);
	if (at(&r, "pids"))
		read_processes(&r);
	if (at(&r, "io"))
		read_disks(&r);
	if (at(&r, "hugetlb"))
		(void)cgroup_each_huge(add_huge, &r);
	return 0;
}

/* v1 tells by an eventfd that is tied to memory.oom_control (Documentation/admin-guide/cgroup-v1/memory.rst). */
static int watch_v1(const char *folder, struct cgroup_oom *ret, struct err *err)
{
	auto_free char *path = str_format("%s/cgroup.event_control", folder);
	char text[32];
	auto_close int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (event < 0)
		return err_sys(err, "make an eventfd");
	(void)str_print(text, sizeof(text), "%d %d", event, ret->count);
	int r = path ? file_poke(AT_FDCWD, path, text) : -ENOMEM;
	if (r < 0)
		return err_num(err, r, "watch %s", folder);
	ret->watch = take_fd(&event);
	return 0;
}

int cgroup_oom_open(const char *cgroup, struct cgroup_oom *ret, struct err *err)
{
	char folder[PATH_MAX], path[PATH_MAX];
	struct cgroup_oom oom = {.watch = -1, .count = -1};
	bool v1;
	int r = cgroup_place("memory", cgroup, folder, &v1);

	if (r == 0)
		r = str_print(path, sizeof(path), "%s/%s", folder, v1 ? "memory.oom_control" : "memory.events");
	if (r < 0)
		return err_num(err, r, "watch for processes that are killed for want of memory");
	oom.count = open(path, O_RDONLY | O_CLOEXEC);
	if (oom.count < 0)
		return err_sys(err, "open %s", path);
	oom.urgent = !v1;
	if (v1)
		r = watch_v1(folder, &oom, err);
	else
		oom.watch = oom.count;
	if (r < 0)
		close(oom.count);
	else
		*ret = oom;
	return r;
}
