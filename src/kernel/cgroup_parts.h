/* What the files about a guest's limits share. */
#pragma once

#include "cgroup_change.h"

struct cgroup_row {
	const char *key; /* in [limits] */
	const char *controller;
	const char *config;  /* the kernel option that gives it */
	const char *v2, *v1; /* files, NULL: it is not one file; v2 without v1: cgroup2 only */
};
extern const struct cgroup_row cgroup_rows[CGROUP_KINDS];

/* CGROUP_NONE, or CGROUP_HYBRID for v1, or CGROUP_UNIFIED (host.h). */
int cgroup_has_controller(const char *controller);

/* On a systemd host the groups that compete with each other are scopes, which are systemd's: it is asked to set a property of one.
 * False: the group is not in a scope. */
bool cgroup_scope_is(const char *cgroup);
/* Sets it and waits until the kernel shows it; 0 at once when the group is in no scope. */
int cgroup_scope_set(struct cgroup_change *change, const char *cgroup, enum cgroup_kind kind, uint64_t value, struct err *err);
