/* A fork with a deadline. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "aside.h"
#include "clean.h"
#include "proc.h"

#define GONE_MS 5000 /* for what was killed: a process that closes a file of a hung file system may take a moment */

static int result_of(int status)
{
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int aside_run(int (*fn)(void *arg), void *arg, int timeout_ms)
{
	pid_t caller = getpid(), pid = fork();
	int status = 0;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(getppid() == caller ? -fn(arg) : ECANCELED);
	}
	if (pid < 0)
		return -errno;
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int waited = pidfd < 0 ? -errno : proc_wait_gone(pidfd, timeout_ms);

	if (waited < 0) {
		(void)kill(pid, SIGKILL); /* our child, not yet reaped */
		if (pidfd < 0 || proc_wait_gone(pidfd, GONE_MS) == 0)
			(void)waitpid(pid, NULL, 0);
		return waited;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return result_of(status);
}

void *aside_memory(unsigned long size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void aside_free(void *memory, unsigned long size)
{
	if (memory)
		(void)munmap(memory, size);
}
