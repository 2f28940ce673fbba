/* isle freeze, unfreeze and wait. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../run/freeze.h"
#include "../run/wait.h"
#include "verbs.h"

static int change(struct call *call, const char *name, bool freeze, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = guest_open_any(store, name, &guest, err);
	if (r == 0)
		r = guest_lock(guest, STORE_LOCK_MS, err);
	if (r == 0)
		r = freeze_guest(guest, freeze, err);
	guest_free(guest);
	return r;
}

static int freeze_one(struct call *call, const char *name, struct err *err)
{
	return change(call, name, true, err);
}

static int unfreeze_one(struct call *call, const char *name, struct err *err)
{
	return change(call, name, false, err);
}

static int run_each(struct call *call, unsigned states, int (*fn)(struct call *call, const char *name, struct err *err),
		    struct err *err)
{
	char **names = NULL;
	int r = call_names(call, states, &names, err);

	if (r == 0)
		r = call_each(call, names, fn, err);
	store_names_free(names);
	return r;
}

static int run_freeze(struct call *call, struct err *err)
{
	return run_each(call, CALL_STATE(STATE_RUNNING), freeze_one, err);
}

static int run_unfreeze(struct call *call, struct err *err)
{
	return run_each(call, CALL_STATE(STATE_FROZEN), unfreeze_one, err);
}

/* "stopped|running" in either case, as lxc-wait has it. */
static int parse_states(struct call *call, unsigned *ret, struct err *err)
{
	const char *text = call_value(call, "state");
	auto_free char *copy = strdup(text ? text : "stopped");
	char *rest = copy;

	*ret = 0;
	for (char *word; copy && (word = strsep(&rest, "|,"));) {
		size_t i = 0;

		while (i < STATE_COUNT && strcasecmp(word, state_names[i]) != 0)
			i++;
		if (i == STATE_COUNT)
			return call_usage(call, err, "wait for state '%.40s': there is no such state", word);
		*ret |= 1u << i;
	}
	return copy ? 0 : err_num(err, ENOMEM, "wait for a state");
}

static int wait_one(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	enum state state;
	unsigned states;
	unsigned long timeout = 0;
	int r = parse_states(call, &states, err);

	if (r == 0)
		r = call_duration(call, "timeout", 0, &timeout, err);
	if (r == 0)
		r = call_store(call, &store, err);
	if (r == 0)
		r = guest_open_any(store, name, &guest, err);
	guest_free(guest);
	if (r < 0)
		return r;
	return wait_for_state(store, name, states, call_has(call, "timeout") ? (int)timeout : -1, &state, err);
}

static int run_wait(struct call *call, struct err *err)
{
	return run_each(call, CALL_ANY_STATE, wait_one, err);
}

static const struct option_row none[] = {{NULL}};
static const struct option_row wait_options[] = {
	{.name = "state",
	 .letter = 's',
	 .arg = "STATE[|STATE...]",
	 .doc = "The states to wait for; 'stopped' by default.",
	 .lxc = "-s --state"},
	{.name = "timeout",
	 .letter = 't',
	 .arg = "DURATION",
	 .doc = "Give up after this long with exit status 5; by default never.",
	 .lxc = "-t --timeout"},
	{NULL},
};

const struct verb verb_freeze = {
	.name = "freeze",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Freeze guests: their processes get no CPU until unfrozen.",
	.headline = "freeze guest %",
	.text = "Memory, addresses and connections stay. Returns when the kernel reports that every process is frozen.",
	.examples = "isle freeze web1",
	.options = none,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.takes_all = true,
	.needs_root = true,
	.run = run_freeze,
};

const struct verb verb_unfreeze = {
	.name = "unfreeze",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Let frozen guests go on.",
	.headline = "unfreeze guest %",
	.text = "The opposite of isle freeze.",
	.examples = "isle unfreeze web1\nisle unfreeze --all",
	.options = none,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.takes_all = true,
	.needs_root = true,
	.run = run_unfreeze,
};

const struct verb verb_wait = {
	.name = "wait",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Wait until guests are in a state.",
	.headline = "wait for guest %",
	.text = "States are stopped, starting, running, frozen, stopping, checkpointed and broken. With several guests, until each is.",
	.examples = "isle wait web1\nisle wait --state 'running|frozen' --timeout 30 web1\nisle-wait -n web1 -s STOPPED -t 10",
	.options = wait_options,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.takes_all = true,
	.needs_root = true,
	.run = run_wait,
};
