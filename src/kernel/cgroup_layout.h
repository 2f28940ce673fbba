/* Where the control group hierarchies of this host are mounted; shared by the front and the v1 back. */
#pragma once

#include "cgroup.h"

struct cgroup_hierarchy {
	char controller[24]; /* one name of those it carries: "memory"; co-mounted ones are one row each */
	char path[96];       /* "/sys/fs/cgroup/memory" */
};

struct cgroup_layout_map {
	char unified[96];                          /* "" when cgroup2 is not mounted */
	struct cgroup_hierarchy v1[CGROUP_V1_MAX]; /* the controllers that isle uses, distinct folders only */
	int v1_count;
};

/* Read once from /proc/self/mountinfo. */
const struct cgroup_layout_map *cgroup_layout(void);

/* Whether a path is a group below the root: not empty, nothing of it "." or "..". */
bool cgroup_is_name(const char *cgroup);

/* "cgroup2 is not mounted", with what to do. Returns -EOPNOTSUPP. */
int cgroup_none(struct err *err);

/* The v1 folder of controller, NULL when it is not on v1. */
const char *cgroup_v1_path(const char *controller);

/* The v1 halves of the front's functions. */
int cgroup_v1_create(const char *cgroup, struct err *err);
int cgroup_v1_limit(const char *cgroup, const struct cgroup_limits *limits, struct err *err);
void cgroup_v1_stat(const char *cgroup, struct cgroup_stat *stat);

/* Writes value to CGROUP_FOLDER/file and reads it back; same decides whether what the kernel shows is what was asked. */
int cgroup_set(const char *folder, const char *file, const char *value, bool (*same)(const char *asked, const char *shown),
	       struct err *err);
bool cgroup_same_text(const char *asked, const char *shown);
bool cgroup_same_bytes(const char *asked, const char *shown);             /* the kernel rounds down to pages */
int cgroup_read_u64(const char *folder, const char *file, uint64_t *ret); /* "max" = UINT64_MAX */
