/* An epoll loop over descriptors; a watch may be removed or replaced from within any callback. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "loop.h"
#include "proc.h"

#define BATCH 16 /* events taken at once */

/* The generation tells an event that epoll reported before the watch was replaced from one for it. */
struct watch {
	loop_fn *fn;
	void *arg;
	uint32_t generation;
};

struct loop {
	int epoll_fd;
	struct watch *watches; /* indexed by descriptor */
	size_t count;
	uint32_t generation;
	bool stopped;
	int result;
};

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		int saved = errno;

		free(loop);
		errno = saved;
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	close(loop->epoll_fd);
	free(loop->watches);
	free(loop);
}

static struct watch *find(struct loop *loop, int fd)
{
	if (fd < 0 || (size_t)fd >= loop->count || !loop->watches[fd].fn)
		return NULL;
	return &loop->watches[fd];
}

/* Tells epoll about the watch of fd. */
static int tell(struct loop *loop, int operation, int fd, uint32_t events, uint32_t generation)
{
	struct epoll_event event = {.events = events, .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};

	return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *arg)
{
	int r;

	if (fd < 0)
		return -EBADF;
	if (find(loop, fd))
		return -EEXIST;
	if ((size_t)fd >= loop->count) {
		size_t count = (size_t)fd + 16;
		struct watch *grown = realloc(loop->watches, count * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		memset(grown + loop->count, 0, (count - loop->count) * sizeof(*grown));
		loop->watches = grown;
		loop->count = count;
	}
	r = tell(loop, EPOLL_CTL_ADD, fd, events, ++loop->generation);
	if (r < 0)
		return r;
	loop->watches[fd] = (struct watch){.fn = fn, .arg = arg, .generation = loop->generation};
	return 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events)
{
	struct watch *watch = find(loop, fd);

	return watch ? tell(loop, EPOLL_CTL_MOD, fd, events, watch->generation) : -ENOENT;
}

void loop_remove(struct loop *loop, int fd)
{
	struct watch *watch = find(loop, fd);

	if (!watch)
		return;
	(void)tell(loop, EPOLL_CTL_DEL, fd, 0, 0); /* fails only when fd was closed, which removed it as well */
	*watch = (struct watch){0};
}

static void dispatch(struct loop *loop, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count && !loop->stopped; i++) {
		int fd = (int)(uint32_t)events[i].data.u64;
		struct watch *watch = find(loop, fd);

		if (watch && watch->generation == (uint32_t)(events[i].data.u64 >> 32))
			watch->fn(loop, fd, events[i].events, watch->arg);
	}
}

int loop_run(struct loop *loop, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? UINT64_MAX : proc_now_ms() + (uint64_t)timeout_ms;
	struct epoll_event events[BATCH];

	while (!loop->stopped) {
		uint64_t now = proc_now_ms();
		int left = timeout_ms < 0 ? -1 : now < end ? (int)(end - now) : 0;
		int count = epoll_wait(loop->epoll_fd, events, BATCH, left);

		if (count < 0 && errno != EINTR)
			return -errno;
		if (count > 0)
			dispatch(loop, events, count);
		/* The end holds for busy loops too, not only for one in which nothing happens. */
		if (!loop->stopped && proc_now_ms() >= end)
			return -ETIMEDOUT;
	}
	loop->stopped = false; /* so that the loop can be run again */
	return loop->result;
}

void loop_stop(struct loop *loop, int result)
{
	loop->stopped = true;
	loop->result = result;
}
