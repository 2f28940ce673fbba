/* Network namespaces for tests: whatever a test makes in them goes with the process. Included after cmocka.h. */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

/* The caller stands in a fresh namespace; returns a descriptor of it. */
static inline int netns_fresh(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void netns_needs_root(void **state)
{
	(void)state;
	print_message("needs root: unshare(CLONE_NEWNET) is not allowed\n");
	skip();
}

/* Where namespaces are not allowed, the tests that begin with `setup` are skipped by name. */
static inline void netns_skip_unless_root(struct CMUnitTest *tests, size_t count, CMFixtureFunction setup)
{
	pid_t child = fork();
	int status = 1;

	if (child == 0)
		_exit(unshare(CLONE_NEWNET) < 0);
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (tests[i].setup_func == setup)
			tests[i] = (struct CMUnitTest){.name = tests[i].name, .test_func = netns_needs_root};
	}
}
