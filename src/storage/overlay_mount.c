/* Mounts an overlay over id-mapped layers without a trace in the host's mount table. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../kernel/privs.h"
#include "layer.h"
#include "overlay.h"

#define BUSY_TRIES 40 /* times 50 ms */

/* overlayfs makes its own files (work folder, index, white-outs) as whoever mounted it, which in an id-mapped layer must be
 * the guest's root: host root has no id there (EOVERFLOW). So the mount is made with that file system uid, all capabilities kept.
 */
struct maker {
	uid_t uid;
	gid_t gid;
};

static int maker_enter(int layers_fd, struct maker *ret_old, struct err *err)
{
	struct stat st;

	if (fstatat(layers_fd, "work", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at the overlay's work folder");
	ret_old->gid = (gid_t)setfsgid(st.st_gid);
	ret_old->uid = (uid_t)setfsuid(st.st_uid);
	return privs_raise(err);
}

static void maker_leave(const struct maker *old)
{
	setfsuid(old->uid);
	setfsgid(old->gid);
	(void)privs_raise(NULL); /* going back to uid 0 has raised them already */
}

/* A file system context with all but the layers set. */
static int context_open(int *ret_fd, struct err *err)
{
	static const char *const settings[][2] = {
		{"source", "isle"},
		{"metacopy", "off"},
		{"xino", "auto"},
		/* File handles, by which a checkpoint names open and watched files, need both. */
		{"index", "on"},
		{"nfs_export", "on"},
	};
	auto_close int fd = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fd < 0) {
		int num = err_sys(err, "open the overlay file system");

		if (num == -ENODEV)
			err_hint(err, "load the kernel's module overlay, or use --storage dir");
		return num;
	}
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (fsconfig(fd, FSCONFIG_SET_STRING, settings[i][0], settings[i][1], 0) < 0 && errno != EINVAL)
			return layer_err(err, errno, fd, "set up the overlay");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A guest that was stopped this moment may still hold its layers: the kernel lets go of a mount namespace a little after its last
 * process is gone, and refuses layers in use (index=on). */
static int context_mount(int fs_fd, int *ret_fd, struct err *err)
{
	for (int tries = 0; fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0; tries++) {
		if (errno != EBUSY || tries == BUSY_TRIES)
			return layer_err(err, errno, fs_fd, "mount the overlay");
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	}
	int fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);

	if (fd < 0)
		return layer_err(err, errno, fs_fd, "mount the overlay");
	*ret_fd = fd;
	return 0;
}

static int set_layer_fd(int fs_fd, const char *key, int dir_fd, const char *name, struct err *err)
{
	auto_close int fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open the overlay's folder %s", name);
	if (fsconfig(fs_fd, FSCONFIG_SET_FD, key, NULL, fd) < 0)
		return layer_err(err, errno, fs_fd, "give the overlay a layer by descriptor");
	return 0;
}

static int mount_by_fd(int image_fd, int layers_fd, int *ret_fd, struct err *err)
{
	auto_close int fs_fd = -1;
	int r = context_open(&fs_fd, err);

	if (r == 0)
		r = set_layer_fd(fs_fd, "lowerdir+", image_fd, ".", err);
	if (r == 0)
		r = set_layer_fd(fs_fd, "upperdir", layers_fd, "upper", err);
	if (r == 0)
		r = set_layer_fd(fs_fd, "workdir", layers_fd, "work", err);
	return r < 0 ? r : context_mount(fs_fd, ret_fd, err);
}

int overlay_mount_by_fd(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err)
{
	auto_close int image_fd = -1, layers_fd = -1;
	struct maker old;
	int r = layer_open(place->image_fd, "rootfs", userns_fd, &image_fd, err);

	if (r < 0)
		return r;
	/* Upper and work must lie on one mount: the guest's folder is both's. */
	r = layer_open(place->guest_fd, "", userns_fd, &layers_fd, err);
	if (r < 0)
		return r;
	r = maker_enter(layers_fd, &old, err);
	if (r == 0)
		r = mount_by_fd(image_fd, layers_fd, ret_fd, err);
	maker_leave(&old);
	return r;
}

/* In the child, in its own mount namespace: gives both layers a path on a private tmpfs over the guest's folder, which is the
 * working folder then, so that no path in the options needs escaping. */
static int attach_layers(const char *over, int image_fd, int layers_fd, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "make the helper's mounts private");
	if (mount("tmpfs", over, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=64k") < 0)
		return err_sys(err, "mount a tmpfs on %s", over);
	if (chdir(over) < 0 || mkdir("image", 0700) < 0 || mkdir("layers", 0700) < 0)
		return err_sys(err, "make folders for the overlay's layers");
	if (move_mount(image_fd, "", AT_FDCWD, "image", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    move_mount(layers_fd, "", AT_FDCWD, "layers", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "attach the overlay's layers");
	return 0;
}

static int mount_by_path(const char *over, int image_fd, int layers_fd, int *ret_fd, struct err *err)
{
	static const char *const layers[][2] = {{"lowerdir", "image"}, {"upperdir", "layers/upper"}, {"workdir", "layers/work"}};
	struct maker old;
	auto_close int fs_fd = -1;
	int r = attach_layers(over, image_fd, layers_fd, err);

	if (r == 0)
		r = maker_enter(layers_fd, &old, err);
	if (r == 0)
		r = context_open(&fs_fd, err);
	for (size_t i = 0; r == 0 && i < sizeof(layers) / sizeof(layers[0]); i++)
		if (fsconfig(fs_fd, FSCONFIG_SET_STRING, layers[i][0], layers[i][1], 0) < 0)
			r = layer_err(err, errno, fs_fd, "give the overlay a layer");
	return r < 0 ? r : context_mount(fs_fd, ret_fd, err);
}

struct helper_answer {
	int result;
	int fd; /* in the table of descriptors that both share */
	struct err err;
};

/* Where the guest's folder is now: one that is being made is not yet at its place. */
static int path_of(int fd, char path[PATH_MAX], struct err *err)
{
	char link[64];

	(void)str_print(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t len = readlink(link, path, PATH_MAX - 1);

	if (len < 0)
		return err_sys(err, "find the path of the guest's folder");
	path[len] = '\0';
	return 0;
}

int overlay_mount_by_path(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err)
{
	auto_close int image_fd = -1, layers_fd = -1;
	char over[PATH_MAX];
	int answer_pipe[2];
	int r = path_of(place->guest_fd, over, err);

	if (r < 0)
		return r;
	r = layer_open(place->image_fd, "rootfs", userns_fd, &image_fd, err);

	if (r < 0)
		return r;
	r = layer_open(place->guest_fd, "", userns_fd, &layers_fd, err);
	if (r < 0)
		return r;
	if (pipe2(answer_pipe, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	auto_close int from = answer_pipe[0], to = answer_pipe[1];

	/* CLONE_FILES: the mount that the child makes is the parent's descriptor too. */
	long pid = syscall(SYS_clone, CLONE_NEWNS | CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		return err_sys(err, "clone a helper for the overlay mount");
	if (pid == 0) {
		struct helper_answer answer = {.fd = -1};

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		answer.result = mount_by_path(over, image_fd, layers_fd, &answer.fd, &answer.err);
		_exit(write(to, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
	}
	struct helper_answer answer;

	while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* The parent's own write end is open: a child that died without an answer must not leave this waiting. */
	if (fcntl(from, F_SETFL, O_NONBLOCK) < 0 || read(from, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
		return err_set(err, ERR_FAILED, "mount the overlay: the helper process died");
	if (answer.result < 0) {
		if (err)
			*err = answer.err;
		return answer.result;
	}
	*ret_fd = answer.fd;
	return 0;
}
