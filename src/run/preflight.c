/* What of a running guest criu cannot carry, found before criu is started. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/aside.h"
#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/status.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "external.h"
#include "preflight.h"
#include "preflight_fds.h"
#include "preflight_links.h"
#include "preflight_mounts.h"
#include "visitors.h"

#define MOUNTS_MAX (4u << 20)
#define SEEN_MAX   256 /* more mount namespaces than that are looked at for each process */

/* Namespaces of which criu takes one for the whole guest. */
static const struct kind {
	const char *file, *what, *remedy;
} kind_table[] = {
	{"user", "it has a user namespace of its own", "stop it, or for a unit set PrivateUsers=no"},
	{"pid", "it has a PID namespace of its own", "stop it; containers in the guest cannot be checkpointed"},
	{"cgroup", "it has a cgroup namespace of its own", "stop it; containers in the guest cannot be checkpointed"},
	{"uts", "it has a host name (UTS namespace) of its own", "stop it, or for a unit set ProtectHostname=no"},
	{"ipc", "it has an IPC namespace of its own", "stop it, or for a unit set PrivateIPC=no"},
	{"time", "it has a time namespace of its own", "stop it"},
};
#define KINDS    (sizeof(kind_table) / sizeof(kind_table[0]))
#define KIND_PID 1 /* its row */

struct search {
	const char *cgroup;
	struct obstacle *found;
	size_t count;
	ino_t init_ns[KINDS];
	dev_t queues;
	const char *init_mounts;
	char root[24];        /* device of the root file system whose mounts must be nodev, "" for none */
	ino_t seen[SEEN_MAX]; /* mount namespaces */
	size_t seen_count;
};

static ino_t namespace_of(pid_t pid, const char *file)
{
	char path[48];
	struct stat st;

	(void)str_print(path, sizeof(path), "/proc/%d/ns/%s", pid, file);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* The last unit in the guest's part of the process's cgroup path. */
static void unit_of(const struct search *search, pid_t pid, char ret[80])
{
	char below[PATH_MAX], *rest = below;

	ret[0] = '\0';
	if (cgroup_of(pid, search->cgroup, below, sizeof(below)) < 0)
		return;
	for (char *part; (part = strsep(&rest, "/"));) {
		size_t len = strlen(part);

		if (len > 8 && (!strcmp(part + len - 8, ".service") || !strcmp(part + len - 6, ".scope")))
			(void)str_escape_into(ret, 80, part);
	}
}

static void add(struct search *search, pid_t pid, const char *status, const char *what, const char *remedy)
{
	if (search->count == OBSTACLES_MAX)
		return;
	struct obstacle *obstacle = &search->found[search->count++];
	const char *name = status_field(status, "Name");

	*obstacle = (struct obstacle){.pid = status_last(status, "NSpid")};
	if (name) {
		auto_free char *own = strndup(name, strcspn(name, "\n"));

		(void)str_escape_into(obstacle->process, sizeof(obstacle->process), own ? own : "");
	}
	unit_of(search, pid, obstacle->unit);
	(void)str_copy(obstacle->what, sizeof(obstacle->what), what);
	(void)str_copy(obstacle->remedy, sizeof(obstacle->remedy), remedy);
}

/* Of whom preflight_fds tells. */
struct holder {
	struct search *search;
	pid_t pid;
	const char *status;
};

static void hold(void *arg, const char *what, const char *remedy)
{
	const struct holder *holder = arg;

	add(holder->search, holder->pid, holder->status, what, remedy);
}

static char *mounts_of(pid_t pid)
{
	char path[48], *text = NULL;

	(void)str_print(path, sizeof(path), "/proc/%d/mountinfo", pid);
	return file_read(AT_FDCWD, path, MOUNTS_MAX, &text, NULL) < 0 ? NULL : text;
}

static void look_at_mounts(struct search *search, pid_t pid, const char *status)
{
	ino_t own = namespace_of(pid, "mnt");
	char point[40], what[96], remedy[96];

	for (size_t i = 0; i < search->seen_count; i++)
		if (search->seen[i] == own)
			return;
	if (search->seen_count < SEEN_MAX)
		search->seen[search->seen_count++] = own;
	auto_free char *text = mounts_of(pid);

	if (text && search->init_mounts && preflight_mounts_part(text, search->init_mounts, point, sizeof(point))) {
		(void)str_print(what, sizeof(what), "its %s is part of a tmpfs that is mounted nowhere whole", point);
		add(search, pid, status, what, "for a unit set PrivateTmp=yes, or PrivateTmp=no");
	}
	if (!text || !search->root[0] || !preflight_mounts_bare(text, search->root, point, sizeof(point)))
		return;
	(void)str_print(what, sizeof(what), "its mount %s lacks the 'nodev' of the root", point);
	(void)str_print(remedy, sizeof(remedy), "in the guest: mount -o remount,bind,nodev %s", point);
	add(search, pid, status, what, remedy);
}

/* criu would wait for it to stop until its time is over. The whole guest is not frozen: that was looked at. */
static bool is_frozen(const struct search *search, pid_t pid)
{
	char below[PATH_MAX];

	if (cgroup_of(pid, search->cgroup, below, sizeof(below)) < 0)
		return false;
	auto_free char *group = str_format("%s/%s", search->cgroup, below);

	return group && cgroup_frozen(group);
}

static void add_stopped(struct search *search, pid_t pid, const char *status)
{
	char remedy[64];

	(void)str_print(remedy, sizeof(remedy), "let it go on, in the guest: kill -CONT %d", status_last(status, "NSpid"));
	add(search, pid, status, "it is stopped (job control or SIGSTOP)", remedy);
}

static int look_at(void *arg, pid_t pid)
{
	struct search *search = arg;
	auto_free char *status = NULL;

	if (status_read(pid, pid, &status) < 0)
		return 0; /* it has ended */
	if (visitors_has(status, search->init_ns[KIND_PID])) {
		if (search->count == OBSTACLES_MAX)
			return 0;
		add(search, pid, status, "it came in by isle exec or isle shell: it is not carried", "wait for its end");
		search->found[search->count - 1].passing = true;
		return 0;
	}
	for (size_t i = 0; i < KINDS; i++) {
		ino_t own = namespace_of(pid, kind_table[i].file);

		if (own && search->init_ns[i] && own != search->init_ns[i])
			add(search, pid, status, kind_table[i].what, kind_table[i].remedy);
	}
	if (status_last(status, "TracerPid") != 0)
		add(search, pid, status, "it is traced by another process", "detach strace or the debugger");
	const char *now = status_field(status, "State");

	if (now && now[0] == 'T')
		add_stopped(search, pid, status);
	if (is_frozen(search, pid))
		add(search, pid, status, "its control group is frozen", "let it go on: systemctl thaw UNIT");
	look_at_mounts(search, pid, status);
	struct holder holder = {.search = search, .pid = pid, .status = status};

	preflight_fds(pid, search->queues, hold, &holder);
	return 0;
}

/* What the process that looks leaves to the one that waits for it. */
struct findings {
	const struct record *record;
	size_t count;
	struct obstacle found[OBSTACLES_MAX];
};

static int look(void *arg)
{
	struct findings *findings = arg;
	pid_t init = findings->record->init_pid;
	struct search search = {.cgroup = findings->record->cgroup, .found = findings->found};
	int r = fds_alone(NULL, 0);

	if (r < 0)
		return r;
	for (size_t i = 0; i < KINDS; i++)
		search.init_ns[i] = namespace_of(init, kind_table[i].file);
	auto_free char *mounts = findings->record->ids ? mounts_of(init) : NULL, *init_mounts = mounts_of(init);

	search.init_mounts = init_mounts;

	if (mounts)
		preflight_mounts_root(mounts, search.root, sizeof(search.root));
	search.queues = preflight_queues(init);
	r = cgroup_each_pid(findings->record->cgroup, look_at, &search);
	findings->count = search.count;
	return r;
}

static int passing_last(const void *a, const void *b)
{
	const struct obstacle *one = a, *other = b;

	return one->passing != other->passing ? one->passing - other->passing : (one->pid > other->pid) - (one->pid < other->pid);
}

/* What stands in the way before any process does. */
static int look_at_guest(const struct guest *guest, const struct record *record, struct err *err)
{
	const struct spec *spec = guest->spec;

	if (!spec->guest.checkpoint_ready || spec->security.nesting) {
		(void)err_set(err, ERR_FAILED, "checkpoint it: it is not started so that it can be (%s)",
			      spec->security.nesting ? "nesting = yes" : "checkpoint-ready = no");
		return err_hint(err, "isle config %s set guest.checkpoint-ready=yes security.nesting=no, then isle restart",
				guest->name);
	}
	for (size_t i = 0; i < record->device_count; i++)
		if (record->devices[i].kind == 'n') {
			(void)err_set(err, ERR_FAILED, "checkpoint it: interface %s of the host is in it", record->devices[i].host);
			return err_hint(err, "isle device %s remove %s", guest->name, record->devices[i].name);
		}
	struct checkpoint scratch = {0};
	int r = external_mounts(guest, record, &scratch, err);

	checkpoint_clear(&scratch);
	return r < 0 ? r : preflight_links(guest->name, record, err);
}

int preflight(const struct guest *guest, const struct record *record, unsigned timeout_ms, struct obstacle ret[OBSTACLES_MAX],
	      struct err *err)
{
	int r = look_at_guest(guest, record, err);
	struct findings *findings = r < 0 ? NULL : aside_memory(sizeof(*findings));

	if (r < 0)
		return r;
	if (!findings)
		return err_num(err, ENOMEM, "look at the guest's processes");
	findings->record = record;
	r = aside_run(look, findings, (int)timeout_ms);
	int count = (int)findings->count;

	if (r == 0)
		memcpy(ret, findings->found, sizeof(findings->found));
	if (r == 0)
		qsort(ret, (size_t)count, sizeof(*ret), passing_last);
	aside_free(findings, sizeof(*findings));
	if (r == -ETIMEDOUT) {
		(void)err_set(err, ERR_TIMEOUT, "look at the guest's processes: they hold more than can be looked at in %u s",
			      timeout_ms / 1000);
		return err_hint(err, "--timeout gives more time, or end what holds so many descriptors or mounts");
	}
	return r < 0 ? err_num(err, r, "look at the guest's processes") : count;
}

size_t preflight_blocking(const struct obstacle *obstacles, size_t count)
{
	while (count > 0 && obstacles[count - 1].passing)
		count--;
	return count;
}

int preflight_refuse(const struct obstacle *obstacles, size_t count, struct err *err)
{
	const struct obstacle *first = &obstacles[0];

	(void)err_set(err, ERR_FAILED, "carry process %d (%s%s%s): %s%s", first->pid, first->process, first->unit[0] ? " of " : "",
		      first->unit, first->what, count > 1 ? "; --check lists it and others" : "");
	return err_hint(err, "%s", first->remedy);
}
