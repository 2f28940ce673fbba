/* The GUEST rows of the start table: what the guest's first process does to itself before it becomes init. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/path.h"
#include "../base/str.h"
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "../kernel/privs.h"
#include "environment.h"
#include "mount_options.h"
#include "personalise.h"
#include "steps.h"
#include "walk.h"

/* First of all, while the process still sees the host's /proc and nobody inside could interfere. */
int step_label(struct run *run, struct err *err)
{
	return confine_label(&run->confinement, err);
}

int step_enter_groups(struct run *run, struct err *err)
{
	int r = cgroup_entry_enter(&run->groups, err);

	if (r < 0)
		return r;
	/* Only now: the namespace's root is the group that its maker is in. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(err, "make the cgroup namespace");
	return 0;
}

/* While its files in the host's /proc are still its own. The namespace is the guest's, as criu wants it. */
int step_clocks(struct run *run, struct err *err)
{
	(void)run;
	return ns_own_clocks(err);
}

int step_become_root(struct run *run, struct err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, "become root of the user namespace");
	if (setsid() < 0 && errno != EPERM)
		return err_sys(err, "begin a session");
	/* From here on no change of ids takes it back (prctl(2)); before, the next word from the host side is EOF. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_sys(err, "die with the host side of the start");
	int r = privs_own_keyring(err);
	/* The programs of the guest that personalise runs must not get at what this process knows of the host. */
	return r < 0 ? r : privs_hide(err);
}

int step_private_mounts(struct run *run, struct err *err)
{
	return mount_make_private(err);
}

int step_root(struct run *run, struct err *err)
{
	run->root = take_fd(&run->fd[RUN_FD_ROOT]);
	if (run->root < 0)
		return err_set(err, ERR_FAILED, "attach the root file system: the host side sent none");
	/* On top of "/" itself: no folder of the host is needed, and this process still sees the host's tree until the pivot. */
	auto_close int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (top < 0)
		return err_sys(err, "open /");
	return mount_attach(run->root, top, "the root file system", err);
}

static int make_target(int root, const struct spec_mount *mount, const struct mount_options *options, bool file, struct err *err)
{
	int fd = path_open_in_root(root, mount->target, O_PATH, 0);

	if (fd != -ENOENT)
		return fd < 0 ? err_num(err, fd, "open the mount point %s in the guest", mount->target) : fd;
	if (!file && options->create != MOUNT_CREATE_FILE) {
		fd = path_make_in_root(root, mount->target, 0755);
		return fd < 0 ? err_num(err, fd, "make the mount point %s in the guest", mount->target) : fd;
	}
	auto_free char *parent = strdup(mount->target);
	char *slash = parent ? strrchr(parent, '/') : NULL;

	if (!slash || !slash[1])
		return err_set(err, ERR_USAGE, "make the mount point %s in the guest", mount->target);
	*slash = '\0';
	auto_close int dir = path_make_in_root(root, parent[0] ? parent : "/", 0755);

	if (dir < 0)
		return err_num(err, dir, "make the mount point %s in the guest", mount->target);
	fd = openat(dir, slash + 1, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? err_sys(err, "make the mount point %s in the guest", mount->target) : fd;
}

static int is_folder(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int configured_mount(struct run *run, size_t n, const struct mount_options *options, struct err *err)
{
	const struct spec_mount *mount = &run->spec->mounts[n];
	auto_close int tree = take_fd(&run->fd[RUN_FD_MOUNT + n]);

	if (mount->type)
		tree = mount_new(mount->type, options->data, options->attributes, err);
	if (tree < 0)
		return mount->type ? tree : 0; /* an optional source that is not there */
	auto_close int target = make_target(run->root, mount, options, !is_folder(tree), err);

	if (target < 0)
		return target;
	char what[192];

	(void)str_print(what, sizeof(what), "%s on %s", mount->source ? mount->source : mount->type, mount->target);
	return mount_attach(tree, target, what, err);
}

int step_configured_mounts(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;

	for (size_t i = 0; i < spec->mount_count; i++) {
		struct mount_options options;
		int r = mount_options_parse(spec->mounts[i].options, &options, err);

		if (r == 0)
			r = configured_mount(run, i, &options, err);
		mount_options_free(&options);
		if (r < 0)
			return err_where(err, spec->file, spec->mounts[i].line);
	}
	return 0;
}

int step_pivot(struct run *run, struct err *err)
{
	int r = mount_pivot(run->root, err);

	close(take_fd(&run->root));
	return r;
}

int step_host_name(struct run *run, struct err *err)
{
	char own[PERSONALISE_HOSTNAME];
	const char *name = run->spec->guest.hostname ? run->spec->guest.hostname : own;

	personalise_hostname(run->guest->name, own);
	if (sethostname(name, strlen(name)) < 0)
		return err_sys(err, "set the host name to %s", name);
	return 0;
}

int step_confine(struct run *run, struct err *err)
{
	/* The run is on record: the guest outlives its monitor. */
	if (run->mode == RUN_START && prctl(PR_SET_PDEATHSIG, 0) < 0)
		return err_sys(err, "live on without the host side of the start");
	return confine_powers(&run->confinement, err);
}

int step_seccomp(struct run *run, struct err *err)
{
	return confine_calls(&run->confinement, err);
}

int step_personalise(struct run *run, struct err *err)
{
	return personalise_inside(run->personalise, err);
}

/* Not the controlling terminal: init decides who gets it. */
static int open_console(struct err *err)
{
	int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "open /dev/console");
	for (int i = 0; i < 3; i++)
		if (dup2(fd, i) < 0)
			return err_sys(err, "open /dev/console as standard input and output");
	if (fd > 2)
		close(fd);
	return 0;
}

int step_exec_init(struct run *run, struct err *err)
{
	char **argv = NULL;
	char **environment = environment_init(run);

	if (types_split(run->spec->guest.init, &argv) < 0 || !argv[0] || !environment)
		return err_num(err, ENOMEM, "prepare the command line of init (%s)", run->spec->guest.init);
	int r = open_console(err);
	if (r < 0)
		return r;
	/* All are close-on-exec already; this also covers what a library might have opened. */
	(void)syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	r = walk_announce_exec(run, err);
	if (r < 0)
		return r;
	(void)execve(argv[0], argv, environment);
	(void)err_sys(err, "execute %s", argv[0]);
	return err_hint(err, "is it in the guest and executable? the key is guest.init");
}
