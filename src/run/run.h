/* What exists now of one guest (descriptors, namespaces, links, console), while its config stays in struct spec. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../guest/kept.h"
#include "../guest/network.h"
#include "../guest/record.h"
#include "../guest/store.h"
#include "../kernel/cgroup.h"
#include "../kernel/host.h"
#include "confine.h"

struct personalise;
struct restore;

enum run_mode {
	RUN_START,       /* ends in exec of the guest's init */
	RUN_RESTORE,     /* the same rows, but criu makes the processes that were checkpointed */
	RUN_PERSONALISE, /* ends in personalise_inside(), no network, no console: part of create */
};

/* Descriptors that one side hands to the other beside a note. */
enum run_fd {
	RUN_FD_ROOT,                                    /* the root file system, detached and id-mapped */
	RUN_FD_LXCFS,                                   /* lxcfs, detached, for its files to be copied from */
	RUN_FD_NOTIFY,                                  /* the socket that init tells its readiness to */
	RUN_FD_MOUNT,                                   /* the first of the configured mounts' sources */
	RUN_FD_DEVICE = RUN_FD_MOUNT + SPEC_MOUNTS_MAX, /* the first of the devices' nodes, in the record's order */
	RUN_FD_COUNT = RUN_FD_MOUNT + SPEC_MOUNTS_MAX + SPEC_DEVICES_MAX,
};

struct run {
	enum run_mode mode;
	struct guest *guest;
	const struct spec *spec;
	const struct host *host;
	const struct personalise *personalise;
	struct restore *restore; /* RUN_RESTORE: what it is restored from */
	struct record record;

	int run_fd; /* run/NAME */
	int log_fd; /* guests/NAME/log/isle */
	int control_fd;
	int console_fd; /* the pty's master */
	struct cgroup_entry groups;
	struct confinement confinement;
	struct network networks[SPEC_NETWORKS_MAX];
	struct lease leases[SPEC_NETWORKS_MAX];
	char *resolv_conf;  /* text for the guest's, NULL: leave it */
	char init_kind[12]; /* "systemd", "sysv", "busybox", "other": found inside */
	bool want_notify;   /* somebody waits for init's word that it is up */

	uint64_t memory;     /* bytes that the guest used before it was asked to end; 0: not known */
	struct err undo_err; /* why something of the run could not be undone; its code is ERR_NONE when all was */

	int other;   /* the notes' socket to the other side, -1 before the clone */
	bool inside; /* this process walks the GUEST rows */
	pid_t init_pid;
	int init_pidfd;
	int fd[RUN_FD_COUNT]; /* on the way between the sides; -1: none */
	int userns;           /* RUN_RESTORE: a user namespace with the guest's ids, to map mounts by */
	int scope_fd;         /* pidfd of who keeps the scope while it is stopped (scope.h); -1 */
	struct kept kept;     /* RUN_RESTORE: the network that it had when it was put to sleep */
	const char *asleep;   /* a stop's: the checkpoint that the guest sleeps in, its network is kept; NULL: it goes */
	int netns_fd;         /* the guest's network, held while its init ends: interfaces of the host are in there; -1 */
	int root;             /* inside: the guest's root, attached but not yet the root */
};

struct machine;

/* A run of a locked guest with nothing made yet. The guest stays the caller's. NULL when memory ran out. */
struct run *run_new(struct guest *guest, enum run_mode mode);

/* Closes descriptors; undoes nothing. */
void run_free(struct run *run);

/* The guest's groups in every hierarchy: "isle/NAME" ("isle-TAG/NAME" for another instance), on a systemd host, for a guest that is
 * started, "isle.slice/UNIT/limits". */
int run_cgroup_name(const struct store *store, const char *name, enum run_mode mode, char *ret, size_t size);

/* The guest's unit on a systemd host: "isle-NAME.scope" ("isle-NAME:TAG.scope"). */
int run_unit_name(const struct store *store, const char *name, char *ret, size_t size);

/* What machined is told of the guest; unit, of at least 96 bytes, holds its unit's name. False where systemd does not run the host.
 */
bool run_machine(const struct run *run, char *unit, size_t size, struct machine *ret);

/* The scope's control group, and what of it the monitor is in. */
#define RUN_SCOPE_MAX    160
#define RUN_MONITOR_LEAF "monitor"
int run_scope_folder(const struct store *store, const char *name, char ret[RUN_SCOPE_MAX]);

/* The host's end of interface n of a guest: "is-web1", made to fit 15 bytes and to differ between guests and instances. */
void run_link_name(const struct store *store, const char *name, size_t n, char ret[16]);

/* One line in guests/NAME/log/isle with the time, for what happens while nobody watches. */
void run_log(const struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
