/* Waits for a guest to be in a state. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "wait.h"

#define LOOK_AGAIN_MS 1000 /* a bound on what no event tells: freezing has its event in a file that may come and go */

static void drain(int fd)
{
	char events[4096] __attribute__((aligned(8)));

	while (read(fd, events, sizeof(events)) > 0)
		;
}

/* The run folder appears and goes in `run`, the record is replaced inside it. */
static void watch(int inotify, const struct store *store, const char *name)
{
	auto_free char *folder = path_join(store->run, name);

	(void)inotify_add_watch(inotify, store->run, IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
	if (folder)
		(void)inotify_add_watch(inotify, folder,
					IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF); /* fails as long as it is stopped */
}

int wait_for_state(const struct store *store, const char *name, unsigned states, int timeout_ms, enum state *ret, struct err *err)
{
	uint64_t deadline = proc_now_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);
	auto_close int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (inotify < 0)
		return err_sys(err, "watch %s", store->run);
	for (;;) {
		struct record record;

		watch(inotify, store, name);
		drain(inotify);
		enum state state = guest_state(store, name, &record);

		if (states & (1u << state)) {
			*ret = state;
			return 0;
		}
		auto_close int init = record_init_pidfd(&record);
		uint64_t now = proc_now_ms();

		if (timeout_ms >= 0 && now >= deadline)
			return err_set(err, ERR_TIMEOUT, "wait for the guest: it is still %s", state_names[state]);
		int left = timeout_ms < 0 || deadline - now > LOOK_AGAIN_MS ? LOOK_AGAIN_MS : (int)(deadline - now);
		struct pollfd fds[2] = {{.fd = inotify, .events = POLLIN}, {.fd = init, .events = POLLIN}};

		/* An init that has ended stays readable until the monitor has cleared up, which inotify tells. */
		if (init >= 0 && proc_wait_gone(init, 0) == 0)
			fds[1].fd = -1;
		(void)poll(fds, 2, left); /* the loop looks again either way */
	}
}
