/* isle's own nftables tables through libnftables, which is loaded at first use (it costs 0.4 ms otherwise). */
#pragma once

#include <stddef.h>

#include "../base/err.h"

/* Runs nft commands as one transaction. err carries the library's message. -EOPNOTSUPP when libnftables is missing
 * (hint: the package); -EEXIST when a `create` found what it was to make. */
int nft_run(const char *commands, struct err *err);

/* 1 when table `FAMILY NAME` is there, 0 when not, -errno (such as -EPERM) when the kernel does not say. Asked by one nfnetlink
 * message without the library. family: "ip", "ip6", "inet", "bridge" or "netdev". */
int nft_has_table(const char *family, const char *name);

/* The same for one element of a set; key as the kernel keeps it (an address of 4 or 16 bytes, a link name of 16). */
struct nft_element {
	const char *family, *table, *set;
	const void *key;
	size_t key_len;
};
int nft_has_element(const struct nft_element *element);
