/* An epoll loop over descriptors, pidfds and signals, small enough for the monitor. */
#pragma once

#include <stdint.h>

struct loop;
typedef void loop_fn(struct loop *loop, int fd, uint32_t events, void *arg);

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Watches fd for EPOLL* events. The caller keeps owning fd and removes it before closing it. 0 or -errno. */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *arg);
int loop_change(struct loop *loop, int fd, uint32_t events);
void loop_remove(struct loop *loop, int fd);

/* Runs until loop_stop; returns what was given to it, or -errno, or -ETIMEDOUT after timeout_ms (<0: none). */
int loop_run(struct loop *loop, int timeout_ms);
void loop_stop(struct loop *loop, int result);
