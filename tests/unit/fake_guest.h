/* A guest for the monitor's tests: an init in a pid namespace that does what it is told, on a pty, with a real isle-monitor. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../src/run/control.h"

struct fake_guest {
	char dir[64]; /* holds guest, run, and the script isle, which writes its arguments to `after` */
	int guest_fd, run_fd;
	int orders; /* to init: fake_guest_order */
	pid_t init;
	int init_pidfd;
	pid_t monitor;
	int monitor_pidfd;
	bool reaped; /* the monitor */
	bool init_is_ours;
};

/* What init can be told, by a byte each. */
enum fake_order {
	ORDER_SAY = 's',    /* writes "said\n" */
	ORDER_FLOOD = 'f',  /* writes lines as fast as it can until it is killed */
	ORDER_MUCH = 'm',   /* writes 200,000 bytes */
	ORDER_SIZE = 'z',   /* writes "ROWSxCOLS\n" */
	ORDER_READ = 'r',   /* reads input and writes what came in [] until it is killed */
	ORDER_CLOSE = 'c',  /* closes its terminal */
	ORDER_OPEN = 'o',   /* opens it again */
	ORDER_HANGUP = 'h', /* hangs it up, as a getty does, and opens it again */
	ORDER_REBOOT = 'R',
	ORDER_POWEROFF = 'P',
	ORDER_EXIT = 'x', /* exit 7 */
};

struct fake_options {
	unsigned long log_max;
	bool takes_over; /* init is not the monitor's child */
	bool early_term; /* SIGTERM comes before the monitor's program runs */
};

/* Starts everything; false when this user or kernel cannot (no root). */
bool fake_guest_start(struct fake_guest *g, const struct fake_options *options);
/* Kills what lives and removes the folder. */
void fake_guest_stop(struct fake_guest *g);

void fake_guest_order(struct fake_guest *g, enum fake_order order); /* returns when init has done it, where it comes back */
void fake_guest_order_only(struct fake_guest *g, enum fake_order order);

/* Connects and attaches; skips nothing. */
int fake_guest_attach(struct fake_guest *g, unsigned int rows, unsigned int cols);

/* Reads packets until the output so far contains text; false after timeout_ms or at END/EOF. What came is in out. */
bool fake_guest_expect(int fd, const char *text, char *out, size_t size, int timeout_ms);

/* Waits for the monitor's (or its successor's) end; -1 after timeout_ms, else its exit status. */
int fake_guest_wait(struct fake_guest *g, int timeout_ms);

/* A file below dir, NULL when there is none; caller frees. */
char *fake_guest_file(struct fake_guest *g, const char *name);

/* User and system time of a process in milliseconds. */
long fake_guest_cpu_ms(pid_t pid);
