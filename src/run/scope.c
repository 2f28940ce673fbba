/* Keeps the scope of a guest that is being stopped until what was used in it is put down. */
#include "config.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/proc.h"
#include "../kernel/ns.h"
#include "scope.h"

static _Noreturn void stand_in(pid_t parent)
{
	sigset_t all;

	/* systemd signals every process of a scope that it stops. */
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0); /* it was gone before we asked to be told */
	for (int i = 0; i < 3; i++)
		close(i);
	(void)fds_close_others(NULL, 0, 0); /* locks and sockets that count by being open are not ours */
	for (;;)
		pause();
}

bool scope_hold(struct run *run)
{
	char folder[RUN_SCOPE_MAX];
	pid_t parent = getpid();

	if (!run->host->systemd || run->scope_fd >= 0 || run_scope_folder(run->guest->store, run->guest->name, folder) < 0)
		return false;
	auto_close int leaf = cgroup_open_leaf(folder, RUN_MONITOR_LEAF);
	const struct ns_clone how = {.cgroup_fd = leaf};
	pid_t child = leaf < 0 ? leaf : ns_clone(&how, &run->scope_fd, NULL);

	if (child == 0)
		stand_in(parent);
	return child > 0;
}

void scope_release(struct run *run)
{
	siginfo_t info;

	if (run->scope_fd < 0)
		return;
	(void)proc_signal(run->scope_fd, SIGKILL);
	(void)waitid(P_PIDFD, (id_t)run->scope_fd, &info, WEXITED);
	close(take_fd(&run->scope_fd));
}
