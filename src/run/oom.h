/* Processes of a guest that the kernel killed for want of memory: watched and told by the monitor, read by others. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"

struct json_object;

/* The monitor's part, without allocation or stdio. */
struct oom {
	int watch, count; /* as struct cgroup_oom has them; -1: nothing is watched */
	int kmsg;         /* the kernel's log, -1: not to be read */
	int guest, run;   /* folders; not owned */
	uint64_t ids;     /* the guest's first host id: the log tells whose the process was. 0: privileged */
	const char *cgroup;
	uint64_t seen;      /* kills that were told */
	uint64_t due_ms;    /* when to look, 0: not at all */
	unsigned looks;     /* how often still */
	pid_t ours;         /* a victim whose group was told before it was killed */
	unsigned found;     /* victims that the log named since the count was last told */
	uint64_t window_ms; /* lines are bounded: a guest may die of memory all day */
	unsigned lines;
	uint64_t untold;
};

/* fresh: the guest has just begun, what was counted before the watch counts too. */
void oom_init(struct oom *oom, bool fresh);
/* When the watch has news. */
void oom_event(struct oom *oom);
/* Milliseconds until oom_look has something to do, -1: for ever. */
int oom_timeout(const struct oom *oom);
void oom_look(struct oom *oom);

/* What one record of /dev/kmsg says: true for a process that was killed. uid and pid are the host's. */
struct oom_victim {
	pid_t pid;
	uint64_t uid;
	char name[64];
};
bool oom_parse(const char *record, struct oom_victim *ret);

/* The readers' part: the last one, as the monitor noted it in run/NAME/oom. */
struct oom_last {
	uint64_t time; /* seconds; 0: none is known */
	pid_t pid;
	char name[64];
};
void oom_last_load(int run_fd, const char *name, struct oom_last *ret);
char *oom_last_text(const struct oom_last *last); /* "hog (process 123) 2m ago"; NULL: none. Caller frees. */
struct json_object *oom_last_json(const struct oom_last *last);
