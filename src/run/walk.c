/* The two walkers of the step table, kept in step by notes on one SOCK_SEQPACKET pair. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/message.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "steps.h"
#include "walk.h"

/* One note: the sender has done every own row up to and with `row`. */
struct note {
	uint32_t row;
	int32_t result;
	char init_kind[12];
	uint8_t fd_slot[RUN_FD_COUNT]; /* enum run_fd of each descriptor that comes along */
	uint32_t fd_count;
	struct err err;
};

/* The one clock that both sides share: the guest's others begin at nought in its time namespace. */
static uint64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void trace(const struct run *run, const struct step *step, const char *what, uint64_t since_ns)
{
	if (!getenv("ISLE_TRACE"))
		return;
	uint64_t ns = clock_ns();

	dprintf(STDERR_FILENO, "isle: %s %-24s %s", run->inside ? "guest" : "host ", step->name, what);
	if (since_ns)
		dprintf(STDERR_FILENO, " %llu us", (unsigned long long)(ns - since_ns) / 1000);
	dprintf(STDERR_FILENO, "\n");
}

/* A blocked signal is queued even for a namespace's init, which otherwise ignores SIGCONT and SIGSTOP alike. */
void walk_hold(const char *step, pid_t pid)
{
	const char *held = getenv("ISLE_HOLD");
	sigset_t set;

	if (!held || strcmp(held, step) != 0)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGCONT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	dprintf(STDERR_FILENO, "isle: held before step '%s'; kill -CONT %d lets it go on\n", step, pid);
	(void)sigwaitinfo(&set, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static bool fault_asked(const struct step *step, const char *how)
{
	const char *fault = getenv("ISLE_FAULT");
	size_t len = strlen(step->name);

	return fault && strncmp(fault, step->name, len) == 0 && fault[len] == ':' && strcmp(fault + len + 1, how) == 0;
}

static int do_step(struct run *run, const struct step *step, struct err *err)
{
	uint64_t since = clock_ns();
	int r = 0;

	walk_hold(step->name, run->inside ? run->init_pid : getpid());
	if (fault_asked(step, "kill"))
		_exit(137); /* a namespace's init cannot kill itself by signal */
	if (fault_asked(step, "fail"))
		r = err_set(err, ERR_FAILED, "do this step: a test asked for its failure");
	if (r == 0)
		r = step->apply(run, err);
	if (r == 0 && fault_asked(step, "fail-after"))
		r = err_set(err, ERR_FAILED, "go on after this step: a test asked for the failure");
	if (fault_asked(step, "kill-after"))
		_exit(137);
	if (r < 0)
		(void)err_step(err, step->name);
	/* The clone comes back on both sides; the inner one's clock is another's. */
	if (!run->inside || step->side == GUEST)
		trace(run, step, r < 0 ? "failed" : "done", since);
	return r;
}

/* Inside, getpid() is 1; what proc calls this process is its number on the host for as long as that proc is the host's. */
static pid_t pid_on_host(void)
{
	char text[16] = "";
	uint64_t pid;

	if (readlink("/proc/self", text, sizeof(text) - 1) < 0 || str_to_u64(text, 1, INT32_MAX, &pid) < 0)
		return 0;
	return (pid_t)pid;
}

/* Which way each descriptor travels: only readiness is told from the inside. */
static bool is_ours_to_send(const struct run *run, size_t slot)
{
	return run->fd[slot] >= 0 && (slot == RUN_FD_NOTIFY) == run->inside;
}

static int send_note(struct run *run, size_t row, int result, const struct err *err)
{
	struct note note = {.row = (uint32_t)row, .result = result};
	int fds[RUN_FD_COUNT];

	if (err)
		note.err = *err;
	(void)str_copy(note.init_kind, sizeof(note.init_kind), run->init_kind);
	for (size_t i = 0; result == 0 && i < RUN_FD_COUNT; i++) {
		if (!is_ours_to_send(run, i))
			continue;
		note.fd_slot[note.fd_count] = (uint8_t)i;
		fds[note.fd_count++] = run->fd[i];
	}
	int r = message_send(run->other, &note, sizeof(note), fds, note.fd_count);

	/* What was handed over is the other side's now. */
	for (size_t i = 0; note.fd_count && i < RUN_FD_COUNT; i++)
		if (is_ours_to_send(run, i))
			close(take_fd(&run->fd[i]));
	return r;
}

/* Puts what came into the places that the note names; what the other side has no business to send is dropped. */
static void place_fds(struct run *run, const struct note *note, const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t slot = i < note->fd_count ? note->fd_slot[i] : RUN_FD_COUNT;

		if (slot >= RUN_FD_COUNT || (slot == RUN_FD_NOTIFY) == run->inside || run->fd[slot] >= 0)
			close(fds[i]);
		else
			run->fd[slot] = fds[i];
	}
}

/* 0, -EPIPE at EOF, or the other side's failure with its error record. The guest side may have run what is the guest's own (a
 * template's programs, when it personalises): nothing in its notes is believed. */
static int receive_note(struct run *run, size_t *ret_row, struct err *err)
{
	struct note note;
	int fds[RUN_FD_COUNT];
	size_t count = RUN_FD_COUNT;
	int r = message_receive(run->other, &note, sizeof(note), fds, &count);

	if (r == -EPIPE)
		return r;
	if (r == -EAGAIN)
		return err_set(err, ERR_TIMEOUT, "hear from the other side of the start within %d s", WALK_WORD_MS / 1000);
	if (r < 0)
		return err_num(err, r, "read a note from the other side of the start");
	place_fds(run, &note, fds, count);
	err_seal(&note.err);
	if (note.result < 0) {
		if (err)
			*err = note.err;
		return note.result == -EPIPE ? -EIO : note.result; /* only silence is EPIPE */
	}
	note.init_kind[sizeof(note.init_kind) - 1] = '\0';
	if (note.init_kind[0] && str_printable(note.init_kind)) /* it becomes a line of the run record */
		memcpy(run->init_kind, note.init_kind, sizeof(run->init_kind));
	*ret_row = note.row;
	return 0;
}

/* The next wanted row at or after `row`; step_count when there is none. */
static size_t next_wanted(const struct run *run, size_t row)
{
	while (row < step_count && !step_wanted(&step_table[row], run))
		row++;
	return row;
}

/* Tells the other side that rows up to `row` are done, when the next one is its. */
static int hand_over(struct run *run, size_t row, enum side side)
{
	size_t next = next_wanted(run, row + 1);

	if (run->other < 0 || (next < step_count && step_table[next].side == side))
		return 0;
	return send_note(run, row, 0, NULL);
}

static bool is_last(const struct run *run, size_t row)
{
	return next_wanted(run, row + 1) == step_count;
}

/* The guest's side has announced that it executes init: from there on silence means that it did, since its socket is
 * close-on-exec. */
static int await_exec(struct run *run, struct err *err)
{
	size_t said;
	int r = receive_note(run, &said, err);

	if (r == -EPIPE)
		return 0;
	return r < 0 ? r : err_num(err, EPROTO, "keep the two sides of the start in step after their last row");
}

int walk_announce_exec(struct run *run, struct err *err)
{
	size_t row = next_wanted(run, 0);

	while (!is_last(run, row))
		row = next_wanted(run, row + 1);
	return send_note(run, row, 0, NULL) < 0 ? err_num(err, EPIPE, "tell the host that init comes now") : 0;
}

/* Waits for the note that ends the other side's rows from `row` on; returns the first row after them. */
static int await_other(struct run *run, size_t row, enum side other, size_t *ret_next, struct err *err)
{
	size_t last = row, next = row, said = 0;

	while (next < step_count && step_table[next].side == other) {
		last = next;
		next = next_wanted(run, next + 1);
	}
	int r = receive_note(run, &said, err);
	if (r == -EPIPE) {
		(void)err_set(err, ERR_FAILED, "go on with the start: its %s side ended without a word",
			      other == GUEST ? "guest" : "host");
		return err_step(err, step_table[row].name);
	}
	if (r < 0)
		return r;
	if (said != last)
		return err_num(err, EPROTO, "keep the two sides of the start in step (row %zu, expected %zu)", said, last);
	*ret_next = next;
	return other == GUEST && run->mode == RUN_START && is_last(run, last) ? await_exec(run, err) : 0;
}

static void kill_first_process(struct run *run)
{
	siginfo_t info;

	if (run->init_pidfd < 0)
		return;
	(void)proc_signal(run->init_pidfd, SIGKILL); /* it may be dead already */
	(void)waitid(P_PIDFD, (id_t)run->init_pidfd, &info, WEXITED);
	close(take_fd(&run->init_pidfd));
}

/* The HOST row behind the GUEST rows at `row`, when it may be done while they run; step_count otherwise. */
static size_t row_ahead(const struct run *run, size_t row)
{
	while (row < step_count && step_table[row].side == GUEST)
		row = next_wanted(run, row + 1);
	return row < step_count && step_table[row].ahead ? row : step_count;
}

/* Why a note could not be sent. */
static int lost_other(struct run *run, int sent, struct err *err)
{
	size_t said;

	if (sent != -EPIPE && sent != -ECONNRESET)
		return err_num(err, sent, "go on with the start: tell its guest side");
	/* The child is gone; its own words, if it left any, say more than a broken socket. */
	int r = receive_note(run, &said, err);

	if (r == 0 || r == -EPIPE)
		return err_set(err, ERR_FAILED, "go on with the start: the guest's first process ended");
	return r;
}

/* A row that is done ahead may fail because the guest's side has ended meanwhile: what that said comes first. */
static int first_fault(struct run *run, int fault, struct err *err)
{
	struct pollfd word = {.fd = run->other, .events = POLLIN};
	struct err theirs = {0};
	size_t said;

	if (poll(&word, 1, 0) <= 0 || !(word.revents & POLLIN))
		return fault;
	int r = receive_note(run, &said, &theirs);

	if (r >= 0 || theirs.code == ERR_NONE)
		return fault;
	if (err)
		*err = theirs;
	return r;
}

int walk_host(struct run *run, struct err *err)
{
	size_t row = next_wanted(run, 0), done_ahead = step_count;
	int r = 0;

	while (r == 0 && row < step_count) {
		const struct step *step = &step_table[row];

		if (step->side == GUEST) {
			done_ahead = row_ahead(run, row);
			if (done_ahead < step_count)
				r = do_step(run, &step_table[done_ahead], err);
			if (r < 0)
				r = first_fault(run, r, err);
			if (r == 0)
				r = await_other(run, row, GUEST, &row, err);
			continue;
		}
		if (row != done_ahead)
			r = do_step(run, step, err);
		if (run->inside)
			walk_guest(run, next_wanted(run, row + 1)); /* the clone came back in the child */
		int sent = r == 0 ? hand_over(run, row, HOST) : 0;

		if (sent < 0) {
			r = lost_other(run, sent, err);
			(void)err_step(err, step->name);
		}
		row = next_wanted(run, row + 1);
	}
	if (r < 0)
		walk_over(run);
	return r;
}

void walk_over(struct run *run)
{
	kill_first_process(run);
	walk_back(run);
}

_Noreturn void walk_guest(struct run *run, size_t row)
{
	struct err err = {0};
	int r = 0;

	if (getenv("ISLE_HOLD"))
		run->init_pid = pid_on_host();
	while (r == 0 && row < step_count) {
		const struct step *step = &step_table[row];

		if (step->side == HOST) {
			/* The host tells its own failures to whoever called it; here they only end the walk. */
			if (await_other(run, row, HOST, &row, NULL) < 0)
				_exit(1);
			continue;
		}
		r = do_step(run, step, &err);
		if (r == 0 && hand_over(run, row, GUEST) < 0)
			_exit(1);
		row = next_wanted(run, row + 1);
	}
	if (r < 0)
		(void)send_note(run, row, r, &err); /* the host sees our end in any case */
	_exit(r < 0 ? 1 : 0);
}

void walk_back(struct run *run)
{
	for (size_t row = step_count; row-- > 0;) {
		const struct step *step = &step_table[row];

		if (step->side != HOST || !step->undo)
			continue;
		if (fault_asked(step, "kill-undo"))
			_exit(137);
		uint64_t since = clock_ns();

		step->undo(run);
		trace(run, step, "undone", since);
	}
}

int walk_undone(const struct run *run, struct err *err)
{
	if (run->undo_err.code == ERR_NONE)
		return 0;
	if (err)
		*err = run->undo_err;
	(void)err_hint(err, "it has ended; the next command on '%s' clears up what is left", run->guest->name);
	return run->undo_err.sys ? -run->undo_err.sys : -EIO;
}
