/* What the files of host_examine share: notes of findings, and trying something in a child. */
#pragma once

#include <stddef.h>

#include "host.h"

struct doctor {
	const char *guests_dir;
	unsigned long guests; /* how many are to run; 0: nobody said */
	bool root;            /* the probes that need privilege are worth their while */
	struct host_finding *list;
	size_t count, room;
	bool failed; /* memory ran out */
};

struct doctor_note {
	const char *topic, *name;
	int level;
	const char *found;
	const char *means; /* NULL: nothing to say */
	const char *fix;
};

/* Adds a finding; texts too long for their fields are cut. */
void doctor_add(struct doctor *d, const struct doctor_note *note);

/* GOOD with `found` when rc is 0, else note's level, found = rc's text. note->found may be NULL: "yes". */
void doctor_result(struct doctor *d, const struct doctor_note *note, int rc);

/* Runs fn in a child, at most 5 s, and returns what it returned: 0 or -errno. Whatever it does to its own namespaces and
 * descriptors ends with it. */
int doctor_try(int (*fn)(void *arg), void *arg);

/* The first line of a small kernel file without its newline; -errno when it cannot be read. */
int doctor_read(const char *path, char *out, size_t size);
int doctor_number(const char *path, long long *ret);

/* True when `program` is in PATH or in the sbin folders, which a plain user's PATH lacks. */
bool doctor_has_program(const char *program);

void doctor_kernel(struct doctor *d);
void doctor_security(struct doctor *d);
void doctor_modules(struct doctor *d);
void doctor_cgroup(struct doctor *d);
void doctor_network(struct doctor *d);
void doctor_storage(struct doctor *d);
void doctor_programs(struct doctor *d);
void doctor_limits(struct doctor *d);
