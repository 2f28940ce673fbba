/* Storage `overlay`: the guest's own files lie over the image's, which guests share. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "overlay.h"
#include "copy.h"
#include "measure.h"

/* Any ids do for a probe; nothing is left that they own. */
#define PROBE_ID  524288
#define PROBE_MAP "0 524288 65536\n"

static int make_like(int dir_fd, const char *name, const struct stat *st, struct err *err)
{
	if (mkdirat(dir_fd, name, 0700) < 0)
		return err_sys(err, "make the overlay's folder %s", name);
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0)
		return err_sys(err, "set up the overlay's folder %s", name);
	return fsync(fd) < 0 ? err_sys(err, "write the overlay's folder %s to disk", name) : 0;
}

static int overlay_clone(int guest_fd, int image_fd, struct err *err)
{
	const struct stat root = {.st_mode = 0700};
	struct stat st;

	if (fstatat(image_fd, "rootfs", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at the image's rootfs");
	if (!S_ISDIR(st.st_mode))
		return err_num(err, ENOTDIR, "look at the image's rootfs");
	int r = make_like(guest_fd, "upper", &st, err);

	return r < 0 ? r : make_like(guest_fd, "work", &root, err);
}

static int mount_either_way(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err)
{
	int r = overlay_mount_by_fd(place, userns_fd, ret_fd, NULL);

	return r == 0 ? 0 : overlay_mount_by_path(place, userns_fd, ret_fd, err);
}

/* Guest and image came from another disk or host: what the upper layer knows of the image's files is where they lay there. The
 * kernel finds them by name instead and notes it anew. What it kept in `work` goes too. */
static int take_root(const struct storage_place *place, struct err *err)
{
	const struct stat root = {.st_mode = 0700};
	auto_close int upper = openat(place->guest_fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = upper < 0 ? err_sys(err, "open the overlay's folder upper") : overlay_forget_origin(upper, err);

	if (r == 0)
		r = file_remove_tree(place->guest_fd, "work", err);
	return r < 0 ? r : make_like(place->guest_fd, "work", &root, err);
}

static int overlay_mount(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err)
{
	struct err said = {0};

	if (place->image_fd < 0)
		return err_set(err, ERR_FAILED, "mount the overlay of %s: its image is gone", place->guest_path);
	int r = mount_either_way(place, userns_fd, ret_fd, &said);

	if (r == -ESTALE) {
		said = (struct err){0};
		r = take_root(place, &said);
		if (r == 0)
			r = mount_either_way(place, userns_fd, ret_fd, &said);
	}
	if (r < 0 && err)
		*err = said;
	return r;
}

/* A user namespace to map probe layers with; its only process is killed by userns_end. */
struct userns {
	pid_t pid;
	int fd;
};

static void userns_end(struct userns *userns)
{
	if (userns->fd >= 0)
		close(userns->fd);
	if (userns->pid > 0) {
		kill(userns->pid, SIGKILL);
		while (waitpid(userns->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}
#define auto_userns __attribute__((cleanup(userns_end)))

static int userns_make(struct userns *userns, struct err *err)
{
	char path[64];
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		return err_sys(err, "make a user namespace");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	userns->pid = (pid_t)pid;
	for (size_t i = 0; i < 2; i++) {
		(void)str_print(path, sizeof(path), "/proc/%ld/%s", pid, i ? "gid_map" : "uid_map");
		if (file_poke(AT_FDCWD, path, PROBE_MAP) < 0)
			return err_sys(err, "map the ids of a user namespace");
	}
	(void)str_print(path, sizeof(path), "/proc/%ld/ns/user", pid);
	userns->fd = open(path, O_RDONLY | O_CLOEXEC);
	return userns->fd < 0 ? err_sys(err, "open a user namespace") : 0;
}

static int probe_in(int probe_fd, struct err *err)
{
	const struct stat plain = {.st_mode = 0755};
	auto_userns struct userns userns = {.fd = -1};
	int r = make_like(probe_fd, "rootfs", &plain, err);

	if (r == 0)
		r = overlay_clone(probe_fd, probe_fd, err);
	if (r == 0)
		r = userns_make(&userns, err);
	if (r < 0)
		return r;
	const struct storage_place place = {.guest_fd = probe_fd, .image_fd = probe_fd, .guest_path = "the folder to try it in"};
	auto_close int mount_fd = -1;
	struct stat st;

	r = overlay_mount(&place, userns.fd, &mount_fd, err);
	if (r < 0)
		return r;
	if (fstat(mount_fd, &st) < 0)
		return err_sys(err, "look at the overlay's root");
	if (st.st_uid != PROBE_ID)
		return err_set(err, ERR_FAILED, "mount an overlay: its ids are not mapped");
	/* A folder made by the guest's root shows that the upper layer takes its ids and overlayfs's own marks. */
	setfsuid(PROBE_ID);
	setfsgid(PROBE_ID);
	int made = mkdirat(mount_fd, "made", 0700);

	r = made < 0 ? err_sys(err, "make a folder in an overlay") : 0;
	setfsuid(geteuid());
	setfsgid(getegid());
	return r;
}

/* Tries the real thing in a folder beside the guests: kernels, file systems and id maps differ in too many ways to guess. */
static int overlay_usable(int dir_fd, struct err *err)
{
	char name[48];

	(void)str_print(name, sizeof(name), ".new-probe-%ld", (long)getpid());
	(void)file_remove_tree(dir_fd, name, NULL); /* left by a killed process that had this pid */
	if (mkdirat(dir_fd, name, 0700) < 0)
		return err_sys(err, "make a folder to try an overlay in");
	auto_close int probe_fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = probe_fd < 0 || flock(probe_fd, LOCK_EX | LOCK_NB) < 0 ? err_sys(err, "lock the folder to try an overlay in") : 0;

	if (r == 0)
		r = probe_in(probe_fd, err);
	int gone = file_remove_tree(dir_fd, name, r == 0 ? err : NULL);

	return r < 0 ? r : gone;
}

static int overlay_usage(int guest_fd, uint64_t *ret, struct err *err)
{
	return measure_folder(guest_fd, "upper", ret, err);
}

static int overlay_save(int guest_fd, int into_fd, struct err *err)
{
	return copy_tree(guest_fd, into_fd, "upper", err);
}

/* What lies in `work` belongs to the files that go, the index of their hard links above all. */
static int overlay_load(int guest_fd, int from_fd, const struct copy_moment *moment, struct err *err)
{
	const struct stat root = {.st_mode = 0700};
	int r = copy_replace(from_fd, guest_fd, "upper", moment, err);

	if (r == 0)
		r = file_remove_tree(guest_fd, "work", err);
	return r < 0 ? r : make_like(guest_fd, "work", &root, err);
}

/* `work` is made anew: what lies in there belongs to the other's. */
static int overlay_copy(int from_fd, int guest_fd, bool take, struct err *err)
{
	const struct stat root = {.st_mode = 0700};
	int r = take ? copy_take(from_fd, guest_fd, "upper", err) : copy_tree(from_fd, guest_fd, "upper", err);

	return r < 0 ? r : make_like(guest_fd, "work", &root, err);
}

const struct storage storage_overlay = {
	.name = "overlay",
	.usable = overlay_usable,
	.clone = overlay_clone,
	.copy = overlay_copy,
	.mount = overlay_mount,
	.save = overlay_save,
	.load = overlay_load,
	.usage = overlay_usage,
};
