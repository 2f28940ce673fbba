/* What a guest has used since it was made: counters that survive its restarts, kept beside its config. */
#pragma once

#include <stdint.h>

#include "../guest/record.h"
#include "../kernel/netlink.h"

enum usage_counter {
	USAGE_CPU,      /* microseconds */
	USAGE_RX_BYTES, /* as the guest sees it: what it has received */
	USAGE_TX_BYTES,
	USAGE_RX_PACKETS,
	USAGE_TX_PACKETS,
	USAGE_READ_BYTES, /* from disks */
	USAGE_WRITTEN_BYTES,
	USAGE_OOM_KILLS,
	USAGE_COUNTERS
};

/* Those of an interface stand side by side. */
#define USAGE_LINK_COUNTERS (USAGE_TX_PACKETS - USAGE_RX_BYTES + 1)

/* One interface's own counters, in the order of enum usage_counter; by its name on the host. */
struct usage_link {
	char host[16];
	uint64_t counter[USAGE_LINK_COUNTERS];
	bool lost; /* in a look: it is gone, and what it has carried is known from elsewhere, a little less exactly */
};

/* Totals only grow. */
struct usage_total {
	uint64_t counter[USAGE_COUNTERS];
	uint64_t running_ms, starts;
	double memory_byte_seconds, disk_byte_seconds; /* more than 64 bits hold, for large guests */
};

struct usage {
	struct usage_total total;
	/* The run that was looked at last, and what its own counters were; those of interfaces are in links. */
	char boot_id[37];
	uint64_t init_start;
	uint64_t last[USAGE_COUNTERS];
	size_t link_count;
	struct usage_link links[RECORD_LINKS_MAX];
	uint64_t memory;
	/* When that was: milliseconds since boot (CLOCK_BOOTTIME) of boot_id, seconds since 1970. */
	uint64_t at_ms, at;
	uint64_t disk, disk_at; /* bytes the guest's own files take, and when they were counted; 0: never */
};

/* One look at a run. */
struct usage_look {
	char boot_id[37];
	uint64_t now_ms, now;
	bool runs;  /* else the rest says nothing */
	bool ended; /* its init is gone and nobody has cleared up: what it did counts, but time is not its own any more */
	uint64_t init_start;
	uint64_t begun_ms;                /* since boot */
	uint64_t counter[USAGE_COUNTERS]; /* UINT64_MAX: the kernel does not say */
	size_t link_count;                /* of those that were there to be asked */
	struct usage_link links[RECORD_LINKS_MAX];
	uint64_t memory;
};

/* Adds what was used between the last look and this one. A clock that was set plays no part while the host stays up. */
void usage_advance(struct usage *usage, const struct usage_look *look);

/* guests/NAME/usage; all zeroes when there is none. The file is replaced as a whole, so it is never half of one; where
 * a host lost its power right after a stop, the last note of the history stands in for it. */
int usage_load(int guest_fd, struct usage *ret, struct err *err);

/* The account up to this moment, with a look at the run that is in the guest's record; nothing is put down. A guest that ends or
 * begins meanwhile is looked at again, so that what is shown never goes back. nl: of the host's namespace, NULL: opened for this.
 */
int usage_now(const struct store *store, const char *name, int guest_fd, struct netlink *nl, struct usage *ret, struct err *err);

/* Looks, and puts that down, in the history too. record: of the run; NULL: as run/NAME/record has it once nobody else can put
 * anything down. memory: what the guest used when it was asked to end, 0: what it uses now. disk_age: the guest's files are counted
 * when the last count is older, in seconds; UINT64_MAX: not at all. */
struct usage_recording {
	const struct record *record;
	uint64_t memory;
	uint64_t disk_age;
	bool ending; /* what is put down is on disk a moment later, which nobody waits for */
};
int usage_record(struct guest *guest, const struct usage_recording *recording, struct usage *ret, struct err *err);

/* Whether the last count of the guest's files is older than age, in seconds, or there was none. */
bool usage_disk_due(int guest_fd, uint64_t age);

/* Totals at a moment of the past (seconds since 1970), between two notes in proportion; zeroes before the first one. now: what
 * holds for the present, and for the future. */
int usage_at(int guest_fd, uint64_t when, const struct usage *now, struct usage_total *ret, struct err *err);

/* History as text, a line a note; see usage_history.c. */
#define USAGE_HISTORY      "usage.history"
#define USAGE_HISTORY_LINE 320
void usage_history_format(uint64_t at, const struct usage_total *total, char out[USAGE_HISTORY_LINE]);
bool usage_history_parse(const char *line, uint64_t *ret_at, struct usage_total *ret);

/* The last whole note; unchanged when there is none. */
void usage_history_last(int guest_fd, uint64_t *ret_at, struct usage_total *ret);

/* Appends a note, and thins out what is old when the file has become long: a note every five minutes is kept for a day, one an hour
 * for five weeks, one a day for three years. Notes from a future that the clock has come back from count as of this moment. */
int usage_history_add(int guest_fd, uint64_t at, const struct usage_total *total, struct err *err);
