/* The two walkers of the step table: one on each side, kept in step by notes on one socket pair. */
#pragma once

#include "run.h"

#define WALK_WORD_MS 120000 /* no row of a healthy start takes this long */

/* Walks the HOST rows. Returns when the last row is done (init runs, or the guest side said so). On failure what was
 * done is undone and the first process is dead. */
int walk_host(struct run *run, struct err *err);

/* Walks the GUEST rows from `row` on in the cloned child; never returns. */
_Noreturn void walk_guest(struct run *run, size_t row);

/* Inside, immediately before execve of init: an end without this word is a failure, not an init that runs. */
int walk_announce_exec(struct run *run, struct err *err);

/* After a walk that does not end in a running guest: the first process is killed and reaped, the HOST rows are undone. */
void walk_over(struct run *run);

/* Undoes all HOST rows backwards, for a guest that ended or whose start was killed. Rows accept what is not there. */
void walk_back(struct run *run);

/* After walk_back: 0, or why something is left. */
int walk_undone(const struct run *run, struct err *err);

/* Waits for SIGCONT where ISLE_HOLD names this step; pid is the caller's as the host counts. */
void walk_hold(const char *step, pid_t pid);

/* Environment: ISLE_TRACE=1 prints the walk on stderr; ISLE_HOLD=STEP waits for SIGCONT before it, and ISLE_HOLD='criu NOTICE' at
 * one of criu's (pre-dump, network-lock, post-dump, setup-namespaces, post-restore, pre-resume...); ISLE_FAULT=STEP:HOW with HOW
 * fail, fail-after, kill, kill-after or kill-undo is for tests. */
