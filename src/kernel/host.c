/* What this kernel and machine offer, as far as every start needs it. */
#include "config.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../base/clean.h"
#include "host.h"

#define CGROUP2_MAGIC 0x63677270 /* linux/magic.h: CGROUP2_SUPER_MAGIC */

static bool is_cgroup2(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

static void find_cgroup(struct host *host)
{
	static const struct {
		const char *path;
		int layout;
	} places[] = {
		{"/sys/fs/cgroup", CGROUP_UNIFIED},
		{"/sys/fs/cgroup/unified", CGROUP_HYBRID},
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!is_cgroup2(places[i].path))
			continue;
		host->cgroup_layout = places[i].layout;
		memcpy(host->cgroup2, places[i].path, strlen(places[i].path) + 1);
		return;
	}
}

static bool first_byte_is(const char *path, char wanted)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte = 0;

	return fd >= 0 && read(fd, &byte, 1) == 1 && byte == wanted;
}

/* capget(2) of the calling process, without libcap. */
static bool has_capability(unsigned cap)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	return syscall(SYS_capget, &header, data) == 0 && (data[cap / 32].effective & (1u << cap % 32));
}

const struct host *host_get(void)
{
	/* Not configuration but this machine, which does not change while a command runs. */
	static struct host host;
	static bool probed;
	struct stat st;

	if (probed)
		return &host;
	find_cgroup(&host);
	host.systemd = lstat("/run/systemd/system", &st) == 0 && S_ISDIR(st.st_mode); /* sd_booted(3) */
	host.apparmor = first_byte_is("/sys/module/apparmor/parameters/enabled", 'Y');
	host.time_namespace = access("/proc/self/ns/time_for_children", F_OK) == 0;
	host.cap_sys_resource = has_capability(CAP_SYS_RESOURCE);
	probed = true;
	return &host;
}
