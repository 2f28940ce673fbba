/* What is checked of a checkpoint before it is restored, and of its processes before they run on. */
#pragma once

#include "run.h"

struct restore_policy {
	bool mapped; /* its ids are this one and the 65,535 behind it */
	uint64_t ids;
	uint64_t capabilities; /* mask of those that guests have */
	bool filtered;
};

/* What is wrong with a thread of that status (status_read); NULL: nothing. */
const char *restore_check_status(const char *status, const struct restore_policy *policy);

/* Every thread of the restored guest is held as the guest's config wants it: ids, capabilities, seccomp, AppArmor label, user
 * namespace. The first that is not makes the restore fail. */
int restore_check_tasks(struct run *run, struct err *err);
