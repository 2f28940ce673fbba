/* isle info: all that is known of one guest. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../base/str.h"
#include "../kernel/netlink.h"
#include "../run/repair.h"
#include "facts.h"
#include "verbs.h"

#define LINKS_MAX RECORD_LINKS_MAX

struct info {
	struct call *call;
	struct facts facts;
	struct netlink_stats stats[LINKS_MAX]; /* as the guest sees them */
	bool has_stats[LINKS_MAX];
	bool raw; /* values alone, numbers not made readable */
	bool lxc; /* LXC's words for states */
};

/* The host's end receives what the guest sends. */
static void load_link_stats(struct info *info)
{
	const struct record *record = &info->facts.record;
	struct netlink *nl = NULL;

	if (!facts_alive(&info->facts) || record->link_count == 0 || netlink_open(-1, &nl, NULL) < 0)
		return;
	for (size_t i = 0; i < record->link_count && i < LINKS_MAX; i++) {
		struct netlink_stats host;

		if (!record->links[i].host[0] || netlink_link_stats(nl, record->links[i].host, &host, NULL) < 0)
			continue;
		info->has_stats[i] = true;
		info->stats[i] = (struct netlink_stats){
			.rx_bytes = host.tx_bytes,
			.tx_bytes = host.rx_bytes,
			.rx_packets = host.tx_packets,
			.tx_packets = host.rx_packets,
			.rx_dropped = host.tx_dropped,
			.tx_dropped = host.rx_dropped,
		};
	}
	netlink_free(nl);
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text && *text ? json_object_new_string(text) : NULL);
}

static struct json_object *link_json(const struct info *info, size_t at)
{
	const struct record_link *link = &info->facts.record.links[at];
	const struct netlink_stats *stats = &info->stats[at];
	const struct {
		const char *key;
		uint64_t number;
	} numbers[] = {
		{"rx_bytes", stats->rx_bytes},     {"tx_bytes", stats->tx_bytes},     {"rx_packets", stats->rx_packets},
		{"tx_packets", stats->tx_packets}, {"rx_dropped", stats->rx_dropped}, {"tx_dropped", stats->tx_dropped},
	};
	struct json_object *o = json_object_new_object();

	add_text(o, "name", link->inside);
	add_text(o, "host_name", link->host);
	add_text(o, "mac", link->mac);
	add_text(o, "address", link->address);
	add_text(o, "address6", link->address6);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		json_object_object_add(o, numbers[i].key, info->has_stats[at] ? json_object_new_uint64(numbers[i].number) : NULL);
	return o;
}

static int print_json(const struct info *info, const struct store *store, struct err *err)
{
	const struct facts *facts = &info->facts;
	bool alive = facts_alive(facts);
	struct json_object *o = facts_json(facts), *links = json_object_new_array();
	auto_free char *config = str_format("%s/%s/config", store->guests, facts->name);
	auto_free char *hostname = facts_config(facts, "guest.hostname");
	auto_free char *template = facts_config(facts, "guest.template");
	auto_free char *description = facts_config(facts, "guest.description");

	if (!o || !links)
		return err_num(err, ENOMEM, "show guest '%s'", facts->name);
	for (size_t i = 0; i < facts->record.link_count && i < LINKS_MAX; i++)
		json_object_array_add(links, link_json(info, i));
	json_object_object_add(o, "links", links);
	add_text(o, "hostname", hostname && *hostname ? hostname : facts->name);
	add_text(o, "template", template);
	add_text(o, "description", description);
	add_text(o, "init_kind", alive ? facts->record.init_kind : NULL);
	json_object_object_add(o, "starts", alive ? json_object_new_uint64(facts->record.starts) : NULL);
	add_text(o, "cgroup", alive ? facts->record.cgroup : NULL);
	add_text(o, "console", alive ? facts->record.console : NULL);
	add_text(o, "config_file", config);
	json_object_object_add(o, "config", facts->guest && facts->guest->spec ? spec_json(facts->guest->spec) : NULL);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}

static void put(const struct info *info, const char *label, const char *text)
{
	auto_free char *safe = text ? str_escape(text) : NULL;

	if (!safe || !*safe)
		return;
	if (info->raw)
		puts(safe);
	else
		printf("%-15s %s\n", label, safe);
}

static void put_number(const struct info *info, const char *label, uint64_t number)
{
	char text[24];

	if (number != UINT64_MAX && str_print(text, sizeof(text), "%llu", (unsigned long long)number) == 0)
		put(info, label, text);
}

static void put_size(const struct info *info, const char *label, uint64_t bytes)
{
	char text[16];

	if (info->raw || bytes == UINT64_MAX) {
		put_number(info, label, bytes);
		return;
	}
	str_show_size(bytes, text);
	put(info, label, text);
}

static void put_state(const struct info *info)
{
	char text[32];

	if (str_copy(text, sizeof(text), state_names[info->facts.state]) < 0)
		return;
	for (char *c = text; info->lxc && *c; c++)
		*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
	put(info, "State:", text);
}

static void put_addresses(const struct info *info)
{
	const struct record *record = &info->facts.record;

	for (size_t i = 0; i < record->link_count && i < LINKS_MAX; i++) {
		const char *both[] = {record->links[i].address, record->links[i].address6};

		for (int k = 0; k < 2; k++) {
			char plain[48];

			facts_plain_address(both[k], plain);
			put(info, "IP:", plain);
		}
	}
}

static void put_stats(const struct info *info)
{
	const struct facts *facts = &info->facts;

	if (facts_knows(facts, facts->stat.cpu_usec)) {
		auto_free char *seconds = info->raw ? str_format("%llu", (unsigned long long)facts->stat.cpu_usec * 1000)
						    : str_format("%.2f seconds", (double)facts->stat.cpu_usec / 1e6);

		put(info, "CPU use:", seconds);
	}
	if (facts->has_stat) {
		put_size(info, "Memory use:", facts->stat.memory);
		put_size(info, "Memory peak:", facts->stat.memory_peak);
		put_number(info, "Processes:", facts->stat.processes);
	}
	for (size_t i = 0; i < facts->record.link_count && i < LINKS_MAX; i++) {
		const struct record_link *link = &facts->record.links[i];

		put(info, "Link:", link->host[0] ? link->host : link->inside);
		if (!info->has_stats[i])
			continue;
		put_size(info, " TX bytes:", info->stats[i].tx_bytes);
		put_size(info, " RX bytes:", info->stats[i].rx_bytes);
		put_size(info, " Total bytes:", info->stats[i].tx_bytes + info->stats[i].rx_bytes);
	}
}

static void put_config(const struct info *info, const char *label, const char *dotted)
{
	auto_free char *value = facts_config(&info->facts, dotted);

	put(info, label, value);
}

static void put_started(const struct info *info)
{
	const struct record *record = &info->facts.record;
	time_t started = (time_t)record->started, now = time(NULL);
	char when[32], duration[32];
	struct tm tm;

	if (!started || !localtime_r(&started, &tm) || !strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm))
		return;
	str_show_duration(now > started ? (uint64_t)(now - started) : 0, duration);
	auto_free char *text = str_format("%s (%s ago)", when, duration);

	put(info, "Started:", text);
}

static void put_links(const struct info *info)
{
	for (size_t i = 0; i < info->facts.record.link_count && i < LINKS_MAX; i++) {
		const struct record_link *link = &info->facts.record.links[i];
		auto_free char *text =
			str_format("%s%s%s, %s%s%s%s%s", link->inside, link->host[0] ? " <-> " : "", link->host, link->mac,
				   link->address[0] ? ", " : "", link->address, link->address6[0] ? ", " : "", link->address6);

		put(info, "Interface:", text);
	}
}

static void put_all(const struct info *info, const struct store *store)
{
	const struct facts *facts = &info->facts;
	const struct record *record = &facts->record;
	auto_free char *config = str_format("%s/%s/config", store->guests, facts->name);

	put(info, "Name:", facts->name);
	put_config(info, "Description:", "guest.description");
	put_state(info);
	if (facts_alive(facts)) {
		put_number(info, "PID:", (uint64_t)record->init_pid);
		if (record->monitor_pid > 0)
			put_number(info, "Monitor:", (uint64_t)record->monitor_pid);
		put(info, "Init:", record->init_kind);
		put_started(info);
		put_addresses(info);
		put_links(info);
		put_stats(info);
	}
	put_config(info, "Memory limit:", "limits.memory");
	put_config(info, "CPU limit:", "limits.cpus");
	put_config(info, "Process limit:", "limits.processes");
	put_config(info, "Storage:", "guest.storage");
	put_config(info, "Image:", "guest.image");
	put_config(info, "Ids from:", "security.ids");
	put_config(info, "Privileged:", "security.privileged");
	put_config(info, "Autostart:", "guest.autostart");
	put(info, "Config:", config);
	put(info, "Config error:", facts->config_error);
}

static int put_keys(const struct info *info, struct err *err)
{
	const char *const *keys;
	size_t count = call_values(info->call, "config", &keys);

	if (count && !(info->facts.guest && info->facts.guest->spec))
		return err_set(err, ERR_FAILED, "read the config of guest '%s': %s", info->facts.name, info->facts.config_error);
	for (size_t i = 0; i < count; i++) {
		auto_free char *value = NULL;
		int rc = spec_get(info->facts.guest->spec, keys[i], &value, err);

		if (rc < 0)
			return rc;
		if (info->raw)
			puts(value);
		else
			printf("%s = %s\n", keys[i], value);
	}
	return 0;
}

static int print_text(struct info *info, const struct store *store, struct err *err)
{
	const struct call *call = info->call;
	bool state = call_has(call, "state"), pid = call_has(call, "pid"), ips = call_has(call, "ips"),
	     stats = call_has(call, "stats");

	info->raw = call_has(call, "no-humanize");
	info->lxc = call->lxc;
	if (!state && !pid && !ips && !stats && !call_has(call, "config")) {
		put_all(info, store);
		return 0;
	}
	if (state)
		put_state(info);
	if (pid && facts_alive(&info->facts))
		put_number(info, "PID:", (uint64_t)info->facts.record.init_pid);
	if (ips)
		put_addresses(info);
	if (stats)
		put_stats(info);
	return put_keys(info, err);
}

static int run_info(struct call *call, struct err *err)
{
	struct info info = {.call = call};
	const struct store *store;
	char **names;

	int rc = call_names(call, -1, &names, err);

	if (rc < 0)
		return rc;
	rc = call_store(call, &store, err);
	if (rc == 0)
		repair_unwatched(store, names[0]);
	if (rc == 0)
		rc = facts_load(store, names[0], FACTS_STATS | FACTS_CONFIG, &info.facts);
	if (rc == -ENOENT) {
		/* Again, for the near match that guest_open knows. */
		struct guest *guest = NULL;

		rc = guest_open(store, names[0], &guest, err);
		if (rc == 0)
			rc = err_set(err, ERR_NOT_FOUND, "there is no guest '%s'", names[0]);
		guest_free(guest);
	} else if (rc == 0) {
		bool chosen = call_has(call, "state") || call_has(call, "pid") || call_has(call, "ips") || call_has(call, "config");

		if (call->json || call_has(call, "stats") || !chosen)
			load_link_stats(&info);
		rc = call->json ? print_json(&info, store, err) : print_text(&info, store, err);
	}
	facts_free(&info.facts);
	store_names_free(names);
	return rc;
}

static const struct option_row info_options[] = {
	{.name = "state", .letter = 's', .doc = "Show the state.", .lxc = "-s --state"},
	{.name = "pid", .letter = 'p', .doc = "Show the process id of the guest's init on the host.", .lxc = "-p --pid"},
	{.name = "ips", .letter = 'i', .doc = "Show the addresses.", .lxc = "-i --ips"},
	{.name = "stats", .letter = 'S', .doc = "Show use of processor, memory and network.", .lxc = "-S --stats"},
	{.name = "no-humanize",
	 .letter = 'H',
	 .doc = "Values alone, sizes in bytes and processor time in nanoseconds.",
	 .lxc = "-H --no-humanize"},
	{.name = "config",
	 .letter = 'c',
	 .arg = "KEY",
	 .doc = "Show a config key, see isle.conf(5); may be given several times.",
	 .lxc = "-c --config",
	 .repeats = true,
	 .complete = COMPLETE_KEY},
	{NULL},
};

const struct verb verb_info = {
	.name = "info",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] NAME",
	.summary = "Show all that is known of a guest.",
	.headline = "show guest %",
	.text = "State, processes, addresses and interfaces, use of memory and processor, limits, storage and the config file of "
		"one guest. "
		"Options choose parts of it. Network counters are the guest's: TX is what it has sent.\n\n"
		"With --json the result is an object: the keys of 'isle list --json', and links (objects with name, host_name, "
		"mac, address, "
		"address6 and counters), hostname, template, description, init_kind, starts, cgroup, console, config_file and "
		"config (by section).\n\n"
		"Called as isle-info it writes states in upper case, as lxc-info(1) does.",
	.examples = "isle info web1\nisle info web1 --json | jq .addresses\nisle info -s -H web1\nisle info -c limits.memory "
		    "web1\nisle-info -n web1 -s -H",
	.options = info_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_GUEST,
	.needs_root = true,
	.run = run_info,
};
