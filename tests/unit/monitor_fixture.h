/* What the tests of the monitor share: one fake guest, and waiting for what its monitor does. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <errno.h>

#include <cmocka.h>

#include "../../src/base/proc.h"
#include "fake_guest.h"

#define SOON 5000 /* ms; a loaded machine */

static struct fake_guest guest;

static inline void start_with(const struct fake_options *options)
{
	if (!fake_guest_start(&guest, options))
		skip();
}

static inline void start(void)
{
	start_with(&(struct fake_options){.log_max = 1 << 20});
}

static inline int teardown(void **state)
{
	(void)state;
	fake_guest_stop(&guest);
	return 0;
}

static inline bool await_file(const char *name, const char *text)
{
	for (int i = 0; i < SOON / 10; i++) {
		char *found = fake_guest_file(&guest, name);
		bool is_there = found && strstr(found, text);

		free(found);
		if (is_there)
			return true;
		usleep(10000);
	}
	return false;
}

static inline int release(void)
{
	char data[CONTROL_DATA_MAX];
	struct control_header header;
	int fd = control_connect(guest.run_fd, NULL);

	assert_true(fd >= 0);
	assert_int_equal(control_send(fd, CONTROL_RELEASE, NULL, 0), 0);
	assert_int_equal(control_receive(fd, &header, data), 0);
	assert_int_equal(header.kind, CONTROL_DONE);
	return fd;
}

static inline bool is_alive(void)
{
	return proc_wait_gone(guest.monitor_pidfd, 0) == -ETIMEDOUT;
}
