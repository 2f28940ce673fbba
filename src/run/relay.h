/* Copies between a program's pipes and what the caller has for standard streams, so that a guest never holds a descriptor of the
 * host's: by a folder's it would walk the host's files, by a log's it could empty that, or fill it after the command has ended. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "../base/err.h"

/* The guest's ends of standard input, output and error, and ours. Only a pipe, or /dev/null, is passed on as it is. */
struct relay {
	int guest[3];
	int ours[3]; /* -1: passed on, nothing to copy */
	char input[4096];
	size_t input_at, input_len;
};

int relay_open(struct relay *relay, struct err *err);

/* Only standard error, and only when it is no terminal: for a program that has a terminal of its own else. */
int relay_open_error(struct relay *relay, struct err *err);

void relay_close_guest(struct relay *relay);
void relay_close(struct relay *relay);

/* Copies until the process of done_pidfd ended and its output was copied. SIGINT, SIGTERM, SIGHUP and SIGQUIT to the caller go to
 * it. */
int relay_run(struct relay *relay, int done_pidfd, struct err *err);

/* The same in a process of its own, for which to wait; 0 when there is nothing to copy. */
pid_t relay_run_aside(struct relay *relay, int done_pidfd, struct err *err);
