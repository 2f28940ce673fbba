/* What list and info know of a guest: state, run record, use of resources, config. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "../base/str.h"
#include "facts.h"

#define IDS_PER_GUEST 65536

int facts_load(const struct store *store, const char *name, unsigned want, struct facts *ret)
{
	struct err err = {0};

	*ret = (struct facts){0};
	int rc = str_copy(ret->name, sizeof(ret->name), name);

	if (rc < 0)
		return rc;
	ret->state = guest_state(store, name, &ret->record);
	if (want & FACTS_CONFIG) {
		rc = guest_open(store, name, &ret->guest, &err);
		if (rc < 0 && err.code == ERR_NOT_FOUND)
			return -ENOENT;
		if (rc < 0)
			(void)str_print(ret->config_error, sizeof(ret->config_error), "%.90s%s%.150s", err.where,
					*err.where ? ": " : "", err.what); /* a cut message still tells */
	}
	if ((want & FACTS_STATS) && facts_alive(ret) && ret->record.cgroup[0])
		ret->has_stat = cgroup_stat(ret->record.cgroup, &ret->stat) == 0;
	return 0;
}

void facts_free(struct facts *facts)
{
	guest_free(facts->guest);
	facts->guest = NULL;
}

bool facts_alive(const struct facts *facts)
{
	return facts->record.init_pid > 0 && facts->state != STATE_STOPPED && facts->state != STATE_CHECKPOINTED &&
	       facts->state != STATE_BROKEN;
}

bool facts_knows(const struct facts *facts, uint64_t number)
{
	return facts->has_stat && number != UINT64_MAX;
}

char *facts_config(const struct facts *facts, const char *dotted)
{
	char *value = NULL;

	if (!facts->guest || !facts->guest->spec || spec_get(facts->guest->spec, dotted, &value, NULL) < 0)
		return NULL;
	return value;
}

void facts_plain_address(const char *address, char out[48])
{
	size_t len = strcspn(address, "/");

	if (str_print(out, 48, "%.*s", (int)len, address) < 0)
		out[0] = '\0';
}

static void add_number(struct json_object *o, const char *key, bool known, uint64_t number)
{
	json_object_object_add(o, key, known ? json_object_new_uint64(number) : NULL);
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text && *text ? json_object_new_string(text) : NULL);
}

static void add_config(struct json_object *o, const char *key, const struct facts *facts, const char *dotted)
{
	auto_free char *value = facts_config(facts, dotted);

	add_text(o, key, value);
}

static struct json_object *addresses_json(const struct record *record)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < record->link_count && i < RECORD_LINKS_MAX; i++) {
		const char *both[] = {record->links[i].address, record->links[i].address6};

		for (int k = 0; k < 2; k++) {
			char plain[48];

			facts_plain_address(both[k], plain);
			if (*plain)
				json_object_array_add(list, json_object_new_string(plain));
		}
	}
	return list;
}

static struct json_object *ids_json(const struct facts *facts)
{
	const struct spec *spec = facts->guest ? facts->guest->spec : NULL;
	uint64_t first = facts->record.ids;

	if (!first && spec && !spec->security.privileged && spec->security.ids != SPEC_UNSET)
		first = spec->security.ids;
	if (!first)
		return NULL;
	struct json_object *o = json_object_new_object();

	add_number(o, "first", true, first);
	add_number(o, "count", true, IDS_PER_GUEST);
	return o;
}

struct json_object *facts_json(const struct facts *facts)
{
	struct json_object *o = json_object_new_object();
	const struct record *record = &facts->record;
	bool alive = facts_alive(facts);
	const struct spec *spec = facts->guest ? facts->guest->spec : NULL;

	if (!o)
		return NULL;
	add_text(o, "name", facts->name);
	add_text(o, "state", state_names[facts->state]);
	add_number(o, "pid", alive && record->init_pid > 0, (uint64_t)record->init_pid);
	add_number(o, "monitor_pid", alive && record->monitor_pid > 0, (uint64_t)record->monitor_pid);
	json_object_object_add(o, "addresses", addresses_json(record));
	add_config(o, "storage", facts, "guest.storage");
	add_config(o, "image", facts, "guest.image");
	json_object_object_add(o, "ids", ids_json(facts));
	add_number(o, "started", alive && record->started > 0, record->started);
	add_number(o, "memory", facts_knows(facts, facts->stat.memory), facts->stat.memory);
	add_number(o, "memory_peak", facts_knows(facts, facts->stat.memory_peak), facts->stat.memory_peak);
	add_number(o, "cpu_usec", facts_knows(facts, facts->stat.cpu_usec), facts->stat.cpu_usec);
	add_number(o, "processes", facts_knows(facts, facts->stat.processes), facts->stat.processes);
	add_number(o, "oom_kills", facts_knows(facts, facts->stat.oom_kills), facts->stat.oom_kills);
	add_config(o, "plan", facts, "guest.plan");
	json_object_object_add(o, "autostart", spec ? json_object_new_boolean(spec->guest.autostart) : NULL);
	json_object_object_add(o, "privileged", spec ? json_object_new_boolean(spec->security.privileged) : NULL);
	add_text(o, "config_error", facts->config_error);
	return o;
}
