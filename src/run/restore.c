/* Restores a checkpointed guest: what must fit beforehand, and the rows of the start in which criu makes the processes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/aside.h"
#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../guest/checkpoint_pack.h"
#include "../kernel/cgroup.h"
#include "../kernel/cgroup_saved.h"
#include "../kernel/inherit.h"
#include "../kernel/ns.h"
#include "../kernel/privs.h"
#include "../storage/storage.h"
#include "criu.h"
#include "criu_log.h"
#include "external.h"
#include "restore.h"
#include "restore_check.h"
#include "restore_clone.h"
#include "restore_kept.h"
#include "steps.h"
#include "streams.h"
#include "workshop.h"

#define LOG_NAME "restore.log"

#define THAW_MS    5000
#define BOUND_MS   5000
#define GROUPS_MAX (16u << 20)

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c: in no header */

static int sleep_no_more(void *arg, struct err *err)
{
	return checkpoint_wake(arg, err);
}

int restore_disk(struct guest *guest, const struct restore *restore, struct err *err)
{
	const struct storage *storage = storage_find(storage_choices[guest->spec->guest.storage]);

	if (!restore->checkpoint.disk)
		return 0;
	auto_close int disk = openat(restore->folder, CHECKPOINT_DISK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (disk < 0 || !storage)
		return err_sys(err, "open the checkpoint's files");
	/* One that it sleeps in would not fit these files. */
	const struct copy_moment moment = {.fn = sleep_no_more, .arg = guest};

	return storage->load(guest->dir_fd, disk, &moment, err);
}

void restore_done(struct guest *guest, const struct restore *restore)
{
	if (restore->spent)
		(void)checkpoint_delete(guest, restore->checkpoint.id, NULL); /* one that stays can be deleted by hand */
}

void restore_close(struct restore *restore)
{
	if (restore->folder >= 0)
		close(take_fd(&restore->folder));
	checkpoint_clear(&restore->checkpoint);
}

/* It must not outlive us, with our locks, where we are killed. */
static _Noreturn void hold(pid_t parent)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

/* A process that does nothing but hold a user namespace until its descriptor is ours. */
int step_holder(struct run *run, struct err *err)
{
	if (run->kept.userns >= 0) {
		run->userns = fcntl(run->kept.userns, F_DUPFD_CLOEXEC, 0);
		return run->userns < 0 ? err_sys(err, "hold its user namespace") : 0;
	}
	struct ns_clone how = {.flags = CLONE_NEWUSER, .cgroup_fd = -1};
	int pidfd = -1;
	pid_t us = getpid(), pid = ns_clone(&how, &pidfd, err);

	if (pid == 0)
		hold(us);
	if (pid < 0)
		return pid;
	auto_close int watch = pidfd;
	int r = ns_write_maps(pid, run->spec->security.ids, err);

	if (r == 0) {
		run->userns = ns_open(pid, "user", err);
		r = run->userns < 0 ? run->userns : 0;
	}
	(void)proc_signal(watch, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* What the row holds while criu works. */
struct work {
	struct run *run;
	struct workshop shop;
	char *groups;  /* as cgroup_save tells them */
	char *sockets; /* and streams_save, NULL: it had none to tell */
	pid_t init;    /* once criu has told it */
	bool held;     /* they stand still by their control group, and are as they should be */
};

void step_restore_undo(struct run *run)
{
	workshop_clear_group(run);
	checkpoint_unpacked_drop(run->guest);
}

/* Of criu before it is executed. The guest's processes have from it what no image holds: the session keyring, the least
 * oom_score_adj, and their user namespace what all of its processes together may have (user_namespaces(7)). */
static int prepare_criu(void *arg, struct err *err)
{
	struct work *work = arg;
	int r = workshop_join_group(work->run, err);

	if (r == 0)
		r = privs_own_keyring(err);
	if (r == 0)
		r = confine_budgets(&work->run->confinement, err);
	if (r < 0)
		return r;
	(void)inherit_oom(getpid(), INHERIT_OOM_GUEST); /* a nested isle may not */
	return setns(work->shop.netns, CLONE_NEWNET) < 0 ? err_sys(err, "enter criu's network namespace") : 0;
}

static int put_groups_back(const struct work *work, enum cgroup_step step, struct err *err)
{
	return cgroup_put_back(work->run->record.cgroup, work->groups, step, err);
}

/* criu leaves a group that is there already as it is. */
static int make_groups(struct work *work, int images, struct err *err)
{
	int r = file_read(images, CHECKPOINT_GROUPS, GROUPS_MAX, &work->groups, NULL);

	(void)file_read(images, STREAMS_IMAGE, GROUPS_MAX, &work->sockets, NULL); /* only of systemd */
	return r < 0 ? err_num(err, r, "read the checkpoint's list of control groups") : put_groups_back(work, CGROUP_MAKE, err);
}

/* The file system comes with the IPC namespace, and criu makes that as the host's root, which is nobody in the guest. */
static int give_queues(const struct work *work, struct err *err)
{
	const struct run *run = work->run;
	char path[32];
	struct statfs fs;

	(void)str_print(path, sizeof(path), "/proc/%d/root", work->init);
	auto_close int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int queues = root < 0 ? -1 : path_open_in_root(root, "dev/mqueue", O_RDONLY | O_DIRECTORY, 0);

	if (queues < 0 || fstatfs(queues, &fs) < 0 || fs.f_type != MQUEUE_MAGIC)
		return 0; /* the guest mounted something else there */
	return fchown(queues, (uid_t)run->record.ids, (gid_t)run->record.ids) < 0 ? err_sys(err, "give /dev/mqueue to the guest")
										  : 0;
}

struct place {
	struct run *run;
	int userns;
};

static int enter_and_bound(void *arg)
{
	const struct place *place = arg;

	return setns(place->userns, CLONE_NEWUSER) < 0 ? -errno : step_namespaces(place->run, NULL);
}

/* In a process of its own: nobody comes back from a user namespace. */
static int bound_namespaces(struct run *run, pid_t init, struct err *err)
{
	auto_close int userns = ns_open(init, "user", err);
	struct place place = {run, userns};
	int r = userns < 0 ? userns : aside_run(enter_and_bound, &place, BOUND_MS);

	return r < 0 && userns >= 0 ? err_num(err, r, "bound how many namespaces the guest may make") : r;
}

/* The links of a guest whose config was changed while it slept. */
static int readdress(const struct work *work, struct err *err)
{
	const struct checkpoint *checkpoint = &work->run->restore->checkpoint;
	struct record was = {0};

	for (size_t i = 0; i < checkpoint->link_count; i++) {
		struct record_link *link = &was.links[was.link_count];

		if (!checkpoint->link[i].addressed)
			continue;
		(void)str_copy(link->inside, sizeof(link->inside), checkpoint->link[i].inside);
		(void)str_copy(link->mac, sizeof(link->mac), checkpoint->link[i].mac);
		(void)str_copy(link->address, sizeof(link->address), checkpoint->link[i].address);
		(void)str_copy(link->address6, sizeof(link->address6), checkpoint->link[i].address6);
		was.link_count++;
	}
	return network_readdress(work->run, work->init, &was, err);
}

/* All processes are there, with criu's powers yet. */
static int on_made(struct work *work, struct err *err)
{
	struct run *run = work->run;
	bool mapped = !run->spec->security.privileged;
	int r = mapped ? cgroup_give(run->record.cgroup, (uid_t)run->record.ids, err) : 0;

	if (r == 0)
		r = give_queues(work, err);
	if (r == 0)
		r = put_groups_back(work, CGROUP_SETTLE, err);
	if (r == 0 && mapped)
		r = bound_namespaces(run, work->init, err);
	if (r == 0)
		r = run->restore->source ? restore_clone_settle(run, work->init, err) : readdress(work, err);
	if (r == 0 && work->sockets)
		streams_renumber(run, work->init, work->sockets);
	if (r < 0)
		return r;
	return run->kept.netns >= 0 ? network_wake(run, err) : network_bring_home(run, work->shop.netns, err);
}

/* From here on the root file system goes its own way: a start after this one must not wake it from the old images. So whatever
 * becomes of us now, the guest is awake: by its run record the next command knows that too. */
static int note_awake(struct work *work, struct err *err)
{
	struct run *run = work->run;

	run->init_pid = work->init;
	run->init_pidfd = (int)syscall(SYS_pidfd_open, work->init, 0);
	if (run->init_pidfd < 0)
		return err_sys(err, "watch the restored init");
	int r = str_copy(run->init_kind, sizeof(run->init_kind), run->restore->checkpoint.init_kind);

	if (r == 0)
		r = step_record_phase(run, RECORD_WAKING, err);
	return r < 0 ? r : checkpoint_wake(run->guest, err);
}

/* They have given those up, and none runs yet: criu holds them, who would not be kept by our answer from letting them go, and would
 * take them along if it were killed (criu_shim/shim.c). Now their control group holds them too. */
static int before_they_run(struct work *work, struct err *err)
{
	struct run *run = work->run;
	int r = cgroup_hold(run->record.cgroup, true, err);

	if (r == 0)
		r = restore_check_tasks(run, err);
	work->held = r == 0;
	if (r < 0)
		(void)cgroup_kill(run->record.cgroup, NULL);
	return r;
}

/* criu has let them go, and none has run. */
static int let_run(struct work *work, struct err *err)
{
	struct run *run = work->run;
	struct err why = {0};
	int r = note_awake(work, err);

	if (r < 0)
		return r;
	if (run->restore->source)
		restore_clone_nudge(run, work->init);
	if (cgroup_freeze(run->record.cgroup, false, THAW_MS, &why) < 0) {
		(void)cgroup_hold(run->record.cgroup, false, NULL); /* not set back: there is no way back */
		run_log(run, "it takes its time to thaw: %s", why.what);
	}
	return 0;
}

static int on_notice(void *arg, const char *what, pid_t pid, struct err *err)
{
	struct work *work = arg;

	if (pid > 0)
		work->init = pid;
	/* Until here its init was in the top group, for the sake of its cgroup namespace; the others come later, and only into
	 * inner groups. */
	if (strcmp(what, "post-setup-namespaces") == 0)
		return put_groups_back(work, CGROUP_HAND_ON, err);
	if (strcmp(what, "post-restore") == 0)
		return on_made(work, err);
	return strcmp(what, "pre-resume") == 0 ? before_they_run(work, err) : 0;
}

static int open_console(const struct run *run, struct err *err)
{
	int fd = open(run->record.console, O_RDWR | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open the console's terminal %s", run->record.console) : fd;
}

/* What criu stumbles over may be that. */
static int made_by_others(const struct checkpoint *checkpoint, int r, struct err *err)
{
	struct criu_program program;
	char ours[sizeof(checkpoint->criu)] = "";
	struct utsname here;

	if (!err || err->hint[0])
		return r;
	if (criu_find(&program, NULL) == 0)
		criu_version(&program, ours, sizeof(ours));
	if (uname(&here) == 0 && strcmp(here.release, checkpoint->kernel) != 0)
		(void)err_hint(err, "it was made under Linux %.64s, and this is %.64s: try one like that", checkpoint->kernel,
			       here.release);
	else if (ours[0] && strcmp(ours, checkpoint->criu) != 0)
		(void)err_hint(err, "it was made by criu %s, and this is criu %s", checkpoint->criu, ours);
	return r;
}

static int run_criu(struct work *work, struct criu_job *job, struct err *err)
{
	struct err why = {0};
	int r = criu_run(job, &why);

	if (r == 0 && !work->held) /* one that gave no notice has let go what nobody looked at */
		return err_set(err, ERR_FAILED, "restore its processes: criu did not tell that they were about to run");
	if (r == 0)
		return let_run(work, err);
	if (err)
		*err = why;
	return made_by_others(&work->run->restore->checkpoint, r, err);
}

static int open_folder(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open %s", path) : fd;
}

static int restore_in_workshop(struct work *work, struct err *err)
{
	struct run *run = work->run;
	struct external external = {0};
	auto_close int images = open_folder(work->shop.images_path, err);
	auto_close int folder = open_folder(work->shop.work_path, err);
	auto_close int console = open_console(run, err);
	/* Its name is of a guest and of where isle keeps it: a clone's processes had the source's, those of a guest that was
	 * carried here the other host's. */
	auto_free char *profile = run->confinement.profile[0] ? str_format("apparmor:%s", run->confinement.profile) : NULL;
	struct criu_job job = {
		.restore = true,
		.images_fd = images,
		.work_fd = folder,
		.log = LOG_NAME,
		.root = work->shop.root_path,
		.yard = work->shop.yard_path,
		.timeout_ms = run->restore->timeout_ms,
		.owner = (uid_t)run->record.ids,
		.close_tcp = run->restore->source != NULL,
		.profile = profile,
		.in_child = prepare_criu,
		.notice = on_notice,
		.arg = work,
	};

	if (images < 0 || folder < 0 || console < 0)
		return images < 0 ? images : folder < 0 ? folder : console;
	job.inherit[0].fd = console;
	int r = make_groups(work, images, err);
	if (r == 0)
		r = external_for_restore(&run->restore->checkpoint, run, work->shop.mounts_path, &external, &job, err);
	if (r == 0)
		r = run_criu(work, &job, err);
	if (r < 0)
		criu_log_keep(folder, LOG_NAME, run->guest->dir_fd);
	external_free(&external);
	return r;
}

/* One that cannot be handed to criu goes, and criu makes it anew. */
static void prepare_kept(struct run *run, const struct workshop *shop)
{
	struct err why = {0};

	if (run->kept.netns < 0 || restore_kept_images(shop->images_path, shop->work_path, &why) == 0)
		return;
	run_log(run, "its network is made anew: %s", why.what);
	step_kept_undo(run);
}

/* Of the user namespace's first process two are our children, init and the one that joined it (criu_shim/shim.c). */
static void reap_others(const struct work *work)
{
	siginfo_t ended = {0};

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0 && ended.si_pid != work->init) {
		(void)waitpid(ended.si_pid, NULL, 0);
		ended.si_pid = 0;
	}
}

int step_restore(struct run *run, struct err *err)
{
	struct work work = {.run = run};
	int r = workshop_enter(run, &work.shop, err);

	if (r == 0) {
		prepare_kept(run, &work.shop);
		r = restore_in_workshop(&work, err);
		reap_others(&work);
	}
	workshop_leave(&work.shop);
	workshop_clear_group(run);
	checkpoint_unpacked_drop(run->guest);
	free(work.groups);
	free(work.sockets);
	return r;
}
