/* Files: whole reads with a bound, atomic replacement, OFD locks, removal of trees. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Reads the whole of name below dir_fd (AT_FDCWD allowed), at most max bytes (-EFBIG beyond).
 * Refuses anything but a regular file or a kernel file. *ret is NUL-terminated; caller frees.
 * ret_len may be NULL. Returns 0 or -errno, without text: the caller knows what it is reading. */
int file_read(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len);

/* Writes data to an existing kernel file (cgroup, proc) in one write(2). 0 or -errno. */
int file_poke(int dir_fd, const char *name, const char *data);

/* Replaces name below dir_fd: temporary dot-file, write, fsync, rename, fsync of the folder. */
int file_replace(int dir_fd, const char *name, const void *data, size_t len, unsigned mode, struct err *err);

/* The same without any fsync, for files on tmpfs whose loss a reboot implies. */
int file_replace_quick(int dir_fd, const char *name, const void *data, size_t len, unsigned mode, struct err *err);

/* Removes name below dir_fd and all in it. Never follows a link, never crosses a mount (-EBUSY),
 * clears immutable flags, takes any depth. -ENOENT is success. */
int file_remove_tree(int dir_fd, const char *name, struct err *err);

/* Takes an exclusive open-file-description lock on the file `name` in dir_fd, creating it 0600, and
 * writes "PID COMMAND\n" into it. Waits up to timeout_ms (0: not at all, <0: for ever). The lock ends with the
 * descriptor that is returned. -EBUSY (err names the holder) when the time is over. */
int file_lock(int dir_fd, const char *name, int timeout_ms, int *ret_fd, struct err *err);

/* True when somebody else holds the lock; never waits. */
bool file_locked(int dir_fd, const char *name);

/* Writes all of data, in as many write(2) as it takes. 0 or -errno. */
int file_write_all(int fd, const void *data, size_t len);

/* The same to a stream of the caller's own, such as standard output: whoever opened it, or shares it, may have made it nonblocking,
 * and it is then waited for. */
int file_write_waiting(int fd, const void *data, size_t len);
