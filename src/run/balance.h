/* Moves guests that isle has placed on CPUs, so that busy ones do not share a CPU while another is idle. */
#pragma once

#include "../guest/store.h"

/* A guest that is held to some CPUs; of those that were placed by hand only the load counts. */
struct balance_guest {
	char name[STORE_NAME_MAX + 1];
	const char *was; /* its list before; caller's */
	bool *on;        /* of each CPU; caller's */
	double used;     /* CPUs' worth of time */
	bool may_move;
	bool moved;
};

/* Changes `on` of the guests whose move pays, best first: it must even out more than BALANCE_GAIN of a CPU. Each guest keeps as
 * many CPUs as it had. there: which of the `cpus` CPUs are online. */
#define BALANCE_GAIN 0.2
void balance_plan(const bool *there, size_t cpus, struct balance_guest *guests, size_t count);

/* One look of sample_ms at all guests that run, a plan, and the moves. tell is called for each guest that was moved, with its lists
 * of CPUs. A guest that another command holds stays where it is until the next time. */
int balance(const struct store *store, unsigned sample_ms,
	    void (*tell)(void *arg, const char *name, const char *was, const char *is), void *arg, struct err *err);
