/* The terminal side of attached sessions: raw mode, the escape key, window size. */
#pragma once

#include <stdbool.h>

#include "../base/err.h"

struct console_session {
	int prefix;     /* the escape key's byte, 1 = Ctrl-a; -1: none */
	bool keep_ring; /* show recent output first */
	int in, out;    /* usually 0 and 1 */
};

enum console_end {
	CONSOLE_DETACHED,   /* escape key and q, or standard input's end */
	CONSOLE_GUEST_ENDED /* the caller says so */
};

/* Connects the terminal with the guest's console until Ctrl-a q or the guest's end; through a reboot it stays connected. When
 * `in` is no terminal, bytes are copied as they are; after its end output is awaited until none came for 0.3 s (at most 2 s).
 * Returns enum console_end or -errno. Ends by the signal after giving the terminal back when one comes. */
int console_attach(int run_fd, const struct console_session *session, struct err *err);

/* Copies between the terminal (fds in, out) and a pty master until `done_pidfd`'s process has ended and all its output was
 * copied. Sets raw mode, follows SIGWINCH, restores the terminal whatever happens. When `in` is no terminal its end is passed
 * on as the pty's end-of-file character. The caller has closed the slave; master is nonblocking afterwards.
 * 0, or -EPIPE when in (a terminal) or out hung up. */
int console_pump(int in, int out, int master, int done_pidfd, struct err *err);
