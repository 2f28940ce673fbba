/* Processes in a guest that came in by isle exec: criu, which saves init and its children, does not see them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../base/err.h"
#include "../guest/record.h"

#define VISITORS_MAX 256

/* Those that were stopped. All zeros: none. */
struct visitors {
	struct visitor {
		pid_t pid;
		int pidfd;
	} one[VISITORS_MAX];
	size_t count;
};

/* By a process's status (status_read) and the number of its guest's PID namespace: its parent is none of the guest's. Its own
 * children are not told so. */
bool visitors_has(const char *status, ino_t namespace);

/* While criu holds the guest's processes: stops (SIGSTOP) all that it does not, which could change what is being saved. keeper:
 * criu's process. Those stopped are added to held. Returns how many these were; -errno when one does not stand still within a
 * second, or there are more than VISITORS_MAX. */
int visitors_stop(const struct record *record, pid_t keeper, struct visitors *held, struct err *err);

/* Lets them go on, and forgets them. */
void visitors_go_on(struct visitors *held);

/* Forgets them as they are. */
void visitors_forget(struct visitors *held);

/* Kills them, whatever they do; what fails is passed over. */
void visitors_kill(const struct record *record);
