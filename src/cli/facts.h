/* What list and info know of a guest: state, run record, use of resources, config. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../guest/record.h"
#include "../kernel/cgroup.h"

struct json_object;

enum facts_want {
	FACTS_STATS = 1 << 0,  /* memory, CPU, processes: reads the guest's cgroup */
	FACTS_CONFIG = 1 << 1, /* reads the guest's config */
};

struct facts {
	char name[STORE_NAME_MAX + 1];
	enum state state;
	struct record record; /* zeroed when the guest does not run */
	bool has_stat;
	struct cgroup_stat stat;
	struct guest *guest;    /* NULL: not asked for, or see config_error */
	char config_error[256]; /* why the config could not be read */
};

/* Fills ret; a config that cannot be read is no failure. -ENOENT when there is no such guest (seen only with FACTS_CONFIG). */
int facts_load(const struct store *store, const char *name, unsigned want, struct facts *ret);
void facts_free(struct facts *facts);

/* True while the guest has processes: starting, running, frozen or stopping. */
bool facts_alive(const struct facts *facts);

/* False for a number of facts->stat that was not read or that the kernel does not say. */
bool facts_knows(const struct facts *facts, uint64_t number);

/* A config value by its dotted name, "" when it is not set or not known; caller frees, may be NULL. */
char *facts_config(const struct facts *facts, const char *dotted);

/* The object that list --json shows for each guest; info --json adds to it. */
struct json_object *facts_json(const struct facts *facts);

/* An address without its /LEN. */
void facts_plain_address(const char *address, char out[48]);
