/* The console's log file: appended to, rotated, and bounded in rate. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CONLOG_BURST (1024 * 1024) /* bytes that are taken at any speed: several boots' worth */
#define CONLOG_RATE  (64 * 1024)   /* bytes a second beyond it */

struct conlog {
	int guest_fd;      /* guests/NAME, not owned */
	int fd;            /* log/console, -1: not open */
	unsigned long max; /* bytes before console becomes console.1; 0: no log */
	uint64_t size;
	uint64_t tokens;
	uint64_t refilled_ms;
	uint64_t checked_ms; /* when the file was last seen to have a name */
	uint64_t dropped;    /* bytes not written since the last note */
	int reason;          /* errno behind dropped, 0: too fast */
	int held_back;       /* dropping until a fair amount of tokens is there, so that whole passages are kept */
};

/* max: raised to 8 KiB when it is smaller and not 0. */
void conlog_init(struct conlog *log, int guest_fd, unsigned long max, uint64_t now_ms);

/* Never fails: what cannot be written is counted, and told in the file once it can. len at most 4096. Makes the folder
 * `log` anew when it was removed. */
void conlog_write(struct conlog *log, const void *data, size_t len, uint64_t now_ms);

/* Writes the pending note when there is one, whatever the rate, and closes. */
void conlog_close(struct conlog *log);
