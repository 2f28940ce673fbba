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
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "../kernel/systemd.h"
#include "../storage/storage.h"
#include "control.h"
#include "mount_options.h"
#include "steps.h"
#include "walk.h"

#define GID_TTY   5
#define REMOVE_MS 5000

int step_folder(struct run *run, struct err *err)
{
	const struct store *store = run->guest->store;
	struct record *record = &run->record;

	if (mkdirat(store->run_fd, run->guest->name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "mkdir %s/%s", store->run, run->guest->name);
	if (run->run_fd < 0)
		run->run_fd = openat(store->run_fd, run->guest->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run->run_fd < 0)
		return err_sys(err, "open %s/%s", store->run, run->guest->name);
	(void)str_copy(record->phase, sizeof(record->phase), "starting");
	int r = proc_boot_id(record->boot_id);
	if (r < 0)
		return err_num(err, r, "read this boot's id");
	record->monitor_pid = getpid();
	record->monitor_start = proc_start_time(getpid());
	record->ids = run->spec->security.privileged ? 0 : run->spec->security.ids;
	record->starts++;
	r = record_save(store, run->guest->name, record, err);
	if (r < 0 || run->mode != RUN_START || run->control_fd >= 0)
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
	char unit[96], folder[160], below[256];
	auto_free char *description = str_format("isle guest %s", run->guest->name);
	int r = run_unit_name(run->guest->store, run->guest->name, unit, sizeof(unit));

	if (r == 0)
		r = str_print(folder, sizeof(folder), SYSTEMD_SLICE "/%s", unit);
	if (r < 0 || !description)
		return err_num(err, r < 0 ? r : ENOMEM, "name the scope of guest '%s'", run->guest->name);
	if (cgroup_of(getpid(), folder, below, sizeof(below)) == 0)
		return 0;
	struct systemd_scope scope = {.unit = unit, .description = description, .pid = getpid()};

	r = systemd_scope_start(&scope, err);
	return r < 0 ? r : cgroup_enter_leaf(folder, "monitor", err);
}

int step_cgroup(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	const char *cgroup = run->record.cgroup;
	struct cgroup_limits limits = {
		.memory = spec->limits.memory,
		.swap = spec->limits.swap,
		.cpus = spec->limits.cpus,
		.cpu_weight = spec->limits.cpu_weight,
		.processes = spec->limits.processes,
		.cpuset = spec->limits.cpuset,
	};
	int r = run->host->systemd && run->mode == RUN_START ? enter_scope(run, err) : 0;

	/* What a failed undo left has old limits, and the kernel kills what is cloned into a group that was once killed. */
	if (r == 0 && cgroup_exists(cgroup)) {
		r = cgroup_kill(cgroup, err);
		if (r == 0)
			r = cgroup_remove(cgroup, REMOVE_MS, err);
	}
	if (r == 0)
		r = cgroup_create(cgroup, (uid_t)run->record.ids, err);
	if (r == 0 && run->mode == RUN_START)
		r = cgroup_limit(cgroup, &limits, err);
	if (r == 0 && limits.processes == UINT64_MAX)
		cgroup_share_processes(cgroup);
	if (r == 0)
		r = cgroup_entry_open(cgroup, CGROUP_GUEST, &run->groups, err);
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
	return confine_prepare(run->guest->store, run->guest->name, run->spec, &run->confinement, err);
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
	if (spec->security.time_namespace && run->host->time_namespace)
		how.flags |= CLONE_NEWTIME;
	pid_t pid = ns_clone(&how, &run->init_pidfd, err);

	if (pid == 0) {
		keep_inside(run, inside);
		return 0;
	}
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
	if (options->idmap && !run->spec->security.privileged) {
		auto_close int userns = user_namespace(run, err);

		if (userns < 0)
			return userns;
		r = mount_idmap(tree, userns, err);
	}
	if (r == 0 && options->attributes)
		r = mount_attributes(tree, options->attributes, 0, options->recursive, err);
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

int step_record(struct run *run, struct err *err)
{
	struct record *record = &run->record;

	(void)str_copy(record->phase, sizeof(record->phase), "running");
	(void)str_copy(record->init_kind, sizeof(record->init_kind), run->init_kind);
	record->init_pid = run->init_pid;
	record->init_start = proc_start_time(run->init_pid);
	record->started = (uint64_t)time(NULL);
	return record_save(run->guest->store, run->guest->name, record, err);
}
