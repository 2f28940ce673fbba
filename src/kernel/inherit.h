/* What a process has from whoever started isle, and a guest must not have from him. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* While the process has the host's powers: no real-time scheduling, no personality, timers, memory policy and memory switches as a
 * kernel gives them to its first process. keep_share: niceness, I/O priority and CPUs stay, since `nice isle exec` means them; else
 * they are nobody's either. What this kernel or host does not let be set back stays. */
void inherit_reset(bool keep_share);

/* Of guests' processes: the kernel kills them for want of memory as if they had half of the memory more than they have, so before
 * whatever serves the host itself. */
#define INHERIT_OOM_GUEST 500

/* Sets oom_score_adj of a process, and that it may not go below it without CAP_SYS_RESOURCE over the host (proc(5)). 0 or -errno.
 */
int inherit_oom(pid_t pid, int score);
