/* The error record: flat, so that it also travels between processes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Exit codes of every isle program. */
enum err_code {
	ERR_NONE = 0,
	ERR_FAILED = 1,
	ERR_USAGE = 2,
	ERR_NOT_FOUND = 3,
	ERR_STATE = 4,
	ERR_TIMEOUT = 5,
};

struct err {
	int code;       /* enum err_code */
	int sys;        /* errno behind it, 0 when there is none */
	char step[32];  /* start step or stage, "" when it has none */
	char where[96]; /* "FILE:LINE" of the config line at fault, "" when none */
	char what[256]; /* the operation and its object: "mount /srv/data on /data" */
	char hint[160]; /* what the administrator can do, "" when nothing is known */
};

/* All setters accept err == NULL, keep the first failure's text whole up to the field's
 * size, and return a negative errno, so that `return err_sys(err, ...)` reads well. */

/* A failed system call: records errno (its value at the call) as the reason. Returns -errno. */
int err_sys(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same with an explicit error number (positive or negative). */
int err_num(struct err *err, int num, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A failure that is not a system call's. Returns -EINVAL for ERR_USAGE, -ENOENT for
 * ERR_NOT_FOUND, -EBUSY for ERR_STATE, -ETIMEDOUT for ERR_TIMEOUT, else -EIO. */
int err_set(struct err *err, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* These add to an error that is already set and return the number it was set with. */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_where(struct err *err, const char *file, int line);
int err_step(struct err *err, const char *step); /* keeps a step that is already there */

void err_clear(struct err *err);

/* For a record that came from another process, of which nothing is believed: every text ends, and the code is one of the codes. */
void err_seal(struct err *err);

/* Prints the record on stderr as DESIGN says: a headline, then step, failed, reason and fix,
 * each only where known. Control bytes are escaped. headline: "cannot start guest 'web1'". */
void err_print(const struct err *err, const char *headline);

/* The hint table's answer for an operation (the first word of err.what) and an errno, or NULL. */
const char *err_hint_for(const char *what, int sys);

/* The table's rows, for the manual: false when there is no row at `at`. operation: NULL for any. */
bool err_hint_row(size_t at, const char **ret_operation, int *ret_sys, const char **ret_hint);
