/* Moments as people write them. */
#pragma once

#include <stdint.h>

/* Seconds since 1970 of "2026-11-20", "2026-11-20 14:30", "2026-11-20T14:30:05", each in local time or with a Z behind it in UTC;
 * "@1795184400"; "today" and "month" (their beginning); or a duration before now: "24h", "7d". -EINVAL for anything else. */
int when_parse(const char *text, uint64_t now, uint64_t *ret);
