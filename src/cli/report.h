/* How a command's failure is shown: for people, or as JSON. */
#pragma once

#include "verbs.h"

/* The exit status an error stands for: never 0. */
int report_status(const struct err *err);

/* The headline of a verb's failure, "cannot start guest 'web1'"; name: the guest, NULL: the call's first argument, if any.
 * Caller frees; NULL when memory ran out. */
char *report_headline(const struct call *call, const struct err *err, const char *name);

/* Prints the error on stderr, in JSON when the call asks for JSON. */
void report_error(const struct call *call, const struct err *err, const char *name);
