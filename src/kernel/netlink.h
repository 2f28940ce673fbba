/* Links, addresses and routes by libnl-3. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"

struct netlink; /* one socket in one network namespace */

/* netns_fd -1: the caller's. Otherwise the socket is opened inside it (setns there and back; single-threaded callers only). */
int netlink_open(int netns_fd, struct netlink **ret, struct err *err);
void netlink_free(struct netlink *nl);

/* Index of a link by name; 0 when there is none; -errno on failure. Never sends for the whole table. */
int netlink_index(struct netlink *nl, const char *name);

struct netlink_bridge {
	const char *name;
	const uint8_t *mac;
	unsigned mtu;       /* 0: default */
};
int netlink_add_bridge(struct netlink *nl, const struct netlink_bridge *bridge, struct err *err);

struct netlink_veth {
	const char *host;          /* name on this side */
	const char *inside;        /* name on the other */
	const uint8_t *inside_mac;
	int inside_netns_fd;       /* the peer is born there */
	const char *bridge;        /* the host end's master, NULL: none */
	unsigned mtu;              /* 0: default */
};
/* One RTM_NEWLINK; the host end is born up, without IPv6 link-local address. -EEXIST when a name is taken. */
int netlink_add_veth(struct netlink *nl, const struct netlink_veth *veth, struct err *err);

int netlink_set_up(struct netlink *nl, const char *name, struct err *err);

/* Deletes a link; one that is gone is success. Returns when the kernel has removed it. */
int netlink_delete(struct netlink *nl, const char *name, struct err *err);

/* family AF_INET or AF_INET6; address of 4 or 16 bytes. An address that is already there is success. IPv6 without DAD. */
int netlink_add_address(struct netlink *nl, const char *link, int family, const void *address, uint8_t prefix, struct err *err);

/* Default route by gateway through link; gateway NULL: on-link. Already there: success. */
int netlink_add_default_route(struct netlink *nl, const char *link, int family, const void *gateway, struct err *err);

/* Calls fn for each IPv4/IPv6 address and route prefix of this namespace (to find a free subnet). */
int netlink_each_prefix(struct netlink *nl, int family, void (*fn)(void *arg, const void *address, uint8_t prefix), void *arg,
                        struct err *err);

/* Addresses of all links, for list and info. */
struct netlink_address { char link[IFNAMSIZ]; int family; uint8_t byte[16]; uint8_t prefix; uint8_t scope; };
int netlink_addresses(struct netlink *nl, struct netlink_address **ret, size_t *ret_count, struct err *err);

struct netlink_stats { uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets, rx_dropped, tx_dropped; };
int netlink_link_stats(struct netlink *nl, const char *link, struct netlink_stats *ret, struct err *err);
