/* Programs: run from an argv array, with their output kept; facts about processes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

struct proc {
	const char *const *argv;
	const char *const *env;      /* NULL: the caller's */
	const char *input;           /* text for stdin, NULL: /dev/null */
	int timeout_ms;              /* 0: none */
	void (*in_child)(void *arg); /* runs in the child before exec, descriptors still open, may _exit */
	void *in_child_arg;
	size_t *ret_output_len; /* of ret_output, which may hold NUL bytes; NULL: not wanted */
	char **ret_output;      /* stdout, at most 1 MiB (-EFBIG beyond), caller frees; NULL: not wanted */
};

/* Runs and waits. argv[0] is looked up in PATH. On a bad exit err names the program, its status and the
 * last line of its stderr, and -EIO is returned; a program that cannot be executed gives exec's own errno.
 * Every descriptor above 2 is closed in the child. Killed (whole process group) at timeout: ERR_TIMEOUT. */
int proc_run(const struct proc *proc, struct err *err);

/* Start time of a pid in clock ticks since boot, from /proc/PID/stat field 22; 0 when it is gone. */
uint64_t proc_start_time(pid_t pid);

/* pidfd of pid if its start time is `start` (so that a reused pid is never taken); -ESRCH otherwise. */
int proc_pidfd(pid_t pid, uint64_t start);

int proc_signal(int pidfd, int sig);

/* Waits for exit by poll(2) on the pidfd. 0 when it ended, -ETIMEDOUT, or -errno. timeout_ms < 0: for ever. */
int proc_wait_gone(int pidfd, int timeout_ms);

/* Monotonic milliseconds. */
uint64_t proc_now_ms(void);

/* This boot's id from the kernel, 36 characters and NUL. 0 or -errno. */
int proc_boot_id(char out[37]);
