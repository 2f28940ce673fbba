/* Figures of guests as OpenMetrics text (openmetrics.io) or in the older form of Prometheus: a table of families, and one walk over
 * it. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "metrics.h"

struct sample {
	struct buf *out;
	const struct figures *figures;
	const char *family;
	bool counter;
};

/* One family: what it is called (isle_guest_NAME, with _total behind it for each sample of a counter), and its samples of a guest.
 */
struct family {
	const char *name;
	const char *type; /* "counter", "gauge" */
	const char *unit; /* what the name ends with; NULL: none */
	void (*samples)(struct sample *sample);
	const char *help;
};

void metrics_label(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, ",%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			buf_add_bytes(out, "\\", 1);
		if (*value == '\n')
			buf_add(out, "\\n");
		else
			buf_add_bytes(out, value, 1);
	}
	buf_add(out, "\"");
}

static void begin(const struct sample *s, const char *label, const char *value)
{
	buf_addf(s->out, "isle_guest_%s%s{guest=\"%s\"", s->family, s->counter ? "_total" : "", s->figures->name);
	if (label)
		metrics_label(s->out, label, value);
}

static void number(const struct sample *s, const char *label, const char *value, uint64_t what)
{
	if (what == UINT64_MAX)
		return;
	begin(s, label, value);
	buf_addf(s->out, "} %" PRIu64 "\n", what);
}

static void seconds(const struct sample *s, const char *label, const char *value, uint64_t usec)
{
	if (usec == UINT64_MAX)
		return;
	begin(s, label, value);
	buf_addf(s->out, "} %" PRIu64 ".%06" PRIu64 "\n", usec / 1000000, usec % 1000000);
}

static void state(struct sample *s)
{
	for (int i = 0; i < STATE_COUNT; i++)
		number(s, "state", state_names[i], s->figures->state == (enum state)i);
}

static void total_seconds(const struct sample *s, enum usage_counter counter)
{
	if (s->figures->has_usage)
		seconds(s, NULL, NULL, s->figures->usage.total.counter[counter]);
}

static void cpu_all(struct sample *s)
{
	total_seconds(s, USAGE_CPU);
}

static void cpu_mode(struct sample *s)
{
	if (!s->figures->up)
		return;
	seconds(s, "mode", "user", s->figures->cgroup.user_usec);
	seconds(s, "mode", "system", s->figures->cgroup.system_usec);
}

static void cpu_limit(struct sample *s)
{
	uint64_t limit = s->figures->up ? s->figures->cgroup.cpu_limit : UINT64_MAX;

	if (limit == UINT64_MAX)
		return;
	begin(s, NULL, NULL);
	buf_addf(s->out, "} %" PRIu64 ".%03" PRIu64 "\n", limit / 1000, limit % 1000);
}

static void periods(struct sample *s)
{
	if (s->figures->up)
		number(s, NULL, NULL, s->figures->cgroup.periods);
}

static void throttled(struct sample *s)
{
	if (s->figures->up)
		number(s, NULL, NULL, s->figures->cgroup.throttled);
}

static void throttled_time(struct sample *s)
{
	if (s->figures->up)
		seconds(s, NULL, NULL, s->figures->cgroup.throttled_usec);
}

static void memory(struct sample *s)
{
	const struct cgroup_figures *cgroup = &s->figures->cgroup;

	if (!s->figures->up)
		return;
	number(s, "kind", "anon", cgroup->anon);
	number(s, "kind", "file", cgroup->file);
	number(s, "kind", "shmem", cgroup->shmem);
	number(s, "kind", "kernel", cgroup->kernel);
	number(s, "kind", "swap", cgroup->swap);
}

static void memory_used(struct sample *s)
{
	if (s->figures->up)
		number(s, NULL, NULL, s->figures->cgroup.stat.memory);
}

static void memory_peak(struct sample *s)
{
	if (s->figures->up)
		number(s, NULL, NULL, s->figures->cgroup.stat.memory_peak);
}

static void memory_limit(struct sample *s)
{
	if (!s->figures->up)
		return;
	number(s, "kind", "memory", s->figures->cgroup.stat.memory_limit);
	number(s, "kind", "high", s->figures->cgroup.memory_high);
	number(s, "kind", "swap", s->figures->cgroup.swap_limit);
}

static void oom_kills(struct sample *s)
{
	if (s->figures->has_usage)
		number(s, NULL, NULL, s->figures->usage.total.counter[USAGE_OOM_KILLS]);
}

static void processes(struct sample *s)
{
	if (s->figures->up)
		number(s, NULL, NULL, s->figures->cgroup.stat.processes);
}

static void processes_limit(struct sample *s)
{
	if (s->figures->up)
		number(s, NULL, NULL, s->figures->cgroup.processes_limit);
}

static void pressure(const struct sample *s, enum cgroup_pressure kind)
{
	const struct cgroup_figures *cgroup = &s->figures->cgroup;

	if (!s->figures->up)
		return;
	seconds(s, "who", "some", cgroup->pressure[kind].some_usec);
	seconds(s, "who", "all", cgroup->pressure[kind].full_usec);
}

static void pressure_cpu(struct sample *s)
{
	pressure(s, CGROUP_PRESSURE_CPU);
}

static void pressure_memory(struct sample *s)
{
	pressure(s, CGROUP_PRESSURE_MEMORY);
}

static void pressure_io(struct sample *s)
{
	pressure(s, CGROUP_PRESSURE_IO);
}

static void disk_bytes(struct sample *s)
{
	if (!s->figures->up)
		return;
	number(s, "direction", "read", s->figures->cgroup.io[0]);
	number(s, "direction", "write", s->figures->cgroup.io[1]);
}

static void disk_operations(struct sample *s)
{
	if (!s->figures->up)
		return;
	number(s, "direction", "read", s->figures->cgroup.io[2]);
	number(s, "direction", "write", s->figures->cgroup.io[3]);
}

/* Of each interface, by what of its statistics lies at `offset`. */
static void links(const struct sample *s, size_t received, size_t sent)
{
	for (size_t i = 0; s->figures->up && i < s->figures->record.link_count; i++) {
		const struct record_link *link = &s->figures->record.links[i];
		const char *stats = (const char *)&s->figures->links[i];

		for (int way = 0; s->figures->has_link[i] && way < 2; way++) {
			begin(s, "interface", link->inside);
			metrics_label(s->out, "direction", way == 0 ? "receive" : "transmit");
			buf_addf(s->out, "} %" PRIu64 "\n", *(const uint64_t *)(stats + (way == 0 ? received : sent)));
		}
	}
}

static void network_bytes(struct sample *s)
{
	links(s, offsetof(struct netlink_stats, rx_bytes), offsetof(struct netlink_stats, tx_bytes));
}

static void network_packets(struct sample *s)
{
	links(s, offsetof(struct netlink_stats, rx_packets), offsetof(struct netlink_stats, tx_packets));
}

static void network_dropped(struct sample *s)
{
	links(s, offsetof(struct netlink_stats, rx_dropped), offsetof(struct netlink_stats, tx_dropped));
}

static void disk_used(struct sample *s)
{
	if (s->figures->has_usage && s->figures->usage.disk_at)
		number(s, NULL, NULL, s->figures->usage.disk);
}

static void starts(struct sample *s)
{
	if (s->figures->has_usage)
		number(s, NULL, NULL, s->figures->usage.total.starts);
}

static void started(struct sample *s)
{
	if (s->figures->up && s->figures->record.started)
		number(s, NULL, NULL, s->figures->record.started);
}

static const struct family family_table[] = {
	{"state", "gauge", NULL, state, "The state of the guest: 1 for the one that it is in."},
	{"starts", "counter", NULL, starts, "How often the guest was started, reboots from inside too, since it was made."},
	{"started_seconds", "gauge", "seconds", started, "When it was started, in seconds since 1970."},
	{"cpu_seconds", "counter", "seconds", cpu_all, "Processor time used since the guest was made, over all its starts."},
	{"cpu_mode_seconds", "counter", "seconds", cpu_mode, "Processor time since its start, by what the processor did."},
	{"cpu_limit", "gauge", NULL, cpu_limit, "How many CPUs' worth of time the guest may use."},
	{"cpu_periods", "counter", NULL, periods, "Periods in which the limit of processor time was looked at, since its start."},
	{"cpu_throttled_periods", "counter", NULL, throttled, "Periods in which the guest met that limit."},
	{"cpu_throttled_seconds", "counter", "seconds", throttled_time,
	 "Time for which its processes had to wait because of that limit."},
	{"memory_used_bytes", "gauge", "bytes", memory_used, "Memory in use, page cache included."},
	{"memory_peak_bytes", "gauge", "bytes", memory_peak, "Most memory used at once since its start."},
	{"memory_limit_bytes", "gauge", "bytes", memory_limit, "Limits of memory, by kind; without a limit there is no sample."},
	{"memory_bytes", "gauge", "bytes", memory,
	 "Memory in use by kind: anon, file (page cache), shmem (part of file), kernel, swap."},
	{"oom_kills", "counter", NULL, oom_kills, "Processes killed for want of memory since the guest was made."},
	{"processes", "gauge", NULL, processes, "Processes and threads."},
	{"processes_limit", "gauge", NULL, processes_limit, "Most processes and threads that it may have."},
	{"cpu_pressure_seconds", "counter", "seconds", pressure_cpu,
	 "Time in which some, or all, of its processes waited for a processor, since its start (PSI)."},
	{"memory_pressure_seconds", "counter", "seconds", pressure_memory, "The same for memory."},
	{"io_pressure_seconds", "counter", "seconds", pressure_io, "The same for disks."},
	{"disk_traffic_bytes", "counter", "bytes", disk_bytes, "Bytes read from and written to disks since its start."},
	{"disk_operations", "counter", NULL, disk_operations, "Reads and writes of disks since its start."},
	{"network_bytes", "counter", "bytes", network_bytes, "Bytes received and sent since its start, as the guest sees it."},
	{"network_packets", "counter", NULL, network_packets, "Packets received and sent."},
	{"network_dropped_packets", "counter", NULL, network_dropped, "Packets dropped on their way to and from the guest."},
	{"disk_used_bytes", "gauge", "bytes", disk_used,
	 "What the guest's own files take, when isle usage --record last counted them."},
};

void metrics_format(const struct figures *guests, size_t count, enum metrics_form form, struct buf *out)
{
	for (size_t i = 0; i < sizeof(family_table) / sizeof(family_table[0]); i++) {
		const struct family *family = &family_table[i];
		struct sample sample = {.out = out, .family = family->name, .counter = strcmp(family->type, "counter") == 0};

		/* The older form calls a family as its samples are called. */
		const char *behind = form == METRICS_PROMETHEUS && sample.counter ? "_total" : "";

		buf_addf(out, "# TYPE isle_guest_%s%s %s\n", family->name, behind, family->type);
		if (family->unit && form == METRICS_OPEN)
			buf_addf(out, "# UNIT isle_guest_%s %s\n", family->name, family->unit);
		buf_addf(out, "# HELP isle_guest_%s%s %s\n", family->name, behind, family->help);
		for (size_t g = 0; g < count; g++) {
			sample.figures = &guests[g];
			family->samples(&sample);
		}
	}
	if (form == METRICS_OPEN)
		buf_add(out, "# EOF\n");
}
