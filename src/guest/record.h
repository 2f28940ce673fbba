/* The run record: what a started guest consists of, a hint that is checked against the kernel. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"
#include "../base/str.h"
#include "store.h"

enum state {
	STATE_STOPPED,
	STATE_STARTING,
	STATE_RUNNING,
	STATE_FROZEN,
	STATE_STOPPING,
	STATE_CHECKPOINTED,
	STATE_BROKEN,
	STATE_COUNT
};
extern const char *const state_names[STATE_COUNT]; /* lower case, as JSON has them */

/* One matrix of the transitions that commands may make. */
bool state_may_go(enum state from, enum state to);

#define RECORD_LINKS_MAX 16

/* A device that was given to the running guest. */
struct record_device {
	char name[SPEC_MEMBER_MAX + 1]; /* of its section */
	char phase;                     /* '=' it is there, '+' being added, '-' being removed: what a killed command had begun */
	char kind;                      /* 'c' or 'b', 'n' for an interface */
	uint64_t major,
		minor;    /* of an interface: its index, and 0 when that is the host's still, else 1 more than netlink_link.lower */
	char access[16];  /* letters of rwm; of an interface its kind ("veth"), "" for hardware */
	char inside[101]; /* path or interface in the guest */
	char host[16];    /* the interface's name on the host */
};

/* What a run is at. */
#define RECORD_STARTING   "starting"
#define RECORD_RUNNING    "running"
#define RECORD_STOPPING   "stopping"
#define RECORD_CHECKPOINT "checkpoint" /* criu has its processes; after a kill it sleeps or goes on, as the note says (asleep) */
#define RECORD_WAKING     "waking"     /* restored whole, and about to run or running; after a kill it is awake */

struct record {
	char phase[12];
	char boot_id[37];
	pid_t init_pid;      /* 0: not cloned yet */
	uint64_t init_start; /* clock ticks since boot, as /proc/PID/stat */
	pid_t monitor_pid;
	uint64_t monitor_start;
	uint64_t started;               /* seconds, CLOCK_REALTIME */
	uint64_t ids;                   /* first host id, 0 when privileged */
	char cgroup[128];               /* "isle/NAME" below each hierarchy */
	char console[32];               /* the pty's slave on the host: /dev/pts/7 */
	char lxcfs[16];                 /* the lxcfs whose files it has in its /proc, see run/lxcfs.h; "": none */
	char cpuset[256];               /* the CPUs that it is held to, chosen ones too; "": all */
	char init_kind[12];             /* "systemd", "sysv", "busybox", "other" */
	uint64_t changing;              /* 1: a command is changing its limits; where that was killed they are anything between */
	uint64_t terminals, namespaces; /* the limits of those that it was started with; 0: unknown */
	uint64_t starts;                /* how often init was started since `isle start` (reboots) */
	size_t link_count;
	struct record_link {
		char inside[16]; /* eth0 */
		char host[16];   /* name on the host */
		char mac[18];
		char address[19]; /* A.B.C.D/LEN or "" */
		char address6[44];
		bool guarded, roaming, isolated; /* as struct spoof_port has it; guarded: it has one */
	} links[RECORD_LINKS_MAX];
	size_t device_count;
	struct record_device devices[SPEC_DEVICES_MAX];
};

/* run/NAME/record. Load returns -ENOENT when there is none and -ESTALE when it is another boot's, which counts as none. */
int record_load(const struct store *store, const char *name, struct record *ret);
int record_save(const struct store *store, const char *name, const struct record *record, struct err *err);

/* The device of that section's name; NULL when there is none. */
struct record_device *record_device(struct record *record, const char *name);

/* The file's text. Parsing cuts it to pieces and passes over lines that make no sense: what is in the record is only believed where
 * the kernel agrees. */
void record_parse(char *text, struct record *ret);
void record_format(const struct record *record, struct buf *out);

/* Removes run/NAME and all in it. */
int record_remove(const struct store *store, const char *name, struct err *err);

/* pidfd of init / of the monitor when they live, -ESRCH otherwise. */
int record_init_pidfd(const struct record *record);
int record_monitor_pidfd(const struct record *record);

/* The truth, from kernel and record: *ret_record (may be NULL) is zeroed when there is none.
 * STATE_BROKEN: leftovers of a start or stop that was killed; the next command that takes the lock repairs. */
enum state guest_state(const struct store *store, const char *name, struct record *ret_record);

/* The same for a guest that the caller has locked: nobody else starts or stops it now, so a half start is broken and a
 * guest whose stop was killed runs. Stopping is one whose init has ended and whose monitor waits for the lock, to clear
 * up or to start it again. */
enum state guest_state_locked(const struct guest *guest, struct record *ret_record);

/* The same for whoever is about to end a guest because it is broken: an error when its run record cannot be read at this moment,
 * which makes one that runs look so. */
int guest_state_sure(const struct guest *guest, struct record *ret_record, enum state *ret, struct err *err);
