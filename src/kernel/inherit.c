/* What a process has from whoever started isle, and a guest must not have from him. */
#define _GNU_SOURCE
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/file.h"
#include "../base/str.h"
#include "inherit.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#define IOPRIO_WHO_PROCESS 1
#define MPOL_DEFAULT       0
#define TIMER_SLACK_NS     50000 /* of the first process; the "default" of one forked by a real-time process is 0 */
#define CPUS_MAX           8192  /* CONFIG_NR_CPUS is no more on any architecture */

/* Its children would have it too; SCHED_RESET_ON_FORK is the caller's choice and none of ours. */
static void leave_real_time(void)
{
	const struct sched_param ordinary = {0};
	int policy = sched_getscheduler(0);

	if (policy >= 0 && policy != SCHED_OTHER)
		(void)sched_setscheduler(0, SCHED_OTHER, &ordinary);
}

static void leave_share(void)
{
	static unsigned char all[CPUS_MAX / 8];

	leave_real_time();
	(void)setpriority(PRIO_PROCESS, 0, 0);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
	memset(all, 0xff, sizeof(all));
	(void)syscall(SYS_sched_setaffinity, 0, sizeof(all), all); /* the kernel takes those that there are */
}

void inherit_reset(bool keep_share)
{
	int policy = sched_getscheduler(0);

	if (!keep_share)
		leave_share();
	else if (policy != SCHED_BATCH && policy != SCHED_IDLE)
		leave_real_time();
	(void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	(void)prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_MEMORY_MERGE, 0, 0, 0, 0); /* merged pages tell guests of each other */
	(void)syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
	(void)personality(PER_LINUX); /* a caller's ADDR_NO_RANDOMIZE above all */
}

int inherit_oom(pid_t pid, int score)
{
	char path[48], text[16];
	int r = str_print(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);

	if (r == 0)
		r = str_print(text, sizeof(text), "%d", score);
	return r < 0 ? r : file_poke(AT_FDCWD, path, text);
}
