/* What this kernel and machine offer; probed once, then const. */
#pragma once

#include <stdbool.h>

#include "../base/err.h"

enum cgroup_layout { CGROUP_NONE, CGROUP_UNIFIED, CGROUP_HYBRID };

struct host {
	int cgroup_layout; /* enum cgroup_layout */
	char cgroup2[64];  /* where cgroup2 is mounted: /sys/fs/cgroup or /sys/fs/cgroup/unified */
	bool systemd;      /* /run/systemd/system exists: systemd is PID 1 */
	bool apparmor;     /* /sys/module/apparmor/parameters/enabled = Y */
	bool time_namespace;
	bool cap_sys_resource; /* this process has it */
};

/* Cheap: no fork, no library, a handful of stats; probed once per process. */
const struct host *host_get(void);

/* Everything that `isle doctor` shows. level: what a lack costs. */
enum host_level { HOST_GOOD, HOST_INFO, HOST_WARN, HOST_BAD };
struct host_finding {
	const char *topic; /* "kernel", "cgroup", "network", "storage", "programs", "limits" */
	const char *name;  /* "id-mapped mounts" */
	int level;
	char found[96];  /* what is there */
	char means[192]; /* what isle cannot do without it, "" when good */
	char fix[128];   /* package to install or setting, "" when none */
};
/* Probes by trying (a scratch mount, a clone3) in children. guests: how many are to run here, 0 when nobody said. *ret: caller
 * frees. */
int host_examine(const char *guests_dir, unsigned long guests, struct host_finding **ret, size_t *ret_count, struct err *err);
