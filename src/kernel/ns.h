/* Namespaces: one clone3 that makes them, one setns that enters them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"

struct ns_clone {
	uint64_t flags; /* CLONE_NEW*, CLONE_PARENT */
	uid_t creator;  /* the user namespace's owner, whose budgets it counts against; 0: the caller */
	int cgroup_fd;  /* -1, else the child is born in that cgroup2 group */
};

/* clone3(2) with CLONE_PIDFD. Returns the pid in the parent, 0 in the child, -errno on failure. *ret_pidfd is set in the parent. */
pid_t ns_clone(const struct ns_clone *how, int *ret_pidfd, struct err *err);

/* Moves the caller into a new time namespace, the current user namespace's, in which the monotonic and boot time clocks begin at
 * nought: a guest's uptime is its own (time_namespaces(7)). Needs the caller's own /proc files and CAP_SYS_TIME; -errno. */
int ns_own_clocks(struct err *err);

/* Writes uid_map and gid_map of pid: 65,536 ids from first on. setgroups stays allowed. */
int ns_write_maps(pid_t pid, uint64_t first, struct err *err);

/* A descriptor of pid's namespace of that kind; -errno. */
int ns_open(pid_t pid, const char *file, struct err *err);

/* Which CLONE_NEW* of mask pid does not share with the caller (inode comparison in /proc/PID/ns). */
int ns_differing(pid_t pid, uint64_t mask, uint64_t *ret, struct err *err);

/* setns(2) by pidfd into all of flags at once. */
int ns_enter(int pidfd, uint64_t flags, struct err *err);
