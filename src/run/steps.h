/* The start table: what a start consists of, in order, and which side performs each row. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "run.h"

enum side { HOST, GUEST };

struct step {
	const char *name;                      /* shown in errors, traces, --plan and ISLE_HOLD */
	enum side side;                        /* which process performs it */
	bool (*wanted)(const struct run *run); /* NULL: always */
	int (*apply)(struct run *run, struct err *err);
	void (*undo)(struct run *run); /* HOST rows; accepts a half-applied step and one of another process; NULL: nothing */
	const char *doc;               /* one line for --plan */
	bool ahead;                    /* a HOST row that needs nothing of the GUEST rows before it: done while they run */
};

extern const struct step step_table[];
extern const size_t step_count;

bool step_wanted(const struct step *step, const struct run *run);

/* HOST rows (steps_host.c, steps_network.c, wake_network.c, devices.c, devices_nic.c). The programs go with their control group. */
int step_folder(struct run *run, struct err *err);
void step_folder_undo(struct run *run);
int step_cgroup(struct run *run, struct err *err);
void step_cgroup_undo(struct run *run);
int step_device_program(struct run *run, struct err *err);
int step_module_program(struct run *run, struct err *err);
int step_core_program(struct run *run, struct err *err);
int step_device_nodes(struct run *run, struct err *err);
int step_interfaces(struct run *run, struct err *err);
void step_interfaces_undo(struct run *run);
int step_addresses(struct run *run, struct err *err);
int step_console(struct run *run, struct err *err);
int step_filter(struct run *run, struct err *err);
int step_sources(struct run *run, struct err *err);
int step_lxcfs_source(struct run *run, struct err *err);
int step_clone(struct run *run, struct err *err);
int step_holder(struct run *run, struct err *err);
int step_id_maps(struct run *run, struct err *err);
int step_oom(struct run *run, struct err *err);
int step_root_storage(struct run *run, struct err *err);
int step_kept(struct run *run, struct err *err);
void step_kept_undo(struct run *run);
int step_network(struct run *run, struct err *err);
void step_network_undo(struct run *run);
int step_restore(struct run *run, struct err *err);
void step_restore_undo(struct run *run);
int step_record(struct run *run, struct err *err);
int step_record_phase(struct run *run, const char *phase, struct err *err); /* the same in another phase of the record */
void step_record_undo(struct run *run);

/* A restore: the outer ends of the guest's links, which criu made in the namespace of netns_fd, come to the host, guarded and on
 * their bridges as at a start. */
int network_bring_home(struct run *run, int netns_fd, struct err *err);
/* The same for the network that was kept (run->kept), whose outer ends are on the host, down. */
int network_wake(struct run *run, struct err *err);

/* A clone of a running guest, or one whose config was changed while it slept: its interfaces, which are as `was` has them, get the
 * MACs and addresses of this guest's leases where those are others. init: in whose network namespace they are. */
int network_readdress(struct run *run, pid_t init, const struct record *was, struct err *err);

/* GUEST rows (steps_guest.c, system_mounts.c, guest_files.c) */
int step_label(struct run *run, struct err *err);
int step_enter_groups(struct run *run, struct err *err);
int step_clocks(struct run *run, struct err *err);
int step_become_root(struct run *run, struct err *err);
int step_namespaces(struct run *run, struct err *err);
int step_private_mounts(struct run *run, struct err *err);
int step_root(struct run *run, struct err *err);
int step_system_mounts(struct run *run, struct err *err);
int step_devices(struct run *run, struct err *err);
int step_configured_mounts(struct run *run, struct err *err);
int step_lxcfs(struct run *run, struct err *err);
int step_masks(struct run *run, struct err *err);
int step_pivot(struct run *run, struct err *err);
int step_host_name(struct run *run, struct err *err);
int step_files(struct run *run, struct err *err);
int step_confine(struct run *run, struct err *err);
int step_seccomp(struct run *run, struct err *err);
int step_personalise(struct run *run, struct err *err);
int step_exec_init(struct run *run, struct err *err);
