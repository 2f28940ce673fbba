/* isle's own nftables tables: rules through libnftables, which is loaded at first use (it costs 0.4 ms otherwise), elements without
 * it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"

/* Runs nft commands as one transaction. err carries the library's message. -ELIBACC when libnftables is missing (hint:
 * the package); -EOPNOTSUPP when the kernel lacks something; -EEXIST when a `create` found what it was to make. */
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

/* What has matched an element of a set whose elements count. -ENOENT: there is none. */
int nft_read_counter(const struct nft_element *element, uint64_t *ret_packets, uint64_t *ret_bytes);

/* Adds elements to their sets, or takes them out, in one transaction without the library (0.1 ms, where parsing text takes 5). One
 * that is to be added may be there already. -ENOENT: a table or set is missing, or an element that was to be taken out; nothing has
 * changed then, as after any failure. */
#define NFT_ELEMENTS_MAX 256
int nft_change_elements(bool add, const struct nft_element *elements, size_t count);

/* Removes every table of the family whose name is_it takes, without the library; none: success. Those that are owned by a program
 * stay. -errno. */
int nft_delete_tables(const char *family, bool (*is_it)(const char *name));
