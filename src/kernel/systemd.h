/* A systemd host: guests' scopes are asked of it over D-Bus, and machined is told of them. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"

/* The slice that all guests' scopes lie in, and the unit that stops them before systemd would (tools/units). */
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

struct systemd_machine {
	const char *name;
	const char *id;   /* 32 hex digits, or NULL */
	const char *unit; /* the scope that its processes are in */
	pid_t leader;     /* its init */
};

/* Registers a running guest with systemd-machined, so that machinectl shows it (org.freedesktop.machine1(5), RegisterMachine); what
 * machined still has of an earlier run in the same unit is replaced. No machined on this host: success. ERR_TIMEOUT after 10 s.
 * machined forgets it by itself when the scope is gone. */
int systemd_machine_register(const struct systemd_machine *machine, struct err *err);

/* Has machined forget a guest whose init is gone and which goes on with another: machined of systemd 258 and later sends SIGTERM to
 * whoever registered a guest, its monitor, once it sees that. Sends none after the return. Before systemd 257 nothing is done:
 * there machined would end the scope. Gives up without a word after 3 s. */
void systemd_machine_forget(const struct systemd_machine *machine);
