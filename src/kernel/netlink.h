/* Links, addresses and routes by libnl-3. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

struct netlink; /* one socket in one network namespace */

/* netns_fd -1: the caller's. Otherwise the socket is opened inside it (setns there and back; single-threaded callers only). */
int netlink_open(int netns_fd, struct netlink **ret, struct err *err);
void netlink_free(struct netlink *nl);

/* Index of a link by name; 0 when there is none; -errno on failure. Never sends for the whole table. */
int netlink_index(struct netlink *nl, const char *name);

struct netlink_link {
	int index;
	bool up;        /* administratively */
	char kind[16];  /* "bridge", "veth", ...; "" for hardware */
	uint8_t mac[6]; /* zeroes where the link has none of six bytes */
	unsigned mtu;
	int master;          /* index of its bridge or bond, 0: none */
	int lower;           /* index of what it hangs on, of a veth its other end; 0: none */
	int lower_namespace; /* number that its network has for the one where that is, -1: it is the same */
};
/* What a link is, by one RTM_GETLINK. -ENODEV, with err set, when there is none. */
int netlink_get(struct netlink *nl, const char *name, struct netlink_link *ret, struct err *err);

struct netlink_bridge {
	const char *name;
	const uint8_t *mac;
	unsigned mtu; /* 0: default */
};
/* The bridge is born down: set what must be set before packets flow, then netlink_set_up. -EEXIST when the name is taken. */
int netlink_add_bridge(struct netlink *nl, const struct netlink_bridge *bridge, struct err *err);

/* A port of a bridge whose other side is not trusted. */
struct netlink_port {
	const uint8_t *mac; /* the one address behind it, which the bridge then need not learn; NULL: whatever comes */
	bool isolated;      /* frames go between it and ports that are not isolated only */
};

struct netlink_veth {
	const char *host;   /* name on this side */
	const char *inside; /* name on the other */
	const uint8_t *inside_mac;
	int inside_netns_fd;             /* the peer is born there */
	const char *bridge;              /* the host end's master, NULL: none */
	unsigned mtu;                    /* 0: the bridge's */
	const struct netlink_port *port; /* NULL: as bridges treat any port */
};
/* One RTM_NEWLINK; the host end is born up, without IPv6 link-local address. -EEXIST when a name is taken. */
int netlink_add_veth(struct netlink *nl, const struct netlink_veth *veth, struct err *err);

struct netlink_inside {
	const char *link; /* "eth0"; NULL: only lo is set up */
	unsigned mtu;     /* 0: as it is */
	bool has4, has6;
	struct in_addr address4;
	uint8_t prefix4;
	struct in6_addr address6;
	uint8_t prefix6;
	const struct in_addr *gateway4; /* NULL: no default route; one outside the prefix is reached on-link */
	const struct in6_addr *gateway6;
};
/* Everything of a fresh namespace in two sends: lo up, link up, addresses (IPv6 without DAD), default routes. */
int netlink_setup_inside(struct netlink *inside, const struct netlink_inside *setup, struct err *err);

/* Gives a link that is in use another MAC, and takes the addresses old4 and old6 (NULL: none) from it, and those that it has by its
 * MAC (link-local ones), of which it gets one by the new MAC where it had any. IPv4 routes through it may go with its addresses. */
int netlink_change_identity(struct netlink *inside, const char *link, const uint8_t mac[6], const struct in_addr *old4,
			    const struct in6_addr *old6, struct err *err);

/* A new network namespace that nobody is in yet: its descriptor. Single-threaded callers only. */
int netlink_new_namespace(struct err *err);

/* Makes of a link that is here already, and down, what netlink_add_veth makes of the host's end: a port of the bridge, up. Of veth
 * host, bridge and port count. */
int netlink_adopt_veth(struct netlink *nl, const struct netlink_veth *veth, struct err *err);

/* Moves link `index` into a network namespace, down, and calls it `name` there. -EEXIST, with nothing moved, when the name is
 * taken; there and back are sockets of both sides. *ret_index, which may be NULL: its index there. */
int netlink_move(struct netlink *here, int index, struct netlink *there, int there_netns_fd, const char *name, int *ret_index,
		 struct err *err);

/* What link `index` is called and is; -ENODEV when there is none. */
int netlink_get_by_index(struct netlink *nl, int index, char name[IFNAMSIZ], struct netlink_link *ret, struct err *err);

/* How many links hang on one, or of veths have their other end, in another network. A list that changes disturb is a failure. */
int netlink_count_away(struct netlink *nl, size_t *ret, struct err *err);

/* Takes off what a link carries from network to network beside its own name: altnames, which are refused or lead to it there, and
 * the alias. -ENODEV when there is none. */
int netlink_strip(struct netlink *nl, int index, struct err *err);

/* Whether the caller may administer the network that has this number in nl's (IFLA_TARGET_NETNSID): it has if it may in that one's
 * own user namespace. */
bool netlink_may_administer(struct netlink *nl, int namespace);

int netlink_set_up(struct netlink *nl, const char *name, struct err *err);

/* Takes a link off its bridge and sets it down. */
int netlink_rest(struct netlink *nl, const char *name, struct err *err);

/* Deletes a link; one that is gone is success. Returns when no look-up finds it any more and its name is free, some 0.6 ms. The
 * kernel then waits for its readers (rcu_barrier, 8 to 24 ms) before it frees the memory and answers; a forked child waits in the
 * caller's place, holding nothing but the netlink socket. It is reaped by netlink_free, or by the caller's own death. */
int netlink_delete(struct netlink *nl, const char *name, struct err *err);

/* The same for many at once; the first failure is told after all were tried. */
int netlink_delete_all(struct netlink *nl, const char *const *names, size_t count, struct err *err);

/* family AF_INET or AF_INET6; address of 4 or 16 bytes. An address that is already there is success. IPv6 without DAD. */
int netlink_add_address(struct netlink *nl, const char *link, int family, const void *address, uint8_t prefix, struct err *err);

/* Calls fn for each IPv4/IPv6 address and route prefix of this namespace (to find a free subnet). */
int netlink_each_prefix(struct netlink *nl, int family, void (*fn)(void *arg, const void *address, uint8_t prefix), void *arg,
			struct err *err);

struct netlink_address {
	int family;
	uint8_t byte[16];
	uint8_t prefix;
	uint8_t scope;
};
/* Addresses of one link, which the kernel picks out. Caller frees *ret. */
int netlink_link_addresses(struct netlink *nl, int index, struct netlink_address **ret, size_t *ret_count, struct err *err);

struct netlink_stats {
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, rx_dropped, tx_dropped;
};
int netlink_link_stats(struct netlink *nl, const char *link, struct netlink_stats *ret, struct err *err);
