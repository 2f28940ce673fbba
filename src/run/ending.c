/* How a guest's init ended, from what the kernel says of a process. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

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

/* The status is kept with the pidfd when the parent has reaped the process, which poll(2) tells as a hangup. */
static bool foreign_status(int pidfd, int *ret)
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

void ending_of(int pidfd, bool is_child, char out[ENDING_SIZE])
{
	int status;

	out[0] = '\0';
	if (is_child ? child_status(pidfd, &status) : foreign_status(pidfd, &status))
		ending_from_status(status, out);
	else
		eventlog_add(out, ENDING_SIZE, "unknown");
}
