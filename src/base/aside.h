/* Work in a process of its own, which ends in time whatever the work meets: for what a guest can draw out, or what cannot be
 * undone. */
#pragma once

/* Runs fn(arg) in a fork of the caller and waits. What it changes stays there, but what it writes to memory of aside_memory or to
 * files. Returns what fn returned, 0 or -errno; -ETIMEDOUT when it was killed after timeout_ms; -EIO when somebody else killed
 * it. It dies with the caller. */
int aside_run(int (*fn)(void *arg), void *arg, int timeout_ms);

/* Zeroed memory that both see; NULL when there is none. Free with aside_free. */
void *aside_memory(unsigned long size);
void aside_free(void *memory, unsigned long size);
