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
	pid_t pid; /* the process that is moved into it */
};

/* Makes a transient, delegated scope in isle.slice and returns when systemd has moved the process (org.freedesktop.systemd1(5),
 * StartTransientUnit). A scope of that name that is just going away is waited for. -EOPNOTSUPP when libsystemd is missing (hint:
 * the package), ERR_TIMEOUT after 25 s. */
int systemd_scope_start(const struct systemd_scope *scope, struct err *err);

/* Registers a running guest with systemd-machined, so that machinectl shows it (org.freedesktop.machine1(5), RegisterMachine). id:
 * 32 hex digits. No machined on this host: success. machined forgets it by itself when the scope is gone. */
int systemd_machine_register(const char *name, const char *id, pid_t leader, struct err *err);
