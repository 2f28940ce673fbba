/* Network namespaces for tests: whatever a test makes in them goes with the process. */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

/* The caller stands in a fresh namespace; returns a descriptor of it. Skips the test when that is not allowed. */
static inline int netns_fresh(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		print_message("needs root: unshare(CLONE_NEWNET) is not allowed\n");
		skip();
	}
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}
