/* The monitor's clients, the console that they share, and what is kept of it, without allocation or stdio. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conlog.h"
#include "control.h"
#include "ring.h"

#define SERVE_CLIENTS_MAX 24
#define SERVE_CHUNK       4096 /* the most that a pty gives at once */

struct client {
	int fd;
	bool attached;
	bool released;    /* has sent RELEASE: whoever it is clears up, as long as it is connected */
	bool parked;      /* has input for a console that takes none now */
	bool slow;        /* took nothing for a second: not waited for until it has caught up */
	uint32_t watched; /* epoll events, 0: not in the set */
	uint64_t at;      /* ring position that it has */
	uint64_t full_ms; /* since when it takes nothing, 0: it does */
	uint64_t skipped;
};

/* Large, and static in the monitor: pages of it that are not used take no memory. */
struct serve {
	int epoll, console, control;
	bool console_pending; /* there may be more to read although no event will say so */
	uint64_t read_tokens, refilled_ms;
	size_t input_at, input_len;
	struct client clients[SERVE_CLIENTS_MAX];
	struct conlog log;
	struct ring ring;
	char packet[CONTROL_DATA_MAX];
	char input[CONTROL_DATA_MAX];
	char chunk[SERVE_CHUNK];
};

struct serve_from {
	int epoll, console, control, guest; /* not owned */
	unsigned long log_max;
};

/* Tags of events (epoll_event.data.u64) beside a client's number, which is below SERVE_CLIENTS_MAX. */
enum { SERVE_CONSOLE = 1000, SERVE_CONTROL, SERVE_FIRST_FREE };

/* Puts console and control socket into the epoll set, both nonblocking. 0 or -errno. */
int serve_init(struct serve *s, const struct serve_from *from);

/* For a client's event: takes its requests, sends it output. */
void serve_event(struct serve *s, size_t index, uint32_t events);

/* For SERVE_CONTROL: takes one new client, false when there is none. To be called after the other events of a turn, so that the
 * senders of requests that were there are known for what they are: those who ask for nothing make room. */
bool serve_accept(struct serve *s);

/* For SERVE_CONSOLE, and when a turn ends with console_pending: reads what there is. */
void serve_console(struct serve *s);

/* For input that the console did not take at once. */
void serve_input(struct serve *s);

/* How long epoll_wait may take, -1: for ever. */
int serve_timeout(struct serve *s);

/* After init's end: reads the rest of the console, and requests that were sent before. */
void serve_drain(struct serve *s);

/* True while somebody who has sent RELEASE is connected. */
bool serve_released(const struct serve *s);

/* Sends END to all. */
void serve_end(struct serve *s);
