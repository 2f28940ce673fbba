/* A guest's interfaces as its config and its leases have them. */
#pragma once

#include "../kernel/netlink.h"
#include "run.h"

/* How the bridge is to treat the outer end. What it points to is the lease's. */
struct netlink_port links_port(const struct spec_network *section, const struct lease *lease);

/* What is configured inside, with the gateways that it points to. */
struct links_inside {
	struct netlink_inside setup;
	struct in_addr gateway4;
	struct in6_addr gateway6;
};

/* Interface n of the config. */
void links_describe(const struct run *run, size_t n, struct links_inside *ret);

/* Notes in the guest's log that it had deleted an interface of its own, which is no fault: clears err, returns 0. */
int links_gone_before(const struct run *run, const char *inside, struct err *err);
