/* A user with a terminal, or with pipes, and a session that runs there in a process of its own. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct fake_user {
	pid_t session;
	int terminal; /* master of the user's own pty, -1: pipes */
	int to, from; /* what the user types into and reads from */
	int result;   /* pipe: what the session returned */
	struct termios before;
};

typedef int fake_session(int in, int out);

/* Starts the session in a new process, on a terminal of 33 rows and 99 columns, or with pipes. */
void fake_user_terminal(struct fake_user *user, fake_session *session);
void fake_user_pipes(struct fake_user *user, fake_session *session);

/* Whoever runs tests behind his back ignores what a terminal sends, and so would they. */
void fake_user_signals(void);

void fake_user_type(struct fake_user *user, const char *text);
void fake_user_type_end(struct fake_user *user);

/* Reads what the user sees until text is in it. */
bool fake_user_sees(struct fake_user *user, const char *text, int timeout_ms);

void fake_user_await_raw(struct fake_user *user);
bool fake_user_restored(struct fake_user *user);

/* Waits for the session's end: what it returned, or 1000 and the signal that ended it. */
int fake_user_ended(struct fake_user *user, int timeout_ms);

/* Kills the session where it still runs. */
void fake_user_leave(struct fake_user *user);

/* A new pty's master, and its slave's path. */
int fake_user_pty(char slave[64]);
