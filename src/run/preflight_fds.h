/* What a process holds open that criu cannot carry. */
#pragma once

#include <sys/types.h>

/* The device number of the POSIX message queues that init's processes share; 0 when none are mounted there. */
dev_t preflight_queues(pid_t init);

/* Tells of each kind once, with its remedy. Sends no request to a file system, which could be the guest's own and never answer. */
void preflight_fds(pid_t pid, dev_t queues, void (*tell)(void *arg, const char *what, const char *remedy), void *arg);
