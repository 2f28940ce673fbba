/* The user's terminal in raw mode, given back whatever happens. */
#pragma once

#include <stdbool.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "../base/err.h"

struct terminal {
	int in, out; /* not owned */
	bool is_raw; /* in is a terminal, and raw now */
	struct termios before;
	int signals; /* signalfd: poll it and call terminal_signal */
	sigset_t mask_before;
	struct sigaction faults_before[5];
};

/* Blocks the signals that would end or stop the process and makes `in` raw when it is a terminal. Signals that were ignored
 * stay so (nohup). SIGPIPE is blocked too: writes give EPIPE, and the signal comes after terminal_leave. A crash in between gives
 * the terminal back as well. At most one at a time in a process. */
int terminal_enter(struct terminal *terminal, int in, int out, struct err *err);

/* Gives the terminal and the signals back. Then, when a signal was to end the process, does that. */
void terminal_leave(struct terminal *terminal, int ended_by);

/* Takes one signal. Returns 0, SIGWINCH when the size may have changed, or the number of a signal that is to end the session: hand
 * that to terminal_leave. Stopping and continuing (job control) is done here. */
int terminal_signal(struct terminal *terminal);

/* Rows and columns of in, else of out; false when neither is a terminal. */
bool terminal_size(const struct terminal *terminal, struct winsize *ret);
