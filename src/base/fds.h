/* Sets of descriptors: what a process keeps, and nothing else. */
#pragma once

#include <stddef.h>

/* Closes every descriptor from 3 up but those in keep (count of them, any order, negative ones are passed over); with flags
 * CLOSE_RANGE_CLOEXEC it marks them close-on-exec instead. 0 or -errno. */
int fds_close_others(const int *keep, size_t count, unsigned flags);

/* For a process that a guest may hold up longer than its caller waits, or for ever: the caller's locks and streams must not be held
 * with it. Keeps those in keep alone, and puts /dev/null on 0, 1 and 2. 0 or -errno. */
int fds_alone(const int *keep, size_t count);
