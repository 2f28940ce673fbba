/* Control groups: one front for the unified and the hybrid layout. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "cgroup_layout.h"
#include "host.h"
#include "systemd.h"

#define MAKE_TRIES 8

/* What a guest gets that has no limit of its own; systemd gives a service 15 % of them. */
#define SHARE_OF_PROCESSES 4
#define PROCESSES_MAX      16384
#define PROCESSES_MIN      1024

/* Of memory the host keeps an eighth to itself, within these bounds. */
#define MEMORY_RESERVE     8
#define MEMORY_RESERVE_MIN (UINT64_C(256) << 20)
#define MEMORY_RESERVE_MAX (UINT64_C(4) << 30)

/* Groups that a guest may make: far more than a Debian with containers in it has, and no way to eat the kernel's memory. */
#define GUEST_GROUPS "4096"
#define GUEST_DEPTH  "64"

/* A name that a damaged record might bring, "" above all, would mean the host's own groups, and a kill all that runs. */
bool cgroup_is_name(const char *cgroup)
{
	bool good = cgroup[0] != '\0';

	for (const char *at = cgroup; good && *at; at += strcspn(at, "/"), at += *at == '/') {
		size_t len = strcspn(at, "/");

		good = len > 0 && !(len <= 2 && strncmp(at, "..", len) == 0);
	}
	return good;
}

static int unified_path(char ret[PATH_MAX], const char *cgroup, const char *below)
{
	const char *base = cgroup_layout()->unified;

	if (!cgroup_is_name(cgroup))
		return -EINVAL;
	if (!base[0])
		return -EOPNOTSUPP;
	return str_print(ret, PATH_MAX, "%s/%s%s%s", base, cgroup, below[0] ? "/" : "", below);
}

int cgroup_none(struct err *err)
{
	(void)err_set(err, ERR_FAILED, "find cgroup2: it is not mounted on this host");
	(void)err_hint(err, "mount -t cgroup2 cgroup2 /sys/fs/cgroup (or /sys/fs/cgroup/unified beside v1 controllers)");
	return -EOPNOTSUPP;
}

/* Hands every controller of a folder to its children. On a hybrid host cgroup2 has none and nothing is written. */
static int enable_controllers(const char *folder, struct err *err)
{
	char path[PATH_MAX];
	auto_free char *have = NULL, *given = NULL;

	if (str_print(path, sizeof(path), "%s/cgroup.controllers", folder) < 0 || file_read(AT_FDCWD, path, 4096, &have, NULL) < 0)
		return 0;
	(void)str_print(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	if (file_read(AT_FDCWD, path, 4096, &given, NULL) < 0)
		return 0;
	have[strcspn(have, "\n")] = '\0';
	given[strcspn(given, "\n")] = '\0';
	if (strcmp(have, given) == 0)
		return 0;
	auto_buf struct buf words = {0};
	char *rest = have;

	for (char *word; (word = strsep(&rest, " "));)
		if (*word)
			buf_addf(&words, "%s+%s", words.len ? " " : "", word);
	if (!words.len)
		return words.failed ? err_num(err, ENOMEM, "enable controllers in %s", folder) : 0;
	int r = file_poke(AT_FDCWD, path, words.data);
	if (r < 0)
		return err_num(err, r, "write %s to %s", words.data, path);
	return 0;
}

static int make_folder(const char *path, struct err *err)
{
	struct stat st;

	if (mkdir(path, 0755) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(err, "mkdir %s", path);
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		(void)err_num(err, ENOTDIR, "mkdir %s: it is one of the kernel's control files", path);
		return err_hint(err, "give the guest another name");
	}
	return 0;
}

static int give_away(const char *folder, uid_t owner, struct err *err)
{
	/* What cgroups(7), "Delegation", lists: the folder and these, nothing that carries a limit. */
	static const char *const files[] = {"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"};

	for (size_t i = 0; owner && i < sizeof(files) / sizeof(files[0]); i++) {
		char path[PATH_MAX];

		if (str_print(path, sizeof(path), "%s%s", folder, files[i]) < 0)
			return err_num(err, ENAMETOOLONG, "chown %s", folder);
		if (chown(path, owner, owner) < 0)
			return err_sys(err, "chown %s to %u", path, owner);
	}
	return 0;
}

/* Where isle's own part of the way begins: on a systemd host the root and the slices are systemd's to manage, and what is below a
 * delegated scope is ours; a group elsewhere gets no controllers there. NULL: nowhere. */
static const char *own_part(const char *cgroup)
{
	if (!host_get()->systemd)
		return cgroup;
	if (!str_starts(cgroup, SYSTEMD_SLICE "/"))
		return NULL;
	return strchr(cgroup + strlen(SYSTEMD_SLICE "/"), '/');
}

/* On the group above the guest's own, which is host root's. */
static int bound_groups(const char *folder, struct err *err)
{
	static const char *const bounds[][2] = {{"cgroup.max.descendants", GUEST_GROUPS}, {"cgroup.max.depth", GUEST_DEPTH}};

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		char path[PATH_MAX];

		if (str_print(path, sizeof(path), "%s/%s", folder, bounds[i][0]) < 0)
			return err_num(err, ENAMETOOLONG, "bound the groups below %s", folder);
		int r = file_poke(AT_FDCWD, path, bounds[i][1]);
		if (r < 0)
			return err_num(err, r, "write %s to %s", bounds[i][1], path);
	}
	return 0;
}

static int create_unified(const char *cgroup, uid_t owner, struct err *err)
{
	const char *base = cgroup_layout()->unified, *own = own_part(cgroup);
	char path[PATH_MAX];
	int r = own == cgroup ? enable_controllers(base, err) : 0;

	/* Each folder of the way down hands its controllers on. */
	for (const char *at = cgroup; r == 0; at++) {
		at = strchrnul(at, '/');
		if (str_print(path, sizeof(path), "%s/%.*s", base, (int)(at - cgroup), cgroup) < 0)
			return err_num(err, ENAMETOOLONG, "make cgroup %s", cgroup);
		r = make_folder(path, err);
		if (r == 0 && own && at >= own)
			r = enable_controllers(path, err);
		if (!*at)
			break;
	}
	if (r == 0)
		r = bound_groups(path, err); /* of the last folder, which is still host root's */
	if (r < 0 || unified_path(path, cgroup, CGROUP_GUEST) < 0)
		return r < 0 ? r : err_num(err, ENAMETOOLONG, "make cgroup %s", cgroup);
	r = make_folder(path, err);
	return r < 0 ? r : give_away(path, owner, err);
}

int cgroup_create(const char *cgroup, uid_t owner, struct err *err)
{
	if (!cgroup_layout()->unified[0])
		return cgroup_none(err);
	int r = -ENOENT;

	/* The last other guest's end may take the common parent away between two of our steps. */
	for (int i = 0; r == -ENOENT && i < MAKE_TRIES; i++) {
		r = create_unified(cgroup, owner, err);
		if (r == 0)
			r = cgroup_v1_create(cgroup, err);
	}
	return r;
}

static uint64_t number_in(const char *path, uint64_t otherwise)
{
	auto_free char *text = NULL;
	uint64_t value;

	if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
		return otherwise;
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, 1, UINT64_MAX, &value) == 0 ? value : otherwise;
}

uint64_t cgroup_share_of_processes(void)
{
	uint64_t pids = number_in("/proc/sys/kernel/pid_max", 32768), threads = number_in("/proc/sys/kernel/threads-max", 32768);
	uint64_t share = (pids < threads ? pids : threads) / SHARE_OF_PROCESSES;

	return share > PROCESSES_MAX ? PROCESSES_MAX : share < PROCESSES_MIN ? PROCESSES_MIN : share;
}

uint64_t cgroup_share_of_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	if (pages <= 0 || size <= 0)
		return UINT64_MAX;
	uint64_t total = (uint64_t)pages * (uint64_t)size, reserve = total / MEMORY_RESERVE;

	reserve = reserve > MEMORY_RESERVE_MAX ? MEMORY_RESERVE_MAX : reserve < MEMORY_RESERVE_MIN ? MEMORY_RESERVE_MIN : reserve;
	return (total > 2 * reserve ? total - reserve : total / 2) / (uint64_t)size * (uint64_t)size;
}

bool cgroup_exists(const char *cgroup)
{
	const struct cgroup_layout_map *map = cgroup_layout();
	char path[PATH_MAX];

	if (unified_path(path, cgroup, "") == 0 && access(path, F_OK) == 0)
		return true;
	for (int i = 0; cgroup[0] && i < map->v1_count; i++)
		if (str_print(path, sizeof(path), "%s/%s", map->v1[i].path, cgroup) == 0 && access(path, F_OK) == 0)
			return true;
	return false;
}

int cgroup_kill(const char *cgroup, struct err *err)
{
	char folder[PATH_MAX], path[PATH_MAX];

	int r = unified_path(folder, cgroup, "");

	if (r == 0)
		r = str_print(path, sizeof(path), "%s/cgroup.kill", folder);
	if (r < 0)
		return r == -EOPNOTSUPP ? cgroup_none(err) : err_num(err, r, "name cgroup '%s'", cgroup);
	r = file_poke(AT_FDCWD, path, "1");
	if (r == 0 || r == -ENODEV || (r == -ENOENT && access(folder, F_OK) < 0))
		return 0;
	return err_num(err, r, "kill all in cgroup %s", cgroup);
}

static bool event_is(const char *cgroup, const char *word)
{
	char path[PATH_MAX];
	auto_free char *text = NULL;

	if (unified_path(path, cgroup, "cgroup.events") < 0 || file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return false;
	return strstr(text, word) != NULL;
}

bool cgroup_frozen(const char *cgroup)
{
	return cgroup[0] && event_is(cgroup, "frozen 1");
}

int cgroup_hold(const char *cgroup, bool hold, struct err *err)
{
	char path[PATH_MAX];

	if (unified_path(path, cgroup, "cgroup.freeze") < 0)
		return cgroup_none(err);
	int r = file_poke(AT_FDCWD, path, hold ? "1" : "0");

	return r < 0 ? err_num(err, r, "write %s", path) : 0;
}

int cgroup_freeze(const char *cgroup, bool freeze, int timeout_ms, struct err *err)
{
	char path[PATH_MAX];

	if (unified_path(path, cgroup, "cgroup.events") < 0)
		return cgroup_none(err);
	auto_close int events = open(path, O_RDONLY | O_CLOEXEC);

	if (events < 0)
		return err_sys(err, "open %s", path);
	(void)unified_path(path, cgroup, "cgroup.freeze");
	int r = file_poke(AT_FDCWD, path, freeze ? "1" : "0");
	if (r < 0)
		return err_num(err, r, "write %s", path);
	uint64_t deadline = proc_now_ms() + (uint64_t)timeout_ms;

	for (;;) {
		/* Reading arms the event: whatever changes after it wakes the poll (cgroup-v2.rst, cgroup.events). */
		char text[256];
		ssize_t n = pread(events, text, sizeof(text) - 1, 0);

		if (n < 0)
			return err_sys(err, "read cgroup.events of %s", cgroup);
		text[n] = '\0';
		if (!strstr(text, freeze ? "frozen 0" : "frozen 1"))
			return 0;
		uint64_t now = proc_now_ms();

		if (now >= deadline) {
			(void)file_poke(AT_FDCWD, path, freeze ? "0" : "1"); /* back to what it was */
			return err_set(err, ERR_TIMEOUT, "%s cgroup %s within %d ms", freeze ? "freeze" : "unfreeze", cgroup,
				       timeout_ms);
		}
		struct pollfd wait = {.fd = events, .events = POLLPRI};

		(void)poll(&wait, 1, (int)(deadline - now)); /* the loop looks again either way */
	}
}

static uint64_t usage_usec(const char *folder)
{
	char path[PATH_MAX];
	auto_free char *text = NULL;
	uint64_t usec;

	if (str_print(path, sizeof(path), "%s/cpu.stat", folder) < 0 || file_read(AT_FDCWD, path, 8192, &text, NULL) < 0)
		return UINT64_MAX;
	char *at = strstr(text, "usage_usec ");

	if (!at)
		return UINT64_MAX;
	at += strlen("usage_usec ");
	at[strcspn(at, "\n")] = '\0';
	return str_to_u64(at, 0, UINT64_MAX, &usec) == 0 ? usec : UINT64_MAX;
}

int cgroup_stat(const char *cgroup, struct cgroup_stat *ret)
{
	struct cgroup_stat stat = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
	char folder[PATH_MAX];

	if (unified_path(folder, cgroup, "") < 0)
		return -EOPNOTSUPP;
	if (cgroup_layout()->v1_count) {
		cgroup_v1_stat(cgroup, &stat);
	} else {
		(void)cgroup_read_u64(folder, "memory.current", &stat.memory); /* each stays unknown where it lacks */
		(void)cgroup_read_u64(folder, "memory.peak", &stat.memory_peak);
		(void)cgroup_read_u64(folder, "memory.max", &stat.memory_limit);
		(void)cgroup_read_u64(folder, "pids.current", &stat.processes);
		stat.oom_kills = cgroup_read_word(folder, "memory.events", "oom_kill");
	}
	if (stat.cpu_usec == UINT64_MAX)
		stat.cpu_usec = usage_usec(folder);
	*ret = stat;
	return 0;
}

int cgroup_of(pid_t pid, const char *cgroup, char *ret, size_t size)
{
	char path[64];
	auto_free char *text = NULL;

	(void)str_print(path, sizeof(path), "/proc/%d/cgroup", pid);
	int r = file_read(AT_FDCWD, path, 65536, &text, NULL);
	if (r < 0)
		return r;
	char *line = str_starts(text, "0::/") ? text + 4 : strstr(text, "\n0::/");

	if (!line)
		return -ENOENT;
	if (*line == '\n')
		line += 5;
	line[strcspn(line, "\n")] = '\0';
	size_t len = strlen(cgroup);

	if (strncmp(line, cgroup, len) != 0 || line[len] != '/')
		return -ENOENT;
	return str_copy(ret, size, line + len + 1);
}

int cgroup_enter_leaf(const char *folder, const char *leaf, struct err *err)
{
	char path[PATH_MAX];

	if (unified_path(path, folder, leaf) < 0)
		return cgroup_none(err);
	int r = make_folder(path, err);
	if (r < 0)
		return r;
	(void)str_print(path + strlen(path), sizeof(path) - strlen(path), "/cgroup.procs");
	r = file_poke(AT_FDCWD, path, "0");
	return r < 0 ? err_num(err, r, "enter %s/%s", folder, leaf) : 0;
}

int cgroup_open_leaf(const char *folder, const char *leaf)
{
	char path[PATH_MAX];
	int r = unified_path(path, folder, leaf);
	int fd = r < 0 ? r : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 && r >= 0 ? -errno : fd;
}
