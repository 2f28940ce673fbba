/* What network.c, network_open.c and network_up.c share. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>

#include "network.h"

/* The bridge that a network without `bridge` has: its own name, made distinct by the instance's tag. */
void network_bridge_name(const struct store *store, const char *name, char ret[IFNAMSIZ]);

void network_mask6(const struct in6_addr *address, unsigned prefix, struct in6_addr *ret);
