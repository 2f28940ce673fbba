/* For privileged guests isle runs from a sealed copy of itself. */
#pragma once

#include "verbs.h"

/* Before the verb has begun anything. A process that enters a guest shows it isle's own program through /proc/self/exe; a
 * privileged guest's root, who is the host's root, could write to it. So where a guest that the call may enter is privileged, the
 * program is executed anew from a sealed copy; program_argv is what main was given. 0: no need, or done. */
int sealed_run(struct call *call, char *const program_argv[], struct err *err);
