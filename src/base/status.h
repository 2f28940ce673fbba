/* What /proc tells of a process and its threads (proc_pid_status(5)). */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* The text of one thread of a process, the first having its process's number: at most some MiB, since it names up to 65,536 groups.
 * Caller frees. -ESRCH when it has ended. */
int status_read(pid_t pid, pid_t thread, char **ret);

/* What stands behind "NAME:" up to the end of its line, NULL when there is no such line. The process's own name, which stands above
 * all, may look like any of them. */
const char *status_field(const char *status, const char *name);

/* The last number of the field, which for NSpid is the process's own in its innermost namespace; 0 when there is none. */
pid_t status_last(const char *status, const char *name);

/* The field as a mask in hexadecimal digits; all bits are set when there is none. */
uint64_t status_mask(const char *status, const char *name);
