/* isle's own nftables tables through libnftables, which is loaded at first use (it costs 0.4 ms otherwise). */
#pragma once

#include "../base/err.h"

/* Runs nft commands as one transaction. err carries the library's message. -EOPNOTSUPP when libnftables is missing
 * (hint: the package). */
int nft_run(const char *commands, struct err *err);

/* True when table `inet NAME` is there, asked by one nfnetlink message without the library. */
int nft_has_table(const char *family, const char *name);
