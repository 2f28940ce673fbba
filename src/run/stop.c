/* Stops a guest: asks its init, kills what does not go, undoes the start backwards. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/status.h"
#include "../base/str.h"
#include "../kernel/machined.h"
#include "../kernel/systemd.h"
#include "control.h"
#include "devices.h"
#include "repair.h"
#include "scope.h"
#include "start.h"
#include "steps.h"
#include "stop.h"
#include "walk.h"

#define GONE_MS        10000
#define SHORT_LOCK_MS  500
#define RELEASE_S      3
#define AGAIN_MS       1000
#define REBOOT_PACE_MS 1000 /* a guest that reboots faster than this is slowed down to it */

/* How each init is asked to power off: systemd(1) SIGNALS; inittab(5) powerfail; busybox init's source calls SIGUSR2 poweroff. */
static const struct convention {
	const char *kind;
	int realtime; /* offset from SIGRTMIN, 0: see signal */
	int signal;
} convention_table[] = {
	{"systemd", 3, 0},
	{"sysv", 0, SIGPWR},
	{"busybox", 0, SIGUSR2},
	{"other", 0, SIGPWR},
};

static int stop_signal(const struct spec *spec, const char *kind)
{
	if (spec->guest.stop_signal)
		return spec->guest.stop_signal;
	for (size_t i = 0; i < sizeof(convention_table) / sizeof(convention_table[0]); i++)
		if (strcmp(convention_table[i].kind, kind) == 0)
			return convention_table[i].realtime ? SIGRTMIN + convention_table[i].realtime : convention_table[i].signal;
	return SIGPWR;
}

/* The monitor is told that the lock's holder clears up. The word counts as long as the connection is open. One that does not answer
 * (it is stopped, or has become the isle that waits for our lock) is as good as none. */
static int release_monitor(struct run *run)
{
	const struct timeval patience = {.tv_sec = RELEASE_S};
	struct control_header header;
	auto_free char *data = malloc(CONTROL_DATA_MAX);
	auto_close int fd = control_connect(run->run_fd, NULL);

	/* A monitor whose guest has ended serves nobody any more: it waits for the lock that we hold. */
	if (fd < 0 || !data || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -1; /* none listens: a monitor that is there all the same is killed at the end */
	if (control_send(fd, CONTROL_RELEASE, NULL, 0) < 0)
		return -1;
	do {
		if (control_receive(fd, &header, data) < 0)
			return -1;
	} while (header.kind != CONTROL_DONE);
	return take_fd(&fd);
}

/* Whether init has caught or blocked the signal; any other is lost on it without a word (pid_namespaces(7)). Of one that is in
 * sigtimedwait(2), as busybox's is, the kernel does not show what it waits for: false. */
static bool hears(pid_t init, int signal)
{
	static const char *const masks[] = {"SigBlk", "SigCgt"};
	auto_free char *text = NULL;

	if (status_read(init, init, &text) < 0)
		return true; /* nobody knows: then it is asked */
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
		if (status_field(text, masks[i]) && (status_mask(text, masks[i]) >> (signal - 1) & 1))
			return true;
	return false;
}

static unsigned left_until(uint64_t deadline)
{
	uint64_t now = proc_now_ms();

	return now < deadline ? (unsigned)(deadline - now) : 0;
}

static int ask(struct run *run, int init, const struct stop_request *request, struct err *err)
{
	int signal = stop_signal(run->spec, run->record.init_kind);
	uint64_t deadline = proc_now_ms() + request->timeout_ms;

	if (cgroup_frozen(run->record.cgroup)) {
		int r = cgroup_freeze(run->record.cgroup, false, GONE_MS, err);
		if (r < 0)
			return r;
	}
	int r;

	/* One that was only just started may not listen yet: it is asked until it does. */
	do {
		bool heard = hears(run->record.init_pid, signal);

		r = proc_signal(init, signal);
		if (r < 0 && r != -ESRCH)
			return err_num(err, r, "ask the guest's init to power off (signal %d)", signal);
		unsigned left = left_until(deadline);

		r = proc_wait_gone(init, (int)(heard || left < AGAIN_MS ? left : AGAIN_MS));
	} while (r == -ETIMEDOUT && left_until(deadline) > 0);
	if (r == 0)
		return 0;
	if (!request->keep_asking) {
		run_log(run, "did not power off within %u ms: killed", request->timeout_ms);
		return -ETIMEDOUT;
	}
	(void)err_set(err, ERR_TIMEOUT, "wait for the guest to power off: it has not in %u s", request->timeout_ms / 1000);
	return err_hint(err, "isle stop --kill %s, or a longer --timeout", run->guest->name);
}

static int kill_all(struct run *run, int init, struct err *err)
{
	int r = cgroup_kill(run->record.cgroup, err);

	(void)proc_signal(init, SIGKILL); /* the group may lack it when a start was killed halfway */
	if (proc_wait_gone(init, GONE_MS) == 0)
		return 0;
	return r < 0 ? r : err_set(err, ERR_TIMEOUT, "kill the guest: its init is still there after %d s", GONE_MS / 1000);
}

/* For a quicker wake only: without it the network is made anew from the images. */
static void keep_network(struct run *run, const struct stop_request *request)
{
	struct err err = {0};

	if (!request->asleep || run->record.link_count == 0)
		return;
	for (size_t i = 0; i < run->record.device_count; i++)
		if (run->record.devices[i].kind == 'n')
			return; /* that comes home */
	if (kept_pin(run->guest, &run->record, request->asleep, &err) == 0)
		run->asleep = request->asleep;
	else
		run_log(run, "its network is not kept: %s", err.what);
}

static int stop_running(struct run *run, const struct stop_request *request, struct err *err)
{
	auto_close int init = record_init_pidfd(&run->record);
	auto_close int monitor = record_monitor_pidfd(&run->record);
	auto_close int released = init < 0 || proc_wait_gone(init, 0) == 0 ? -1 : release_monitor(run);
	int r = -ETIMEDOUT;

	struct cgroup_stat before;

	devices_hold_network(run);
	keep_network(run, request);
	if (cgroup_stat(run->record.cgroup, &before) == 0 && before.memory != UINT64_MAX)
		run->memory = before.memory;
	/* Where the scope cannot be kept, what was used until now is put down in any case. */
	if (run->host->systemd && !scope_hold(run))
		step_record_undo(run);
	/* Only what list shows meanwhile. By the phase that a checkpoint has set a repair ends what we do not. */
	if (!request->asleep) {
		(void)str_copy(run->record.phase, sizeof(run->record.phase), RECORD_STOPPING);
		(void)record_save(run->guest->store, run->guest->name, &run->record, NULL);
	}
	if (init >= 0 && !request->kill) {
		r = ask(run, init, request, err);
		if (r < 0 && request->keep_asking) {
			(void)str_copy(run->record.phase, sizeof(run->record.phase), RECORD_RUNNING);
			(void)record_save(run->guest->store, run->guest->name, &run->record, NULL);
			return r;
		}
	}
	if (init >= 0 && r < 0) {
		r = kill_all(run, init, err);
		if (r < 0)
			return r;
	}
	run_log(run, "stopped%s", request->kill ? " (killed)" : "");
	walk_back(run);
	if (monitor >= 0 && (released < 0 || proc_wait_gone(monitor, GONE_MS) < 0)) {
		(void)proc_signal(monitor, SIGKILL); /* it did not hear us; there is nothing left for it to do */
		(void)proc_wait_gone(monitor, GONE_MS);
	}
	return walk_undone(run, err);
}

int stop_lock(struct guest *guest, bool *ret_ended, struct err *err)
{
	struct record record;
	int r = guest_lock(guest, SHORT_LOCK_MS, NULL);

	if (r != -EBUSY)
		return r < 0 ? guest_lock(guest, STORE_LOCK_MS, err) : 0; /* once more, for its words */
	if (guest_state(guest->store, guest->name, &record) == STATE_STOPPING) {
		auto_close int init = record_init_pidfd(&record);

		if (init >= 0 && proc_signal(init, SIGKILL) == 0 && ret_ended)
			*ret_ended = true;
	}
	return guest_lock(guest, STORE_LOCK_MS, err);
}

/* A checkpoint or a wake that was killed is finished first: it may sleep, its init may stand still, or be noted to sleep. Who kills
 * need not let it go on before. */
static bool is_half_done(enum state state, const struct record *record, bool kill)
{
	return (state == STATE_RUNNING || state == STATE_FROZEN) &&
	       (strcmp(record->phase, RECORD_WAKING) == 0 || (!kill && strcmp(record->phase, RECORD_CHECKPOINT) == 0));
}

int stop_guest(struct guest *guest, const struct stop_request *request, struct err *err)
{
	struct record record;
	enum state state;
	int r = guest_state_sure(guest, &record, &state, err);

	if (r < 0)
		return r;
	if (is_half_done(state, &record, request->kill)) {
		r = repair_as_needed(guest, err);
		if (r < 0)
			return r;
		state = guest_state_locked(guest, &record);
	}
	if (state == STATE_BROKEN) {
		r = repair_guest(guest->store, guest->name, err);
		return r < 0 ? r : err_set(err, ERR_STATE, "stop it: it is stopped (what a killed run had left is cleared up)");
	}
	if (!state_may_go(state, STATE_STOPPING)) {
		r = err_set(err, ERR_STATE, "stop it: it is %s", state_names[state]);

		return state == STATE_CHECKPOINTED ? err_hint(err, "isle start %s wakes it; isle start --cold %s starts it anew",
							      guest->name, guest->name)
						   : r;
	}
	struct run *run = run_new(guest, RUN_START);

	if (!run)
		return err_num(err, ENOMEM, "stop the guest");
	run->record = record;
	run->run_fd = openat(guest->store->run_fd, guest->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = run->run_fd < 0 ? err_sys(err, "open %s/%s", guest->store->run, guest->name) : stop_running(run, request, err);

	scope_release(run); /* the guest goes on */
	run_free(run);
	return r;
}

/* Whether systemd ends the guest's scope just now: a reboot would start in there what it is about to kill. Else a SIGTERM that
 * waits, which is blocked, is machined's, for whom an init's end is the guest's. */
static bool scope_ends(const struct run *run)
{
	const struct timespec at_once = {0};
	struct machine machine;
	sigset_t term;
	char unit[96];

	if (!run_machine(run, unit, sizeof(unit), &machine))
		return false;
	machined_forget(&machine);
	if (systemd_unit_ends(unit))
		return true;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	(void)sigtimedwait(&term, NULL, &at_once); /* none waits, as a rule */
	return false;
}

/* A reboot keeps the run folder with its control socket, the console and this process. */
static int start_again(struct run *run, const struct stop_after *after, struct err *err)
{
	run->console_fd = after->console_fd;
	run->control_fd = after->control_fd;
	run->run_fd = after->run_fd;
	step_record_undo(run);
	step_interfaces_undo(run);
	step_network_undo(run);
	step_cgroup_undo(run);
	run->undo_err = (struct err){0}; /* the start that follows clears up or says why it cannot */
	run_log(run, "rebooted from inside");
	return start_become_monitor(run, err);
}

/* Without the lock: a guest that reboots at once, for ever, must not keep others from stopping it. */
static void pace(const struct store *store, const struct stop_after *after)
{
	struct record record;

	if (strcmp(after->how, "reboot") != 0 || record_load(store, after->name, &record) < 0)
		return;
	if (((uint64_t)time(NULL) - record.started) * 1000 < REBOOT_PACE_MS)
		(void)poll(NULL, 0, REBOOT_PACE_MS); /* pacing, not waiting for anything */
}

int stop_after(const struct store *store, const struct stop_after *after, struct err *err)
{
	struct guest *guest = NULL;

	pace(store, after);
	int r = guest_open_any(store, after->name, &guest, err);

	if (r == 0)
		r = guest_lock(guest, -1, err); /* nobody waits for this process, and a reboot must not be lost to a long command */
	struct run *run = r == 0 ? run_new(guest, RUN_START) : NULL;

	if (run && record_load(store, after->name, &run->record) == 0 && run->record.monitor_pid == getpid()) {
		if (strcmp(after->how, "reboot") == 0 && !guest->faulty && !scope_ends(run)) {
			r = start_again(run, after, err);
		} else {
			run_log(run, "ended by itself (%s)%s", after->how, guest->faulty ? "; its config has a fault" : "");
			walk_back(run);
		}
	}
	/* Else somebody cleared up while we waited for the lock, and there is nothing left to do. */
	run_free(run);
	guest_free(guest);
	return r;
}
