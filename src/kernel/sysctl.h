/* The host's limits that many guests share: what they must be for so many guests, and raising them for good. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

#define SYSCTL_FILE       "etc/sysctl.d/60-isle.conf"
#define SYSCTL_GUESTS     1000    /* what is asked for where nobody said how many guests there will be */
#define SYSCTL_GUESTS_MAX 1000000 /* each guest takes 65,536 of 4,294,967,296 ids: there is room for fewer */

struct sysctl_row {
	const char *name; /* "fs.aio-max-nr" */
	uint64_t base;    /* for the host itself, or what a single guest needs */
	uint64_t each;    /* more for each guest; 0: the limit is counted for each guest by itself */
	uint64_t most;    /* what the kernel takes at most */
	uint64_t least;   /* below it a handful of guests is in trouble */
	const char *means;
};

extern const struct sysctl_row sysctl_table[];
extern const size_t sysctl_count;

/* What the limit should be for so many guests. */
uint64_t sysctl_wanted(const struct sysctl_row *row, unsigned long guests);

enum sysctl_result {
	SYSCTL_KEPT,    /* it was high enough */
	SYSCTL_LOW,     /* it is not, and nothing was written */
	SYSCTL_RAISED,  /* it was not, and is now */
	SYSCTL_ABSENT,  /* this kernel has no such limit, or its module is not loaded */
	SYSCTL_REFUSED, /* the kernel did not take it: see `error` */
};

struct sysctl_change {
	const struct sysctl_row *row;
	uint64_t before, wanted, after; /* before and after: 0 when absent */
	uint64_t filed;                 /* what SYSCTL_FILE has of it; 0: nothing */
	int result;                     /* enum sysctl_result */
	int error;                      /* errno of SYSCTL_REFUSED, else 0 */
};

/* Looks at every limit of the table below root ("/", or a folder with its own proc/sys). Caller frees *ret (sysctl_count of them).
 */
int sysctl_look(const char *root, unsigned long guests, struct sysctl_change **ret, struct err *err);

/* Raises what is SYSCTL_LOW: writes SYSCTL_FILE below root, which is read at every boot, then the limits themselves, and reads each
 * back. Nothing is ever lowered: a limit that is high enough keeps what it has, in the file too where that has it. Nothing is
 * touched when the file cannot be written. What the kernel refuses is marked, and left out of the file. */
int sysctl_raise(const char *root, unsigned long guests, struct sysctl_change *changes, struct err *err);
