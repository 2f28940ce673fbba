/* systemd-machined: is told of guests, so that machinectl shows them. */
#pragma once

#include <sys/types.h>

#include "../base/err.h"

struct machine {
	const char *name;
	const char *id;   /* 32 hex digits, or NULL */
	const char *unit; /* the scope that its processes are in */
	pid_t leader;     /* its init */
};

/* Registers a running guest with systemd-machined, so that machinectl shows it (org.freedesktop.machine1(5), RegisterMachine); what
 * machined still has of an earlier run in the same unit is replaced. No machined on this host: success. ERR_TIMEOUT after 10 s.
 * machined forgets it by itself when the scope is gone. */
int machined_register(const struct machine *machine, struct err *err);

/* Has machined forget a guest whose init is gone and which goes on with another: machined of systemd 258 and later sends SIGTERM to
 * whoever registered a guest, its monitor, once it sees that. Sends none after the return. Before systemd 257 nothing is done:
 * there machined would end the scope. Gives up without a word after 3 s. */
void machined_forget(const struct machine *machine);

/* machined stops the unit of a machine that it gives up. Until it has given up the one of the run before, which it does when it
 * hears that the scope has gone, a new scope of that name would be stopped as well: waits for that, at most 3 s. */
struct bus;
void machined_await_gone(struct bus *bus, const char *name, const char *unit);
