/* isle info: all that is known of one guest. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../base/str.h"
#include "../kernel/apparmor.h"
#include "../kernel/host.h"
#include "../kernel/netlink.h"
#include "../guest/checkpoint.h"
#include "../guest/plan.h"
#include "../run/limits.h"
#include "../run/figures.h"
#include "../run/oom.h"
#include "../run/repair.h"
#include "facts.h"
#include "held.h"
#include "verbs.h"

#define LINKS_MAX RECORD_LINKS_MAX

struct info {
	struct call *call;
	struct facts facts;
	struct netlink_stats stats[LINKS_MAX]; /* as the guest sees them */
	struct oom_last oom;
	bool has_stats[LINKS_MAX];
	bool raw; /* values alone, numbers not made readable */
	bool lxc; /* LXC's words for states */
};

static void load_link_stats(struct info *info)
{
	const struct record *record = &info->facts.record;
	struct netlink *nl = NULL;

	if (!facts_alive(&info->facts) || record->link_count == 0 || netlink_open(-1, &nl, NULL) < 0)
		return;
	for (size_t i = 0; i < record->link_count && i < LINKS_MAX; i++)
		info->has_stats[i] = figures_link(nl, record->links[i].host, &info->stats[i]);
	netlink_free(nl);
}

/* The checkpoint, or the folder of the administrator's that it is; NULL for a guest that does not sleep. Caller frees. */
static char *asleep_in(const struct store *store, const struct facts *facts)
{
	char id[32] = "";

	if (facts->state != STATE_CHECKPOINTED)
		return NULL;
	char *path = checkpoint_asleep_at(store, facts->name);

	(void)checkpoint_asleep(store, facts->name, id, NULL); /* what cannot be read is not shown */
	return path ? path : strdup(id);
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

/* Caller frees; NULL when there is nothing to say. */
static char *label_of(const struct info *info)
{
	bool runs = facts_alive(&info->facts) && info->facts.record.init_pid > 0;

	return runs && host_get()->apparmor ? apparmor_label(info->facts.record.init_pid) : NULL;
}

static struct json_object *devices_json(const struct record *record)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < record->device_count; i++) {
		const struct record_device *device = &record->devices[i];
		struct json_object *o = json_object_new_object();
		bool nic = device->kind == 'n';

		add_text(o, "name", device->name);
		add_text(o, "type", nic ? "nic" : "node");
		add_text(o, "target", device->inside);
		add_text(o, "host_name", device->host);
		add_text(o, "kind", nic ? NULL : device->kind == 'b' ? "block" : "char");
		json_object_object_add(o, "major", nic ? NULL : json_object_new_uint64(device->major));
		json_object_object_add(o, "minor", nic ? NULL : json_object_new_uint64(device->minor));
		add_text(o, "access", nic ? NULL : device->access);
		json_object_array_add(list, o);
	}
	return list;
}

/* Calls for each key in which the guest says something else than its plan or the host's defaults. */
static void each_override(const struct store *store, const struct spec *spec, void (*fn)(void *arg, const char *dotted), void *arg)
{
	struct spec *below = NULL;

	if (plan_open(store, spec->guest.plan, &below, NULL) < 0)
		return;
	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];
		auto_free char *dotted = str_format("%s.%s", section_table[key->section].name, key->name);

		if (dotted && !section_table[key->section].many && spec_source_of(spec, key) == SPEC_FROM_GUEST &&
		    spec_source_of(below, key) != SPEC_FROM_DEFAULT)
			fn(arg, dotted);
	}
	spec_free(below);
}

static void add_to_json(void *arg, const char *dotted)
{
	json_object_array_add(arg, json_object_new_string(dotted));
}

static struct json_object *overrides_json(const struct store *store, const struct spec *spec)
{
	struct json_object *list = json_object_new_array();

	each_override(store, spec, add_to_json, list);
	return list;
}

static void add_to_text(void *arg, const char *dotted)
{
	struct buf *text = arg;

	buf_addf(text, "%s%s", text->len ? ", " : "", dotted);
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
	auto_free char *label = label_of(info);
	auto_free char *asleep = asleep_in(store, facts);

	if (!o || !links)
		return err_num(err, ENOMEM, "show guest '%s'", facts->name);
	for (size_t i = 0; i < facts->record.link_count && i < LINKS_MAX; i++)
		json_object_array_add(links, link_json(info, i));
	json_object_object_add(o, "links", links);
	json_object_object_add(o, "devices", devices_json(&facts->record));
	add_text(o, "hostname", hostname && *hostname ? hostname : facts->name);
	add_text(o, "template", template);
	add_text(o, "description", description);
	add_text(o, "init_kind", alive ? facts->record.init_kind : NULL);
	json_object_object_add(o, "last_oom", alive ? oom_last_json(&info->oom) : NULL);
	json_object_object_add(o, "overrides",
			       facts->guest && facts->guest->spec ? overrides_json(store, facts->guest->spec) : NULL);
	add_text(o, "asleep_in", asleep);
	json_object_object_add(o, "starts", alive ? json_object_new_uint64(facts->record.starts) : NULL);
	add_text(o, "cgroup", alive ? facts->record.cgroup : NULL);
	add_text(o, "console", alive ? facts->record.console : NULL);
	add_text(o, "apparmor", label);
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

static void put_asleep(const struct info *info, const struct store *store)
{
	auto_free char *asleep = asleep_in(store, &info->facts);

	put(info, "Asleep in:", asleep);
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

static void put_oom(const struct info *info)
{
	const struct facts *facts = &info->facts;
	auto_free char *last = oom_last_text(&info->oom);
	auto_free char *text = NULL;

	if (!facts_knows(facts, facts->stat.oom_kills) || facts->stat.oom_kills == 0)
		return;
	text = str_format("%llu%s%s", (unsigned long long)facts->stat.oom_kills, last && !info->raw ? ", last " : "",
			  last && !info->raw ? last : "");
	put(info, "Out of memory:", text);
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
		put_oom(info);
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

/* Without AppArmor a guest lacks a wall that its config may count on: that is said, whether it runs or not. */
static void put_label(const struct info *info)
{
	auto_free char *label = label_of(info);

	put(info, "AppArmor:", host_get()->apparmor ? label : "not in this kernel, or off");
}

static void put_devices(const struct info *info)
{
	for (size_t i = 0; i < info->facts.record.device_count; i++) {
		const struct record_device *device = &info->facts.record.devices[i];
		auto_free char *text =
			device->kind == 'n' ? str_format("%s: %s, %s on the host", device->name, device->inside, device->host)
					    : str_format("%s: %s, %s %llu:%llu, %s", device->name, device->inside,
							 device->kind == 'b' ? "block" : "char", (unsigned long long)device->major,
							 (unsigned long long)device->minor, device->access);

		put(info, "Device:", text);
	}
}

static void put_plan(const struct info *info, const struct store *store)
{
	const struct spec *spec = info->facts.guest ? info->facts.guest->spec : NULL;
	auto_buf struct buf overrides = {0};

	if (!spec || !spec->guest.plan)
		return;
	each_override(store, spec, add_to_text, &overrides);
	auto_free char *text =
		str_format("%s%s%s", spec->guest.plan, overrides.len ? ", but its own " : "", overrides.len ? overrides.data : "");

	put(info, "Plan:", text);
}

/* What holds, where a change of the running guest or of the config alone made it another thing than the config says. */
static void put_limits(const struct info *info, const struct store *store)
{
	static const struct {
		const char *label, *key;
	} limits[] = {{"Memory limit:", "memory"}, {"CPU limit:", "cpus"}, {"Process limit:", "processes"}};
	struct held held = {0};

	if (info->facts.guest)
		held_load(store, info->facts.name, &held);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		const struct key *key = key_find(SECTION_LIMITS, limits[i].key);
		auto_free char *pending = held.up ? held_pending(&held, info->facts.guest, key) : NULL;
		auto_free char *dotted = str_format("limits.%s", limits[i].key);
		auto_buf struct buf now = {0};

		if (!pending) {
			put_config(info, limits[i].label, dotted);
			continue;
		}
		enum cgroup_kind kind = limits_kind_of(key);
		uint64_t number = held.uses.of[kind].limit;
		char size[16];

		str_show_size(number, size);
		if (held_is_size(kind) && !held_is_none(&held, kind))
			buf_add(&now, size);
		else if (!held_is_none(&held, kind))
			key->type->format(key, &number, &now);
		auto_free char *text = str_format("%s, %s", now.len ? now.data : "unlimited", pending);

		put(info, limits[i].label, text);
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
		put_devices(info);
		put_stats(info);
	}
	put_asleep(info, store);
	put_plan(info, store);
	put_limits(info, store);
	put_config(info, "Storage:", "guest.storage");
	put_config(info, "Image:", "guest.image");
	put_config(info, "Ids from:", "security.ids");
	put_config(info, "Privileged:", "security.privileged");
	put_label(info);
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

	int rc = call_names(call, CALL_ANY_STATE, &names, err);

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
		oom_last_load(store->run_fd, names[0], &info.oom);
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
		"address6 and counters), devices (objects with name, type, target, host_name, kind, major, minor and access), hostname, template, description, init_kind, last_oom (time, pid, name), overrides (keys in which it differs from its plan), asleep_in (its checkpoint, or the folder of that), starts, cgroup, console, apparmor, config_file and "
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
