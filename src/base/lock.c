/* Locks between processes: open-file-description locks, which end with their holder and are never stale. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clean.h"
#include "file.h"
#include "proc.h"
#include "str.h"

#define HOLDER_SIZE 64

/* One try. 0 with the descriptor, -EAGAIN when somebody holds it, -ESTALE when the file was replaced meanwhile. */
static int try_lock(int dir_fd, const char *name, int *ret_fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	auto_close int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat held, named;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	if (fstat(fd, &held) < 0)
		return -errno;
	if (!S_ISREG(held.st_mode))
		return -EINVAL;
	/* The holder before us may have removed the file with its folder: then this lock guards nothing. */
	if (fstatat(dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (held.st_dev != named.st_dev || held.st_ino != named.st_ino)
		return -ESTALE;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The holder's line is a help for people; nothing depends on it. */
static void sign(int fd)
{
	char line[HOLDER_SIZE];
	int len = snprintf(line, sizeof(line), "%d %.32s\n", getpid(), program_invocation_short_name);

	if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)len, 0) < 0)
		return;
}

static int held_by_other(int dir_fd, const char *name, struct err *err)
{
	auto_free char *holder = NULL;
	int r;

	if (file_read(dir_fd, name, HOLDER_SIZE, &holder, NULL) == 0 && holder[0]) {
		holder[strcspn(holder, "\n")] = '\0';
		r = err_num(err, EBUSY, "lock %s, held by process %s", name, holder);
	} else {
		r = err_num(err, EBUSY, "lock %s, held by another process", name);
	}
	if (err && err->sys == EBUSY)
		err->code = ERR_TIMEOUT;
	return r;
}

int file_lock(int dir_fd, const char *name, int timeout_ms, int *ret_fd, struct err *err)
{
	uint64_t end = timeout_ms < 0 ? UINT64_MAX : proc_now_ms() + (uint64_t)timeout_ms;
	int delay = 10;

	/* The kernel's own wait, F_OFD_SETLKW, has no timeout but a signal, which a library must not send
	 * itself. So this looks every 10 to 50 ms: commands hold the lock for far longer than that. */
	for (;;) {
		uint64_t now;
		int r = try_lock(dir_fd, name, ret_fd);

		if (r == 0) {
			sign(*ret_fd);
			return 0;
		}
		if (r != -EAGAIN && r != -ESTALE)
			return err_num(err, r, "lock %s", name);
		now = proc_now_ms();
		if (r == -EAGAIN && now >= end)
			return held_by_other(dir_fd, name, err);
		if (r == -ESTALE)
			continue; /* a new file is there, or can be made, now */
		if (end - now < (uint64_t)delay)
			delay = (int)(end - now);
		(void)poll(NULL, 0, delay); /* a signal only makes the next look earlier */
		delay = delay < 40 ? delay + 10 : 50;
	}
}

bool file_locked(int dir_fd, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return false;
	return lock.l_type != F_UNLCK;
}
