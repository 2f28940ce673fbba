/* Checkpoints a running guest: its processes go to disk, and wake later where they were. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../guest/checkpoint_pack.h"
#include "../kernel/apparmor.h"
#include "../kernel/cgroup.h"
#include "../kernel/cgroup_saved.h"
#include "../kernel/dirty.h"
#include "../kernel/host.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "../kernel/systemd.h"
#include "../storage/storage.h"
#include "checkpoint.h"
#include "criu.h"
#include "gate.h"
#include "eventlog.h"
#include "criu_log.h"
#include "external.h"
#include "pages.h"
#include "preflight.h"
#include "preflight_links.h"
#include "settle.h"
#include "streams.h"
#include "repair.h"
#include "run.h"
#include "stop.h"
#include "thaw.h"
#include "visitors.h"

#define TRIES      10
#define PAUSE_MS   30           /* more after each attempt */
#define ROOM_SHARE 10           /* one part of so many stays free on the disk of the images, */
#define ROOM_MOST  (512u << 20) /* but not more than that */

/* Memory is copied beforehand until a copy is small, or hardly smaller than the one before it: the guest writes as fast. */
#define ROUNDS_MAX  5
#define ROUND_SMALL (UINT64_C(4) << 20)
#define ROUND_NAME  "before-%u" /* beside the images */

struct dump {
	struct guest *guest;
	struct record record;
	struct checkpoint *checkpoint;
	const struct checkpoint_request *request;
	struct checkpoint_place place;
	bool asleep; /* the note is on disk: whatever fails now, the checkpoint is all that there is of the guest */
	int gate;    /* shut while criu has the guest, and until it has ended: of gate_shut, else -1 */
	struct visitors visitors;
	uint64_t locked_ns, done_ns;
	unsigned rounds; /* folders with copies of the memory */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int set_phase(struct dump *dump, const char *phase, struct err *err)
{
	(void)str_copy(dump->record.phase, sizeof(dump->record.phase), phase);
	return record_save(dump->guest->store, dump->guest->name, &dump->record, err);
}

/* While everything stands still: the files, which from here on belong to the images. */
static int save_disk(struct dump *dump, struct err *err)
{
	const struct storage *storage = storage_find(storage_choices[dump->guest->spec->guest.storage]);

	if (mkdirat(dump->place.fd, CHECKPOINT_DISK, 0700) < 0)
		return err_sys(err, "make the folder for the guest's files");
	auto_close int disk = openat(dump->place.fd, CHECKPOINT_DISK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (disk < 0 || !storage)
		return err_sys(err, "open the folder for the guest's files");
	dump->checkpoint->disk = 1;
	return storage->save(dump->guest->dir_fd, disk, err);
}

/* Likewise: its groups and its init's sockets, with what criu would not keep of them. */
static int save_besides(const struct dump *dump, struct err *err)
{
	auto_free char *text = NULL;
	auto_close int images = openat(dump->place.fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = images < 0 ? err_sys(err, "open the checkpoint's folder of images")
			   : cgroup_save(dump->record.cgroup, (uid_t)dump->record.ids, &text, err);

	if (r == 0)
		r = file_replace_quick(images, CHECKPOINT_GROUPS, text, strlen(text), 0600, err);
	return r < 0 ? r : streams_save(&dump->record, images, err);
}

/* criu holds all that it saves: nobody else may change that meanwhile, nor may the guest have done so since it was looked at. */
static int stand_still(struct dump *dump, pid_t criu, struct err *err)
{
	struct unsettled_process one;

	dump->locked_ns = now_ns();
	int r = gate_shut(dump->guest->store, dump->guest->name, &dump->gate, err);
	if (r == 0)
		r = visitors_stop(&dump->record, criu, &dump->visitors, err);

	if (r >= 0)
		r = preflight_links(dump->guest->name, &dump->record, err);
	if (r == 0 && settle_look(&dump->record, &one) > 0)
		r = err_num(err, EAGAIN, "save it: process %d is about to become another, or nobody's", one.pid);
	return r;
}

/* Who came in since, past the gate, has run beside criu. */
static int nobody_came(struct dump *dump, pid_t criu, struct err *err)
{
	int r = visitors_stop(&dump->record, criu, &dump->visitors, err);

	return r <= 0 ? r : err_num(err, EAGAIN, "save it undisturbed: a process came in meanwhile");
}

static int on_notice(void *arg, const char *what, pid_t pid, struct err *err)
{
	struct dump *dump = arg;

	if (strcmp(what, "network-lock") == 0)
		return stand_still(dump, pid, err);
	if (strcmp(what, "post-dump") != 0)
		return 0;
	int r = nobody_came(dump, pid, err);
	if (r == 0)
		r = save_besides(dump, err);
	if (r == 0 && dump->request->leave_running)
		r = save_disk(dump, err);
	dump->done_ns = now_ns();
	return r;
}

/* Images hold the memory that processes share once for each of them: a guest can make them many times as large as all that it may
 * use, and the disk that they go to is the host's and the other guests' too. */
static int look_at_room(void *arg, struct err *err)
{
	const struct dump *dump = arg;
	struct statvfs fs;
	char left[16];

	if (fstatvfs(dump->place.fd, &fs) < 0)
		return err_sys(err, "look how much room is left for the images");
	uint64_t block = fs.f_frsize, all = fs.f_blocks * block, keep = all / ROOM_SHARE < ROOM_MOST ? all / ROOM_SHARE : ROOM_MOST;

	if (fs.f_bavail * block >= keep)
		return 0;
	str_show_size(keep, left);
	(void)err_set(err, ERR_FAILED, "save the guest's memory: the disk is full but for %s, which stay free", left);
	return err_hint(err, "make room below the guest's folder; memory that processes share is in the images once for each");
}

/* What stands still under criu answers nobody: it is one that criu does not see. If even that is not all, the guest ends. */
static bool end_what_holds(void *arg, unsigned n)
{
	const struct dump *dump = arg;

	if (n == 0)
		visitors_kill(&dump->record);
	else if (n == 1)
		(void)cgroup_kill(dump->record.cgroup, NULL); /* what can be done; whether it was enough criu's end tells */
	return n < 2;
}

static int describe_host(const struct record *record, struct checkpoint *checkpoint, struct err *err)
{
	struct utsname name;
	auto_free char *label = apparmor_label(record->init_pid);

	if (uname(&name) < 0)
		return err_sys(err, "ask for the kernel's name");
	(void)str_copy(checkpoint->kernel, sizeof(checkpoint->kernel), name.release);
	(void)str_copy(checkpoint->machine, sizeof(checkpoint->machine), name.machine);
	checkpoint->page = (uint64_t)sysconf(_SC_PAGESIZE);
	checkpoint->confined = label && label[0] && !str_starts(label, "unconfined");
	checkpoint->cpu = external_cpu();
	return checkpoint->cpu ? 0 : err_num(err, ENOMEM, "note the CPU's features");
}

/* The restore keeps these numbers from those that it needs besides. */
static int describe_links(const struct record *record, struct checkpoint *checkpoint, struct err *err)
{
	struct netlink *inside = NULL;
	auto_close int netns = ns_open(record->init_pid, "net", err);
	int r = netns < 0 ? netns : netlink_open(netns, &inside, err);

	for (size_t i = 0; r == 0 && i < record->link_count && i < CHECKPOINT_LINKS_MAX; i++) {
		int index = netlink_index(inside, record->links[i].inside);

		if (index > 0 && (uint64_t)index > checkpoint->ifindex)
			checkpoint->ifindex = (uint64_t)index;
		(void)str_copy(checkpoint->link[i].inside, sizeof(checkpoint->link[i].inside), record->links[i].inside);
		(void)str_copy(checkpoint->link[i].mac, sizeof(checkpoint->link[i].mac), record->links[i].mac);
		(void)str_copy(checkpoint->link[i].address, sizeof(checkpoint->link[i].address), record->links[i].address);
		(void)str_copy(checkpoint->link[i].address6, sizeof(checkpoint->link[i].address6), record->links[i].address6);
		checkpoint->link_count++;
	}
	netlink_free(inside);
	return r;
}

static int describe(struct dump *dump, struct err *err)
{
	const struct spec *spec = dump->guest->spec;
	struct checkpoint *checkpoint = dump->checkpoint;
	const struct record *record = &dump->record;

	(void)str_copy(checkpoint->guest_id, sizeof(checkpoint->guest_id), spec->guest.id ? spec->guest.id : "");
	(void)str_copy(checkpoint->guest_name, sizeof(checkpoint->guest_name), dump->guest->name);
	(void)str_copy(checkpoint->image, sizeof(checkpoint->image), spec->guest.image ? spec->guest.image : "");
	(void)str_copy(checkpoint->storage, sizeof(checkpoint->storage), storage_choices[spec->guest.storage]);
	(void)str_copy(checkpoint->init_kind, sizeof(checkpoint->init_kind), record->init_kind);
	checkpoint->ids = record->ids;
	int r = describe_links(record, checkpoint, err);
	if (r == 0)
		r = external_console(record, checkpoint->console, sizeof(checkpoint->console), err);
	if (r == 0)
		r = external_mounts(dump->guest, record, checkpoint, err);
	return r < 0 ? r : describe_host(record, checkpoint, err);
}

/* The last copy of the memory as seen from the next, or from the images; NULL when there is none. */
static const char *earlier(const struct dump *dump, char ret[32])
{
	return dump->rounds && str_print(ret, 32, "../" ROUND_NAME, dump->rounds) == 0 ? ret : NULL;
}

static int run_criu(struct dump *dump, const char *folder, bool memory_only, struct err *err)
{
	char before[32];
	auto_close int images = openat(dump->place.fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct criu_job job = {
		.pid = dump->record.init_pid,
		.images_fd = images,
		.log = CHECKPOINT_LOG,
		.root = "/",
		.memory_only = memory_only,
		.earlier = earlier(dump, before),
		.leave_running = dump->request->leave_running,
		.force_irmap = dump->request->leave_running,
		.timeout_ms = dump->request->timeout_ms,
		.hold_fd = dump->guest->lock_fd,
		.notice = memory_only ? NULL : on_notice,
		.look = look_at_room,
		.release = end_what_holds,
		.arg = dump,
	};
	struct external external = {0};

	if (images < 0)
		return err_sys(err, "open the checkpoint's folder of images");
	int r = external_for_dump(dump->checkpoint, &dump->record, &external, &job, err);
	if (r == 0)
		r = criu_run(&job, err);
	external_free(&external);
	if (r < 0 || dump->request->leave_running) {
		visitors_go_on(&dump->visitors);
		clean_close(&dump->gate);
	}
	visitors_forget(&dump->visitors); /* they end with the guest, or go on with it after all */
	return r;
}

/* While the guest runs. *ret_bytes: how much it was. */
static int copy_memory(struct dump *dump, uint64_t *ret_bytes, struct err *err)
{
	char name[24];

	(void)str_print(name, sizeof(name), ROUND_NAME, dump->rounds + 1);
	if (mkdirat(dump->place.fd, name, 0700) < 0)
		return err_sys(err, "make a folder for the guest's memory");
	int r = run_criu(dump, name, true, err);
	if (r < 0) {
		/* The log is looked for among the images. */
		(void)renameat(dump->place.fd, name, dump->place.fd, CHECKPOINT_IMAGES);
		return r;
	}
	dump->rounds++;
	auto_close int images = openat(dump->place.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	r = images < 0 ? -errno : pages_size(images, ret_bytes);
	return r < 0 ? err_num(err, r, "look at the copy of the guest's memory") : 0;
}

static int copy_beforehand(struct dump *dump, struct err *err)
{
	uint64_t last = UINT64_MAX, bytes = 0;
	int r = 0;

	while (r == 0 && dump->rounds < ROUNDS_MAX) {
		r = copy_memory(dump, &bytes, err);
		if (bytes <= ROUND_SMALL || bytes > last / 2)
			break;
		last = bytes;
	}
	return r;
}

static int forget_copies(struct dump *dump, struct err *err)
{
	char name[24];
	int r = 0;

	for (; r == 0 && dump->rounds > 0; dump->rounds -= r == 0) {
		(void)str_print(name, sizeof(name), ROUND_NAME, dump->rounds);
		r = file_remove_tree(dump->place.fd, name, err);
	}
	return r;
}

/* The images then stand by themselves. */
static int join_images(struct dump *dump, struct err *err)
{
	auto_close int images = openat(dump->place.fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int before[ROUNDS_MAX], r = images < 0 ? err_sys(err, "open the checkpoint's folder of images") : 0;
	size_t count = 0;
	char name[24];

	for (unsigned i = dump->rounds; r == 0 && i > 0; i--) {
		(void)str_print(name, sizeof(name), ROUND_NAME, i);
		int fd = openat(dump->place.fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			r = err_sys(err, "open the copy of the guest's memory");
		else
			before[count++] = fd;
	}
	if (r == 0)
		r = pages_join(images, before, count, &dump->checkpoint->beforehand, err);
	while (count > 0)
		close(before[--count]);
	if (r == 0 && dump->rounds && unlinkat(images, CRIU_EARLIER, 0) < 0 && errno != ENOENT)
		r = err_sys(err, "cut the images off from those before them");
	return r < 0 ? r : forget_copies(dump, err);
}

static int pack(struct dump *dump, struct err *err)
{
	auto_close int images = openat(dump->place.fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return images < 0 ? err_sys(err, "open the checkpoint's folder of images")
			  : checkpoint_pack(images, &dump->checkpoint->unpacked, err);
}

/* In its log: what ends now does so in a checkpoint. */
static void note(const struct dump *dump)
{
	auto_free char *text = str_format("checkpoint %s made%s", dump->place.path ? dump->place.path : dump->checkpoint->id,
					  dump->request->leave_running ? "" : ", it sleeps there");

	if (text)
		eventlog_write(dump->guest->dir_fd, "isle", text);
}

/* Its own files go with the images: those of a folder elsewhere were written to their own disk. */
static int write_files(const struct dump *dump, struct err *err)
{
	struct stat here, there;

	if (fstat(dump->guest->dir_fd, &here) < 0 || fstat(dump->place.fd, &there) < 0)
		return err_sys(err, "look at the guest's folder");
	if (here.st_dev == there.st_dev || syncfs(dump->guest->dir_fd) == 0)
		return 0;
	return err_sys(err, "write the guest's files to disk");
}

/* From the dump that succeeded to the guest's end. Until the note that it sleeps is on disk it can go on. */
static int put_to_sleep(struct dump *dump, struct err *err)
{
	const struct stop_request kill_it = {.kill = true, .asleep = dump->checkpoint->id};
	int r = join_images(dump, err);

	if (r == 0 && dump->request->compress)
		r = pack(dump, err);
	if (r == 0)
		r = checkpoint_seal(dump->guest->store, dump->place.fd, dump->checkpoint, err);
	if (r == 0 && !dump->request->leave_running)
		r = write_files(dump, err);
	if (r == 0)
		r = checkpoint_keep(dump->guest, dump->checkpoint, &dump->place, !dump->request->leave_running, err);
	if (r == 0)
		note(dump);
	if (dump->request->leave_running)
		return r;
	if (r < 0) {
		(void)checkpoint_wake(dump->guest, NULL); /* the note may have been the last that was written */
		(void)thaw_guest(dump->guest, &dump->record, NULL);
		(void)set_phase(dump, RECORD_RUNNING, NULL);
		return r;
	}
	dump->asleep = true;
	return stop_guest(dump->guest, &kill_it, err);
}

/* What an attempt left would be taken for the next one's. The kernel has begun to note anew what is written since, so that the
 * next one cannot build on the copies any more. */
static int begin_anew(struct dump *dump, struct err *err)
{
	int r = forget_copies(dump, err);
	if (r == 0)
		r = file_remove_tree(dump->place.fd, CHECKPOINT_IMAGES, err);

	return r < 0 ? r : checkpoint_images(dump->place.fd, err);
}

/* A guest at work may be met at a moment of which criu can make nothing. */
static int run_criu_again(struct dump *dump, struct err *err)
{
	struct err said = {0};
	int r = run_criu(dump, CHECKPOINT_IMAGES, false, &said);

	for (int tries = 1; r == -EAGAIN && tries < TRIES; tries++) {
		(void)poll(NULL, 0, PAUSE_MS * tries);
		said = (struct err){0};
		r = begin_anew(dump, &said);
		if (r == 0)
			r = run_criu(dump, CHECKPOINT_IMAGES, false, &said);
	}
	if (r < 0 && err)
		*err = said;
	return r;
}

/* A scope that systemd ends has been sent SIGTERM, which then is in the images: who woke from them would end at once. */
static int refuse_ending(const struct dump *dump, struct err *err)
{
	char unit[96];

	if (!host_get()->systemd || run_unit_name(dump->guest->store, dump->guest->name, unit, sizeof(unit)) < 0 ||
	    !systemd_unit_ends(unit))
		return 0;
	(void)err_set(err, ERR_STATE, "checkpoint it: systemd is ending its scope %s", unit);
	return err_hint(err, "it was told to stop meanwhile, by machinectl or systemctl; isle start %s", dump->guest->name);
}

/* When it is over the guest's processes stand still, or run on. */
static int dump_processes(struct dump *dump, struct err *err)
{
	int r = describe(dump, err);

	if (r == 0)
		r = set_phase(dump, RECORD_CHECKPOINT, err);
	if (r < 0)
		return r;
	if (dump->request->pre_dump)
		r = copy_beforehand(dump, err);
	if (r == 0)
		r = run_criu_again(dump, err);
	if (r == 0)
		r = refuse_ending(dump, err);
	dump->checkpoint->frozen = dump->done_ns > dump->locked_ns ? (dump->done_ns - dump->locked_ns) / 1000 : 0;
	if (r < 0)
		(void)thaw_guest(dump->guest, &dump->record, NULL); /* criu itself may have been killed */
	/* With it a stop knows the guest as one that runs; a repair after a kill here lets its processes go on. */
	if (r < 0 || dump->request->leave_running)
		(void)set_phase(dump, RECORD_RUNNING, NULL);
	return r;
}

/* criu's log of a dump that failed, for whoever wants to know more than isle told. */
static void keep_log(const struct dump *dump)
{
	auto_close int images = openat(dump->place.fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (images >= 0)
		criu_log_keep(images, CHECKPOINT_LOG, dump->guest->dir_fd);
}

static int look_ahead(struct dump *dump, struct err *err)
{
	auto_free struct obstacle *obstacles = calloc(OBSTACLES_MAX, sizeof(*obstacles));

	if (!obstacles)
		return err_num(err, ENOMEM, "look at the guest's processes");
	int count = preflight(dump->guest, &dump->record, dump->request->timeout_ms, obstacles, err);

	if (count < 0)
		return count;
	size_t blocking = preflight_blocking(obstacles, (size_t)count);

	if (blocking)
		return preflight_refuse(obstacles, blocking, err);
	for (size_t i = 0; i < (size_t)count; i++)
		log_warn("guest '%s': process %d (%s) came in by isle exec or isle shell: it is not in the checkpoint%s",
			 dump->guest->name, obstacles[i].pid, obstacles[i].process,
			 dump->request->leave_running ? "" : ", and ends");
	return settle_await(&dump->record, SETTLE_MS, err);
}

/* Looks whether it can be, and makes the folder for it. */
static int begin(struct dump *dump, const char *to, struct err *err)
{
	struct guest *guest = dump->guest;
	struct criu_program program;
	int r = repair_as_needed(guest, err);
	enum state state = r < 0 ? STATE_BROKEN : guest_state_locked(guest, &dump->record);

	if (r < 0)
		return r;
	if (state != STATE_RUNNING) {
		r = err_set(err, ERR_STATE, "checkpoint it: it is %s", state_names[state]);
		if (state == STATE_STOPPED || state == STATE_CHECKPOINTED)
			return err_hint(err, "isle start %s", guest->name);
		return state == STATE_FROZEN ? err_hint(err, "isle unfreeze %s", guest->name) : r;
	}
	if (dump->request->pre_dump && !dirty_tracked()) {
		(void)err_set(err, ERR_FAILED,
			      "copy its memory beforehand: this kernel does not tell which pages are written since");
		return err_hint(err, "a kernel with CONFIG_MEM_SOFT_DIRTY is needed, as Debian's are, or leave --pre-dump out");
	}
	r = criu_find(&program, err);
	if (r == 0)
		r = look_ahead(dump, err);
	if (r == 0)
		criu_version(&program, dump->checkpoint->criu, sizeof(dump->checkpoint->criu));
	return r < 0 ? r : checkpoint_begin(guest, to, dump->checkpoint, &dump->place, err);
}

int checkpoint_guest(struct guest *guest, const struct checkpoint_request *request, struct checkpoint *ret, char **ret_path,
		     struct err *err)
{
	struct checkpoint checkpoint = {0};
	struct dump dump = {
		.guest = guest, .checkpoint = &checkpoint, .request = request, .place = {.parent = -1, .fd = -1}, .gate = -1};
	int r = begin(&dump, request->to, err);

	if (r < 0)
		return r;
	r = dump_processes(&dump, err);
	if (r == 0)
		r = put_to_sleep(&dump, err);
	if (r < 0 && !dump.asleep) {
		keep_log(&dump);
		checkpoint_drop(guest, &dump.place);
	}
	if (r < 0) {
		checkpoint_clear(&checkpoint);
	} else {
		*ret = checkpoint;
		*ret_path = take_ptr(&dump.place.path);
	}
	checkpoint_place_close(&dump.place);
	clean_close(&dump.gate);
	return r;
}

int checkpoint_moment(struct guest *guest, const struct checkpoint_request *request, struct checkpoint *ret,
		      struct checkpoint_place *ret_place, struct record *ret_record, struct err *err)
{
	struct dump dump = {.guest = guest, .checkpoint = ret, .request = request, .place = {.parent = -1, .fd = -1}, .gate = -1};
	int r = begin(&dump, NULL, err);

	if (r == 0)
		r = dump_processes(&dump, err);
	if (r < 0 && dump.place.fd >= 0)
		keep_log(&dump);
	*ret_place = dump.place;
	*ret_record = dump.record;
	clean_close(&dump.gate);
	return r;
}
