/* What is promised to guests, against what the host has. */
#pragma once

#include "../guest/store.h"
#include "../kernel/host.h"

enum promised_kind { PROMISED_MEMORY, PROMISED_SWAP, PROMISED_CPUS, PROMISED_PROCESSES, PROMISED_DISK, PROMISED_KINDS };

struct promised {
	struct promised_sum {
		uint64_t running; /* sum of the limits of guests that run; of disk, what their files took when last counted */
		uint64_t all;     /* of every guest */
		size_t unlimited; /* running guests without such a limit, which may take all */
		uint64_t has;     /* the host; 0: not known */
	} of[PROMISED_KINDS];
	uint64_t guaranteed; /* memory-guarantee of running guests */
	uint64_t used;       /* memory that running guests use now */
	size_t guests, running;
	size_t uncounted; /* guests whose files were never counted */
};

/* Guests whose config cannot be read count as unlimited. */
int promised_load(const struct store *store, struct promised *ret, struct err *err);

/* For isle list --totals. */
void promised_print(const struct promised *promised);
struct json_object *promised_json(const struct promised *promised);

/* For isle doctor: fills up to `room` findings, returns how many. */
size_t promised_findings(const struct promised *promised, struct host_finding *ret, size_t room);
