/* Starts a guest: a child walks the HOST rows, tells how it went, and becomes the monitor. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/message.h"
#include "../base/proc.h"
#include "../base/self.h"
#include "../base/str.h"
#include "../kernel/inherit.h"
#include "../kernel/ns.h"
#include "../kernel/machined.h"
#include "create.h"
#include "monitor.h"
#include "rename.h"
#include "repair.h"
#include "restore.h"
#include "start.h"
#include "steps.h"
#include "walk.h"

#define RESTORE_MS 60000 /* for criu */
#define DYING_MS   1000  /* a process that is about to end does so within this time */

/* What the walking child tells the command that waits; the notify socket comes along where one was asked for. */
struct report {
	int32_t result;
	struct err err;
};

static int send_report(int fd, int result, const struct err *err, int pass_fd)
{
	struct report report = {.result = result, .err = *err};

	return message_send(fd, &report, sizeof(report), &pass_fd, pass_fd >= 0);
}

static int receive_report(int fd, int *ret_passed, struct err *err)
{
	struct report report;
	size_t count = 1;

	if (message_receive(fd, &report, sizeof(report), ret_passed, &count) < 0)
		return -EPIPE;
	if (report.result < 0 && err)
		*err = report.err;
	return report.result;
}

/* Nothing depends on it but what machinectl shows, so it is done when the guest already runs. */
static void register_machine(const struct run *run)
{
	struct err err = {0};
	struct machine machine;
	char unit[96];

	if (run_machine(run, unit, sizeof(unit), &machine) && machined_register(&machine, &err) < 0)
		run_log(run, "not registered with systemd-machined: %s", err.what);
}

static int turn_into_monitor(struct run *run, struct err *err)
{
	char isle[PATH_MAX];

	guest_unlock(run->guest); /* the run is whole: a slow machined must not keep other commands from it */
	register_machine(run);
	int r = self_path(isle, sizeof(isle));

	if (r < 0)
		return err_num(err, r, "find isle's own program");
	/* Without it an interface of the host, had the guest one, might be lost at its end. */
	auto_close int netns = ns_open(run->init_pid, "net", NULL);
	struct cgroup_oom oom;
	bool watched = cgroup_oom_open(run->record.cgroup, &oom, NULL) == 0; /* without it kills are counted but not told */
	struct monitor_args args = {
		.netns_fd = netns,
		.name = run->guest->name,
		.store_root = run->guest->store->root,
		.isle = isle,
		.guest_fd = run->guest->dir_fd,
		.run_fd = run->run_fd,
		.init_pidfd = run->init_pidfd,
		.init_pid = run->init_pid,
		.console_fd = run->console_fd,
		.control_fd = run->control_fd,
		.log_max = run->spec->guest.console_log,
		.oom = watched ? &oom : NULL,
		.ids = run->record.ids,
		.cgroup = run->record.cgroup,
		.is_child = 1,
	};

	return monitor_exec(&args, err);
}

static int walk_and_log(struct run *run, struct err *err)
{
	int r = walk_host(run, err);

	if (r == 0)
		monitor_hold_term(); /* it is for the monitor, and systemd may know the guest for long before there is one */
	if (r < 0)
		run_log(run, "start failed at step '%s': %s", err->step, err->what);
	else
		run_log(run, "%s, init is process %d", run->mode == RUN_RESTORE ? "restored" : "started", run->init_pid);
	return r;
}

int start_become_monitor(struct run *run, struct err *err)
{
	int r = walk_and_log(run, err);

	return r < 0 ? r : turn_into_monitor(run, err);
}

/* The child of `isle start`. It outlives the terminal and the session that it came from. */
static _Noreturn void walk_and_stay(struct guest *guest, const struct start_request *request, int report_fd)
{
	struct err err = {0};
	struct run *run;

	static const int from_terminals[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE};

	(void)setsid();
	/* Until the monitor has settled; the guest's side gets its signals back before it executes anything. */
	for (size_t i = 0; i < sizeof(from_terminals) / sizeof(from_terminals[0]); i++)
		(void)signal(from_terminals[i], SIG_IGN);
	inherit_reset(false);
	(void)chdir("/"); /* else the caller's folder stays busy as long as the guest runs */
	run = run_new(guest, request->restore ? RUN_RESTORE : RUN_START);
	if (!run)
		_exit(1);
	run->restore = request->restore;
	run->want_notify = request->wait;
	int r = walk_and_log(run, &err);
	(void)send_report(report_fd, r, &err, run->fd[RUN_FD_NOTIFY]); /* nobody listens any more: the guest runs all the same */
	if (r < 0)
		_exit(1);
	if (run->fd[RUN_FD_NOTIFY] >= 0)
		close(take_fd(&run->fd[RUN_FD_NOTIFY]));
	close(report_fd);
	(void)turn_into_monitor(run, &err);
	run_log(run, "the monitor could not be executed: %s", err.what);
	_exit(1); /* the guest runs on without one; the next command gives it a new one */
}

/* systemd sends READY=1 when its boot is complete (sd_notify(3)). */
static int wait_until_up(const struct guest *guest, int notify, unsigned timeout_ms, struct err *err)
{
	struct record record;
	uint64_t deadline = proc_now_ms() + timeout_ms;

	if (notify < 0)
		return 0;
	if (record_load(guest->store, guest->name, &record) < 0)
		return err_set(err, ERR_FAILED, "wait for the guest to come up: it ended");
	auto_close int init = record_init_pidfd(&record);

	for (;;) {
		struct pollfd watch[2] = {{.fd = notify, .events = POLLIN}, {.fd = init, .events = POLLIN}};
		char text[4096];
		uint64_t now = proc_now_ms();

		if (now >= deadline) {
			(void)err_set(err, ERR_TIMEOUT, "wait for the guest to come up: its init has not said so in %u s",
				      timeout_ms / 1000);
			return err_hint(err, "it runs; isle exec %s -- systemctl list-jobs shows what it waits for", guest->name);
		}
		if (poll(watch, 2, (int)(deadline - now)) < 0 && errno != EINTR)
			return err_sys(err, "wait for the guest to come up");
		if (init < 0 || watch[1].revents)
			return err_set(err, ERR_FAILED, "wait for the guest to come up: it ended");
		if (!(watch[0].revents & POLLIN))
			continue;
		ssize_t len = recv(notify, text, sizeof(text) - 1, 0);

		if (len <= 0)
			continue;
		text[len] = '\0';
		if (str_starts(text, "READY=1") || strstr(text, "\nREADY=1"))
			return 0;
	}
}

int start_may(struct guest *guest, struct err *err)
{
	enum state state = guest_state_locked(guest, NULL);

	if (state == STATE_STOPPING)
		return repair_guest(guest->store, guest->name, err);
	if (state != STATE_STOPPED && state != STATE_CHECKPOINTED) {
		int r = repair_as_needed(guest, err);
		if (r < 0)
			return r;
		state = guest_state_locked(guest, NULL);
	}
	if (state_may_go(state, STATE_STARTING))
		return 0;
	(void)err_set(err, ERR_STATE, "start it: it is %s already", state_names[state]);
	if (state == STATE_FROZEN)
		return err_hint(err, "isle unfreeze %s", guest->name);
	return err_hint(err, "isle restart %s starts it anew", guest->name);
}

/* The starting process was killed. A guest that was restored may be whole without it. */
static int starter_killed(struct guest *guest, const struct start_request *request, struct err *err)
{
	struct err why = {0};

	if (!request->restore)
		(void)repair_guest(guest->store, guest->name, NULL);
	else if (repair_as_needed(guest, &why) == 0 && guest_state_locked(guest, NULL) == STATE_RUNNING)
		return 0;
	/* The first failure is the one to tell first. */
	return err_set(err, ERR_FAILED, "start the guest: the starting process was killed%s%s", why.what[0] ? ", and then: " : "",
		       why.what);
}

/* The connection's end without a report: most often the child is dead. */
static bool became_monitor(const struct guest *guest, pid_t child)
{
	auto_close int pidfd = proc_pidfd(child, proc_start_time(child));
	struct record record;

	return pidfd >= 0 && proc_wait_gone(pidfd, DYING_MS) == -ETIMEDOUT && guest_state_locked(guest, &record) == STATE_RUNNING &&
	       record.monitor_pid == child;
}

static int fork_start(struct guest *guest, const struct start_request *request, struct err *err)
{
	int pair[2], passed = -1;
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	fflush(NULL); /* else the child would write what is buffered once more */
	pid_t child = fork();

	if (child == 0) {
		close(pair[0]);
		walk_and_stay(guest, request, pair[1]);
	}
	close(pair[1]);
	auto_close int report = pair[0];

	if (child < 0)
		return err_sys(err, "fork the monitor");
	r = receive_report(report, &passed, err);
	auto_close int notify = passed;

	if (r == -EPIPE && became_monitor(guest, child))
		r = 0; /* only its word was lost */
	if (r == -EPIPE) {
		(void)waitpid(child, NULL, 0);
		return starter_killed(guest, request, err);
	}
	if (r < 0) {
		(void)waitpid(child, NULL, 0);
		return r;
	}
	if (!request->wait || request->restore)
		return 0;
	guest_unlock(guest); /* a boot may take minutes: others may stop it meanwhile */
	return wait_until_up(guest, notify, request->wait_ms, err);
}

/* A guest that sleeps in a checkpoint wakes from it, or is told to forget it. */
static int wake(struct guest *guest, const struct start_request *request, const char *id, struct err *err)
{
	struct start_request waking = *request;
	struct restore restore = {.folder = -1};
	int r;

	if (request->cold) {
		r = checkpoint_wake(guest, err);
		if (r < 0)
			return r;
		(void)checkpoint_delete(guest, id, NULL); /* one that is damaged or gone is in nobody's way */
		return fork_start(guest, request, err);
	}
	auto_free char *elsewhere = checkpoint_asleep_at(guest->store, guest->name);

	r = restore_open(guest, id, elsewhere, false, &restore, err);
	if (r == -ENOENT && elsewhere)
		return err_hint(
			err, "isle restore --from FOLDER %s wakes it from where that is now; isle start --cold %s starts it anew",
			guest->name, guest->name);
	if (r == -EKEYREJECTED)
		return err_hint(err, "isle restore --trust-images %s, if you know who made it; isle start --cold %s starts it anew",
				guest->name, guest->name);
	if (r == -ENOENT || (r < 0 && err && !err->hint[0]))
		return err_hint(err, "isle start --cold %s starts it anew", guest->name);
	if (r < 0)
		return r;
	restore.timeout_ms = RESTORE_MS;
	waking.restore = &restore;
	r = fork_start(guest, &waking, err);
	if (r == 0)
		restore_done(guest, &restore);
	restore_close(&restore);
	return r;
}

int start_guest(struct guest *guest, const struct start_request *request, struct err *err)
{
	char id[32];
	int r = start_may(guest, err);

	if (r < 0)
		return r;
	rename_finish(guest);
	if (request->restore) {
		r = fork_start(guest, request, err);
		if (r == 0)
			restore_done(guest, request->restore);
		return r;
	}
	create_adopt(guest);
	r = checkpoint_asleep(guest->store, guest->name, id, err);
	if (r < 0)
		return r;
	return id[0] ? wake(guest, request, id, err) : fork_start(guest, request, err);
}

int start_plan(struct guest *guest, bool cold, void (*show)(void *arg, const struct step *step), void *arg, struct err *err)
{
	char id[32];

	(void)checkpoint_asleep(guest->store, guest->name, id, NULL); /* none: a boot is shown */
	struct run *run = run_new(guest, id[0] && !cold ? RUN_RESTORE : RUN_START);

	if (!run)
		return err_num(err, ENOMEM, "plan a start of guest '%s'", guest->name);
	for (size_t i = 0; i < step_count; i++)
		if (step_wanted(&step_table[i], run))
			show(arg, &step_table[i]);
	run_free(run);
	return 0;
}
