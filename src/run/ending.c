/* How a guest's init ended, from what the kernel says of a process. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ending.h"
#include "eventlog.h"

/* struct pidfd_info of Linux 6.15 (uapi/linux/pidfd.h), which is newer than the headers that isle is built with. */
struct exit_info {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t ids[11];
	int32_t status;
};
#define EXIT_INFO_WANTED (1u << 3)
#define EXIT_INFO_GET    _IOWR(0xff, 11, struct exit_info)

void ending_from_status(int status, char out[ENDING_SIZE])
{
	char number[EVENTLOG_NUMBER];

	out[0] = '\0';
	/* reboot(2) in a pid namespace ends its init by one of these; neither reaches an init in another way, since it has no
	 * default actions (pid_namespaces(7)). */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) {
		eventlog_add(out, ENDING_SIZE, "reboot");
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) {
		eventlog_add(out, ENDING_SIZE, "poweroff");
	} else if (WIFSIGNALED(status)) {
		eventlog_add(out, ENDING_SIZE, "signal:");
		eventlog_add(out, ENDING_SIZE, eventlog_number(number, WTERMSIG(status)));
	} else if (WIFEXITED(status)) {
		eventlog_add(out, ENDING_SIZE, "exit:");
		eventlog_add(out, ENDING_SIZE, eventlog_number(number, WEXITSTATUS(status)));
	} else {
		eventlog_add(out, ENDING_SIZE, "unknown");
	}
}

static bool child_status(int pidfd, int *ret)
{
	siginfo_t info = {0};
	int r;

	do
		r = waitid(P_PIDFD, pidfd, &info, WEXITED);
	while (r < 0 && errno == EINTR);
	if (r < 0 || info.si_pid == 0)
		return false;
	*ret = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	return true;
}

/* proc(5): /proc/PID/stat ends with the status that wait(2) would give, as long as nobody has waited. */
static bool zombie_status(pid_t pid, int *ret)
{
	char path[64] = "/proc/", number[EVENTLOG_NUMBER], text[1024];
	const char *state = NULL, *last = NULL;
	int fd;
	ssize_t n;

	eventlog_add(path, sizeof(path), eventlog_number(number, pid));
	eventlog_add(path, sizeof(path), "/stat");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	state = strrchr(text, ')');
	last = strrchr(text, ' ');
	if (!state || strncmp(state, ") Z ", 4) != 0 || last <= state) /* reaped, and the pid may be another's */
		return false;
	*ret = strtol(last + 1, NULL, 10);
	return true;
}

/* The status is kept with the pidfd when the parent has reaped the process, which poll(2) tells as a hangup. */
static bool kept_status(int pidfd, int *ret)
{
	struct exit_info info;

	for (int tries = 0; tries < 2; tries++) {
		info = (struct exit_info){.mask = EXIT_INFO_WANTED};
		if (ioctl(pidfd, EXIT_INFO_GET, &info) == 0 && (info.mask & EXIT_INFO_WANTED)) {
			*ret = info.status;
			return true;
		}
		if (tries == 0) {
			struct pollfd reaped = {.fd = pidfd}; /* POLLHUP needs no asking */

			(void)poll(&reaped, 1, 1000);
		}
	}
	return false;
}

static bool foreign_status(int pidfd, pid_t pid, int *ret)
{
	if (!zombie_status(pid, ret) && !kept_status(pidfd, ret))
		return false;
	/* The kept status, and before Linux 5.17 the other one too, is init's own, without what reboot(2) made of it. */
	return *ret != 0 && *ret != SIGKILL;
}

void ending_of(int pidfd, pid_t pid, bool is_child, char out[ENDING_SIZE])
{
	int status;

	out[0] = '\0';
	if (is_child ? child_status(pidfd, &status) : foreign_status(pidfd, pid, &status))
		ending_from_status(status, out);
	else
		eventlog_add(out, ENDING_SIZE, "unknown");
}
