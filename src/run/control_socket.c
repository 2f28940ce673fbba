/* The monitor's socket: bound and reached through the guest's run folder. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "control.h"

/* sun_path holds 107 bytes; the folder's own path may be longer. */
static int address_in(int run_fd, const char *name, struct sockaddr_un *ret)
{
	ret->sun_family = AF_UNIX;
	return str_print(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", run_fd, name);
}

int control_listen(int run_fd, struct err *err)
{
	/* Bound aside and renamed into place when it already listens: nobody finds a socket that refuses. */
	static const char aside[] = ".control";
	struct sockaddr_un address = {0};
	auto_close int fd = -1;

	if (unlinkat(run_fd, aside, 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove the old control socket");
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "make the control socket");
	if (address_in(run_fd, aside, &address) < 0)
		return err_num(err, ENAMETOOLONG, "bind the control socket");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, "bind the control socket");
	if (fchmodat(run_fd, aside, 0600, 0) < 0 || listen(fd, 64) < 0 || renameat(run_fd, aside, run_fd, "control") < 0) {
		int saved = errno;

		(void)unlinkat(run_fd, aside, 0); /* the next listener would remove it too */
		return err_num(err, saved, "put the control socket in place");
	}
	return take_fd(&fd);
}

int control_connect(int run_fd, struct err *err)
{
	const struct timeval patience = {.tv_sec = CONTROL_WAIT_MS / 1000, .tv_usec = CONTROL_WAIT_MS % 1000 * 1000};
	struct sockaddr_un address = {0};
	auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return err_sys(err, "make a socket for the monitor");
	if (address_in(run_fd, "control", &address) < 0)
		return err_num(err, ENAMETOOLONG, "connect to the monitor");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, "connect to the monitor");
	return take_fd(&fd);
}
