/* The rows of the start table that keep a guest from exhausting what no control group counts. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>

#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/inherit.h"
#include "steps.h"

/* The root of a nested isle may not: its own guests are then killed no sooner than it is. */
int step_oom(struct run *run, struct err *err)
{
	int r = inherit_oom(run->init_pid, INHERIT_OOM_GUEST);

	return r == 0 || r == -EACCES || r == -EPERM || r == -EROFS
		       ? 0
		       : err_num(err, r, "set the guest's oom_score_adj to %d", INHERIT_OOM_GUEST);
}

/* In the guest's user namespace and with the host's /proc in sight, whose proc/sys/user shows everybody his own namespace's
 * (namespaces(7)). */
int step_namespaces(struct run *run, struct err *err)
{
	static const char *const kinds[] = {"user", "mnt", "net", "pid", "ipc", "uts", "cgroup", "time"};
	char path[64], text[24];

	(void)str_print(text, sizeof(text), "%llu", (unsigned long long)run->spec->limits.namespaces);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		(void)str_print(path, sizeof(path), "/proc/sys/user/max_%s_namespaces", kinds[i]);
		int r = file_poke(AT_FDCWD, path, text);

		if (r < 0 && r != -ENOENT) /* a kind that this kernel lacks */
			return err_num(err, r, "write %s to %s", text, path);
	}
	return 0;
}
