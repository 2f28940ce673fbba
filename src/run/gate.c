/* A lock on the folder of a guest's run: those who enter share it, a checkpoint has it alone. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "gate.h"

#define SHUT_MS 1000
#define LOOK_MS 5

/* How often it was in vain, or -errno: -EWOULDBLOCK at the end of the time. */
static int take(const struct store *store, const char *name, int how, unsigned timeout_ms, int *ret_fd)
{
	uint64_t end = proc_now_ms() + timeout_ms;
	auto_close int fd = openat(store->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int tries = 0;

	if (fd < 0)
		return -errno;
	for (; flock(fd, how | LOCK_NB) < 0; tries++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (proc_now_ms() >= end)
			return -EWOULDBLOCK;
		(void)poll(NULL, 0, LOOK_MS);
	}
	*ret_fd = take_fd(&fd);
	return tries;
}

int gate_enter(const struct store *store, const char *name, unsigned timeout_ms, int *ret_fd, struct err *err)
{
	int r = take(store, name, LOCK_SH, timeout_ms, ret_fd);

	if (r == -EWOULDBLOCK) {
		(void)err_set(err, ERR_TIMEOUT, "enter the guest: it is being checkpointed, for more than %u s", timeout_ms / 1000);
		return err_hint(err, "wait for the end of isle checkpoint, or for the time that its --timeout says");
	}
	return r < 0 ? err_num(err, r, "enter the guest") : r > 0;
}

/* By word: a child of the caller's may still have a copy of the descriptor. */
void gate_leave(int *fd)
{
	if (*fd < 0)
		return;
	(void)flock(*fd, LOCK_UN);
	close(take_fd(fd));
}

int gate_shut(const struct store *store, const char *name, int *ret_fd, struct err *err)
{
	int r = take(store, name, LOCK_EX, SHUT_MS, ret_fd);

	if (r == -EWOULDBLOCK)
		return err_num(err, EAGAIN, "save it undisturbed: an isle exec is on its way in");
	return r < 0 ? err_num(err, r, "lock the guest's run folder") : 0;
}
