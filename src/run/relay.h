/* Copies between a program's pipes and the caller's terminal, so that a guest never holds the terminal itself. */
#pragma once

#include <stddef.h>

#include "../base/err.h"

/* The guest's ends of standard input, output and error, and ours. A stream that is no terminal is passed on as it is. */
struct relay {
	int guest[3];
	int ours[3]; /* -1: passed on, nothing to copy */
	char input[4096];
	size_t input_at, input_len;
};

int relay_open(struct relay *relay, struct err *err);
void relay_close_guest(struct relay *relay);
void relay_close(struct relay *relay);

/* Copies until the process of done_pidfd ended and its output was copied. SIGINT, SIGTERM, SIGHUP and SIGQUIT to the caller go to
 * it. */
int relay_run(struct relay *relay, int done_pidfd, struct err *err);
