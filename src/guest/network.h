/* Named networks: a bridge with its subnets, and which guest has which address on it. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

#define NETWORK_DEFAULT "isle0"

struct network {
	char name[IFNAMSIZ];
	char bridge[IFNAMSIZ];
	bool adopted; /* the bridge is the administrator's: never made, changed or removed */
	bool has4, has6;
	struct in_addr subnet4, gateway4; /* gateway: the bridge's own address */
	uint8_t prefix4;
	struct in6_addr subnet6, gateway6;
	uint8_t prefix6;
	uint8_t mac[6]; /* the bridge's, pinned */
	unsigned mtu;   /* 0: the kernel's default */
	bool nat;
	bool routed; /* the host forwards between it and other networks that say so too */
};

/* A guest's place on a network: what is configured inside before init runs. */
struct lease {
	uint8_t mac[6];
	bool has4, has6;
	struct in_addr address4;
	uint8_t prefix4;
	struct in6_addr address6;
	uint8_t prefix6;
};

/* Reads networks/NAME; isle0 is made on first call (a free private IPv4 subnet that no route or
 * address of the host overlaps, a random ULA /64, a random pinned MAC). ERR_NOT_FOUND otherwise.
 * Where the kernel has no IPv6, has6 is false whatever the file says. */
int network_open(const struct store *store, const char *name, struct network *ret, struct err *err);

/* The same for the text of file NAME, which is not looked at; complaints carry file:line. */
int network_parse(const struct store *store, const char *name, const char *text, struct network *ret, struct err *err);

/* Makes what lacks of it in the kernel: the bridge, its addresses, forwarding, the NAT rules. Idempotent, and
 * quick (three questions to the kernel) when all is there. Two callers at once are fine. */
int network_up(const struct store *store, const struct network *network, struct err *err);

/* The same for every network whose bridge stands: after something has emptied nftables' ruleset. */
int network_restore(const struct store *store, struct err *err);
/* 1 when a bridge stands whose rules do not, with that network's name; 0 when none does; -errno. */
int network_lacks_rules(const struct store *store, char ret_name[IFNAMSIZ]);

/* The lease of interface spec->name of guest id: the one it had, else a free one, kept on disk (atomic by symlinkat).
 * A static address must be free (ERR_FAILED names the guest that has it; err->sys is EADDRINUSE) and of the network's subnet, where
 * it has one. */
int network_lease(const struct store *store, const struct network *network, const char *guest_id, const struct spec_network *spec,
		  struct lease *ret, struct err *err);
/* Forgets all leases of a guest on every network. */
int network_release(const struct store *store, const char *guest_id, struct err *err);

/* The MAC of a guest's interface: the same for ever, locally administered, unicast. */
void network_mac(const struct store *store, const char *guest_id, const char *ifname, uint8_t ret[6]);

/* The first subnet of this length (16 to 24) in 10.16.0.0 - 10.239.255.255, then 172.16.0.0/12, then 192.168.0.0/16 that
 * overlaps none of the taken prefixes; seed says where the search begins. Prefixes shorter than 8 bits are default routes in
 * disguise and are passed over. -ENOSPC. */
struct network_prefix {
	struct in_addr address;
	uint8_t prefix;
};
struct network_taken {
	const struct network_prefix *list;
	size_t count;
};
int network_choose4(uint64_t seed, uint8_t prefix, const struct network_taken *taken, struct in_addr *ret);
