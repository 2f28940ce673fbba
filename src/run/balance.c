/* Moves guests that isle has placed on CPUs, so that busy ones do not share a CPU while another is idle. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "../guest/record.h"
#include "../kernel/cgroup.h"
#include "balance.h"
#include "limits.h"

#define IDLE       0.05 /* of a CPU: who uses less is in nobody's way */
#define MOVES_MOST 1000

/* What would be won by giving one guest another CPU in the place of one of its own. */
struct exchange {
	struct balance_guest *guest;
	size_t from, to;
	double gain, part;
};

static size_t count_of(const bool *on, size_t cpus)
{
	size_t count = 0;

	for (size_t i = 0; i < cpus; i++)
		count += on[i];
	return count;
}

static double part_of(const struct balance_guest *guest, size_t cpus)
{
	size_t count = count_of(guest->on, cpus);

	return count ? guest->used / (double)count : 0;
}

/* Its fullest CPU against the emptiest of the others. */
static void consider(struct balance_guest *guest, const bool *there, const double *load, size_t cpus, struct exchange *best)
{
	struct exchange exchange = {.guest = guest, .from = cpus, .to = cpus, .part = part_of(guest, cpus)};

	if (!guest->may_move || exchange.part < IDLE)
		return;
	for (size_t i = 0; i < cpus; i++) {
		size_t *end = guest->on[i] ? &exchange.from : &exchange.to;
		bool better = *end == cpus || (guest->on[i] ? load[i] > load[*end] : load[i] < load[*end]);

		if (better && (guest->on[i] || there[i]))
			*end = i;
	}
	if (exchange.from == cpus || exchange.to == cpus)
		return;
	exchange.gain = load[exchange.from] - (load[exchange.to] + exchange.part);
	if (exchange.gain > best->gain)
		*best = exchange;
}

void balance_plan(const bool *there, size_t cpus, struct balance_guest *guests, size_t count)
{
	auto_free double *load = calloc(cpus ? cpus : 1, sizeof(*load));

	for (size_t g = 0; load && g < count; g++)
		for (size_t i = 0; i < cpus; i++)
			load[i] += guests[g].on[i] ? part_of(&guests[g], cpus) : 0;
	for (int moves = 0; load && moves < MOVES_MOST; moves++) {
		struct exchange best = {.gain = BALANCE_GAIN};

		for (size_t g = 0; g < count; g++)
			consider(&guests[g], there, load, cpus, &best);
		if (!best.guest)
			return;
		best.guest->on[best.from] = false;
		best.guest->on[best.to] = true;
		best.guest->moved = true;
		load[best.from] -= best.part;
		load[best.to] += best.part;
	}
}

/* Looking */

struct looked {
	struct balance_guest *guests;
	struct record *records;
	bool *on;
	size_t count;
};

static uint64_t cpu_usec(const struct record *record)
{
	struct cgroup_stat stat;

	return cgroup_stat(record->cgroup, &stat) == 0 ? stat.cpu_usec : UINT64_MAX;
}

static void add_guest(const struct store *store, const char *name, struct looked *all)
{
	struct balance_guest *one = &all->guests[all->count];
	struct record *record = &all->records[all->count];
	struct guest *guest = NULL;
	bool *on = all->on + all->count * LIMITS_CPUS;
	enum state state = guest_state(store, name, record);

	memset(on, 0, LIMITS_CPUS);
	if ((state != STATE_RUNNING && state != STATE_FROZEN) || !record->cpuset[0] ||
	    types_cpuset_read(record->cpuset, on, LIMITS_CPUS) < 0 || guest_open(store, name, &guest, NULL) < 0)
		return;
	*one = (struct balance_guest){.was = record->cpuset, .on = on, .may_move = limits_are_placed(guest->spec)};
	if (str_copy(one->name, sizeof(one->name), name) == 0)
		all->count++;
	guest_free(guest);
}

static void looked_free(struct looked *all)
{
	free(all->guests);
	free(all->records);
	free(all->on);
}

static int look(const struct store *store, unsigned sample_ms, struct looked *ret, struct err *err)
{
	char **names = NULL;
	size_t count = 0;
	int r = store_names(store, &names, err);

	if (r < 0)
		return r;
	while (names[count])
		count++;
	*ret = (struct looked){.guests = calloc(count + 1, sizeof(*ret->guests)),
			       .records = calloc(count + 1, sizeof(*ret->records)),
			       .on = calloc(count + 1, LIMITS_CPUS)};
	auto_free uint64_t *before = calloc(count + 1, sizeof(*before));

	if (!ret->guests || !ret->records || !ret->on || !before) {
		store_names_free(names);
		looked_free(ret);
		return err_num(err, ENOMEM, "look at the guests");
	}
	for (size_t i = 0; i < count; i++)
		add_guest(store, names[i], ret);
	store_names_free(names);
	uint64_t since = proc_now_ms();

	for (size_t i = 0; i < ret->count; i++)
		before[i] = cpu_usec(&ret->records[i]);
	if (ret->count > 1)
		(void)poll(NULL, 0, (int)sample_ms); /* the time that the load is of */
	uint64_t elapsed = proc_now_ms() - since;

	for (size_t i = 0; i < ret->count; i++) {
		uint64_t now = cpu_usec(&ret->records[i]);

		if (now != UINT64_MAX && before[i] != UINT64_MAX && now > before[i] && elapsed)
			ret->guests[i].used = (double)(now - before[i]) / (double)elapsed / 1000;
	}
	return 0;
}

/* Moving */

static int move_locked(struct guest *guest, const struct balance_guest *one, const char *list, bool *ret_moved, struct err *err)
{
	struct cgroup_limits limits;
	struct record record;
	enum state state = guest_state_locked(guest, &record);

	if ((state != STATE_RUNNING && state != STATE_FROZEN) || strcmp(record.cpuset, one->was) != 0 || record.changing ||
	    !limits_are_placed(guest->spec))
		return 0;
	struct record next = record;
	int r = str_copy(next.cpuset, sizeof(next.cpuset), list);

	/* Killed in between, the next command that changes the guest sets what the record says. */
	next.changing = record.changing = 1;
	if (r == 0)
		r = record_save(guest->store, guest->name, &next, err);
	if (r < 0)
		return r;
	cgroup_limits_none(&limits);
	limits.cpuset = list;
	r = cgroup_limit(record.cgroup, &limits, CGROUP_BIT(CGROUP_CPUSET), err);
	*ret_moved = r == 0;
	next.changing = record.changing = 0;
	int saved = record_save(guest->store, guest->name, r == 0 ? &next : &record, r == 0 ? err : NULL);
	return r < 0 ? r : saved;
}

/* *ret_moved stays false where the guest has gone another way meanwhile. */
static int move(const struct store *store, const struct balance_guest *one, const char *list, bool *ret_moved, struct err *err)
{
	struct guest *guest = NULL;
	int r = 0;

	if (guest_open(store, one->name, &guest, NULL) == 0 && guest_lock(guest, 0, NULL) == 0)
		r = move_locked(guest, one, list, ret_moved, err);
	guest_free(guest);
	return r;
}

int balance(const struct store *store, unsigned sample_ms,
	    void (*tell)(void *arg, const char *name, const char *was, const char *is), void *arg, struct err *err)
{
	auto_free bool *there = calloc(LIMITS_CPUS, 1);
	struct looked all = {0};
	int r = there ? limits_online(there, err) : err_num(err, ENOMEM, "look at the CPUs");

	if (r == 0)
		r = look(store, sample_ms, &all, err);
	if (r < 0)
		return r;
	size_t cpus = LIMITS_CPUS;

	while (cpus > 0 && !there[cpus - 1])
		cpus--;
	balance_plan(there, cpus, all.guests, all.count);
	for (size_t i = 0; i < all.count; i++) {
		auto_free char *list = all.guests[i].moved ? types_cpuset_format(all.guests[i].on, LIMITS_CPUS) : NULL;
		bool moved = false;

		if (!all.guests[i].moved)
			continue;
		/* One that cannot be moved keeps no other where it is; the first fault is the one to tell. */
		struct err *why = r == 0 ? err : NULL;
		int one = list ? move(store, &all.guests[i], list, &moved, why)
			       : err_num(why, ENOMEM, "move '%s'", all.guests[i].name);

		r = r == 0 ? one : r;
		if (moved)
			tell(arg, all.guests[i].name, all.guests[i].was, list);
	}
	looked_free(&all);
	return r;
}
