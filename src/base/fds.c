/* Sets of descriptors: what a process keeps, and nothing else. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fds.h"

static unsigned next_kept(const int *keep, size_t count, unsigned from)
{
	unsigned next = UINT_MAX;

	for (size_t i = 0; i < count; i++)
		if (keep[i] >= 0 && (unsigned)keep[i] >= from && (unsigned)keep[i] < next)
			next = (unsigned)keep[i];
	return next;
}

int fds_close_others(const int *keep, size_t count, unsigned flags)
{
	unsigned from = 3;

	for (;;) {
		unsigned kept = next_kept(keep, count, from);
		unsigned last = kept == UINT_MAX ? UINT_MAX : kept - 1;

		if (kept > from && syscall(SYS_close_range, from, last, flags) < 0)
			return -errno;
		if (kept == UINT_MAX)
			return 0;
		from = kept + 1;
	}
}

int fds_alone(const int *keep, size_t count)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int fd = 0; fd < 3; fd++)
		if (next_kept(keep, count, (unsigned)fd) != (unsigned)fd && dup2(null, fd) < 0)
			return -errno;
	return fds_close_others(keep, count, 0);
}
