/* What guests have in relation to each other (weights, guarantees): on the groups that stand side by side. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "cgroup_parts.h"
#include "host.h"
#include "systemd.h"

#define SHOWN_MS   5000
#define AGAIN_MS   2
#define AGAIN_MOST 8

bool cgroup_scope_is(const char *cgroup)
{
	const char *unit = str_starts(cgroup, SYSTEMD_SLICE "/") ? cgroup + strlen(SYSTEMD_SLICE "/") : NULL;

	return host_get()->systemd && unit && strchr(unit, '/');
}

static const char *property_of(enum cgroup_kind kind)
{
	return kind == CGROUP_CPU_WEIGHT ? "CPUWeight" : kind == CGROUP_IO_WEIGHT ? "IOWeight" : "MemoryLow";
}

/* As systemd writes it. UINT64_MAX: no such file. */
static uint64_t shown(const char *scope, bool v1, enum cgroup_kind kind)
{
	uint64_t value = UINT64_MAX;

	if (kind == CGROUP_CPU_WEIGHT)
		(void)cgroup_read_u64(scope, v1 ? "cpu.shares" : "cpu.weight", &value);
	else if (kind == CGROUP_MEMORY_GUARANTEE)
		(void)cgroup_read_u64(scope, "memory.low", &value);
	else
		value = cgroup_read_word(scope, "io.weight", "default");
	if (kind == CGROUP_IO_WEIGHT && value == UINT64_MAX) {
		value = cgroup_read_word(scope, v1 ? "blkio.bfq.weight" : "io.bfq.weight", "default");
		if (value == UINT64_MAX)
			(void)cgroup_read_u64(scope, v1 ? "blkio.bfq.weight" : "io.bfq.weight", &value);
	}
	return value;
}

/* What the file shows for a value. BFQ's weights are systemd's to convert: any change of the file is taken for it. */
static bool shows(const char *scope, bool v1, enum cgroup_kind kind, uint64_t value)
{
	uint64_t now = shown(scope, v1, kind);

	if (kind == CGROUP_CPU_WEIGHT && v1)
		return now == value * 1024 / 100 || (now == 2 && value * 1024 / 100 < 2);
	if (kind == CGROUP_IO_WEIGHT)
		return now == (value == UINT64_MAX ? 100 : value) ||
		       (cgroup_read_word(scope, "io.weight", "default") == UINT64_MAX && now <= 1000);
	return now == value || (value != UINT64_MAX && now == value / 4096 * 4096);
}

static int await_shown(const char *scope, bool v1, enum cgroup_kind kind, uint64_t value, struct err *err)
{
	uint64_t deadline = proc_now_ms() + SHOWN_MS;

	while (!shows(scope, v1, kind, value)) {
		if (proc_now_ms() >= deadline)
			return err_set(err, ERR_FAILED, "have systemd set %s of %s to %llu: the kernel shows another value",
				       property_of(kind), scope, (unsigned long long)value);
		(void)poll(NULL, 0, AGAIN_MS); /* systemd answers first and writes then, and tells nobody when */
	}
	return 0;
}

int cgroup_scope_set(struct cgroup_change *change, const char *cgroup, enum cgroup_kind kind, uint64_t value, struct err *err)
{
	char folder[PATH_MAX], unit[128], note[192], old[24];
	bool v1;

	if (!cgroup_scope_is(cgroup))
		return 0;
	const char *name = cgroup + strlen(SYSTEMD_SLICE "/");
	int r = cgroup_place_made(cgroup_rows[kind].controller, cgroup, folder, &v1, err);

	if (r == 0)
		r = str_print(unit, sizeof(unit), "%.*s", (int)strcspn(name, "/"), name);
	if (r == 0)
		r = str_print(note, sizeof(note), "%s %s", unit, property_of(kind));
	if (r < 0)
		return err_num(err, r, "set %s of the scope of %s", property_of(kind), cgroup);
	*strrchr(folder, '/') = '\0';
	uint64_t now = shown(folder, v1, kind);

	if (now == UINT64_MAX && value != UINT64_MAX && value != 100 && value != 0) {
		(void)err_set(err, ERR_FAILED, "set limits.%s: this kernel offers no such control", cgroup_rows[kind].key);
		(void)err_hint(err,
			       kind == CGROUP_IO_WEIGHT ? "modprobe bfq, or a kernel with CONFIG_BLK_CGROUP_IOCOST, or unset it"
							: "a kernel with %s is needed, or unset it",
			       cgroup_rows[kind].config);
		return -EOPNOTSUPP;
	}
	if (now == UINT64_MAX || (kind != CGROUP_IO_WEIGHT && shows(folder, v1, kind, value)))
		return 0;
	(void)str_print(old, sizeof(old), "%llu", (unsigned long long)(kind == CGROUP_CPU_WEIGHT && v1 ? now * 100 / 1024 : now));
	r = cgroup_change_note(change, note, old, err);
	if (r == 0)
		r = systemd_unit_set(unit, property_of(kind), value, err);
	if (r == 0)
		r = await_shown(folder, v1, kind, value, err);
	/* What BFQ goes by is the caller's to set right, once systemd has written its own idea of it. */
	if (r == 0 && kind == CGROUP_IO_WEIGHT)
		(void)systemd_unit_rests(unit);
	return r;
}

/* The sum of the children's guarantees. */
static uint64_t sum_below(const char *folder)
{
	auto_closedir DIR *dir = opendir(folder);
	uint64_t sum = 0, value;

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		auto_free char *child =
			entry->d_type == DT_DIR && entry->d_name[0] != '.' ? path_join(folder, entry->d_name) : NULL;

		if (child && cgroup_read_u64(child, "memory.low", &value) == 0)
			sum = value > UINT64_MAX / 2 - sum ? UINT64_MAX / 2 : sum + value;
	}
	return sum;
}

static uint64_t own_guarantee(const char *parent, const char *name)
{
	auto_free char *folder = str_format("%s/%.*s", parent, (int)strcspn(name, "/"), name);
	uint64_t value = 0;

	if (folder)
		(void)cgroup_read_u64(folder, "memory.low", &value); /* gone: none */
	return value;
}

int cgroup_share_guarantee(const char *cgroup, struct err *err)
{
	const char *base = cgroup_layout()->unified;
	size_t top = strcspn(cgroup, "/");
	char folder[PATH_MAX];
	uint64_t now, sum;

	if (!base[0] || cgroup_has_controller("memory") != CGROUP_UNIFIED || !cgroup[top] ||
	    str_print(folder, sizeof(folder), "%s/%.*s", base, (int)top, cgroup) < 0)
		return 0;
	/* Two starts at once: who writes looks again, so that the last word is the sum of both. */
	for (int i = 0; i < AGAIN_MOST; i++) {
		/* The usual case, without a look at a thousand guests. */
		if (i == 0 && cgroup_read_u64(folder, "memory.low", &now) == 0 && now == 0 &&
		    own_guarantee(folder, cgroup + top + 1) == 0)
			return 0;
		sum = sum_below(folder);
		if (cgroup_read_u64(folder, "memory.low", &now) < 0 || now == sum)
			return 0;
		char text[24];
		int r;

		(void)str_print(text, sizeof(text), "%llu", (unsigned long long)sum);
		if (host_get()->systemd && str_starts(cgroup, SYSTEMD_SLICE "/")) {
			r = systemd_unit_set(SYSTEMD_SLICE, "MemoryLow", sum, err);
			if (r == 0)
				r = await_shown(folder, false, CGROUP_MEMORY_GUARANTEE, sum, err);
		} else {
			r = cgroup_set(folder, "memory.low", text, cgroup_same_bytes, err);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
