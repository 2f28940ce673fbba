/* Runs a program in a running guest: one setns, one fork, the guest's own privileges. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

enum attach_tty { ATTACH_TTY_AUTO, ATTACH_TTY_YES, ATTACH_TTY_NO };

/* Work of isle's own inside, in the place of a program: it is confined as one, and has nothing of the host but one end of a pipe.
 */
struct attach_work {
	bool into_guest; /* which way the pipe goes */
	/* 0, or -errno with err set; -EPIPE says that the other side knows why. The outer one runs in the calling process. */
	int (*inside)(const void *data, int fd, struct err *err);
	int (*outside)(const void *data, int fd, struct err *err);
	const void *data;
};

struct attach_request {
	const struct attach_work *work; /* NULL: a program; else argv, user, env and tty play no part */
	const char *const *argv;        /* NULL: the user's login shell */
	const char *user;               /* name or number in the guest, NULL: root */
	const char *cwd;                /* NULL: / for a command, the home folder for a shell */
	const char *const *env;         /* NAME=VALUE, NULL-ended, NULL: none */
	bool clear_env;                 /* not even TERM, LANG and LC_* of the caller */
	int tty;                        /* enum attach_tty; auto: when standard input and output are terminals */
};

/* Runs it and waits. *ret_status: as a shell has it: its exit status, 128+n for a signal, 126 or 127 when it could not be executed
 * (err then says why and the result is 0 all the same). -errno when it did not come to that: ERR_STATE when the guest does not run.
 */
int attach_run(struct guest *guest, const struct attach_request *request, int *ret_status, struct err *err);
