/* The HOST rows of the start table: what isle does outside the guest, with the host's powers. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../guest/image.h"
#include "../kernel/bpfcore.h"
#include "../kernel/bpfmodule.h"
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "../kernel/privs.h"
#include "../kernel/systemd.h"
#include "../storage/storage.h"
#include "control.h"
#include "devices.h"
#include "limits.h"
#include "mount_options.h"
#include "scope.h"
#include "steps.h"
#include "usage.h"
#include "walk.h"

#define GID_TTY      5
#define MAKE_TRIES   4
#define REMOVE_MS    5000
#define STOP_MS_MAX  600000
#define STOP_MS_MORE 60000 /* for the lock, and for the end of what was killed */

int step_folder(struct run *run, struct err *err)
{
	const struct store *store = run->guest->store;
	struct record *record = &run->record;

	if (run->mode == RUN_START)
		kept_drop(store, run->guest->name); /* nobody wakes to it any more */
	if (mkdirat(store->run_fd, run->guest->name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "mkdir %s/%s", store->run, run->guest->name);
	if (run->run_fd < 0)
		run->run_fd = openat(store->run_fd, run->guest->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run->run_fd < 0)
		return err_sys(err, "open %s/%s", store->run, run->guest->name);
	(void)str_copy(record->phase, sizeof(record->phase), RECORD_STARTING);
	int r = proc_boot_id(record->boot_id);
	if (r < 0)
		return err_num(err, r, "read this boot's id");
	/* After a reboot from inside: what the new groups count is none of the old init's. */
	record->init_pid = 0;
	record->init_start = 0;
	record->monitor_pid = getpid();
	record->monitor_start = proc_start_time(getpid());
	record->ids = run->spec->security.privileged ? 0 : run->spec->security.ids;
	record->starts++;
	if (record->ids && run->spec->guest.id)
		r = store_ids_claim(store, run->spec->guest.id, record->ids, err);
	if (r == 0)
		r = record_save(store, run->guest->name, record, err);
	if (r < 0 || run->mode == RUN_PERSONALISE || run->control_fd >= 0)
		return r;
	run->control_fd = control_listen(run->run_fd, err);
	return run->control_fd < 0 ? run->control_fd : 0;
}

void step_folder_undo(struct run *run)
{
	/* While the folder stays, what is left is seen as broken, and the next command tries again. */
	if (run->undo_err.code == ERR_NONE)
		(void)record_remove(run->guest->store, run->guest->name, &run->undo_err);
}

/* On a systemd host: this process, which becomes the monitor, moves out of whatever session it came from into the guest's own
 * scope. After a reboot from inside it is there already. */
static int enter_scope(struct run *run, struct err *err)
{
	char unit[96], folder[RUN_SCOPE_MAX], below[256];
	auto_free char *description = str_format("isle guest %s", run->guest->name);
	int r = run_unit_name(run->guest->store, run->guest->name, unit, sizeof(unit));

	if (r == 0)
		r = run_scope_folder(run->guest->store, run->guest->name, folder);
	if (r < 0 || !description)
		return err_num(err, r < 0 ? r : ENOMEM, "name the scope of guest '%s'", run->guest->name);
	if (cgroup_of(getpid(), folder, below, sizeof(below)) == 0)
		return 0;
	/* The monitor runs `isle stop` then, which has its own patience. */
	uint64_t patience = run->spec->guest.stop_timeout < STOP_MS_MAX ? run->spec->guest.stop_timeout : STOP_MS_MAX;
	struct systemd_scope scope = {
		.unit = unit,
		.description = description,
		.machine = run->guest->name,
		.pid = getpid(),
		.stop_ms = patience + STOP_MS_MORE,
	};

	r = systemd_scope_start(&scope, err);
	return r < 0 ? r : cgroup_enter_leaf(folder, RUN_MONITOR_LEAF, err);
}

/* What this kernel cannot hold is told before anything is made. */
static int choose_limits(struct run *run, struct cgroup_limits *ret, unsigned *ret_kinds, struct err *err)
{
	*ret_kinds = CGROUP_BIT(CGROUP_PROCESSES) | CGROUP_BIT(CGROUP_MEMORY); /* not set, they are a share of the host's */
	cgroup_limits_none(ret);
	if (run->mode == RUN_PERSONALISE)
		return 0;
	int r = limits_choose(run->guest, run->spec, &run->record, err);

	*ret_kinds |= limits_changed(NULL, run->spec);
	if (r == 0)
		r = limits_of(run->guest, run->spec, &run->record, *ret_kinds, ret, err);
	return r < 0 ? r : cgroup_limits_check(ret, *ret_kinds, err);
}

static int make_groups(struct run *run, const struct cgroup_limits *limits, unsigned kinds, struct err *err)
{
	const char *cgroup = run->record.cgroup;
	int r = cgroup_create(cgroup, (uid_t)run->record.ids, err);

	if (r == 0)
		r = cgroup_limit(cgroup, limits, kinds, err);
	if (r == 0 && limits->number[CGROUP_MEMORY_GUARANTEE] != UINT64_MAX)
		r = cgroup_share_guarantee(cgroup, err);
	if (r == 0 && run->mode != RUN_PERSONALISE)
		limits_count_disks(run->guest, run->spec, cgroup);
	return r == 0 ? cgroup_entry_open(cgroup, &run->groups, err) : r;
}

int step_cgroup(struct run *run, struct err *err)
{
	const char *cgroup = run->record.cgroup;
	struct cgroup_limits limits;
	struct err why;
	unsigned kinds;
	int r = choose_limits(run, &limits, &kinds, err);

	if (r == 0 && run->host->systemd && run->mode != RUN_PERSONALISE)
		r = enter_scope(run, err);
	/* What a failed undo left has old limits, and the kernel kills what is cloned into a group that was once killed. */
	if (r == 0 && cgroup_exists(cgroup)) {
		r = cgroup_kill(cgroup, err);
		if (r == 0)
			r = cgroup_remove(cgroup, REMOVE_MS, err);
	}
	if (r < 0)
		return r;
	/* systemd, which clears up after a scope of the same name or a sibling, removes groups of v1 that nobody is in. */
	for (int i = 0; i < MAKE_TRIES; i++) {
		why = (struct err){0};
		r = make_groups(run, &limits, kinds, &why);
		if (r != -ENOENT && r != -ENODEV)
			break;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

void step_cgroup_undo(struct run *run)
{
	struct err err = {0};

	(void)cgroup_kill(run->record.cgroup, NULL); /* removing says whether it worked */
	if (cgroup_remove(run->record.cgroup, REMOVE_MS, &err) < 0) {
		run_log(run, "could not remove the control groups: %s", err.what);
		run->undo_err = err;
	}
	(void)cgroup_share_guarantee(run->record.cgroup, NULL); /* too much of it favours the other guests a little */
}

/* A second wall: what the guest may ask the kernel for is mostly held by its own privileges and filters. */
int step_module_program(struct run *run, struct err *err)
{
	struct err why = {0};
	int r = bpfmodule_attach(run->record.cgroup, run->guest->store->cache, &why);

	if (r == -EOPNOTSUPP) {
		run_log(run, "no module program: %s", why.what); /* doctor tells what to do */
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Where the host's handler is no socket, nothing lacks without it. */
int step_core_program(struct run *run, struct err *err)
{
	struct err why = {0};
	int r = bpfcore_attach(run->record.cgroup, &why);

	if (r == 0 || !bpfcore_needed())
		return 0;
	if (err)
		*err = why;
	return r;
}

int step_console(struct run *run, struct err *err)
{
	struct record *record = &run->record;

	if (run->console_fd < 0)
		run->console_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (run->console_fd < 0) {
		int r = err_sys(err, "allocate a terminal for the console");

		if (r == -ENOSPC)
			(void)err_hint(err, "raise the sysctl kernel.pty.max");
		return r;
	}
	if (unlockpt(run->console_fd) < 0 || ptsname_r(run->console_fd, record->console, sizeof(record->console)) != 0)
		return err_sys(err, "allocate a terminal for the console");
	if (chown(record->console, (uid_t)record->ids, (gid_t)(record->ids + GID_TTY)) < 0 || chmod(record->console, 0620) < 0)
		return err_sys(err, "give %s to the guest", record->console);
	return 0;
}

int step_filter(struct run *run, struct err *err)
{
	return confine_prepare(run->guest, 0, &run->confinement, err);
}

/* The guest side's end is the child's; both are close-on-exec, which is how the host learns that init runs. */
static int make_pair(struct run *run, int *ret_inside, struct err *err)
{
	int pair[2];
	struct timeval patience = {.tv_sec = WALK_WORD_MS / 1000};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	run->other = pair[0];
	*ret_inside = pair[1];
	if (!getenv("ISLE_HOLD"))
		(void)setsockopt(run->other, SOL_SOCKET, SO_RCVTIMEO, &patience,
				 sizeof(patience)); /* without it a hung guest side only hangs us */
	return 0;
}

/* The child keeps what it needs to become the guest: not the locks, folders and pipes of ours, which would outlive us with it. */
static void keep_inside(struct run *run, int inside)
{
	int *const ours[] = {&run->run_fd,     &run->log_fd,        &run->control_fd,    &run->console_fd,
			     &run->init_pidfd, &run->groups.folder, &run->guest->dir_fd, &run->guest->lock_fd};
	int keep[CGROUP_V1_MAX + 1];
	size_t count = 0;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		*ours[i] = -1;
	for (int i = 0; i < run->groups.count; i++)
		keep[count++] = run->groups.tasks[i];
	keep[count++] = inside;
	(void)fds_close_others(keep, count, 0); /* all are close-on-exec as well */
	run->other = inside;
	run->inside = true;
}

int step_clone(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	struct ns_clone how = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC,
		.cgroup_fd = run->groups.folder,
	};
	int inside = -1;
	int r = make_pair(run, &inside, err);

	if (r < 0)
		return r;
	if (!spec->security.privileged) {
		how.flags |= CLONE_NEWUSER;
		how.creator = (uid_t)spec->security.ids;
	}
	struct privs_rlimits own;

	privs_limits_save(&own);
	r = confine_limits(&run->confinement, err);
	pid_t pid = r < 0 ? r : ns_clone(&how, &run->init_pidfd, err);

	if (pid == 0) {
		keep_inside(run, inside);
		return 0;
	}
	privs_limits_restore(&own);
	close(inside);
	if (pid < 0)
		return pid;
	run->init_pid = pid;
	return 0;
}

int step_id_maps(struct run *run, struct err *err)
{
	return ns_write_maps(run->init_pid, run->spec->security.ids, err);
}

static int user_namespace(const struct run *run, struct err *err)
{
	if (run->userns >= 0) {
		int fd = fcntl(run->userns, F_DUPFD_CLOEXEC, 0);

		return fd < 0 ? err_sys(err, "duplicate a descriptor") : fd;
	}
	return ns_open(run->init_pid, "user", err);
}

int step_root_storage(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	const struct storage *storage = storage_find(storage_choices[spec->guest.storage]);
	auto_close int userns = -1;
	auto_close int image = -1;
	auto_free char *image_folder = NULL;
	auto_free char *guest_folder = path_join(run->guest->store->guests, run->guest->name);

	if (!guest_folder || !storage)
		return err_num(err, guest_folder ? EOPNOTSUPP : ENOMEM, "mount the root of '%s'", run->guest->name);
	if (!spec->security.privileged) {
		userns = user_namespace(run, err);
		if (userns < 0)
			return userns;
	}
	if (spec->guest.image) {
		image_folder = image_path(run->guest->store, spec->guest.image);
		image = image_folder ? open(image_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	}
	struct storage_place place = {
		.guest_fd = run->guest->dir_fd,
		.image_fd = image,
		.guest_path = guest_folder,
		.image_path = image_folder,
	};

	int r = storage->mount(&place, userns, &run->fd[RUN_FD_ROOT], err);

	/* Device nodes in a root file system are of no use to a guest, whose /dev is made anew, and could only be a stranger's. */
	if (r == 0 && !spec->security.privileged)
		r = mount_attributes(run->fd[RUN_FD_ROOT], MOUNT_ATTR_NODEV, 0, false, err);
	return r;
}

static int open_source(const struct run *run, const struct spec_mount *mount, const struct mount_options *options, int *ret,
		       struct err *err)
{
	auto_close int tree = mount_copy(AT_FDCWD, mount->source, options->recursive, NULL);
	int r = 0;

	if (tree < 0) {
		int num = tree;

		if (options->optional && (num == -ENOENT || num == -ENOTDIR))
			return 0;
		(void)err_num(err, num, "mount %s on %s", mount->source, mount->target);
		if (num == -ENOENT)
			(void)err_hint(err, "create it on the host, or add 'optional' to the mount");
		return num;
	}
	if (!devices_usual(tree)) {
		(void)err_set(err, ERR_FAILED, "mount %s on %s: it is a device, which the guest could not open", mount->source,
			      mount->target);
		return err_hint(err, "give it by a section: [device NAME], source = %s", mount->source);
	}
	if (options->idmap && !run->spec->security.privileged) {
		auto_close int userns = user_namespace(run, err);

		if (userns < 0)
			return userns;
		r = mount_idmap(tree, userns, err);
	}
	if (r == 0 && options->attributes)
		r = mount_attributes(tree, options->attributes, 0, options->recursive, err);
	/* Its own mount namespace belongs to the guest: without this its root takes off what the config or the host has put on. */
	if (r == 0)
		r = mount_lock(&tree, err);
	if (r < 0)
		return r;
	*ret = take_fd(&tree);
	return 0;
}

int step_sources(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;

	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct spec_mount *mount = &spec->mounts[i];
		struct mount_options options;
		int r = mount_options_parse(mount->options, &options, err);

		if (r == 0 && !mount->type)
			r = open_source(run, mount, &options, &run->fd[RUN_FD_MOUNT + i], err);
		mount_options_free(&options);
		if (r < 0)
			return err_where(err, spec->file, mount->line);
	}
	return 0;
}

int step_record_phase(struct run *run, const char *phase, struct err *err)
{
	struct record *record = &run->record;
	uint64_t start = proc_start_time(run->init_pid);

	/* Without it nobody would know init again, and the guest would count as gone. */
	if (start == 0 && record->init_pid == run->init_pid)
		start = record->init_start;
	if (start == 0)
		return err_set(err, ERR_FAILED, "look at the guest's init, process %d", run->init_pid);
	(void)str_copy(record->phase, sizeof(record->phase), phase);
	(void)str_copy(record->init_kind, sizeof(record->init_kind), run->init_kind);
	record->init_pid = run->init_pid;
	record->init_start = start;
	/* A guest that wakes has those that it fell asleep with. */
	record->terminals = run->restore ? 0 : run->spec->limits.terminals;
	record->namespaces = run->restore || run->spec->security.privileged ? 0 : run->spec->limits.namespaces;
	record->started = (uint64_t)time(NULL);
	return record_save(run->guest->store, run->guest->name, record, err);
}

int step_record(struct run *run, struct err *err)
{
	struct err why = {0};
	int r = step_record_phase(run, RECORD_RUNNING, &why);

	/* What was woken runs, and the record says so in its way. */
	if (r < 0 && run->mode == RUN_RESTORE) {
		run_log(run, "%s: the next command tries again", why.what);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* What it has used goes on its account while its groups and links are still there to be asked. */
void step_record_undo(struct run *run)
{
	struct err err = {0};
	const struct usage_recording recording = {
		.record = &run->record,
		.memory = run->memory,
		.disk_age = UINT64_MAX, /* a walk through its files would take long */
		.ending = true,
	};

	if (run->mode != RUN_PERSONALISE && run->record.init_start != 0 && run->guest->dir_fd >= 0 &&
	    cgroup_exists(run->record.cgroup) && usage_record(run->guest, &recording, NULL, &err) < 0)
		run_log(run, "could not put down what it has used: %s", err.what);
	scope_release(run);
}
