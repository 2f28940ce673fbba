/* What of a running guest criu cannot carry, found before criu is started. */
#pragma once

#include <stdbool.h>

#include "../base/err.h"
#include "../guest/record.h"

struct obstacle {
	pid_t pid;        /* inside the guest */
	char process[17]; /* its name */
	char unit[80];    /* the systemd unit that it belongs to, "" when there is none */
	char what[96];    /* "it has a PID namespace of its own" */
	char remedy[160];
	bool passing; /* it is none: the process is the host's, from isle exec, and ends with the guest */
};

#define OBSTACLES_MAX 64

/* Looks at a running guest and at every process of it, for timeout_ms at most: a guest can have more to look at than anybody has
 * time for. Returns how many obstacles there are, at most OBSTACLES_MAX of them in ret, those that are passing last; or -errno,
 * with ERR_FAILED for what is no process's matter. */
int preflight(const struct guest *guest, const struct record *record, unsigned timeout_ms, struct obstacle ret[OBSTACLES_MAX],
	      struct err *err);

/* How many of them stand in the way. */
size_t preflight_blocking(const struct obstacle *obstacles, size_t count);

/* The first one as an error: process, unit and remedy. */
int preflight_refuse(const struct obstacle *obstacles, size_t count, struct err *err);
