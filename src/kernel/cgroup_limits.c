/* A guest's limits: what each is called on either layout, set, read back, lifted. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_change.h"
#include "cgroup_parts.h"
#include "host.h"

#define SOCKETS_PART      8
#define PERIOD_USEC       100000u
#define SHARES_PER_WEIGHT 1024u / 100u

struct setting {
	struct cgroup_change change;
	const char *cgroup;
	const struct cgroup_limits *limits;
	unsigned kinds;
	char folder[PATH_MAX]; /* where the row's controller has the group */
	bool v1;
	struct err *err;
};

const struct cgroup_row cgroup_rows[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = {"memory", "memory", "CONFIG_MEMCG", "memory.max", "memory.limit_in_bytes"},
	[CGROUP_SWAP] = {"swap", "memory", "CONFIG_MEMCG", "memory.swap.max", "memory.memsw.limit_in_bytes"},
	[CGROUP_MEMORY_HIGH] = {"memory-high", "memory", "CONFIG_MEMCG", "memory.high", NULL},
	[CGROUP_MEMORY_GUARANTEE] = {"memory-guarantee", "memory", "CONFIG_MEMCG", "memory.low", NULL},
	[CGROUP_CPUS] = {"cpus", "cpu", "CONFIG_CFS_BANDWIDTH", "cpu.max", "cpu.cfs_quota_us"},
	[CGROUP_CPU_WEIGHT] = {"cpu-weight", "cpu", "CONFIG_CGROUP_SCHED", "cpu.weight", "cpu.shares"},
	[CGROUP_CPUSET] = {"cpuset", "cpuset", "CONFIG_CPUSETS", "cpuset.cpus", "cpuset.cpus"},
	[CGROUP_PROCESSES] = {"processes", "pids", "CONFIG_CGROUP_PIDS", "pids.max", "pids.max"},
	[CGROUP_IO_WEIGHT] = {"io-weight", "io", "CONFIG_BLK_CGROUP"},
	[CGROUP_IO_READ] = {"io-read", "io", "CONFIG_BLK_CGROUP"},
	[CGROUP_IO_WRITE] = {"io-write", "io", "CONFIG_BLK_CGROUP"},
	[CGROUP_IO_READ_OPS] = {"io-read-ops", "io", "CONFIG_BLK_CGROUP"},
	[CGROUP_IO_WRITE_OPS] = {"io-write-ops", "io", "CONFIG_BLK_CGROUP"},
	[CGROUP_HUGEPAGES] = {"hugepages", "hugetlb", "CONFIG_CGROUP_HUGETLB"},
};

void cgroup_limits_none(struct cgroup_limits *ret)
{
	*ret = (struct cgroup_limits){.cpuset = NULL};
	for (size_t i = 0; i < CGROUP_KINDS; i++)
		ret->number[i] = UINT64_MAX;
}

const char *cgroup_kind_key(enum cgroup_kind kind)
{
	return cgroup_rows[kind].key;
}

static bool is_set(const struct cgroup_limits *limits, enum cgroup_kind kind)
{
	if (kind == CGROUP_CPUSET)
		return limits->cpuset != NULL;
	if (kind >= CGROUP_IO_READ && kind <= CGROUP_IO_WRITE_OPS)
		return limits->io[kind - CGROUP_IO_READ].count > 0;
	return limits->number[kind] != UINT64_MAX;
}

static int lacks(enum cgroup_kind kind, struct err *err)
{
	char what[48];

	(void)str_print(what, sizeof(what), "limits.%s", cgroup_rows[kind].key);
	return cgroup_lacks(cgroup_rows[kind].controller, cgroup_rows[kind].config, what, err);
}

/* Numbers */

static bool same_or_unlimited(const char *asked, const char *shown)
{
	uint64_t have;

	if (strcmp(asked, "-1") == 0) /* v1 shows "no limit" as the largest number of whole pages */
		return str_to_u64(shown, 0, UINT64_MAX, &have) == 0 && have >= (uint64_t)INT64_MAX / 2;
	return cgroup_same_bytes(asked, shown);
}

static int write_text(struct setting *s, const char *file, const char *value, bool (*same)(const char *, const char *))
{
	return cgroup_change_write(&s->change, s->folder, file, value, same, NULL, s->err);
}

static int write_number(struct setting *s, const char *file, uint64_t value, bool (*same)(const char *, const char *))
{
	char text[24];

	if (value == UINT64_MAX)
		return write_text(s, file, s->v1 && same != cgroup_same_text ? "-1" : "max", same);
	(void)str_print(text, sizeof(text), "%llu", (unsigned long long)value);
	return write_text(s, file, text, same);
}

static uint64_t none_is(uint64_t number, uint64_t none)
{
	return number == UINT64_MAX ? none : number;
}

/* Memory */

static int in_use(const struct setting *s, uint64_t wanted, uint64_t use)
{
	char want[16], have[16];

	str_show_size(wanted, want);
	str_show_size(use, have);
	err_clear(s->err); /* that the kernel was busy says less */
	(void)err_set(s->err, ERR_STATE, "lower limits.memory to %s: the guest uses %s and cannot give up enough", want, have);
	(void)err_hint(s->err, "stop something in the guest, or keep it for the next start: isle limit NAME --next ...");
	return -EBUSY;
}

/* On v1 buffers of sockets are no part of memory, and charged to nobody before this has a limit: a few hundred connections to
 * itself that are not read from hold gigabytes of the host's. An eighth beside the rest is what net.ipv4.tcp_mem is of a machine,
 * and more. */
static int set_sockets_v1(struct setting *s, uint64_t memory)
{
	static const char file[] = "memory.kmem.tcp.limit_in_bytes";
	uint64_t now;

	if (cgroup_read_u64(s->folder, file, &now) < 0)
		return 0; /* later kernels will be without */
	return write_number(s, file, memory == UINT64_MAX ? memory : memory / SOCKETS_PART, same_or_unlimited);
}

/* memory+swap must never be below memory, so which is written first depends on the direction. */
static int set_memory_v1(struct setting *s)
{
	static const char memory_file[] = "memory.limit_in_bytes", both_file[] = "memory.memsw.limit_in_bytes";
	uint64_t memory = s->limits->number[CGROUP_MEMORY], swap = s->limits->number[CGROUP_SWAP];
	uint64_t both = UINT64_MAX, now = UINT64_MAX, use = 0, wanted = none_is(memory, cgroup_share_of_memory());
	bool counts_swap = cgroup_read_u64(s->folder, both_file, &now) == 0;
	int r = 0;

	if (swap != UINT64_MAX && memory == UINT64_MAX) {
		(void)err_set(s->err, ERR_USAGE,
			      "set limits.swap without limits.memory: on this host swap is limited together with memory");
		(void)err_hint(s->err, "set limits.memory too");
		return -EINVAL;
	}
	if (swap != UINT64_MAX && !counts_swap) {
		(void)err_set(s->err, ERR_FAILED, "set limits.swap: this kernel does not count swap (no %s)", both_file);
		(void)err_hint(s->err, "boot with swapaccount=1, or unset it");
		return -EOPNOTSUPP;
	}
	if (swap != UINT64_MAX)
		both = memory > UINT64_MAX / 2 - swap ? UINT64_MAX / 2 : memory + swap;
	bool first = counts_swap && both > now; /* it makes room */

	if (first)
		r = write_number(s, both_file, both, same_or_unlimited);
	if (r == 0)
		r = write_number(s, memory_file, wanted, same_or_unlimited);
	if (r == 0 && counts_swap && !first && both != now)
		r = write_number(s, both_file, both, same_or_unlimited);
	if (r == 0)
		r = set_sockets_v1(s, wanted);
	if (r != -EBUSY)
		return r;
	(void)cgroup_read_u64(s->folder, "memory.usage_in_bytes", &use);
	return in_use(s, wanted, use);
}

/* memory.max below what is used kills (cgroup-v2.rst). memory.high reclaims what it can and kills nothing: with it the group is
 * brought below the new limit first. */
static int make_room(struct setting *s, uint64_t wanted)
{
	uint64_t use = 0, after = 0, high = UINT64_MAX;
	char text[24], back[24];
	auto_free char *path = str_format("%s/memory.high", s->folder);

	if (wanted == UINT64_MAX || cgroup_read_u64(s->folder, "memory.current", &use) < 0 || use <= wanted || !path)
		return 0;
	if (cgroup_read_u64(s->folder, "memory.high", &high) < 0)
		return 0;
	(void)str_print(text, sizeof(text), "%llu", (unsigned long long)wanted);
	(void)str_print(back, sizeof(back), high == UINT64_MAX ? "max" : "%llu", (unsigned long long)high);
	int r = file_poke(AT_FDCWD, path, text);
	(void)cgroup_read_u64(s->folder, "memory.current", &after);
	if (r == 0 && after <= wanted && file_poke(AT_FDCWD, path, "max") == 0) {
		/* Quickly, before what was given up is back. */
		r = write_number(s, "memory.max", wanted, cgroup_same_bytes);
		(void)file_poke(AT_FDCWD, path, back); /* it was so before */
		return r;
	}
	(void)file_poke(AT_FDCWD, path, back);
	return r < 0 ? err_num(s->err, r, "write %s to %s", text, path) : in_use(s, wanted, after);
}

static int set_memory(struct setting *s)
{
	if (s->v1)
		return set_memory_v1(s);
	uint64_t wanted = none_is(s->limits->number[CGROUP_MEMORY], cgroup_share_of_memory());
	int r = make_room(s, wanted);

	return r < 0 ? r : write_number(s, "memory.max", wanted, cgroup_same_bytes);
}

static int set_swap(struct setting *s)
{
	if (s->v1) /* one with memory, which came before it where that changes as well */
		return s->kinds & CGROUP_BIT(CGROUP_MEMORY) ? 0 : set_memory_v1(s);
	uint64_t swap = s->limits->number[CGROUP_SWAP], now;

	if (cgroup_read_u64(s->folder, "memory.swap.max", &now) == -ENOENT) {
		if (swap == UINT64_MAX)
			return 0;
		(void)err_set(s->err, ERR_FAILED, "set limits.swap: this kernel does not count swap (no memory.swap.max)");
		(void)err_hint(s->err, "a kernel with CONFIG_SWAP, not booted with swapaccount=0, is needed, or unset it");
		return -EOPNOTSUPP;
	}
	return write_number(s, "memory.swap.max", swap, cgroup_same_bytes);
}

static int set_high(struct setting *s)
{
	return write_number(s, "memory.high", s->limits->number[CGROUP_MEMORY_HIGH], cgroup_same_bytes);
}

static int set_guarantee(struct setting *s)
{
	uint64_t wanted = none_is(s->limits->number[CGROUP_MEMORY_GUARANTEE], 0);
	int r = cgroup_scope_set(&s->change, s->cgroup, CGROUP_MEMORY_GUARANTEE, wanted, s->err);

	return r < 0 ? r : write_number(s, "memory.low", wanted, cgroup_same_bytes);
}

/* CPUs */

static int set_cpus(struct setting *s)
{
	uint64_t cpus = s->limits->number[CGROUP_CPUS];
	char value[48];

	if (s->v1)
		return cpus == UINT64_MAX ? write_text(s, "cpu.cfs_quota_us", "-1", cgroup_same_text)
					  : write_number(s, "cpu.cfs_quota_us", cpus * PERIOD_USEC / 1000, cgroup_same_text);
	if (cpus == UINT64_MAX)
		(void)str_print(value, sizeof(value), "max %u", PERIOD_USEC);
	else
		(void)str_print(value, sizeof(value), "%llu %u", (unsigned long long)(cpus * PERIOD_USEC / 1000), PERIOD_USEC);
	return write_text(s, "cpu.max", value, cgroup_same_text);
}

static int set_cpu_weight(struct setting *s)
{
	uint64_t weight = none_is(s->limits->number[CGROUP_CPU_WEIGHT], 100);
	uint64_t shares = weight * SHARES_PER_WEIGHT;

	/* Among guests on a systemd host it is the scopes that compete. */
	if (cgroup_scope_is(s->cgroup))
		return cgroup_scope_set(&s->change, s->cgroup, CGROUP_CPU_WEIGHT, weight, s->err);
	return s->v1 ? write_number(s, "cpu.shares", shares < 2 ? 2 : shares, cgroup_same_text)
		     : write_number(s, "cpu.weight", weight, cgroup_same_text);
}

/* All CPUs that the group above has. cgroup2 has a word for that, the empty list, but not for a group with processes (ENOSPC). */
static char *all_cpus(const struct setting *s)
{
	auto_free char *above = strndup(s->folder, (size_t)(strrchr(s->folder, '/') - s->folder));
	char *list = NULL;

	if (above)
		(void)cgroup_read_text(above, s->v1 ? "cpuset.cpus" : "cpuset.cpus.effective", &list); /* NULL tells */
	return list;
}

static int set_cpuset(struct setting *s)
{
	auto_free char *all = all_cpus(s), *now = NULL, *works = NULL;
	const char *cpus = s->limits->cpuset ? s->limits->cpuset : all;

	if (!all)
		return s->limits->cpuset ? lacks(CGROUP_CPUSET, s->err) : 0;
	bool empty = cgroup_read_text(s->folder, "cpuset.cpus", &now) == 0 && !*now;

	if (empty && !s->limits->cpuset)
		return 0;
	int r = cgroup_change_write(&s->change, s->folder, "cpuset.cpus", cpus, cgroup_same_text, empty ? all : NULL, s->err);
	/* cgroup2 takes CPUs that are not there, and goes on with the others. */
	if (r == 0 && cgroup_read_text(s->folder, s->v1 ? "cpuset.effective_cpus" : "cpuset.cpus.effective", &works) == 0 &&
	    strcmp(works, cpus) != 0)
		r = err_set(s->err, ERR_FAILED, "run on the CPUs %s: of these the host gives only %s", cpus, works);
	else if (r < 0 && s->err && s->err->sys)
		(void)err_hint(s->err, "are all of these CPUs there? limits.cpuset counts them from 0");
	return r;
}

static int set_processes(struct setting *s)
{
	uint64_t most = none_is(s->limits->number[CGROUP_PROCESSES], cgroup_share_of_processes());

	return write_number(s, "pids.max", most, cgroup_same_text);
}

/* Disks */

static int set_io_weight(struct setting *s)
{
	uint64_t weight = s->limits->number[CGROUP_IO_WEIGHT];

	if (cgroup_scope_is(s->cgroup)) {
		auto_free char *scope = strndup(s->folder, (size_t)(strrchr(s->folder, '/') - s->folder));
		bool some = false;
		int r = scope ? cgroup_scope_set(&s->change, s->cgroup, CGROUP_IO_WEIGHT, weight, s->err) : -ENOMEM;

		return r < 0 ? r : cgroup_io_bfq_weight(&s->change, scope, s->v1, none_is(weight, 100), &some, s->err);
	}
	return cgroup_io_weight(&s->change, s->folder, s->v1, weight, s->err);
}

/* Huge pages */

static int set_one_size(void *arg, const char *name, uint64_t size, uint64_t pages)
{
	static const struct {
		const char *v1, *v2;
	} files[] = {{"limit_in_bytes", "max"}, {"rsvd.limit_in_bytes", "rsvd.max"}};
	struct setting *s = arg;
	uint64_t wanted = s->limits->number[CGROUP_HUGEPAGES];
	int r = 0;

	(void)pages;
	if (wanted != UINT64_MAX)
		wanted = wanted / size * size;
	for (size_t i = 0; r == 0 && i < 2; i++) {
		auto_free char *file = str_format("hugetlb.%s.%s", name, s->v1 ? files[i].v1 : files[i].v2);
		auto_free char *path = file ? str_format("%s/%s", s->folder, file) : NULL;

		if (!path)
			return err_num(s->err, ENOMEM, "limit huge pages");
		if (i == 1 && access(path, F_OK) < 0)
			break; /* before Linux 5.7 */
		r = write_number(s, file, wanted, s->v1 ? same_or_unlimited : cgroup_same_bytes);
	}
	return r;
}

static int set_hugepages(struct setting *s)
{
	return cgroup_each_huge(set_one_size, s);
}

static int add_pool(void *arg, const char *name, uint64_t size, uint64_t pages)
{
	(void)name;
	*(uint64_t *)arg += size * pages;
	return 0;
}

/* All */

static int (*const setters[CGROUP_KINDS])(struct setting *s) = {
	[CGROUP_MEMORY] = set_memory,       [CGROUP_SWAP] = set_swap,
	[CGROUP_MEMORY_HIGH] = set_high,    [CGROUP_MEMORY_GUARANTEE] = set_guarantee,
	[CGROUP_CPUS] = set_cpus,           [CGROUP_CPU_WEIGHT] = set_cpu_weight,
	[CGROUP_CPUSET] = set_cpuset,       [CGROUP_PROCESSES] = set_processes,
	[CGROUP_IO_WEIGHT] = set_io_weight, [CGROUP_HUGEPAGES] = set_hugepages,
};

static int only_v2(enum cgroup_kind kind, struct err *err)
{
	(void)err_set(err, ERR_FAILED, "set limits.%s: the memory controller of this host is on cgroup v1, which cannot",
		      cgroup_rows[kind].key);
	(void)err_hint(err, "boot with cgroup_no_v1=memory or systemd.unified_cgroup_hierarchy=1, or unset it");
	return -EOPNOTSUPP;
}

static int set_one(struct setting *s, enum cgroup_kind kind)
{
	const struct cgroup_row *row = &cgroup_rows[kind];
	bool wanted = is_set(s->limits, kind);
	int r = cgroup_place_made(row->controller, s->cgroup, s->folder, &s->v1, s->err);

	/* What cannot be set is lifted already. */
	if (r == -EOPNOTSUPP)
		return wanted ? lacks(kind, s->err) : 0;
	if (r < 0)
		return r;
	if (s->v1 && row->v2 && !row->v1)
		return wanted ? only_v2(kind, s->err) : 0;
	if (kind >= CGROUP_IO_READ && kind <= CGROUP_IO_WRITE_OPS)
		return cgroup_io_set(&s->change, s->cgroup, kind - CGROUP_IO_READ, &s->limits->io[kind - CGROUP_IO_READ], s->err);
	r = setters[kind](s);
	if (r == -EOPNOTSUPP && !wanted)
		return 0;
	if (r == -EOPNOTSUPP && s->err && strstr(s->err->what, "no such control"))
		(void)err_hint(s->err, "a kernel with %s is needed, or unset limits.%s", row->config, row->key);
	return r;
}

int cgroup_limit(const char *cgroup, const struct cgroup_limits *limits, unsigned kinds, struct err *err)
{
	struct setting s = {.cgroup = cgroup, .limits = limits, .kinds = kinds, .err = err};
	int r = cgroup_layout()->unified[0] ? 0 : cgroup_none(err);

	for (enum cgroup_kind kind = 0; r == 0 && kind < CGROUP_KINDS; kind++)
		if (kinds & CGROUP_BIT(kind))
			r = set_one(&s, kind);
	return cgroup_change_end(&s.change, r);
}

static int check_pool(uint64_t wanted, struct err *err)
{
	uint64_t pool = 0;

	if (wanted == UINT64_MAX || wanted == 0)
		return 0;
	(void)cgroup_each_huge(add_pool, &pool);
	if (pool > 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "give the guest huge pages: this host has none");
	(void)err_hint(err, "sysctl vm.nr_hugepages=N makes some, or unset limits.hugepages");
	return -EOPNOTSUPP;
}

int cgroup_limits_check(const struct cgroup_limits *limits, unsigned kinds, struct err *err)
{
	for (enum cgroup_kind kind = 0; kind < CGROUP_KINDS; kind++) {
		const struct cgroup_row *row = &cgroup_rows[kind];

		if (!(kinds & CGROUP_BIT(kind)) || !is_set(limits, kind))
			continue;
		int where = cgroup_has_controller(row->controller);

		if (where == CGROUP_NONE)
			return lacks(kind, err);
		if (where == CGROUP_HYBRID && row->v2 && !row->v1)
			return only_v2(kind, err);
	}
	return kinds & CGROUP_BIT(CGROUP_HUGEPAGES) ? check_pool(limits->number[CGROUP_HUGEPAGES], err) : 0;
}

int cgroup_each_huge(int (*fn)(void *arg, const char *name, uint64_t size, uint64_t pages), void *arg)
{
	auto_closedir DIR *dir = opendir("/sys/kernel/mm/hugepages");
	int r = 0;

	for (struct dirent *entry; r == 0 && dir && (entry = readdir(dir));) {
		static const char *const counts[] = {"nr_hugepages", "nr_overcommit_hugepages"};
		uint64_t kib, pages = 0;
		char digits[24], name[24];
		const char *number = entry->d_name + strlen("hugepages-");

		if (!str_starts(entry->d_name, "hugepages-") ||
		    str_print(digits, sizeof(digits), "%.*s", (int)strspn(number, "0123456789"), number) < 0 ||
		    str_to_u64(digits, 1, UINT64_MAX >> 10, &kib) < 0)
			continue;
		for (size_t i = 0; i < 2; i++) {
			auto_free char *folder = str_format("/sys/kernel/mm/hugepages/%s", entry->d_name);
			uint64_t count;

			if (folder && cgroup_read_u64(folder, counts[i], &count) == 0)
				pages += count;
		}
		/* As the kernel names its files (mem_fmt in mm/hugetlb_cgroup.c). */
		(void)str_print(name, sizeof(name), "%llu%s",
				(unsigned long long)(kib >= 1 << 20 ? kib >> 20
						     : kib >= 1024  ? kib >> 10
								    : kib),
				kib >= 1 << 20 ? "GB"
				: kib >= 1024  ? "MB"
					       : "KB");
		r = fn(arg, name, kib << 10, pages);
	}
	return r;
}
