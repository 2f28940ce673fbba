/* A network namespace without a process in it, for links that are made elsewhere. */
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>

#include "../base/clean.h"
#include "netlink.h"

int netlink_new_namespace(struct err *err)
{
	auto_close int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0)
		return err_sys(err, "open /proc/thread-self/ns/net");
	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(err, "make a network namespace");
	auto_close int made = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = made < 0 ? err_sys(err, "open /proc/thread-self/ns/net") : 0;

	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* what follows would be done in the wrong place */
	return r < 0 ? r : take_fd(&made);
}
