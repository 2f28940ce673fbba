/* isle top: two looks at each guest become rows of rates and uses. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "../base/clean.h"
#include "top.h"

static uint64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int top_look(const struct store *store, struct top_look *ret, struct err *err)
{
	struct top_look look = {.time = (uint64_t)time(NULL)};
	time_t seconds = (time_t)look.time;
	struct netlink *nl = NULL;
	char **names = NULL;
	size_t count = 0;
	struct tm tm;
	int r = store_names(store, &names, err);

	if (r == 0)
		r = netlink_open(-1, &nl, err);
	while (r == 0 && names[count])
		count++;
	look.guests = calloc(count + 1, sizeof(*look.guests));
	if (r == 0 && !look.guests)
		r = err_num(err, ENOMEM, "look at the guests");
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct top_guest *guest = &look.guests[look.count];

		guest->at_us = now_us();
		look.count += figures_load(store, names[i], nl, false, &guest->figures) == 0; /* else it was just destroyed */
	}
	if (!localtime_r(&seconds, &tm) || !strftime(look.clock, sizeof(look.clock), "%H:%M:%S", &tm))
		look.clock[0] = '\0';
	netlink_free(nl);
	store_names_free(names);
	if (r < 0)
		free(look.guests);
	else
		*ret = look;
	return r;
}

void top_look_free(struct top_look *look)
{
	free(look->guests);
	*look = (struct top_look){0};
}

/* *at: where the search goes on for the next guest; both looks are in the order of names. */
static const struct top_guest *earlier(const struct top_look *before, const struct top_guest *now, size_t *at)
{
	while (*at < before->count && strcmp(before->guests[*at].figures.name, now->figures.name) < 0)
		++*at;
	const struct top_guest *found = *at < before->count ? &before->guests[*at] : NULL;

	return found && strcmp(found->figures.name, now->figures.name) == 0 && found->figures.up &&
			       found->figures.record.init_start == now->figures.record.init_start
		       ? found
		       : NULL;
}

/* A second's worth of what grew from one to the other. */
static double rate(uint64_t then, uint64_t now, uint64_t elapsed_us)
{
	if (then == UINT64_MAX || now == UINT64_MAX || now < then || elapsed_us == 0)
		return -1;
	return (double)(now - then) * 1e6 / (double)elapsed_us;
}

static double known(uint64_t number)
{
	return number == UINT64_MAX ? -1 : (double)number;
}

static uint64_t sum_links(const struct figures *figures, bool sent)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < figures->record.link_count; i++)
		sum += sent ? figures->links[i].tx_bytes : figures->links[i].rx_bytes;
	return sum;
}

static void fill_rates(const struct top_guest *then, const struct top_guest *now, struct top_row *row)
{
	const struct cgroup_figures *a = &then->figures.cgroup, *b = &now->figures.cgroup;
	uint64_t elapsed = now->at_us - then->at_us;
	double cpu = rate(a->stat.cpu_usec, b->stat.cpu_usec, elapsed);

	row->value[TOP_CPU] = cpu < 0 ? -1 : cpu / 1e4;
	row->value[TOP_RECEIVED] = rate(sum_links(&then->figures, false), sum_links(&now->figures, false), elapsed);
	row->value[TOP_SENT] = rate(sum_links(&then->figures, true), sum_links(&now->figures, true), elapsed);
	row->value[TOP_READ] = rate(a->io[0], b->io[0], elapsed);
	row->value[TOP_WRITTEN] = rate(a->io[1], b->io[1], elapsed);
	for (size_t i = 0; i < CGROUP_PRESSURES; i++) {
		double waited = rate(a->pressure[i].some_usec, b->pressure[i].some_usec, elapsed);

		row->value[TOP_PRESSURE_CPU + i] = waited < 0 ? -1 : waited / 1e4;
	}
}

static void fill(const struct top_guest *then, const struct top_guest *now, struct top_row *row)
{
	const struct cgroup_figures *cgroup = &now->figures.cgroup;

	row->figures = &now->figures;
	for (size_t i = 0; i < TOP_COLUMNS; i++)
		row->value[i] = row->limit[i] = -1;
	row->value[TOP_STATE] = now->figures.state;
	if (!now->figures.up)
		return;
	row->value[TOP_MEMORY] = known(cgroup->stat.memory);
	row->limit[TOP_MEMORY] = known(cgroup->stat.memory_limit);
	row->value[TOP_PROCESSES] = known(cgroup->stat.processes);
	row->limit[TOP_PROCESSES] = known(cgroup->processes_limit);
	row->limit[TOP_CPU] = cgroup->cpu_limit == UINT64_MAX ? -1 : (double)cgroup->cpu_limit / 10;
	if (then)
		fill_rates(then, now, row);
}

static int order(const void *a, const void *b, void *arg)
{
	const struct top_view *view = arg;
	const struct top_row *one = a, *two = b;
	double x = one->value[view->sort], y = two->value[view->sort];
	int result = 0;

	/* Names and states from the beginning, numbers with the largest first. */
	if (view->sort == TOP_STATE)
		result = x < y ? -1 : x > y;
	else if (view->sort != TOP_NAME)
		result = x > y ? -1 : x < y;
	if (result == 0)
		result = strverscmp(one->figures->name, two->figures->name);
	return view->reverse ? -result : result;
}

int top_compare(const struct top_look *before, const struct top_look *now, const struct top_view *view, struct top_rows *ret,
		struct err *err)
{
	*ret = (struct top_rows){.rows = calloc(now->count + 1, sizeof(*ret->rows))};
	if (!ret->rows)
		return err_num(err, ENOMEM, "show the guests");
	for (size_t i = 0, at = 0; i < now->count; i++) {
		const struct top_guest *guest = &now->guests[i];

		ret->running += guest->figures.up;
		if (strstr(guest->figures.name, view->filter))
			fill(earlier(before, guest, &at), guest, &ret->rows[ret->count++]);
	}
	qsort_r(ret->rows, ret->count, sizeof(*ret->rows), order, (void *)view);
	return 0;
}

static void add(struct json_object *o, const char *key, double value, int decimals)
{
	auto_free char *text = value < 0 ? NULL : str_format("%.*f", decimals, value);

	json_object_object_add(o, key, text ? json_object_new_double_s(value, text) : NULL);
}

struct json_object *top_json(const struct top_look *now, const struct top_rows *rows)
{
	struct json_object *all = json_object_new_object(), *guests = json_object_new_array();
	static const struct {
		enum top_column column;
		const char *key;
		int decimals;
	} keys[] = {
		{TOP_CPU, "cpu_percent", 2},
		{TOP_MEMORY, "memory", 0},
		{TOP_PROCESSES, "processes", 0},
		{TOP_PRESSURE_CPU, "cpu_pressure_percent", 2},
		{TOP_PRESSURE_MEMORY, "memory_pressure_percent", 2},
		{TOP_PRESSURE_IO, "io_pressure_percent", 2},
		{TOP_RECEIVED, "received_per_second", 0},
		{TOP_SENT, "sent_per_second", 0},
		{TOP_READ, "read_per_second", 0},
		{TOP_WRITTEN, "written_per_second", 0},
	};

	for (size_t i = 0; i < rows->count; i++) {
		const struct top_row *row = &rows->rows[i];
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name", json_object_new_string(row->figures->name));
		json_object_object_add(o, "state", json_object_new_string(state_names[row->figures->state]));
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
			add(o, keys[k].key, row->value[keys[k].column], keys[k].decimals);
		add(o, "cpu_limit_percent", row->limit[TOP_CPU], 1);
		add(o, "memory_limit", row->limit[TOP_MEMORY], 0);
		add(o, "processes_limit", row->limit[TOP_PROCESSES], 0);
		json_object_array_add(guests, o);
	}
	json_object_object_add(all, "time", json_object_new_uint64(now->time));
	json_object_object_add(all, "guests", guests);
	return all;
}
