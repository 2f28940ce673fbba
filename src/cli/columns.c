/* The columns that isle list can show. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "../base/str.h"
#include "columns.h"

static void set_number(struct cell *ret, bool known, uint64_t number)
{
	if (!known)
		return;
	ret->number = number;
	ret->text = str_format("%llu", (unsigned long long)number);
}

static void set_size(struct cell *ret, bool known, uint64_t bytes)
{
	char text[16];

	if (!known)
		return;
	str_show_size(bytes, text);
	ret->number = bytes;
	ret->text = strdup(text);
}

static void set_config(struct cell *ret, const struct facts *facts, const char *dotted)
{
	auto_free char *value = facts_config(facts, dotted);

	if (value && *value)
		ret->text = str_escape(value);
}

static void show_name(const struct facts *facts, struct cell *ret)
{
	ret->text = strdup(facts->name);
}

static void show_state(const struct facts *facts, struct cell *ret)
{
	ret->text = strdup(state_names[facts->state]);
}

static void show_pid(const struct facts *facts, struct cell *ret)
{
	set_number(ret, facts_alive(facts), (uint64_t)facts->record.init_pid);
}

static void show_monitor(const struct facts *facts, struct cell *ret)
{
	set_number(ret, facts_alive(facts) && facts->record.monitor_pid > 0, (uint64_t)facts->record.monitor_pid);
}

static void add_addresses(const struct facts *facts, struct cell *ret, bool four, bool six)
{
	auto_buf struct buf text = {0};

	for (size_t i = 0; i < facts->record.link_count && i < RECORD_LINKS_MAX; i++) {
		const struct record_link *link = &facts->record.links[i];
		const char *both[] = {four ? link->address : "", six ? link->address6 : ""};

		for (int k = 0; k < 2; k++) {
			char plain[48];

			facts_plain_address(both[k], plain);
			if (*plain)
				buf_addf(&text, "%s%s", text.len ? ", " : "", plain);
		}
	}
	if (text.len)
		ret->text = buf_take(&text);
}

static void show_address(const struct facts *facts, struct cell *ret)
{
	add_addresses(facts, ret, true, false);
	if (!ret->text)
		add_addresses(facts, ret, false, true);
}

static void show_addresses(const struct facts *facts, struct cell *ret)
{
	add_addresses(facts, ret, true, true);
}

static void show_ipv4(const struct facts *facts, struct cell *ret)
{
	add_addresses(facts, ret, true, false);
}

static void show_ipv6(const struct facts *facts, struct cell *ret)
{
	add_addresses(facts, ret, false, true);
}

static void show_memory(const struct facts *facts, struct cell *ret)
{
	set_size(ret, facts_knows(facts, facts->stat.memory), facts->stat.memory);
}

static void show_peak(const struct facts *facts, struct cell *ret)
{
	set_size(ret, facts_knows(facts, facts->stat.memory_peak), facts->stat.memory_peak);
}

static void show_memory_limit(const struct facts *facts, struct cell *ret)
{
	set_size(ret, facts_knows(facts, facts->stat.memory_limit), facts->stat.memory_limit);
}

static void show_oom_kills(const struct facts *facts, struct cell *ret)
{
	set_number(ret, facts_knows(facts, facts->stat.oom_kills), facts->stat.oom_kills);
}

static void show_plan(const struct facts *facts, struct cell *ret)
{
	set_config(ret, facts, "guest.plan");
}

static void show_cpu(const struct facts *facts, struct cell *ret)
{
	if (!facts_knows(facts, facts->stat.cpu_usec))
		return;
	ret->number = facts->stat.cpu_usec;
	ret->text = str_format("%.1fs", (double)facts->stat.cpu_usec / 1e6);
}

static void show_processes(const struct facts *facts, struct cell *ret)
{
	set_number(ret, facts_knows(facts, facts->stat.processes), facts->stat.processes);
}

static void show_storage(const struct facts *facts, struct cell *ret)
{
	set_config(ret, facts, "guest.storage");
}

static void show_image(const struct facts *facts, struct cell *ret)
{
	set_config(ret, facts, "guest.image");
}

static void show_started(const struct facts *facts, struct cell *ret)
{
	time_t started = (time_t)facts->record.started;
	char text[32];
	struct tm tm;

	if (!facts_alive(facts) || !started || !localtime_r(&started, &tm) || !strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm))
		return;
	ret->number = facts->record.started;
	ret->text = strdup(text);
}

static void show_uptime(const struct facts *facts, struct cell *ret)
{
	time_t now = time(NULL), started = (time_t)facts->record.started;
	char text[32];

	if (!facts_alive(facts) || !started || started > now)
		return;
	ret->number = (uint64_t)(now - started);
	str_show_duration(ret->number, text);
	ret->text = strdup(text);
}

static void show_ids(const struct facts *facts, struct cell *ret)
{
	const struct spec *spec = facts->guest ? facts->guest->spec : NULL;

	set_number(ret, spec && !spec->security.privileged && spec->security.ids != SPEC_UNSET, spec ? spec->security.ids : 0);
}

static void show_autostart(const struct facts *facts, struct cell *ret)
{
	set_config(ret, facts, "guest.autostart");
}

static void show_unprivileged(const struct facts *facts, struct cell *ret)
{
	if (facts->guest && facts->guest->spec)
		ret->text = strdup(facts->guest->spec->security.privileged ? "no" : "yes");
}

static void show_hostname(const struct facts *facts, struct cell *ret)
{
	set_config(ret, facts, "guest.hostname");
	if (!ret->text)
		ret->text = strdup(facts->name);
}

static void show_init(const struct facts *facts, struct cell *ret)
{
	if (facts_alive(facts) && facts->record.init_kind[0])
		ret->text = str_escape(facts->record.init_kind);
}

static void show_description(const struct facts *facts, struct cell *ret)
{
	set_config(ret, facts, "guest.description");
}

const struct column column_table[] = {
	{"name", "NAME", 0, false, show_name, "the guest's name"},
	{"state", "STATE", 0, false, show_state, "stopped, starting, running, frozen, stopping, checkpointed or broken"},
	{"pid", "PID", 0, true, show_pid, "process id of the guest's init on the host"},
	{"monitor_pid", "MONITOR", 0, true, show_monitor, "process id of the guest's monitor"},
	{"address", "ADDRESS", 0, false, show_address, "IPv4 addresses, else IPv6 addresses"},
	{"addresses", "ADDRESSES", 0, false, show_addresses, "all addresses"},
	{"ipv4", "IPV4", 0, false, show_ipv4, "IPv4 addresses"},
	{"ipv6", "IPV6", 0, false, show_ipv6, "IPv6 addresses"},
	{"memory", "MEMORY", FACTS_STATS, true, show_memory, "memory in use"},
	{"memory_peak", "PEAK", FACTS_STATS, true, show_peak, "most memory ever used since the start"},
	{"memory_limit", "OF", FACTS_STATS, true, show_memory_limit, "most memory that it may use"},
	{"oom_kills", "OOM", FACTS_STATS, true, show_oom_kills, "processes killed for want of memory since the start"},
	{"plan", "PLAN", FACTS_CONFIG, false, show_plan, "the plan that its limits are from"},
	{"cpu", "CPU", FACTS_STATS, true, show_cpu, "processor time used"},
	{"processes", "PROCS", FACTS_STATS, true, show_processes, "number of processes"},
	{"storage", "STORAGE", FACTS_CONFIG, false, show_storage, "how the root file system is kept"},
	{"image", "IMAGE", FACTS_CONFIG, false, show_image, "the image it was cloned from"},
	{"started", "STARTED", 0, true, show_started, "when it was started"},
	{"uptime", "UP", 0, true, show_uptime, "for how long it has been running"},
	{"ids", "IDS", FACTS_CONFIG, true, show_ids, "the first host id of the guest's range"},
	{"autostart", "AUTOSTART", FACTS_CONFIG, false, show_autostart, "whether it is started at boot"},
	{"unprivileged", "UNPRIVILEGED", FACTS_CONFIG, false, show_unprivileged, "whether it has a user namespace"},
	{"hostname", "HOSTNAME", FACTS_CONFIG, false, show_hostname, "the host name inside"},
	{"init", "INIT", 0, false, show_init, "the kind of init: systemd, sysv, busybox, other"},
	{"description", "DESCRIPTION", FACTS_CONFIG, false, show_description, "the administrator's description"},
	{NULL},
};

const struct column *column_find(const char *name)
{
	for (const struct column *column = column_table; column->name; column++) {
		if (!strcasecmp(column->name, name))
			return column;
	}
	return NULL;
}
