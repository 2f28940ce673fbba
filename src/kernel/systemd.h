/* A systemd host: guests' scopes are asked of it over D-Bus. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"

/* The slice that all guests' scopes lie in, and the unit that stops them before systemd would (config/systemd). */
#define SYSTEMD_SLICE         "isle.slice"
#define SYSTEMD_SHUTDOWN_UNIT "isle-shutdown.service"

struct systemd_scope {
	const char *unit; /* "isle-web1.scope" */
	const char *description;
	const char *machine; /* what it is registered as with machined */
	pid_t pid;           /* the process that is moved into it */
	uint64_t stop_ms;    /* after which systemd kills what does not end by SIGTERM */
};

/* Makes a transient, delegated scope in isle.slice and returns when systemd has moved the process (org.freedesktop.systemd1(5),
 * StartTransientUnit). A scope of that name that is just going away is waited for. -EOPNOTSUPP when libsystemd is missing (hint:
 * the package), ERR_TIMEOUT after 25 s, be it D-Bus or systemd that does not answer. */
int systemd_scope_start(const struct systemd_scope *scope, struct err *err);

/* Sets one property that is a number, of a unit that runs, until it ends (org.freedesktop.systemd1(5), SetUnitProperties). systemd
 * writes the control group's file a moment later. UINT64_MAX: back to none. */
int systemd_unit_set(const char *unit, const char *property, uint64_t value, struct err *err);

/* Whether systemd is ending a unit (its ActiveState is "deactivating"). False when it cannot be asked within 3 s. */
bool systemd_unit_ends(const char *unit);

/* Whether a unit is not there or not active ("inactive", "failed"). False when it cannot be asked within 3 s. By its answer systemd
 * has also written what it was told before: it works its queues off between two messages (src/core/manager.c, manager_loop). */
bool systemd_unit_rests(const char *unit);
