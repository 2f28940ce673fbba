/* Which id ranges something else on this host uses. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* systemd reserves 524288..1879048191 for containers (systemd.io, "Users, Groups, UIDs and GIDs"). */
#define IDS_FIRST  524288u
#define IDS_LAST   1879048191u
#define IDS_SPAN   65536u
#define IDS_RANGES ((IDS_LAST + 1 - IDS_FIRST) / IDS_SPAN)

/* One bit a range. */
struct ids_table {
	uint8_t bit[IDS_RANGES / 8 + 1];
};

/* Adds what a text uses, which is cut to pieces: subuid(5) has name:first:count, passwd(5) name:x:uid:gid:... Lines that are
 * neither are not ours to judge. */
void ids_table_add(struct ids_table *taken, char *text, bool subordinate);
