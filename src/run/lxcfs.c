/* The guest's own size in its /proc and /sys: files of lxcfs laid over the kernel's, at the start and when lxcfs was started anew.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "lxcfs.h"
#include "restore.h"

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#define SAFE        (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
#define BASE        "run/host/.lxcfs" /* in the guest, while its start lasts */
#define STACKED_MAX 8                 /* layers on one file that are taken away at once */
#define INSIDE_MS   5000              /* what takes longer is held up by the guest */

/* What lxcfs may have; one that this version lacks is passed over. The folder of CPUs is covered as a whole where lxcfs has it as a
 * whole (see `whole`), by its list of those online where it has only that. */
static const struct cover {
	const char *path;
	const char *whole; /* wanted only if lxcfs has this file too */
} cover_table[] = {
	{"proc/cpuinfo", NULL},
	{"proc/diskstats", NULL},
	{"proc/loadavg", NULL},
	{"proc/meminfo", NULL},
	{"proc/slabinfo", NULL},
	{"proc/stat", NULL},
	{"proc/swaps", NULL},
	{"proc/uptime", NULL},
	{"proc/pressure/cpu", NULL},
	{"proc/pressure/io", NULL},
	{"proc/pressure/memory", NULL},
	{"sys/devices/system/cpu", "sys/devices/system/cpu/uevent"},
	{"sys/devices/system/cpu/online", NULL},
};

#define COVERS (sizeof(cover_table) / sizeof(cover_table[0]))

/* Of the mount on `path`, asking no file system: a FUSE daemon may be gone. False when there is nothing or no mount. */
static bool mark_of(int dir, const char *path, char ret[16])
{
	struct statx st;

	if (statx(dir, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC | (path[0] ? 0 : AT_EMPTY_PATH), STATX_TYPE,
		  &st) < 0 ||
	    !(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return false;
	return str_print(ret, 16, "%u:%u", st.stx_dev_major, st.stx_dev_minor) == 0;
}

enum lxcfs_state lxcfs_state(char ret_mark[16])
{
	struct statfs fs;
	char mark[16];

	if (!mark_of(AT_FDCWD, LXCFS_AT, mark))
		return LXCFS_NONE;
	if (statfs(LXCFS_AT, &fs) < 0)
		return errno == ENOTCONN || errno == ECONNABORTED ? LXCFS_DEAD : LXCFS_NONE;
	if (fs.f_type != FUSE_SUPER_MAGIC)
		return LXCFS_NONE;
	if (access(LXCFS_AT "/proc/meminfo", R_OK) < 0)
		return errno == ENOTCONN || errno == ECONNABORTED ? LXCFS_DEAD : LXCFS_NONE;
	if (ret_mark)
		(void)str_copy(ret_mark, 16, mark);
	return LXCFS_ALIVE;
}

/* Files on /proc keep containers inside from mounting a proc of their own (fs/namespace.c, mount_too_revealing). */
bool lxcfs_wanted(const struct spec *spec)
{
	return spec->guest.lxcfs == LXCFS_YES || (spec->guest.lxcfs == LXCFS_AUTO && !spec->security.nesting);
}

bool lxcfs_covers(const char *path)
{
	for (size_t i = 0; i < COVERS; i++)
		if (path[0] == '/' && strcmp(cover_table[i].path, path + 1) == 0)
			return true;
	return false;
}

/* Copies */

static int open_base(int *ret, struct err *err)
{
	auto_close int tree = mount_copy(AT_FDCWD, LXCFS_AT, false, err);
	int r = tree < 0 ? tree : mount_attributes(tree, SAFE, 0, false, err);

	/* Its own mount namespace belongs to the guest: without this its root takes off what was put on. */
	if (r == 0)
		r = mount_lock(&tree, err);
	if (r == 0)
		*ret = take_fd(&tree);
	return r;
}

static void close_copies(int *copies)
{
	for (size_t i = 0; i < COVERS; i++)
		if (copies[i] >= 0)
			close(take_fd(&copies[i]));
}

static bool has(int base, const char *path)
{
	struct stat st;

	return fstatat(base, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* base: attached somewhere, since a detached mount cannot be copied before Linux 6.15. */
static int copy_all(int base, int *copies, struct err *err)
{
	bool whole = false;
	int r = 0;

	for (size_t i = 0; i < COVERS; i++)
		copies[i] = -1;
	for (size_t i = 0; r == 0 && i < COVERS; i++) {
		const struct cover *cover = &cover_table[i];

		if (!has(base, cover->path) || (cover->whole && !has(base, cover->whole)) ||
		    (whole && str_starts(cover->path, "sys/")))
			continue;
		copies[i] = mount_copy(base, cover->path, false, err);
		r = copies[i] < 0 ? copies[i] : 0;
		whole = whole || cover->whole;
	}
	if (r < 0)
		close_copies(copies);
	return r;
}

/* Takes away what of an earlier lxcfs is there. umount(2) knows paths only; the current folder is the root they are below. */
static void take_away(const char *path, const char *mark)
{
	char found[16];

	for (int i = 0; i < STACKED_MAX && mark_of(AT_FDCWD, path, found) && strcmp(found, mark) == 0; i++)
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return;
}

static int attach_all(int root, int *copies, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < COVERS; i++) {
		auto_close int copy = take_fd(&copies[i]);
		auto_close int target = copy < 0 ? -1 : path_open_beneath(root, cover_table[i].path, O_PATH | O_NOFOLLOW, 0);

		char mark[16];

		/* This kernel may lack the file, or the guest has covered it by one of its own. */
		if (target >= 0 && !mark_of(target, "", mark))
			r = mount_attach(copy, target, cover_table[i].path, err);
	}
	close_copies(copies);
	return r;
}

/* At the start */

/* A guest that is restored has files where it had them, be there an lxcfs to have them from or not: then they are the kernel's own,
 * by way of the host's proc, and whoever looks for the mark of that finds and replaces them. */
static bool had_files(const struct checkpoint *checkpoint)
{
	for (size_t i = 0; i < checkpoint->mount_count; i++)
		if (lxcfs_covers(checkpoint->mount[i]))
			return true;
	return false;
}

int step_lxcfs_source(struct run *run, struct err *err)
{
	char mark[16] = "";
	enum lxcfs_state state = lxcfs_wanted(run->spec) ? lxcfs_state(mark) : LXCFS_NONE;
	int r = 0;

	run->record.lxcfs[0] = '\0';
	if (state != LXCFS_ALIVE && run->spec->guest.lxcfs == LXCFS_YES) {
		(void)err_set(err, ERR_FAILED, "show the guest its own size: lxcfs is not mounted on " LXCFS_AT);
		return err_hint(err, "apt install lxcfs; systemctl start lxcfs; or isle config %s set guest.lxcfs=auto",
				run->guest->name);
	}
	if (run->mode == RUN_RESTORE && !had_files(&run->restore->checkpoint))
		return 0;
	if (state == LXCFS_ALIVE)
		r = open_base(&run->fd[RUN_FD_LXCFS], err);
	else if (run->mode != RUN_RESTORE || !mark_of(AT_FDCWD, "/proc", mark))
		return 0;
	if (r == 0)
		(void)str_copy(run->record.lxcfs, sizeof(run->record.lxcfs), mark);
	return r;
}

int step_lxcfs(struct run *run, struct err *err)
{
	auto_close int base = take_fd(&run->fd[RUN_FD_LXCFS]);
	int copies[COVERS];

	if (base < 0)
		return 0;
	auto_close int target = path_make_in_root(run->root, BASE, 0755);

	if (target < 0)
		return err_num(err, target, "make /" BASE " in the guest");
	int r = mount_attach(base, target, BASE, err);

	if (r == 0)
		r = copy_all(base, copies, err);
	if (r == 0)
		r = attach_all(run->root, copies, err);
	if (r < 0)
		return r;
	/* The rest of lxcfs is none of the guest's business. */
	if (fchdir(run->root) < 0 || umount2(BASE, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 || rmdir(BASE) < 0)
		return err_sys(err, "take lxcfs off /" BASE);
	return 0;
}

/* Later */

bool lxcfs_current(const struct spec *spec, const struct record *record)
{
	char mark[16] = "";

	if (lxcfs_wanted(spec))
		(void)mark_of(AT_FDCWD, LXCFS_AT, mark); /* nothing there: "" */
	return strcmp(record->lxcfs, mark) == 0;
}

struct renewal {
	int base; /* -1: nothing is put in the place of what is taken away */
	int init_pidfd;
	const char *old; /* the mark of what is there */
};

static int copy_aside(int base, int *copies)
{
	for (size_t i = 0; i < COVERS; i++)
		copies[i] = -1;
	if (base < 0)
		return 0;
	int r = unshare(CLONE_NEWNS) < 0 ? -errno : mount_make_private(NULL);

	if (r == 0 && move_mount(base, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	return r < 0 ? r : copy_all(base, copies, NULL);
}

/* What it meets in the guest's mounts is the guest's doing, but nothing is opened there beyond O_PATH, and no link is followed. */
static _Noreturn void renew_inside(const struct renewal *renewal)
{
	const int keep[] = {renewal->base, renewal->init_pidfd};
	int copies[COVERS];

	if (fds_alone(keep, 2) < 0 || copy_aside(renewal->base, copies) < 0 || ns_enter(renewal->init_pidfd, CLONE_NEWNS, NULL) < 0)
		_exit(1);
	auto_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = COVERS; renewal->old[0] && i-- > 0;)
		take_away(cover_table[i].path, renewal->old);
	_exit(root < 0 || attach_all(root, copies, NULL) < 0);
}

static int do_inside(const struct renewal *renewal, struct err *err)
{
	struct ns_clone how = {.cgroup_fd = -1};
	siginfo_t info = {0};
	int pidfd = -1;
	pid_t child = ns_clone(&how, &pidfd, err);

	if (child < 0)
		return child;
	if (child == 0)
		renew_inside(renewal);
	auto_close int watch = pidfd;

	if (proc_wait_gone(watch, INSIDE_MS) < 0) {
		(void)proc_signal(watch, SIGKILL);
		return err_set(err, ERR_TIMEOUT, "put lxcfs's files into the guest: it holds that up");
	}
	if (waitid(P_PIDFD, (id_t)watch, &info, WEXITED) < 0 || info.si_status != 0)
		return err_set(err, ERR_FAILED, "put lxcfs's files into the guest: it has mounts of its own in /proc or /sys");
	return 0;
}

int lxcfs_renew(struct guest *guest, const struct spec *spec, struct record *record, struct err *err)
{
	char mark[16] = "";
	auto_close int base = -1;
	auto_close int init = record_init_pidfd(record);
	bool there = lxcfs_wanted(spec) && lxcfs_state(mark) == LXCFS_ALIVE;

	if (init < 0 || strcmp(record->lxcfs, mark) == 0)
		return 0;
	int r = there ? open_base(&base, err) : 0;
	const struct renewal renewal = {.base = base, .init_pidfd = init, .old = record->lxcfs};

	if (r == 0)
		r = do_inside(&renewal, err);
	if (r < 0)
		return r;
	memcpy(record->lxcfs, mark, sizeof(mark));
	return record_save(guest->store, guest->name, record, err);
}
