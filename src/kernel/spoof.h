/* The nftables table of family bridge that drops what a guest's link may not send: addresses and roles that are not the guest's. */
#pragma once

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "netlink.h"

/* The host's end of a guest's interface, and what may come out of it. */
struct spoof_port {
	char link[IFNAMSIZ];
	uint8_t mac[6];
	bool roaming;  /* any IP address, still only its MAC and no router's or server's words */
	bool isolated; /* nothing for other isolated guests, not by way of the host either */
	bool has4, has6;
	struct in_addr address4;
	struct in6_addr address6; /* beside it the link-local address that is made from the MAC */
};

/* The table's text, for nft_run: complete however often it is run, and without effect on elements. */
extern const char spoof_table[];

/* Lets only what is a port's pass: one transaction. -ENOENT when the table is missing: run spoof_table. */
int spoof_guard(const struct spoof_port *ports, size_t count);

/* Takes them out again; one that is not there is no failure, nor is a table that is not there. */
int spoof_release(const struct spoof_port *ports, size_t count);

/* 1 when the table guards this port with its MAC, 0 when not, -errno when the kernel does not say. */
int spoof_guards(const struct spoof_port *port);

/* What has passed the host's end of a guest's interface since it was guarded, from the host's side as netlink_link_stats has it,
 * also when the link is gone; dropped frames are not told. -ENOENT: it is not guarded. */
int spoof_traffic(const char *link, struct netlink_stats *ret);

/* A note in the table that an instance of isle has put all its guests' ports there: what empties the table empties this too. */
int spoof_note(const char *instance);
int spoof_noted(const char *instance); /* as spoof_guards */
