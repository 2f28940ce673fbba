/* The terminal side of attached sessions: raw mode, the escape key, window size. */
#pragma once

#include <stdbool.h>

#include "../base/err.h"

struct console_session {
	int prefix;       /* the escape key's byte, 1 = Ctrl-a; -1: none */
	bool keep_ring;   /* show recent output first */
};

/* `isle console`: connects the terminal with the guest's console until Ctrl-a q, the guest's end (prints so) or hangup.
 * When stdin is no terminal: copies stdin to the console and output to stdout until EOF. */
int console_attach(int run_fd, const struct console_session *session, struct err *err);

/* Copies between the terminal (fds in, out) and a pty master until the other side ends. Sets raw mode, follows SIGWINCH,
 * restores the terminal whatever happens. `done_pidfd`: ends when that process ends and all its output was copied. */
int console_pump(int in, int out, int master, int done_pidfd, struct err *err);
