/* What is promised to guests, against what the host has: memory, swap, CPUs, processes, disk. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "../guest/record.h"
#include "../kernel/capacity.h"
#include "../kernel/cgroup.h"
#include "../run/usage.h"
#include "promised.h"

/* One row a kind. No limit of swap is none of memory's business: without swap on the host it says nothing. */
static const struct kind {
	const char *name;
	char unit; /* 'b' bytes, 'c' thousandths of a CPU, 'n' a number */
} kinds[PROMISED_KINDS] = {
	[PROMISED_MEMORY] = {"memory", 'b'},       [PROMISED_SWAP] = {"swap", 'b'}, [PROMISED_CPUS] = {"cpus", 'c'},
	[PROMISED_PROCESSES] = {"processes", 'n'}, [PROMISED_DISK] = {"disk", 'b'},
};

/* Limits may be as large as a number can be: a sum that went past the end would promise nothing. */
static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return b > UINT64_MAX - a ? UINT64_MAX : a + b;
}

static void add(struct promised_sum *sum, uint64_t limit, bool running)
{
	if (limit == SPEC_UNSET) {
		sum->unlimited += running;
		return;
	}
	sum->all = sum_of(sum->all, limit);
	if (running)
		sum->running = sum_of(sum->running, limit);
}

static void add_guest(const struct guest *guest, const struct record *record, bool running, struct promised *ret)
{
	const struct spec *spec = guest->spec;
	uint64_t processes = spec->limits.processes;
	struct cgroup_stat stat;
	struct usage usage;

	add(&ret->of[PROMISED_MEMORY], spec->limits.memory, running);
	add(&ret->of[PROMISED_SWAP], spec->limits.swap, running);
	add(&ret->of[PROMISED_CPUS], spec->limits.cpus, running);
	add(&ret->of[PROMISED_PROCESSES], processes == SPEC_UNSET ? cgroup_share_of_processes() : processes, running);
	if (usage_load(guest->dir_fd, &usage, NULL) == 0) {
		add(&ret->of[PROMISED_DISK], usage.disk, running);
		ret->uncounted += usage.disk_at == 0;
	}
	if (!running)
		return;
	if (spec->limits.memory_guarantee != SPEC_UNSET)
		ret->guaranteed = sum_of(ret->guaranteed, spec->limits.memory_guarantee);
	if (cgroup_stat(record->cgroup, &stat) == 0 && stat.memory != UINT64_MAX)
		ret->used += stat.memory;
}

int promised_load(const struct store *store, struct promised *ret, struct err *err)
{
	struct capacity capacity;
	char **names = NULL;
	int r = store_names(store, &names, err);

	*ret = (struct promised){0};
	if (r < 0)
		return r;
	capacity_read(store->guests, &capacity);
	const uint64_t has[PROMISED_KINDS] = {
		[PROMISED_MEMORY] = capacity.memory,       [PROMISED_SWAP] = capacity.swap, [PROMISED_CPUS] = capacity.cpus,
		[PROMISED_PROCESSES] = capacity.processes, [PROMISED_DISK] = capacity.disk,
	};

	for (size_t i = 0; i < PROMISED_KINDS; i++)
		ret->of[i].has = has[i];
	for (size_t i = 0; names[i]; i++) {
		struct guest *guest = NULL;
		struct record record;

		if (guest_open_any(store, names[i], &guest, NULL) < 0)
			continue; /* destroyed since the names were read */
		enum state state = guest_state(store, names[i], &record);
		bool running = state == STATE_RUNNING || state == STATE_FROZEN;

		ret->guests++;
		ret->running += running;
		add_guest(guest, &record, running, ret);
		guest_free(guest);
	}
	store_names_free(names);
	return 0;
}

static char *text_of(size_t kind, uint64_t number)
{
	char text[16];

	if (kinds[kind].unit == 'c')
		return str_format("%.2f", (double)number / 1000);
	if (kinds[kind].unit == 'n')
		return str_format("%llu", (unsigned long long)number);
	str_show_size(number, text);
	return strdup(text);
}

static unsigned long long percent(const struct promised_sum *sum)
{
	return (unsigned long long)((double)sum->running * 100 / (double)sum->has + 0.5);
}

void promised_print(const struct promised *promised)
{
	char used[16];

	printf("%-10s  %12s  %12s  %12s  %8s  %s\n", "PROMISED", "TO RUNNING", "TO ALL", "HOST HAS", "SHARE",
	       "RUNNING WITHOUT LIMIT");
	for (size_t i = 0; i < PROMISED_KINDS; i++) {
		const struct promised_sum *sum = &promised->of[i];
		auto_free char *running = text_of(i, sum->running), *all = text_of(i, sum->all), *has = text_of(i, sum->has);
		auto_free char *share = sum->has ? str_format("%llu %%", percent(sum)) : strdup("-");
		/* What files take is no limit. */
		auto_free char *unlimited = i == PROMISED_DISK ? strdup("-") : str_format("%zu", sum->unlimited);

		printf("%-10s  %12s  %12s  %12s  %8s  %s\n", kinds[i].name, running ? running : "", all ? all : "", has ? has : "",
		       share ? share : "", unlimited ? unlimited : "");
	}
	str_show_size(promised->used, used);
	printf("%zu %s, %zu running, using %s of memory\n", promised->guests, promised->guests == 1 ? "guest" : "guests",
	       promised->running, used);
	if (promised->uncounted > 0)
		printf("The disk of %zu is not counted yet: isle usage --record does it, or isle-usage.timer\n",
		       promised->uncounted);
}

struct json_object *promised_json(const struct promised *promised)
{
	struct json_object *all = json_object_new_object();

	for (size_t i = 0; i < PROMISED_KINDS; i++) {
		const struct promised_sum *sum = &promised->of[i];
		struct json_object *row = json_object_new_object();
		const uint64_t numbers[] = {sum->running, sum->all, sum->has};
		static const char *const names[] = {"running", "all", "host"};

		for (size_t n = 0; n < 3; n++)
			json_object_object_add(row, names[n],
					       kinds[i].unit == 'c' ? json_object_new_double((double)numbers[n] / 1000)
								    : json_object_new_uint64(numbers[n]));
		json_object_object_add(row, "unlimited", json_object_new_uint64(sum->unlimited));
		json_object_object_add(all, kinds[i].name, row);
	}
	json_object_object_add(all, "memory_guaranteed", json_object_new_uint64(promised->guaranteed));
	json_object_object_add(all, "memory_used", json_object_new_uint64(promised->used));
	json_object_object_add(all, "disk_uncounted", json_object_new_uint64(promised->uncounted));
	json_object_object_add(all, "guests", json_object_new_uint64(promised->guests));
	json_object_object_add(all, "running", json_object_new_uint64(promised->running));
	return all;
}

/* More than there is of memory ends in the host's own want of it; CPUs are only shared out more thinly. */
static int level_of(size_t kind, const struct promised_sum *sum)
{
	if (sum->has == 0 || sum->running <= sum->has)
		return HOST_GOOD;
	return kind == PROMISED_CPUS || kind == PROMISED_SWAP ? HOST_INFO : HOST_WARN;
}

static const char *const means[PROMISED_KINDS] = {
	[PROMISED_MEMORY] = "when guests use what they are promised the host runs out of memory and swaps or kills",
	[PROMISED_SWAP] = "guests may fill the host's swap",
	[PROMISED_CPUS] = "when guests use what they are promised each gets less, by its cpu-weight",
	[PROMISED_PROCESSES] = "guests together may use up the host's process ids",
	[PROMISED_DISK] = "the guests' files take more than their file system has",
};

size_t promised_findings(const struct promised *promised, struct host_finding *ret, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; promised->running > 0 && i < PROMISED_KINDS && count < room; i++) {
		const struct promised_sum *sum = &promised->of[i];
		struct host_finding finding = {.topic = "promised", .name = kinds[i].name, .level = level_of(i, sum)};
		auto_free char *running = text_of(i, sum->running), *has = text_of(i, sum->has);

		if (i == PROMISED_SWAP && sum->running == 0)
			continue;
		(void)str_print(finding.found, sizeof(finding.found), "%s of %s to %zu running", running ? running : "?",
				has ? has : "?", promised->running - sum->unlimited);
		if (sum->unlimited > 0 && strlen(finding.found) < 60)
			(void)snprintf(finding.found + strlen(finding.found), sizeof(finding.found) - strlen(finding.found),
				       "; %zu without limit", sum->unlimited);
		if (finding.level != HOST_GOOD) {
			(void)str_copy(finding.means, sizeof(finding.means), means[i]);
			(void)str_print(finding.fix, sizeof(finding.fix),
					"isle list --columns name,limits.%s; isle limit NAME %s=...", kinds[i].name, kinds[i].name);
		}
		if (finding.level != HOST_GOOD && i == PROMISED_DISK)
			(void)str_copy(finding.fix, sizeof(finding.fix), "isle usage --json shows disk_bytes of each guest");
		ret[count++] = finding;
	}
	if (promised->guaranteed > promised->of[PROMISED_MEMORY].has && count < room) {
		struct host_finding finding = {.topic = "promised", .name = "memory guaranteed", .level = HOST_WARN};
		auto_free char *sum = text_of(PROMISED_MEMORY, promised->guaranteed);

		(void)str_copy(finding.found, sizeof(finding.found), sum ? sum : "?");
		(void)str_copy(finding.means, sizeof(finding.means), "a guarantee of more than there is guarantees nothing");
		(void)str_copy(finding.fix, sizeof(finding.fix), "isle limit NAME memory-guarantee=...");
		ret[count++] = finding;
	}
	return count;
}
