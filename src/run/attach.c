/* The caller's side of attach.h: prepares the way in, waits for the program, copies what it reads and writes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/message.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/host.h"
#include "../kernel/ns.h"
#include "attach.h"
#include "attach_inside.h"
#include "console.h"
#include "gate.h"

#define ALL_NAMESPACES \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWTIME)
#define BELOW_MAX   2048  /* of a path: with the hierarchy's own below PATH_MAX */
#define WORD_MS     30000 /* what takes longer is held up by the guest: a control group that it froze, a FUSE of its own */
#define GONE_MS     5000
#define ENTRY_TRIES 3

/* -EPIPE at EOF: the program was executed. -EAGAIN: no word within WORD_MS. */
static int receive_word(int socket, struct word *ret, int *ret_fd)
{
	size_t count = *ret_fd < 0;
	int r = message_receive(socket, ret, sizeof(*ret), ret_fd, &count);

	if (r == 0)
		err_seal(&ret->err);
	return r;
}

static int open_pipe(struct attach *attach, struct err *err)
{
	bool into = attach->request->work->into_guest;
	int *guest = attach->relay.guest, fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	attach->stream = fd[into ? 1 : 0];
	guest[into ? 0 : 1] = fd[into ? 0 : 1];
	guest[into ? 1 : 0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	guest[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	return guest[into ? 1 : 0] < 0 || guest[2] < 0 ? err_sys(err, "open /dev/null") : 0;
}

static int prepare(struct attach *attach, struct err *err)
{
	const struct attach_request *request = attach->request;
	int r = ns_differing(attach->record.init_pid, ALL_NAMESPACES, &attach->flags, err);

	if (r < 0)
		return r;
	r = cgroup_entry_open(attach->record.cgroup, &attach->groups, err);
	if (r == 0 && host_get()->systemd)
		r = cgroup_entry_follow(attach->record.init_pid, &attach->groups, err);
	if (r == 0)
		r = confine_prepare(attach->guest, attach->record.init_pid, &attach->confinement, err);
	if (r < 0)
		return r;
	if (request->work)
		return open_pipe(attach, err);
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
	struct word word;
	siginfo_t info;
	int r = receive_word(attach->door, &word, ret_pidfd);

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

/* Who failed first knows why; a side that only found the pipe broken does not. */
static int accompany_work(struct attach *attach, int pidfd, struct err *err)
{
	const struct attach_work *work = attach->request->work;
	struct err own = {0};
	struct word word;
	int none = -1;

	relay_close_guest(&attach->relay);
	int r = work->outside(work->data, attach->stream, &own);

	close(take_fd(&attach->stream)); /* the other side sees the end */
	int told = r < 0 && r != -EPIPE ? r : receive_word(attach->other, &word, &none);

	if (told == -EAGAIN || (r < 0 && r != -EPIPE))
		(void)proc_signal(pidfd, SIGKILL);
	(void)proc_wait_gone(pidfd, GONE_MS); /* reaped by whoever inherits it, if the kernel cannot end it now */
	if (r < 0 && r != -EPIPE) {
		if (err)
			*err = own;
		return r;
	}
	if (told < 0)
		return held_up(attach, pidfd, told == -EPIPE ? -EPIPE : told, err);
	if (word.status == 0 && r < 0)
		return err_set(err, ERR_FAILED, "hear from the process in the guest: it ended too early");
	if (word.status != 0 && err)
		*err = word.err;
	return word.status ? -EIO : 0;
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

/* The caller's end waits for WORD_MS at most; the other is closed by an exec. */
static int open_line(int ret[2], struct err *err)
{
	const struct timeval patience = {.tv_sec = WORD_MS / 1000};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return err_sys(err, "make a socket pair");
	if (setsockopt(ret[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(err, "limit the wait for the guest");
	return 0;
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(take_fd(&fds[i]));
}

/* The cgroup2 group that init is in; -ENAMETOOLONG: it is hidden too deep for a path. */
static int open_init_group(const struct attach *attach)
{
	char below[BELOW_MAX];
	int r = cgroup_of(attach->record.init_pid, attach->record.cgroup, below, sizeof(below));

	return r < 0 ? r : cgroup_open_leaf(attach->record.cgroup, below);
}

/* Where init is, else at the guest's top: its root may take init's group away meanwhile, let no process into it, or make one of a
 * kind that takes none. Where processes may be in the groups below only (cgroups(7), "no internal processes"), the top takes none.
 */
static pid_t clone_inside(const struct attach *attach, int *ret_pidfd, struct err *err)
{
	pid_t pid = -1;

	for (int i = 0; pid < 0 && i < ENTRY_TRIES; i++) {
		auto_close int folder = open_init_group(attach);
		struct ns_clone how = {.cgroup_fd = folder};

		if (folder >= 0)
			pid = ns_clone(&how, ret_pidfd, err);
		how.cgroup_fd = attach->groups.folder;
		if (pid < 0)
			pid = ns_clone(&how, ret_pidfd, err);
	}
	if (pid < 0)
		return err_hint(err, "its root may have made control groups that take no process; isle stop --kill %s",
				attach->guest->name);
	err_clear(err);
	return pid;
}

static int run_inside(struct attach *attach, int *ret_status, struct err *err)
{
	int door[2] = {-1, -1}, program[2] = {-1, -1}, pidfds[2] = {-1, -1};
	int r = open_line(door, err);

	if (r == 0)
		r = open_line(program, err);
	pid_t pid = r < 0 ? r : clone_inside(attach, &pidfds[0], err);

	if (pid != 0)
		gate_leave(&attach->gate);
	if (pid == 0) {
		attach->door = door[1];
		attach->other = program[1];
		attach_inside(attach); /* closes the caller's ends with all else */
	}
	close_all(&door[1], 1);
	close_all(&program[1], 1);
	attach->door = door[0];
	attach->other = program[0];
	r = pid < 0 ? pid : await_child(attach, pidfds[0], &pidfds[1], err);
	if (r == 0)
		r = attach->request->work ? accompany_work(attach, pidfds[1], err) : accompany(attach, pidfds[1], ret_status, err);
	close_all(door, 2);
	close_all(program, 2);
	close_all(pidfds, 2);
	return r;
}

static int find_running(struct attach *attach, struct err *err)
{
	const struct guest *guest = attach->guest;
	enum state state = guest_state(guest->store, guest->name, &attach->record);

	if (state == STATE_RUNNING || state == STATE_STOPPING)
		return 0;
	(void)err_set(err, ERR_STATE, "enter it: it is %s", state_names[state]);
	return err_hint(err, state == STATE_FROZEN ? "isle unfreeze %s" : "isle start %s", guest->name);
}

int attach_run(struct guest *guest, const struct attach_request *request, int *ret_status, struct err *err)
{
	struct attach attach = {
		.request = request,
		.guest = guest,
		.groups.folder = -1,
		.stream = -1,
		.gate = -1,
		.relay = {.guest = {-1, -1, -1}, .ours = {-1, -1, -1}},
	};
	int r = find_running(&attach, err);

	if (r == 0)
		r = gate_enter(guest->store, guest->name, WORD_MS, &attach.gate, err);
	if (r > 0)
		r = find_running(&attach, err);
	if (r < 0) {
		gate_leave(&attach.gate);
		return r;
	}
	auto_close int init = record_init_pidfd(&attach.record);

	attach.init_pidfd = init;
	r = init < 0 ? err_set(err, ERR_STATE, "enter the guest: it has just ended") : prepare(&attach, err);
	if (r == 0)
		r = run_inside(&attach, ret_status, err);
	gate_leave(&attach.gate);
	relay_close(&attach.relay);
	if (attach.stream >= 0)
		close(attach.stream);
	cgroup_entry_close(&attach.groups);
	confine_free(&attach.confinement);
	return r;
}
