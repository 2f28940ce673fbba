/* Files: whole reads with a bound, atomic replacement, whole writes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clean.h"
#include "file.h"
#include "str.h"

int file_read(int dir_fd, const char *name, size_t max, char **ret, size_t *ret_len)
{
	/* O_NONBLOCK: a pipe that lies there must not hold the reader up before it is refused. */
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	auto_buf struct buf text = {0};
	char chunk[4096];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	/* To EOF, not to st_size: kernel files say 0, and others may grow. */
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if ((size_t)n > max - text.len)
			return -EFBIG;
		buf_add_bytes(&text, chunk, (size_t)n);
	}
	if (ret_len)
		*ret_len = text.len;
	*ret = buf_take(&text);
	return *ret ? 0 : -ENOMEM;
}

int file_poke(int dir_fd, const char *name, const char *data)
{
	auto_close int fd = openat(dir_fd, name, O_WRONLY | O_NOCTTY | O_CLOEXEC);
	size_t len = strlen(data);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int write_whole(int fd, const void *data, size_t len, bool waiting)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && waiting) {
			struct pollfd ready = {.fd = fd, .events = POLLOUT};

			(void)poll(&ready, 1, -1); /* whatever it says, the next write says more */
			continue;
		}
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int file_write_all(int fd, const void *data, size_t len)
{
	return write_whole(fd, data, len, false);
}

int file_write_waiting(int fd, const void *data, size_t len)
{
	return write_whole(fd, data, len, true);
}

/* Opens the folder of name, so that the new file and the rename need no path; *ret_base is its last part. */
static int open_folder(int dir_fd, const char *name, const char **ret_base)
{
	const char *slash = strrchr(name, '/');
	auto_free char *folder = slash ? strndup(name, (size_t)(slash - name) + 1) : strdup(".");
	int fd;

	if (!folder)
		return -ENOMEM;
	fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_base = slash ? slash + 1 : name;
	return fd;
}

/* Makes and fills the temporary file; it is the caller's to remove once temp is set. */
static int write_new(int folder, char temp[40], const void *data, size_t len, unsigned mode, bool sync)
{
	auto_close int fd = -1;
	uint64_t unique;
	int r;

	if (getrandom(&unique, sizeof(unique), 0) != sizeof(unique))
		return -EIO;
	(void)snprintf(temp, 40, ".new-%016llx", (unsigned long long)unique);
	fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
		temp[0] = '\0';
		return r;
	}
	r = file_write_all(fd, data, len);
	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || (sync && fsync(fd) < 0))
		return -errno;
	/* Some file systems (NFS, FUSE) tell of a failed write only here. */
	return close(take_fd(&fd)) < 0 ? -errno : 0;
}

static int replace(int dir_fd, const char *name, const void *data, size_t len, unsigned mode, bool sync)
{
	const char *base = NULL;
	auto_close int folder = open_folder(dir_fd, name, &base);
	char temp[40] = "";
	int r;

	if (folder < 0)
		return folder;
	r = write_new(folder, temp, data, len, mode, sync);
	if (r == 0 && renameat(folder, temp, folder, base) < 0)
		r = -errno;
	if (r < 0 && temp[0])
		(void)unlinkat(folder, temp, 0); /* a leftover is removed by the next that takes the lock */
	if (r == 0 && sync && fsync(folder) < 0)
		r = -errno;
	return r;
}

int file_replace(int dir_fd, const char *name, const void *data, size_t len, unsigned mode, struct err *err)
{
	int r = replace(dir_fd, name, data, len, mode, true);

	return r < 0 ? err_num(err, r, "write %s", name) : 0;
}

int file_replace_quick(int dir_fd, const char *name, const void *data, size_t len, unsigned mode, struct err *err)
{
	int r = replace(dir_fd, name, data, len, mode, false);

	return r < 0 ? err_num(err, r, "write %s", name) : 0;
}
