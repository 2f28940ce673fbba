/* Runs a program in a running guest: one setns, one fork, the guest's own privileges. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <linux/magic.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/message.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../guest/record.h"
#include "../kernel/cgroup.h"
#include "../kernel/ns.h"
#include "../kernel/privs.h"
#include "attach.h"
#include "attach_user.h"
#include "confine.h"
#include "console.h"
#include "environment.h"
#include "relay.h"

#define ALL_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWTIME)
#define BELOW_MAX      2048 /* of a path: with the hierarchy's own below PATH_MAX */
#define NOT_FOUND      127
#define NOT_EXECUTABLE 126
#define WORD_MS        30000 /* what takes longer is held up by the guest: a control group that it froze, a FUSE of its own */
#define GONE_MS        5000

struct attach {
	const struct attach_request *request;
	struct guest *guest;
	struct record record;
	int init_pidfd;
	uint64_t flags; /* namespaces to enter */
	struct cgroup_entry groups;
	struct confinement confinement;
	bool tty;
	struct winsize size;
	struct relay relay;
	int other; /* socket between the caller and the program-to-be */
};

/* The child's word: its terminal comes along, or why it could not go on. */
struct word {
	int32_t status; /* 0: fine so far; else the exit status that err explains */
	struct err err;
};

static int send_word(int socket, int status, const struct err *err, int fd)
{
	struct word word = {.status = status};

	if (err)
		word.err = *err;
	return message_send(socket, &word, sizeof(word), &fd, fd >= 0);
}

/* -EPIPE at EOF: the program was executed. -EAGAIN: no word within WORD_MS. */
static int receive_word(int socket, struct word *ret, int *ret_fd)
{
	size_t count = *ret_fd < 0;
	int r = message_receive(socket, ret, sizeof(*ret), ret_fd, &count);

	if (r == 0)
		err_seal(&ret->err);
	return r;
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
	int r = cgroup_entry_enter(&attach->groups, err);

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
	const int keep[] = {attach->other, attach->relay.guest[0], attach->relay.guest[1], attach->relay.guest[2]};
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
	(void)execvpe(program, (char *const *)argv, environment);
	int num = errno;

	(void)err_num(err, num, "execute %s in the guest", program);
	return num == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}

static _Noreturn void child_main(const struct attach *attach)
{
	struct err err = {0};
	int status = become_program(attach, &err);

	(void)send_word(attach->other, status, &err, -1);
	_exit(status);
}

/* /proc shows of any process its mounts, network and control groups to whoever sees its pid. So the program-to-be is born with
 * every namespace the guest's: of a process that has entered them, yet as the child of the caller, who gets its pidfd. */
static _Noreturn void door_main(const struct attach *attach)
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
		if (pid == 0)
			child_main(attach);
	}
	(void)send_word(attach->other, pid < 0 ? NOT_EXECUTABLE : 0, &err, pidfd);
	_exit(pid < 0);
}

static int prepare(struct attach *attach, struct err *err)
{
	const struct attach_request *request = attach->request;
	char below[BELOW_MAX];
	int r = ns_differing(attach->record.init_pid, ALL_NAMESPACES, &attach->flags, err);

	if (r < 0)
		return r;
	/* Where init is; a guest that has hidden it too deep for a path is entered at its top. */
	r = cgroup_of(attach->record.init_pid, attach->record.cgroup, below, sizeof(below));
	if (r == -ENAMETOOLONG)
		r = str_copy(below, sizeof(below), CGROUP_GUEST);
	if (r < 0)
		return err_num(err, r, "find the guest's control group");
	r = cgroup_entry_open(attach->record.cgroup, below, &attach->groups, err);
	if (r == 0)
		r = confine_prepare(attach->guest->store, attach->guest->name, attach->guest->spec, &attach->confinement, err);
	if (r < 0)
		return r;
	attach->tty = request->tty == ATTACH_TTY_YES || (request->tty == ATTACH_TTY_AUTO && isatty(0) && isatty(1));
	if (!attach->tty)
		return relay_open(&attach->relay, err);
	(void)ioctl(0, TIOCGWINSZ, &attach->size); /* zeros when it is no terminal */
	return relay_open_error(&attach->relay, err);
}

static int status_of(int pidfd, int *ret)
{
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0)
		return -errno;
	*ret = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return 0;
}

static int use_terminal(struct attach *attach, int master, int pidfd, struct err *err)
{
	pid_t aside = relay_run_aside(&attach->relay, pidfd, err);
	int r = console_pump(0, 1, master, pidfd, aside < 0 ? NULL : err);

	while (aside > 0 && waitpid(aside, NULL, 0) < 0 && errno == EINTR)
		;
	return aside < 0 ? aside : r;
}

/* r of receive_word, said of pidfd: it is killed, since it holds the host's powers still and must not go on some day. */
static int held_up(const struct attach *attach, int pidfd, int r, struct err *err)
{
	(void)proc_signal(pidfd, SIGKILL);
	if (r != -EAGAIN)
		return err_num(err, r, "hear from the process in the guest");
	(void)err_set(err, ERR_TIMEOUT, "enter the guest: it has held that up for %d s", WORD_MS / 1000);
	return err_hint(err, "its root may have frozen its own control group; isle stop --kill %s", attach->guest->name);
}

/* Until the program is executed (0), or could not be (1: the word says why). */
static int await_program(const struct attach *attach, int pidfd, struct word *ret, int *ret_master, struct err *err)
{
	int r = receive_word(attach->other, ret, ret_master);

	if (r == 0 && ret->status == 0)
		r = receive_word(attach->other, ret, ret_master);
	if (r == 0)
		return 1;
	return r == -EPIPE ? 0 : held_up(attach, pidfd, r, err);
}

/* The pidfd of the program-to-be. The process at the door is gone then. */
static int await_child(const struct attach *attach, int door, int *ret_pidfd, struct err *err)
{
	const struct timeval patience = {.tv_sec = WORD_MS / 1000};
	struct word word;
	siginfo_t info;

	if (setsockopt(attach->other, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(err, "limit the wait for the guest");
	int r = receive_word(attach->other, &word, ret_pidfd);

	if (r < 0) {
		r = r == -EPIPE ? err_set(err, ERR_FAILED, "enter the guest: the process that did so was killed")
				: held_up(attach, door, r, err);
		(void)proc_wait_gone(door, GONE_MS); /* reaped by whoever inherits it, if the kernel cannot end it now */
		return r;
	}
	(void)waitid(P_PIDFD, (id_t)door, &info, WEXITED);
	if (word.status != 0 && err)
		*err = word.err;
	return word.status != 0 || *ret_pidfd < 0 ? -EPERM : 0;
}

/* Waits for the child's word (terminal or failure), copies while the program runs, returns its status. */
static int accompany(struct attach *attach, int pidfd, int *ret_status, struct err *err)
{
	struct word word;
	int master = -1;
	int r = await_program(attach, pidfd, &word, &master, err);

	relay_close_guest(&attach->relay);
	if (r == 0 && attach->tty)
		r = use_terminal(attach, master, pidfd, err);
	else if (r == 0)
		r = relay_run(&attach->relay, pidfd, err);
	else if (r == 1 && err)
		*err = word.err;
	else if (r < 0)
		(void)proc_wait_gone(pidfd, GONE_MS); /* reaped by whoever inherits it, if the kernel cannot end it now */
	if (master >= 0)
		close(master);
	if (r < 0 && r != -EPIPE)
		return r;
	int waited = status_of(pidfd, ret_status);

	if (waited < 0)
		return err_num(err, waited, "wait for the program in the guest");
	return 0; /* -EPIPE: a terminal that hung up: the program has seen it too */
}

static int run_inside(struct attach *attach, int *ret_status, struct err *err)
{
	int pair[2], door = -1, child = -1;
	struct ns_clone how = {.cgroup_fd = attach->groups.folder};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	pid_t pid = ns_clone(&how, &door, err);

	if (pid == 0) {
		close(pair[0]);
		attach->other = pair[1];
		door_main(attach);
	}
	close(pair[1]);
	attach->other = pair[0];
	int r = pid < 0 ? pid : await_child(attach, door, &child, err);

	if (r == 0)
		r = accompany(attach, child, ret_status, err);
	close(pair[0]);
	if (door >= 0)
		close(door);
	if (child >= 0)
		close(child);
	return r;
}

int attach_run(struct guest *guest, const struct attach_request *request, int *ret_status, struct err *err)
{
	struct attach attach = {
		.request = request,
		.guest = guest,
		.groups.folder = -1,
		.relay = {.guest = {-1, -1, -1}, .ours = {-1, -1, -1}},
	};
	enum state state = guest_state(guest->store, guest->name, &attach.record);

	if (state != STATE_RUNNING && state != STATE_STOPPING) {
		(void)err_set(err, ERR_STATE, "enter it: it is %s", state_names[state]);
		return err_hint(err, state == STATE_FROZEN ? "isle unfreeze %s" : "isle start %s", guest->name);
	}
	auto_close int init = record_init_pidfd(&attach.record);

	if (init < 0)
		return err_set(err, ERR_STATE, "enter the guest: it has just ended");
	attach.init_pidfd = init;
	int r = prepare(&attach, err);
	if (r == 0)
		r = run_inside(&attach, ret_status, err);
	relay_close(&attach.relay);
	cgroup_entry_close(&attach.groups);
	confine_free(&attach.confinement);
	return r;
}
