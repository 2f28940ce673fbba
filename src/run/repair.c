/* Clears up after isle processes that were killed. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/proc.h"
#include "../base/self.h"
#include "../base/str.h"
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "../kernel/machined.h"
#include "checkpoint.h"
#include "console.h"
#include "control.h"
#include "devices.h"
#include "lxcfs.h"
#include "monitor.h"
#include "repair.h"
#include "steps.h"
#include "thaw.h"
#include "update.h"
#include "walk.h"
#include "workshop.h"

#define THAW_MS       5000
#define DYING_MS      1000
#define GONE_MS       5000
#define LINKS_GUESSED 4 /* for a run folder without a record: more interfaces than that are found by their guest's config */

static void guess_links(const struct store *store, const char *name, size_t count, struct record *record)
{
	for (size_t i = 0; i < count && i < RECORD_LINKS_MAX; i++)
		run_link_name(store, name, i, record->links[i].host);
	record->link_count = count < RECORD_LINKS_MAX ? count : RECORD_LINKS_MAX;
}

static int kill_processes(struct run *run, struct err *err)
{
	auto_close int init = record_init_pidfd(&run->record);
	auto_close int monitor = record_monitor_pidfd(&run->record);
	int r = cgroup_kill(run->record.cgroup, err);

	if (init >= 0) {
		(void)proc_signal(init, SIGKILL); /* it may be on its way already */
		if (r == 0 && proc_wait_gone(init, GONE_MS) < 0)
			return err_set(err, ERR_TIMEOUT, "kill the guest's init (process %d)", run->record.init_pid);
	}
	/* A starter that was killed is gone; one that lives and is not us holds no lock, so it is stuck or a monitor at its end. */
	if (r == 0 && monitor >= 0 && run->record.monitor_pid != getpid()) {
		(void)proc_signal(monitor, SIGKILL);
		(void)proc_wait_gone(monitor, GONE_MS);
	}
	return r;
}

/* A create or rename that was killed used another group than a start does, on systemd hosts. */
static int clear_personalising(struct run *run, struct err *err)
{
	char cgroup[sizeof(run->record.cgroup)];

	if (run_cgroup_name(run->guest->store, run->guest->name, RUN_PERSONALISE, cgroup, sizeof(cgroup)) < 0 ||
	    strcmp(cgroup, run->record.cgroup) == 0 || !cgroup_exists(cgroup))
		return 0;
	int r = cgroup_kill(cgroup, err);

	return r < 0 ? r : cgroup_remove(cgroup, GONE_MS, err);
}

int repair_guest(const struct store *store, const char *name, struct err *err)
{
	struct guest *guest = NULL;
	struct guest nobody = {.store = store, .dir_fd = -1, .lock_fd = -1};
	struct spec *empty = NULL;

	if (guest_open_any(store, name, &guest, NULL) < 0) {
		empty = spec_new();
		if (!empty)
			return err_num(err, ENOMEM, "clear up after guest '%s'", name);
		(void)str_copy(nobody.name, sizeof(nobody.name), name);
		nobody.spec = empty;
	}
	struct run *run = run_new(guest ? guest : &nobody, RUN_START);
	int r = run ? 0 : err_num(err, ENOMEM, "clear up after guest '%s'", name);

	if (run) {
		size_t count = guest && !guest->faulty ? guest->spec->network_count : LINKS_GUESSED;
		struct record known;

		if (record_load(store, name, &known) == 0)
			run->record = known;
		if (run->record.link_count == 0)
			guess_links(store, name, count, &run->record);
		devices_hold_network(run);
		r = clear_personalising(run, err);
		if (r == 0)
			r = kill_processes(run, err);
		if (r == 0) {
			run_log(run, "cleared up after a run that was cut short");
			walk_back(run);
			r = walk_undone(run, err);
		}
	}
	if (run)
		run_free(run);
	spec_free(empty);
	guest_free(guest);
	return r;
}

/* Only a throw-away process enters the guest's mounts, and what it meets there is the guest's doing: a FUSE of its own on /dev may
 * never answer. Then the process is left to end with the guest. */
static int put_console(int tree, int init_pidfd, struct err *err)
{
	int pidfd = -1, r;
	siginfo_t info = {0};
	struct ns_clone how = {.cgroup_fd = -1};
	pid_t child = ns_clone(&how, &pidfd, err);

	if (child < 0)
		return child;
	if (child == 0) {
		const int keep[] = {tree, init_pidfd};
		int target;

		if (fds_alone(keep, 2) < 0 || ns_enter(init_pidfd, CLONE_NEWNS, NULL) < 0)
			_exit(1);
		/* The old one's file is gone from devpts with its master, and nothing can be mounted on what is gone. */
		(void)umount2("/dev/console", MNT_DETACH | UMOUNT_NOFOLLOW);
		target = open("/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
		_exit(target < 0 || mount_attach(tree, target, "/dev/console", NULL) < 0);
	}
	auto_close int watch = pidfd;

	r = proc_wait_gone(watch, GONE_MS);
	if (r < 0) {
		(void)proc_signal(watch, SIGKILL);
		return err_set(err, ERR_TIMEOUT, "put a new console into the guest: it holds that up");
	}
	if (waitid(P_PIDFD, (id_t)watch, &info, WEXITED) < 0 || info.si_code != CLD_EXITED || info.si_status != 0)
		return err_set(err, ERR_FAILED, "put a new console into the guest");
	return 0;
}

/* The old master is lost with the monitor that held it: a new terminal takes the place of /dev/console in the guest. */
static int new_console(struct run *run, int init_pidfd, struct err *err)
{
	int r = step_console(run, err);

	if (r < 0)
		return r;
	auto_close int tree = mount_copy(AT_FDCWD, run->record.console, false, err);

	if (tree < 0)
		return tree;
	return put_console(tree, init_pidfd, err);
}

static int open_for_monitor(struct guest *guest, struct run *run, struct err *err)
{
	run->run_fd = openat(guest->store->run_fd, guest->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run->run_fd < 0)
		return err_sys(err, "open %s/%s", guest->store->run, guest->name);
	run->control_fd = control_listen(run->run_fd, err);
	return run->control_fd < 0 ? run->control_fd : 0;
}

/* Out of the session or the unit of the command that found the guest without a monitor: it would end with that. */
static void join_scope(struct run *run)
{
	struct err err = {0};
	char folder[RUN_SCOPE_MAX];

	if (run->host->systemd && run_scope_folder(run->guest->store, run->guest->name, folder) == 0 &&
	    cgroup_enter_leaf(folder, RUN_MONITOR_LEAF, &err) < 0)
		run_log(run, "its new monitor stays in the session of the command that made it: %s", err.what);
}

/* Whoever registered it is asked by machinectl terminate, since systemd 258: that must be the monitor of now. */
static void register_anew(const struct run *run)
{
	struct machine machine;
	char unit[96];

	if (!run_machine(run, unit, sizeof(unit), &machine))
		return;
	machined_forget(&machine);
	(void)machined_register(&machine, NULL); /* before 257 machined knows it still */
}

static _Noreturn void monitor_anew(struct guest *guest, struct run *run)
{
	struct err err = {0};
	char isle[PATH_MAX];

	(void)setsid();
	monitor_hold_term();
	guest_unlock(guest); /* this copy of it: a slow machined must not keep other commands from the guest */
	join_scope(run);
	register_anew(run);
	if (self_path(isle, sizeof(isle)) < 0)
		_exit(1);
	/* Without it an interface of the host, had the guest one, might be lost at its end. */
	auto_close int netns = ns_open(run->record.init_pid, "net", NULL);
	struct cgroup_oom oom;
	bool watched = cgroup_oom_open(run->record.cgroup, &oom, NULL) == 0; /* without it kills are counted but not told */
	struct monitor_args args = {
		.netns_fd = netns,
		.name = guest->name,
		.store_root = guest->store->root,
		.isle = isle,
		.guest_fd = guest->dir_fd,
		.run_fd = run->run_fd,
		.init_pidfd = run->init_pidfd,
		.init_pid = run->record.init_pid,
		.console_fd = run->console_fd,
		.control_fd = run->control_fd,
		.log_max = guest->spec->guest.console_log,
		.oom = watched ? &oom : NULL,
		.ids = run->record.ids,
		.cgroup = run->record.cgroup,
		.is_child = 0,
	};

	(void)monitor_exec(&args, &err);
	run_log(run, "the monitor could not be executed: %s", err.what);
	_exit(1);
}

/* The caller holds the lock of a running guest, which has no monitor. */
static int give_monitor(struct guest *guest, struct err *err)
{
	struct run *run = run_new(guest, RUN_START);

	if (!run)
		return err_num(err, ENOMEM, "give guest '%s' a monitor", guest->name);
	int r = record_load(guest->store, guest->name, &run->record);

	if (r == 0)
		run->init_pidfd = r = record_init_pidfd(&run->record);
	if (r >= 0)
		r = open_for_monitor(guest, run, err);
	if (r >= 0)
		r = new_console(run, run->init_pidfd, err);
	if (r >= 0) {
		fflush(NULL);
		pid_t child = fork();

		if (child == 0)
			monitor_anew(guest, run);
		if (child < 0) {
			r = err_sys(err, "fork the monitor");
		} else {
			run->record.monitor_pid = child;
			run->record.monitor_start = proc_start_time(child);
			r = record_save(guest->store, guest->name, &run->record, err);
			run_log(run, "its monitor was gone: process %d watches it now", child);
		}
	}
	run_free(run);
	return r < 0 ? r : 0;
}

/* A stop that was killed while it waited for init. Its lock is ours now, so nobody stops the guest any more. */
static int forget_stop(struct guest *guest, struct record *record, struct err *err)
{
	auto_close int init = record_init_pidfd(record);

	if (init < 0 || proc_wait_gone(init, 0) == 0)
		return 0; /* its monitor is at its end */
	(void)str_copy(record->phase, sizeof(record->phase), RECORD_RUNNING);
	int r = record_save(guest->store, guest->name, record, err);

	return r < 0 ? r : repair_as_needed(guest, err);
}

/* A checkpoint that was killed: before its note was on disk the guest goes on, after it the guest ends. */
static int finish_checkpoint(struct guest *guest, struct record *record, struct err *err)
{
	char asleep[32];

	int r = checkpoint_asleep(guest->store, guest->name, asleep, err);

	if (r < 0)
		return r;
	if (asleep[0])
		return repair_guest(guest->store, guest->name, err);
	r = thaw_guest(guest, record, err);
	if (r < 0)
		return r;
	(void)str_copy(record->phase, sizeof(record->phase), RECORD_RUNNING);
	r = record_save(guest->store, guest->name, record, err);
	return r < 0 ? r : repair_as_needed(guest, err);
}

/* A restore that was killed when nothing was left to do but to let the guest's processes run. */
static int finish_waking(struct guest *guest, struct record *record, struct err *err)
{
	struct run *run = run_new(guest, RUN_START);

	if (!run)
		return err_num(err, ENOMEM, "let guest '%s' run on", guest->name);
	run->record = *record;
	workshop_clear_group(run);
	int r = checkpoint_wake(guest, err);

	if (r == 0)
		r = cgroup_freeze(record->cgroup, false, THAW_MS, err);
	(void)str_copy(record->phase, sizeof(record->phase), RECORD_RUNNING);
	if (r == 0)
		r = record_save(guest->store, guest->name, record, err);
	run_free(run);
	checkpoint_delete_spent(guest);
	return r < 0 ? r : repair_as_needed(guest, err);
}

int repair_as_needed(struct guest *guest, struct err *err)
{
	struct record record;
	enum state state;
	int r = guest_state_sure(guest, &record, &state, err);

	if (r < 0)
		return r;
	checkpoint_sweep(guest);
	if (state == STATE_BROKEN)
		return repair_guest(guest->store, guest->name, err);
	if (state == STATE_STOPPING)
		return forget_stop(guest, &record, err);
	if (state != STATE_RUNNING && state != STATE_FROZEN)
		return 0;
	if (strcmp(record.phase, RECORD_CHECKPOINT) == 0)
		return finish_checkpoint(guest, &record, err);
	if (strcmp(record.phase, RECORD_WAKING) == 0)
		return finish_waking(guest, &record, err);
	if (record.changing) {
		update_repair(guest);
		(void)guest_state_locked(guest, &record);
	}
	auto_close int monitor = record_monitor_pidfd(&record);

	if (!lxcfs_current(guest->spec, &record))
		(void)lxcfs_renew(guest, guest->spec, &record,
				  NULL); /* isle doctor tells of those that have not what they should */
	r = devices_repair(guest, &record, err);

	if (r < 0 || monitor >= 0)
		return r;
	r = give_monitor(guest, err);
	auto_close int init = record_init_pidfd(&record);

	/* It could not be given one because it was at its end. */
	if (r < 0 && (init < 0 || proc_wait_gone(init, DYING_MS) == 0)) {
		if (err)
			*err = (struct err){0};
		r = repair_guest(guest->store, guest->name, err);
	}
	return r;
}

void repair_unwatched(const struct store *store, const char *name)
{
	struct record record;
	struct guest *guest = NULL;

	if (record_load(store, name, &record) < 0 ||
	    (strcmp(record.phase, RECORD_RUNNING) != 0 && strcmp(record.phase, RECORD_WAKING) != 0))
		return;
	auto_close int monitor = record_monitor_pidfd(&record);

	if (monitor >= 0 || guest_open(store, name, &guest, NULL) < 0)
		return;
	if (guest_lock(guest, 0, NULL) == 0)
		(void)repair_as_needed(guest, NULL); /* the command that asked says what it cannot do */
	guest_free(guest);
}
