/* isle doctor: timers of isle's that guests would need. */
#include "config.h"

#include <string.h>

#include "../base/str.h"
#include "../guest/record.h"
#include "../kernel/systemd.h"
#include "../run/limits.h"
#include "doctor_timers.h"

struct counts {
	size_t running;
	size_t held, placed; /* to some CPUs; of these, by isle's choice */
};

static void count(const struct store *store, const char *name, struct counts *counts)
{
	struct guest *guest = NULL;
	struct record record;

	if (record_load(store, name, &record) < 0 || record.init_pid == 0)
		return;
	counts->running++;
	if (!record.cpuset[0] || guest_open(store, name, &guest, NULL) < 0)
		return;
	counts->held++;
	counts->placed += limits_are_placed(guest->spec);
	guest_free(guest);
}

static bool counts_usage(const struct counts *counts)
{
	return counts->running > 0;
}

static bool places(const struct counts *counts)
{
	return counts->placed > 0 && counts->held > 1;
}

static const struct timer {
	const char *unit;
	bool (*wanted)(const struct counts *counts);
	const char *means;
} timers[DOCTOR_TIMERS] = {
	{"isle-usage.timer", counts_usage,
	 "isle usage puts down what guests used only when they stop: a loss of power takes it, and their disk is not counted"},
	{"isle-balance.timer", places, "guests stay on the CPUs that isle chose at their start, also where busy ones share one"},
};

size_t doctor_find_timers(const struct store *store, struct host_finding ret[DOCTOR_TIMERS])
{
	struct counts counts = {0};
	char **names = NULL;
	size_t found = 0;

	if (!host_get()->systemd || store->tag[0] || store_names(store, &names, NULL) < 0)
		return 0;
	for (size_t i = 0; names[i]; i++)
		count(store, names[i], &counts);
	store_names_free(names);
	for (size_t i = 0; i < DOCTOR_TIMERS; i++) {
		struct host_finding finding = {.topic = "instance", .name = timers[i].unit, .level = HOST_INFO};

		if (!timers[i].wanted(&counts) || !systemd_unit_rests(timers[i].unit))
			continue;
		(void)str_copy(finding.found, sizeof(finding.found), "not active");
		(void)str_copy(finding.means, sizeof(finding.means), timers[i].means);
		(void)str_print(finding.fix, sizeof(finding.fix), "systemctl enable --now %s", timers[i].unit);
		ret[found++] = finding;
	}
	return found;
}
