/* isle stop and isle restart. */
#include "config.h"

#include <errno.h>

#include "../guest/record.h"
#include "../run/shutdown.h"
#include "../run/start.h"
#include "../run/stop.h"
#include "verbs.h"

static int read_request(struct call *call, const struct guest *guest, struct stop_request *ret, struct err *err)
{
	unsigned long timeout;
	int r = call_duration(call, "timeout", (unsigned long)guest->spec->guest.stop_timeout, &timeout, err);

	*ret = (struct stop_request){
		.kill = call_has(call, "kill"),
		.keep_asking = call_has(call, "no-kill"),
		.timeout_ms = (unsigned)timeout,
	};
	return r;
}

/* What is only to be stopped (any) may have a config with a fault. */
static int open_locked(struct call *call, const char *name, bool any, bool *ret_ended, struct guest **ret, struct err *err)
{
	const struct store *store;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = any ? guest_open_any(store, name, ret, err) : guest_open(store, name, ret, err);
	if (r < 0)
		return r;
	return call_has(call, "kill") ? stop_lock(*ret, ret_ended, err) : guest_lock(*ret, STORE_LOCK_MS, err);
}

static int stop_one(struct call *call, const char *name, struct err *err)
{
	struct guest *guest = NULL;
	struct stop_request request;
	bool ended = false;
	int r = open_locked(call, name, true, &ended, &guest, err);

	if (r == 0)
		r = read_request(call, guest, &request, err);
	if (r == 0 && !(ended && guest_state(guest->store, guest->name, NULL) == STATE_STOPPED))
		r = call_has(call, "all") ? shutdown_guest(guest, &request, err) : stop_guest(guest, &request, err);
	guest_free(guest);
	return r;
}

static int restart_one(struct call *call, const char *name, struct err *err)
{
	struct guest *guest = NULL;
	struct stop_request request;
	unsigned long up;
	int r = call_duration(call, "up-timeout", 120000, &up, err);

	if (r == 0)
		r = open_locked(call, name, false, NULL, &guest, err);
	if (r == 0)
		r = read_request(call, guest, &request, err);
	if (r == 0) {
		enum state state = guest_state_locked(guest, NULL);

		if (state != STATE_STOPPED && state != STATE_BROKEN)
			r = stop_guest(guest, &request, err);
	}
	struct start_request start = {.wait = call_has(call, "wait"), .wait_ms = (unsigned)up};

	if (r == 0)
		r = start_guest(guest, &start, err);
	guest_free(guest);
	return r;
}

/* With --all: those that run in any way. One that is just being started is waited for. */
#define UP (CALL_STATE(STATE_STARTING) | CALL_STATE(STATE_RUNNING) | CALL_STATE(STATE_FROZEN))

static int each_name(struct call *call, int (*fn)(struct call *call, const char *name, struct err *err), struct err *err)
{
	char **names = NULL;
	int r = call_names(call, UP, &names, err);

	if (r == 0)
		r = call_each(call, names, fn, err);
	store_names_free(names);
	return r;
}

static int run_stop(struct call *call, struct err *err)
{
	if (call_has(call, "reboot"))
		return each_name(call, restart_one, err);
	return each_name(call, stop_one, err);
}

static int run_restart(struct call *call, struct err *err)
{
	return each_name(call, restart_one, err);
}

#define STOP_OPTIONS                                                                                              \
	{.name = "kill", .letter = 'k', .doc = "Do not ask the guest's init, kill it.", .lxc = "-k --kill"},      \
		{.name = "no-kill",                                                                               \
		 .doc = "When the time is over fail (exit status 5) and leave it running instead of killing it.", \
		 .lxc = "--nokill"},                                                                              \
	{                                                                                                         \
		.name = "timeout", .letter = 't', .arg = "DURATION",                                              \
		.doc = "How long init may take to power off before it is killed; by default the "                 \
		       "guest's key guest.stop-timeout.",                                                         \
		.lxc = "-t --timeout"                                                                             \
	}

static const struct option_row stop_options[] = {
	STOP_OPTIONS,
	{.name = "reboot", .letter = 'r', .doc = "Start it again, as 'isle restart' does.", .lxc = "-r --reboot"},
	{NULL},
};

static const struct option_row restart_options[] = {
	STOP_OPTIONS,
	{.name = "wait", .letter = 'w', .doc = "Return when the guest's init says that its boot is complete."},
	{.name = "up-timeout", .arg = "DURATION", .doc = "How long --wait waits; 120 s by default."},
	{NULL},
};

const struct verb verb_stop = {
	.name = "stop",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Stop guests.",
	.headline = "stop guest %",
	.text = "Asks each guest's init to power off in its own language (SIGRTMIN+3 for systemd, SIGUSR2 for busybox, SIGPWR for others, or the key "
		"guest.stop-signal), waits, and kills what is left when the time is over. When the command returns the guest's processes, interfaces, "
		"control groups and monitor are gone.\n\n"
		"With --all, which is how a host's shutdown ends its guests, those whose key guest.on-shutdown is checkpoint are put to sleep instead "
		"(see isle-checkpoint(1)), unless --kill is given; one that cannot be is stopped, and that is said.",
	.examples = "isle stop web1\nisle stop --timeout 10 web1 web2\nisle stop --all\nisle-stop -n web1 -k",
	.options = stop_options,
	.min = 0,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.takes_all = true,
	.needs_root = true,
	.run = run_stop,
};

const struct verb verb_restart = {
	.name = "restart",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Stop and start guests.",
	.headline = "restart guest %",
	.text = "As 'isle stop' followed by 'isle start', under one lock. A guest that is stopped is started. With --all every running guest.",
	.examples = "isle restart web1\nisle restart --kill --wait web1",
	.options = restart_options,
	.min = 0,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.takes_all = true,
	.needs_root = true,
	.enters_guests = true,
	.run = run_restart,
};
