/* The key table: one row declares a config key once, and everything else reads it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "types.h"

/* What must be redone in a running guest when a key changes; 0: takes effect at the next start. */
enum facet {
	FACET_NONE = 0,
	FACET_CGROUP = 1 << 0,
	FACET_NETWORK = 1 << 1,
	FACET_HOSTNAME = 1 << 2,
	FACET_FREE = 1 << 3, /* isle only reads it when it acts (autostart, stop-timeout): nothing to redo */
	FACET_LXCFS = 1 << 4,
};

/* Sections. Those with many members are written [network eth0] and live in arrays of struct spec. */
enum section { SECTION_GUEST, SECTION_LIMITS, SECTION_SECURITY, SECTION_NETWORK, SECTION_MOUNT, SECTION_DEVICE, SECTION_COUNT };

struct section_info {
	const char *name;
	bool many;
	const char *member; /* a name for examples, where there are many: "eth0" */
	const char *doc;
};
extern const struct section_info section_table[SECTION_COUNT];

struct key {
	enum section section;
	const char *name; /* "memory"; written limits.memory, network.eth0.address on the command line */
	const struct type *type;
	size_t offset;     /* in struct spec, or in the section's element */
	size_t size;       /* of a char[N] field */
	uint64_t min, max; /* bounds of the type, 0 max = none */
	const char *const *choices;
	const char *fallback; /* default as text, NULL: not set */
	unsigned live;        /* enum facet bits */
	const char *lxc;      /* LXC's key, NULL: none */
	const char *doc;      /* one sentence or more, for the manual */
	const char *example;
	bool internal; /* isle writes it (id, ids, image); config set refuses it without --force */
	bool own;      /* one guest's alone: not for a plan or the host's defaults */
};

#define KEYS_MAX 96 /* room for the table's rows in arrays beside it */
extern const struct key key_table[];
extern const size_t key_count;

/* The words of guest.storage, by enum storage_type; the storages carry the same names. */
extern const char *const storage_choices[];

const struct key *key_find(enum section section, const char *name);
