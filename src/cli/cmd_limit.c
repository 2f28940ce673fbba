/* isle limit: what a guest may use, uses, has used at most, and how often it met the limit; and changes of it. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/proc.h"
#include "../base/str.h"
#include "../guest/plan.h"
#include "../guest/spec_parts.h"
#include "../kernel/blockdev.h"
#include "../run/balance.h"
#include "../run/limits.h"
#include "../run/oom.h"
#include "../run/repair.h"
#include "../run/update.h"
#include "config_change.h"
#include "held.h"
#include "origin.h"

#define SAMPLE_MS  200 /* two of the kernel's periods of processor time */
#define BALANCE_MS 1000

struct shown {
	struct guest *guest;
	struct spec *below;
	struct held held, before; /* before: elapsed_us earlier, for rates */
	uint64_t elapsed_us;
	struct oom_last oom;
};

/* Rows */

static bool is_rate(enum cgroup_kind kind)
{
	return kind == CGROUP_CPUS || (kind >= CGROUP_IO_READ && kind <= CGROUP_IO_WRITE_OPS);
}

/* Thousandths of a CPU, or bytes or operations a second; other kinds: the number as it is. */
static uint64_t use_of(const struct shown *shown, enum cgroup_kind kind)
{
	uint64_t now = shown->held.uses.of[kind].use, then = shown->before.uses.of[kind].use;

	if (!is_rate(kind))
		return now;
	if (now == UINT64_MAX || then == UINT64_MAX || now < then || !shown->elapsed_us)
		return UINT64_MAX;
	return (now - then) * (kind == CGROUP_CPUS ? 1000 : 1000000) / shown->elapsed_us;
}

static char *number_text(enum cgroup_kind kind, uint64_t number)
{
	char text[24];

	if (number == UINT64_MAX)
		return NULL;
	if (kind == CGROUP_CPUS)
		return str_format("%.2f", (double)number / 1000);
	if (!held_is_size(kind))
		return str_format("%llu", (unsigned long long)number);
	str_show_size(number, text);
	return str_format("%s%s", text, held_is_disk(kind) ? "/s" : "");
}

static char *disks_text(const struct cgroup_io *io, enum cgroup_kind kind)
{
	auto_buf struct buf text = {0};

	for (size_t i = 0; i < io->count; i++) {
		const struct blockdev device = {io->device[i].major, io->device[i].minor};
		auto_free char *rate = number_text(kind, io->device[i].rate);
		char name[64];

		blockdev_name(&device, name, sizeof(name));
		buf_addf(&text, "%s%s %s", text.len ? ", " : "", name, rate ? rate : "");
	}
	return text.len ? buf_take(&text) : NULL;
}

/* Of a guest that runs what the kernel has, of another what its config asks for. */
static char *limit_text(const struct shown *shown, const struct key *key, enum cgroup_kind kind)
{
	uint64_t number;

	if (!shown->held.up || kind == CGROUP_KINDS) {
		auto_buf struct buf text = {0};
		bool known = held_since_start(&shown->held, key, &number);

		key->type->format(key, known ? &number : spec_field_const(shown->guest->spec, key), &text);
		return text.len ? buf_take(&text) : NULL;
	}
	if (held_is_none(&shown->held, kind))
		return NULL;
	if (kind == CGROUP_CPUSET)
		return strdup(shown->held.uses.cpuset);
	return held_is_disk(kind) ? disks_text(&shown->held.uses.io[kind - CGROUP_IO_READ], kind)
				  : number_text(kind, shown->held.uses.of[kind].limit);
}

static bool is_set(const struct shown *shown, const struct key *key)
{
	return key->type->is_set(key, spec_field_const(shown->guest->spec, key));
}

/* Text */

static void print_row(const struct shown *shown, const struct key *key)
{
	enum cgroup_kind kind = limits_kind_of(key);
	bool live = shown->held.up && kind < CGROUP_KINDS;
	auto_free char *limit = limit_text(shown, key, kind);
	auto_free char *use = live ? number_text(kind, use_of(shown, kind)) : NULL;
	auto_free char *peak = live ? number_text(kind, shown->held.uses.of[kind].peak) : NULL;
	auto_free char *origin = origin_text(shown->guest->spec, shown->below, key),
		       *pending = held_pending(&shown->held, shown->guest, key);
	const char *notes[] = {pending, origin};
	uint64_t hits = live ? shown->held.uses.of[kind].hits : UINT64_MAX;
	char count[24] = "-";

	/* Rows with neither a limit of their own nor a figure say nothing. */
	if (!is_set(shown, key) && !use && !pending)
		return;
	if (hits != UINT64_MAX)
		(void)str_print(count, sizeof(count), "%llu", (unsigned long long)hits);
	printf("%-16s  %-18s  %-12s  %-12s  %*s", key->name, limit ? limit : "-", use ? use : "-", peak ? peak : "-",
	       origin || pending ? -8 : 0, count);
	for (size_t i = 0, n = 0; i < 2; i++)
		if (notes[i])
			printf("%s%s", n++ ? "; " : "  ", notes[i]);
	putchar('\n');
}

static void print_text(const struct shown *shown)
{
	printf("%-16s  %-18s  %-12s  %-12s  %s\n", "LIMIT", "OF", "USE", "PEAK", "HITS");
	for (size_t i = 0; i < key_count; i++)
		if (key_table[i].section == SECTION_LIMITS)
			print_row(shown, &key_table[i]);
	if (!shown->held.up)
		return;
	if (shown->held.uses.oom_kills != UINT64_MAX && shown->held.uses.oom_kills > 0) {
		auto_free char *last = oom_last_text(&shown->oom);

		printf("\nKilled for want of memory: %llu%s%s\n", (unsigned long long)shown->held.uses.oom_kills,
		       last ? ", last " : "", last ? last : "");
	}
}

/* JSON */

static struct json_object *number_json(enum cgroup_kind kind, uint64_t number)
{
	if (number == UINT64_MAX)
		return NULL;
	if (kind != CGROUP_CPUS)
		return json_object_new_uint64(number);
	auto_free char *text = str_format("%.15g", (double)number / 1000);

	return text ? json_object_new_double_s((double)number / 1000, text) : NULL;
}

static struct json_object *limit_json(const struct shown *shown, const struct key *key, enum cgroup_kind kind)
{
	uint64_t number;

	if (!shown->held.up || kind == CGROUP_KINDS)
		return key->type->json(
			key, held_since_start(&shown->held, key, &number) ? &number : spec_field_const(shown->guest->spec, key));
	if (held_is_none(&shown->held, kind))
		return NULL;
	if (kind == CGROUP_CPUSET)
		return json_object_new_string(shown->held.uses.cpuset);
	if (!held_is_disk(kind))
		return number_json(kind, shown->held.uses.of[kind].limit);
	const struct cgroup_io *io = &shown->held.uses.io[kind - CGROUP_IO_READ];
	struct json_object *disks = json_object_new_object();

	for (size_t i = 0; i < io->count; i++) {
		const struct blockdev device = {io->device[i].major, io->device[i].minor};
		char name[64];

		blockdev_name(&device, name, sizeof(name));
		json_object_object_add(disks, name, json_object_new_uint64(io->device[i].rate));
	}
	return disks;
}

static struct json_object *row_json(const struct shown *shown, const struct key *key)
{
	enum cgroup_kind kind = limits_kind_of(key);
	bool live = shown->held.up && kind < CGROUP_KINDS;
	struct json_object *row = json_object_new_object();

	json_object_object_add(row, "limit", limit_json(shown, key, kind));
	json_object_object_add(row, "config", key->type->json(key, spec_field_const(shown->guest->spec, key)));
	json_object_object_add(row, "source", json_object_new_string(origin_name(shown->guest->spec, key)));
	json_object_object_add(row, "use", live ? number_json(kind, use_of(shown, kind)) : NULL);
	json_object_object_add(row, "peak", live ? number_json(kind, shown->held.uses.of[kind].peak) : NULL);
	json_object_object_add(row, "hits", live ? number_json(CGROUP_KINDS, shown->held.uses.of[kind].hits) : NULL);
	if (kind < CGROUP_KINDS && is_rate(kind))
		json_object_object_add(row, "total", live ? number_json(CGROUP_KINDS, shown->held.uses.of[kind].use) : NULL);
	return row;
}

static void print_json(const struct shown *shown)
{
	struct json_object *all = json_object_new_object(), *limits = json_object_new_object();
	const char *plan = shown->guest->spec->guest.plan;

	for (size_t i = 0; i < key_count; i++) {
		char snake[64];

		if (key_table[i].section != SECTION_LIMITS || str_copy(snake, sizeof(snake), key_table[i].name) < 0)
			continue;
		for (char *at = snake; *at; at++)
			if (*at == '-')
				*at = '_';
		json_object_object_add(limits, snake, row_json(shown, &key_table[i]));
	}
	json_object_object_add(all, "name", json_object_new_string(shown->guest->name));
	json_object_object_add(all, "plan", plan ? json_object_new_string(plan) : NULL);
	json_object_object_add(all, "limits", limits);
	json_object_object_add(all, "oom_kills", shown->held.up ? number_json(CGROUP_KINDS, shown->held.uses.oom_kills) : NULL);
	json_object_object_add(all, "last_oom", shown->held.up ? oom_last_json(&shown->oom) : NULL);
	puts(json_object_to_json_string_ext(all,
					    JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
}

/* The verb */

static int show(struct call *call, const char *name, struct err *err)
{
	struct shown shown = {0};
	const struct store *store;
	int r = call_store(call, &store, err);

	if (r == 0)
		repair_unwatched(store, name);
	if (r == 0)
		r = guest_open(store, name, &shown.guest, err);
	if (r == 0)
		r = plan_open(store, shown.guest->spec->guest.plan, &shown.below, err);
	if (r == 0) {
		uint64_t since = proc_now_ms();

		held_load(store, name, &shown.before);
		if (shown.before.up)
			(void)poll(NULL, 0, SAMPLE_MS); /* rates need two looks */
		held_load(store, name, &shown.held);
		shown.elapsed_us = (proc_now_ms() - since) * 1000;
		oom_last_load(store->run_fd, name, &shown.oom);
		if (call->json)
			print_json(&shown);
		else
			print_text(&shown);
	}
	spec_free(shown.below);
	guest_free(shown.guest);
	return r;
}

/* Sets anew all that the config and its plan say: the plan may have been edited, and others may have written to the kernel. */
static int reload_one(struct call *call, const char *name, struct err *err)
{
	auto_buf struct buf notes = {0};
	struct guest *guest = NULL;
	int r = call_guest(call, name, &guest, err);

	if (r == 0)
		r = repair_as_needed(guest, err);
	if (r == 0)
		r = update_mark(guest, true, err);
	if (r >= 0) {
		r = update_apply(guest, NULL, CGROUP_ALL, &notes, err);
		(void)update_mark(guest, false, NULL); /* else the next command sets them once more */
	}
	if (r == 0 && notes.len && !call->quiet)
		fprintf(stderr, "%s", notes.data);
	guest_free(guest);
	return r;
}

static int reload(struct call *call, struct err *err)
{
	char **names = NULL;
	int r = call_names(call, CALL_ANY_STATE, &names, err);

	if (r == 0)
		r = call_each(call, names, reload_one, err);
	store_names_free(names);
	return r;
}

/* Balance */

static void tell_move(void *arg, const char *name, const char *was, const char *is)
{
	struct json_object *list = arg;

	if (!list) {
		printf("%s: CPU %s -> %s\n", name, was, is);
		return;
	}
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(name));
	json_object_object_add(o, "before", json_object_new_string(was));
	json_object_object_add(o, "cpuset", json_object_new_string(is));
	json_object_array_add(list, o);
}

static void say_nothing(void *arg, const char *name, const char *was, const char *is)
{
	(void)arg;
	(void)name;
	(void)was;
	(void)is;
}

static int balance_guests(struct call *call, struct err *err)
{
	struct json_object *list = call->json ? json_object_new_array() : NULL;
	const struct store *store;
	int r = call->argc > 0 ? call_usage(call, err, "--balance is for all guests together") : call_store(call, &store, err);

	if (r == 0)
		r = balance(store, BALANCE_MS, call->quiet && !list ? say_nothing : tell_move, list, err);
	if (r == 0 && list)
		puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(list);
	return r;
}

/* Names come first, and what is to be changed after them. */
static int count_names(const struct call *call)
{
	int count = 0;

	while (count < call->argc && !strchr(call->argv[count], '='))
		count++;
	if (count == call->argc) /* isle limit web1 memory */
		count = count > 0;
	return call_has(call, "all") ? 0 : count;
}

static int change_one(struct call *call, const char *name, struct err *err)
{
	int names = count_names(call);
	enum change_when when;

	if (change_when(call, &when, err) < 0)
		return -EINVAL;
	const struct config_words words = {
		.words = call->argv + names,
		.count = call->argc - names,
		.set = true,
		.empty_unsets = true,
		.prefix = "limits.",
		.when = when,
	};

	return config_change_words(call, name, &words, err);
}

/* Of one guest all changes are made or none; of several none is begun when one is not there. */
static int change_many(struct call *call, struct err *err)
{
	bool all = call_has(call, "all");
	struct call named = *call;
	const struct store *store;
	char **names = NULL;
	int r = call_store(call, &store, err);

	named.argc = count_names(call);
	named.store = call->store;
	if (r == 0 && !all && named.argc == 0)
		r = call_usage(call, err, "a guest's name is needed before its limits, or --all");
	if (r == 0)
		r = all ? store_names(store, &names, err) : call_names(&named, CALL_ANY_STATE, &names, err);
	for (size_t i = 0; r == 0 && !all && names[i]; i++) {
		struct guest *guest = NULL;

		r = guest_open_any(store, names[i], &guest, err);
		guest_free(guest);
	}
	if (r == 0)
		r = call_each(call, names, change_one, err);
	store_names_free(names);
	return r;
}

static int run_limit(struct call *call, struct err *err)
{
	bool all = call_has(call, "all");

	if (call_has(call, "reload"))
		return all && call->argc ? call_usage(call, err, "names and --all exclude each other") : reload(call, err);
	if (call_has(call, "balance"))
		return balance_guests(call, err);
	if (call->argc < 1)
		return call_usage(call, err, all ? "--all needs LIMIT=VALUE, or --reload" : "a guest's name is needed");
	return call->argc == 1 && !all && !strchr(call->argv[0], '=') ? show(call, call->argv[0], err) : change_many(call, err);
}

static const struct option_row options[] = {
	{"reload", 0, NULL, "Set all limits of running guests anew, as config and plan have them: after an edit of a plan.", NULL,
	 false, COMPLETE_NOTHING},
	{"balance", 0, NULL,
	 "Move guests whose CPUs isle has chosen, so that busy ones do not share a CPU while another is idle: one look of a second at what "
	 "they use. isle-balance.timer does it every minute.",
	 NULL, false, COMPLETE_NOTHING},
	CHANGE_OPTIONS,
	{NULL},
};

const struct verb verb_limit = {
	.name = "limit",
	.group = GROUP_SETTINGS,
	.synopsis =
		"[OPTIONS] NAME | NAME... LIMIT=VALUE... | --all LIMIT=VALUE... | --reload NAME... | --reload --all | --balance",
	.summary = "Show and change what a guest may use of the host.",
	.headline = "work with the limits of guest %",
	.text = "Without a value: each limit, what the guest uses now, what it has used at most since its start, and how often it met the "
		"limit, as the kernel has it. Of processors and disks the use is the rate of the last fifth of a second. The last column says "
		"which plan a value comes from, or what the plan has where the guest says something else, and what the config asks for "
		"where that is not what holds (--runtime, --next, and limits that only a start sets). A line at the end counts the "
		"processes that the kernel killed for want of memory, with the last of them where the kernel told; isle log has them all.\n\n"
		"With LIMIT=VALUE: the same as isle config NAME set limits.LIMIT=VALUE, of several guests in parallel. LIMIT= alone lifts it, or "
		"gives it back to the plan. isle.conf(5) describes each limit.\n\n"
		"--reload sets all limits anew in guests that run, as their configs and plans have them now.\n\n"
		"A guest that sees its own size (guest.lxcfs) is held to as many CPUs as its cpus, rounded up: most programs count the CPUs that "
		"they may run on. isle chooses those with the fewest guests on them, but not all guests are as busy; --balance moves them by what "
		"they use, and prints each move (with --json an array of objects with name, before and cpuset). "
		"Guests whose cpuset is a list stay where they are, and count.\n\n"
		"With --json the result is an object: name, plan, limits, oom_kills and last_oom (time, pid, name). limits has an object for "
		"each limit: limit (what holds), config (what is asked for), source (guest, plan, host or default), use, peak, hits, and for "
		"rates total (microseconds, bytes or operations since the start).",
	.examples =
		"isle limit web1\nisle limit web1 memory=1G cpus=1.5\nisle limit web1 --runtime cpus=4\nisle limit web1 memory=\n"
		"isle limit web1 web2 processes=2000\n"
		"isle limit --reload --all\nisle limit --balance",
	.options = options,
	.min = 0,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.args = "GUEST LIMIT",
	.takes_all = true,
	.takes_words = true,
	.needs_root = true,
	.run = run_limit,
};
