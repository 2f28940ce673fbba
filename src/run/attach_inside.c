/* The guest's side of attach.h: the process at the door, and the program-to-be until it is executed. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>
#include <linux/magic.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/message.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "../kernel/inherit.h"
#include "../kernel/ns.h"
#include "../kernel/privs.h"
#include "attach_inside.h"
#include "attach_user.h"
#include "environment.h"

#define NOT_FOUND      127
#define NOT_EXECUTABLE 126

static int send_word(int socket, int status, const struct err *err, int fd)
{
	struct word word = {.status = status};

	if (err)
		word.err = *err;
	return message_send(socket, &word, sizeof(word), &fd, fd >= 0);
}

/* A terminal of the guest's own devpts. What lies at that path is the guest's doing, so it is looked at before it is used. */
static int open_terminal(const struct attach *attach, struct err *err)
{
	struct statfs fs;
	int locked = 0;
	auto_close int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (master < 0)
		return err_sys(err, "open /dev/pts/ptmx in the guest");
	if (fstatfs(master, &fs) < 0 || fs.f_type != DEVPTS_SUPER_MAGIC)
		return err_set(err, ERR_FAILED, "open /dev/pts/ptmx in the guest: it is no terminal");
	if (ioctl(master, TIOCSPTLCK, &locked) < 0)
		return err_sys(err, "unlock the terminal in the guest");
	auto_close int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (slave < 0)
		return err_sys(err, "open the terminal in the guest");
	(void)ioctl(slave, TIOCSWINSZ, &attach->size); /* a wrong size is no reason to fail */
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return err_sys(err, "take the terminal in the guest");
	for (int i = 0; i < 3; i++)
		if ((i < 2 || attach->relay.guest[2] < 0) && dup2(slave, i) < 0)
			return err_sys(err, "take the terminal in the guest");
	if (attach->relay.guest[2] >= 0 && dup2(attach->relay.guest[2], 2) < 0)
		return err_sys(err, "take standard error");
	return send_word(attach->other, 0, NULL, master) < 0 ? err_num(err, EPIPE, "hand the terminal over") : 0;
}

static int take_streams(const struct attach *attach, struct err *err)
{
	for (int i = 0; i < 3; i++)
		if (dup2(attach->relay.guest[i], i) < 0)
			return err_sys(err, "take standard input and output");
	return 0;
}

/* Of the process at the door: it stays in the host's pid namespace, where nobody inside sees it. */
static int enter(const struct attach *attach, struct err *err)
{
	inherit_reset(true); /* first: a real-time process is taken by no control group of v1 that has no real time to give */
	(void)inherit_oom(getpid(), INHERIT_OOM_GUEST); /* a nested isle may not */
	int r = cgroup_entry_enter(&attach->groups, err);

	if (r == 0)
		r = confine_limits(&attach->confinement, err);
	if (r == 0)
		r = confine_label(&attach->confinement, err);
	/* The guest must not be able to use up the keys that entering it needs: so before it counts for the guest. */
	if (r == 0)
		r = privs_own_keyring(err);
	/* Until the program runs, nobody inside may look into what still knows the host. */
	if (r == 0)
		r = privs_hide(err);
	return r == 0 ? ns_enter(attach->init_pidfd, attach->flags, err) : r;
}

/* Of what the caller had open only the streams that are meant for the program go inside. The kernel lets whoever may trace anything
 * in the guest take descriptors of a process that dies, be it hidden or not, when its memory is gone and its files are not
 * (do_exit). */
static int shed(const struct attach *attach, struct err *err)
{
	const int keep[] = {attach->door, attach->other, attach->relay.guest[0], attach->relay.guest[1], attach->relay.guest[2]};
	int r = fds_close_others(keep, sizeof(keep) / sizeof(keep[0]), 0);

	return r < 0 ? err_num(err, r, "close descriptors before the guest is entered") : 0;
}

static int null_streams(struct err *err)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		if (fd < 0 || dup2(fd, i) < 0)
			return err_sys(err, "open /dev/null");
	return 0; /* shed() closes it */
}

static int become_root(struct err *err)
{
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, "become root of the guest");
	if (setsid() < 0)
		return err_sys(err, "begin a session");
	return privs_hide(err);
}

static char *login_name(const char *shell)
{
	const char *slash = strrchr(shell, '/');

	return str_format("-%s", slash ? slash + 1 : shell);
}

static int enter_folder(const struct attach *attach, const struct attach_user *user, struct err *err)
{
	const char *cwd = attach->request->cwd;

	if (cwd)
		return chdir(cwd) < 0 ? err_sys(err, "enter folder %s in the guest", cwd) : 0;
	if (!attach->request->argv && chdir(user->home) == 0)
		return 0;
	return chdir("/") < 0 ? err_sys(err, "enter / in the guest") : 0;
}

/* As the guest's init is confined, so is whoever enters. */
static int confine(const struct attach *attach, const struct attach_user *user, struct err *err)
{
	int r = confine_powers(&attach->confinement, err);

	if (r == 0)
		r = confine_calls(&attach->confinement, err);
	return r == 0 ? attach_user_become(user, err) : r;
}

static int become_program(const struct attach *attach, struct err *err)
{
	struct attach_user user;
	int r = become_root(err);

	if (r == 0)
		r = attach_user_find(attach->request->user, &user, err);
	if (r == 0)
		r = attach->tty ? open_terminal(attach, err) : take_streams(attach, err);
	if (r == 0)
		r = enter_folder(attach, &user, err);
	if (r < 0)
		return NOT_EXECUTABLE;
	char **environment = environment_attach(attach->request, &user);
	auto_free char *login = login_name(user.shell);
	const char *shell_argv[] = {login, NULL};
	const char *const *argv = attach->request->argv ? attach->request->argv : shell_argv;
	const char *program = attach->request->argv ? argv[0] : user.shell;

	if (!environment || !login) {
		(void)err_num(err, ENOMEM, "prepare to run %s", program);
		return NOT_EXECUTABLE;
	}
	if (confine(attach, &user, err) < 0)
		return NOT_EXECUTABLE;
	(void)syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	environ = environment; /* by whose PATH the program is looked for, not by the caller's */
	(void)execvp(program, (char *const *)argv);
	int num = errno;

	(void)err_num(err, num, "execute %s in the guest", program);
	return num == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

/* It executes nothing, so it stays hidden, and ends with us. */
static int do_work(const struct attach *attach, struct err *err)
{
	const struct attach_work *work = attach->request->work;
	const struct attach_user root = {.group_count = 0};
	int r = become_root(err);

	if (r == 0)
		r = take_streams(attach, err);
	if (r == 0)
		r = confine(attach, &root, err);
	if (r == 0)
		r = privs_hide(err);
	if (r == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || chdir("/") < 0))
		r = err_sys(err, "begin to work in the guest");
	if (r == 0)
		r = work->inside(work->data, work->into_guest ? STDIN_FILENO : STDOUT_FILENO, err);
	return r < 0 ? 1 : 0;
}

static _Noreturn void child_main(const struct attach *attach)
{
	struct err err = {0};
	int status = attach->request->work ? do_work(attach, &err) : become_program(attach, &err);

	(void)send_word(attach->other, status, &err, -1);
	_exit(status);
}

/* /proc shows of any process its mounts, network and control groups to whoever sees its pid. So the program-to-be is born with
 * every namespace the guest's: of a process that has entered them, yet as the child of the caller, who gets its pidfd. */
_Noreturn void attach_inside(const struct attach *attach)
{
	struct ns_clone how = {.flags = CLONE_PARENT, .cgroup_fd = -1};
	struct err err = {0};
	int pidfd = -1;
	pid_t pid = null_streams(&err);

	if (pid == 0)
		pid = enter(attach, &err);
	if (pid == 0)
		pid = shed(attach, &err);
	if (pid == 0) {
		pid = ns_clone(&how, &pidfd, &err);
		if (pid == 0) {
			close(attach->door);
			child_main(attach);
		}
	}
	(void)send_word(attach->door, pid < 0 ? NOT_EXECUTABLE : 0, &err, pidfd);
	_exit(pid < 0);
}
