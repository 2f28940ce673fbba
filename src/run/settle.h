/* Processes at a moment that passes by itself, and at which criu could not make them again. */
#pragma once

#include "../base/err.h"
#include "../guest/record.h"

enum unsettled {
	/* It has ended, so has the leader of its session, and init has collected neither: in a restore each waits for the other. */
	UNSETTLED_ZOMBIE,
	/* systemd's executor, which is about to become a unit's program: criu takes its program for the descriptor that systemd has
	 * of it, by which nothing can be executed. */
	UNSETTLED_EXECUTOR,
};

struct unsettled_process {
	enum unsettled kind;
	pid_t pid; /* in the guest */
};

/* Looks for one: 1 with *ret, 0 when there is none, -errno. */
int settle_look(const struct record *record, struct unsettled_process *ret);

/* Waits until there is none: busybox's init collects once a second, systemd at once, and it has a getty wait for the end of the
 * boot for five at most. */
#define SETTLE_MS 8000
int settle_await(const struct record *record, unsigned timeout_ms, struct err *err);
