/* Where the control group hierarchies of this host are mounted; shared by the front and the v1 back. */
#pragma once

#include <limits.h>

#include "cgroup.h"

struct cgroup_hierarchy {
	char controller[24]; /* one name of those it carries: "memory"; co-mounted ones are one row each */
	char path[96];       /* "/sys/fs/cgroup/memory" */
};

#define CGROUP_OTHER_MAX 8
struct cgroup_layout_map {
	char unified[96];                          /* "" when cgroup2 is not mounted */
	struct cgroup_hierarchy v1[CGROUP_V1_MAX]; /* the controllers that isle uses, distinct folders only */
	int v1_count;
	struct cgroup_hierarchy other[CGROUP_OTHER_MAX]; /* hierarchies of v1 without any of them: "devices", "name=systemd" */
	int other_count;
};

/* Read once from /proc/self/mountinfo. */
const struct cgroup_layout_map *cgroup_layout(void);

/* The same from a text, which is cut to pieces; map is empty before. */
void cgroup_layout_parse(char *text, struct cgroup_layout_map *map);

/* Whether a path is a group below the root: not empty, nothing of it "." or "..". */
bool cgroup_is_name(const char *cgroup);

/* The cgroup2 folder of a guest's own group, or -errno. */
int cgroup_open_guest(const char *cgroup);

/* "cgroup2 is not mounted", with what to do. Returns -EOPNOTSUPP. */
int cgroup_none(struct err *err);

/* The v1 folder of controller, NULL when it is not on v1. */
const char *cgroup_v1_path(const char *controller);

/* Where a controller's files of a group are; *ret_v1 tells the kind of hierarchy. -EOPNOTSUPP when no hierarchy has the controller
 * for the group. */
int cgroup_place(const char *controller, const char *cgroup, char ret[PATH_MAX], bool *ret_v1);

/* The same for who sets a limit: on cgroup2 the controller is handed down to the group if that is still to be done. */
int cgroup_place_made(const char *controller, const char *cgroup, char ret[PATH_MAX], bool *ret_v1, struct err *err);

/* "the io controller is not there", with what lacks; config: the kernel option. Returns -EOPNOTSUPP. */
int cgroup_lacks(const char *controller, const char *config, const char *what, struct err *err);

/* A word in a list that blanks or commas separate. */
bool cgroup_has_word(const char *list, const char *word);

/* A file's line of text, without its end; caller frees. */
int cgroup_read_text(const char *folder, const char *file, char **ret);

/* The number behind "word " in a file of such lines; UINT64_MAX when there is none. */
uint64_t cgroup_read_word(const char *folder, const char *file, const char *word);

/* The v1 halves of the front's functions. */
int cgroup_v1_create(const char *cgroup, struct err *err);
void cgroup_v1_stat(const char *cgroup, struct cgroup_stat *stat);

/* Writes value to CGROUP_FOLDER/file and reads it back; same decides whether what the kernel shows is what was asked. */
int cgroup_set(const char *folder, const char *file, const char *value, bool (*same)(const char *asked, const char *shown),
	       struct err *err);
bool cgroup_same_text(const char *asked, const char *shown);
bool cgroup_same_bytes(const char *asked, const char *shown);             /* the kernel rounds down to pages */
int cgroup_read_u64(const char *folder, const char *file, uint64_t *ret); /* "max" = UINT64_MAX */
