/* Mounts whose flags stay as they are, whoever is root where they are used. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/message.h"
#include "mount.h"
#include "ns.h"

/* Something that every host has, to attach a tree to where nobody sees it. */
#define ANY_FOLDER "/proc"
#define ANY_FILE   "/dev/null"

struct answer {
	int32_t result;
	struct err err;
};

static int is_folder(int tree_fd, bool *ret, struct err *err)
{
	struct stat st;

	if (fstat(tree_fd, &st) < 0)
		return err_sys(err, "look at what is to be mounted");
	*ret = S_ISDIR(st.st_mode);
	return 0;
}

static _Noreturn void answer(int socket, int result, const struct err *err, int fd)
{
	struct answer answer = {.result = result, .err = *err};

	_exit(message_send(socket, &answer, sizeof(answer), &fd, fd >= 0) < 0);
}

/* In a mount namespace that a new user namespace owns: its mounts are copies whose flags are locked, and a copy of these is too. */
static _Noreturn void copy_locked(int socket, const char *path)
{
	struct err err = {0};
	int fd = mount_copy(AT_FDCWD, path, true, &err);

	answer(socket, fd < 0 ? fd : 0, &err, fd);
}

static _Noreturn void attach_and_copy(int tree_fd, bool folder, int socket)
{
	const struct ns_clone owned = {.flags = CLONE_NEWUSER | CLONE_NEWNS, .cgroup_fd = -1};
	const char *path = folder ? ANY_FOLDER : ANY_FILE;
	struct err err = {0};
	int pidfd = -1, r = mount_make_private(&err);

	if (r == 0 && move_mount(tree_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = err_sys(&err, "attach a mount to %s", path);
	pid_t pid = r < 0 ? r : ns_clone(&owned, &pidfd, &err);

	if (pid == 0)
		copy_locked(socket, path);
	if (pid < 0)
		answer(socket, pid, &err, -1);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

static int receive(int socket, int *ret_fd, struct err *err)
{
	struct answer answer;
	size_t count = 1;
	int fd = -1, r = message_receive(socket, &answer, sizeof(answer), &fd, &count);

	if (r == 0 && answer.result < 0) {
		err_seal(&answer.err);
		if (err)
			*err = answer.err;
		r = answer.result;
	} else if (r == 0 && count != 1) {
		r = err_num(err, EPROTO, "lock the flags of a mount");
	} else if (r < 0) {
		(void)err_num(err, r, "lock the flags of a mount");
	}
	if (r < 0 && count == 1 && fd >= 0)
		close(fd);
	if (r == 0)
		*ret_fd = fd;
	return r;
}

int mount_lock(int *tree_fd, struct err *err)
{
	const struct ns_clone own = {.flags = CLONE_NEWNS, .cgroup_fd = -1};
	int sockets[2], pidfd = -1, locked = -1;
	bool folder = true;
	int r = is_folder(*tree_fd, &folder, err);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return err_sys(err, "make a socket");
	auto_close int here = sockets[0], there = sockets[1];
	pid_t pid = ns_clone(&own, &pidfd, err);

	if (pid == 0)
		attach_and_copy(*tree_fd, folder, there);
	if (pid < 0)
		return pid;
	close(pidfd);
	close(take_fd(&there));
	r = receive(here, &locked, err);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	close(*tree_fd);
	*tree_fd = locked;
	return 0;
}
