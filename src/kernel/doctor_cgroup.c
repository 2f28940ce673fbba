/* Doctor: cgroups, their controllers and what a group offers. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "bpfcore.h"
#include "bpfdev.h"
#include "cgroup_layout.h"
#include "doctor.h"

static const struct {
	const char *name;
	int level;
	const char *means, *fix;
} controllers[] = {
	{"memory", HOST_WARN, "limits.memory and others of memory are refused, and memory use is not shown",
	 "boot with cgroup_enable=memory"},
	{"cpu", HOST_WARN, "limits.cpus and limits.cpu-weight are refused",
	 "a kernel with CONFIG_CGROUP_SCHED and CONFIG_CFS_BANDWIDTH"},
	{"cpuset", HOST_INFO, "limits.cpuset is refused", "a kernel with CONFIG_CPUSETS"},
	{"pids", HOST_WARN, "limits.processes is refused: a fork bomb in a guest takes the host's processes",
	 "a kernel with CONFIG_CGROUP_PIDS"},
	{"io", HOST_INFO, "limits.io-read and others of disks are refused", "a kernel with CONFIG_BLK_CGROUP"},
	{"hugetlb", HOST_INFO, "limits.hugepages is refused", "a kernel with CONFIG_CGROUP_HUGETLB"},
};

/* A word in a list separated by blanks or commas. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at && *at; at += strcspn(at, " ,\n"), at += strspn(at, " ,\n")) {
		if (!strncmp(at, word, len) && strchr(" ,\n", at[len]))
			return true;
	}
	return false;
}

/* The mount options of all v1 hierarchies, one after the other; caller frees. */
static char *v1_controllers(void)
{
	auto_free char *mounts = NULL;
	auto_buf struct buf list = {0};

	if (file_read(AT_FDCWD, "/proc/self/mounts", 4 << 20, &mounts, NULL) < 0)
		return NULL;
	for (char *line = mounts; *line;) {
		char *next = line + strcspn(line, "\n");
		char type[32] = "", options[512] = "";

		if (*next)
			*next++ = '\0';
		if (sscanf(line, "%*s %*s %31s %511s", type, options) == 2 && !strcmp(type, "cgroup")) {
			buf_add(&list, options);
			buf_add(&list, " ");
		}
		line = next;
	}
	return buf_take(&list);
}

static void check_controllers(struct doctor *d)
{
	const struct host *host = host_get();
	char path[128];
	auto_free char *list = NULL;

	if (host->cgroup_layout == CGROUP_UNIFIED) {
		if (str_print(path, sizeof(path), "%s/cgroup.controllers", host->cgroup2) < 0 ||
		    file_read(AT_FDCWD, path, 4096, &list, NULL) < 0)
			return;
	} else {
		/* What no v1 hierarchy has may be cgroup2's. */
		auto_free char *v1 = v1_controllers();
		auto_free char *v2 = NULL;

		if (str_print(path, sizeof(path), "%s/cgroup.controllers", host->cgroup2) == 0)
			(void)file_read(AT_FDCWD, path, 4096, &v2, NULL); /* no cgroup2: doctor says so elsewhere */
		list = str_format("%s %s", v1 ? v1 : "", v2 ? v2 : "");
	}
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		bool v1_io = host->cgroup_layout != CGROUP_UNIFIED && !strcmp(controllers[i].name, "io");
		bool there = has_word(list, v1_io ? "blkio" : controllers[i].name);

		doctor_add(d, &(struct doctor_note){
				      .topic = "cgroup",
				      .name = controllers[i].name,
				      .level = there ? HOST_GOOD : controllers[i].level,
				      .found = there ? cgroup_v1_path(v1_io ? "blkio" : controllers[i].name) ? "yes (v1)" : "yes"
						     : "missing",
				      .means = controllers[i].means,
				      .fix = controllers[i].fix,
			      });
	}
	if (host->cgroup_layout == CGROUP_HYBRID) {
		bool swap = access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;

		doctor_add(d, &(struct doctor_note){
				      .topic = "cgroup",
				      .name = "swap accounting",
				      .level = swap ? HOST_GOOD : HOST_INFO,
				      .found = swap ? "yes (v1)" : "missing",
				      .means = "limits.swap is refused",
				      .fix = "boot with swapaccount=1",
			      });
	}
}

static int try_bpf(void *arg)
{
	(void)arg;
	return bpfdev_probe();
}

static int try_core_program(void *arg)
{
	(void)arg;
	return bpfcore_probe();
}

/* A handler that is a program is held off by a limit, which every kernel knows. */
static void check_core_handler(struct doctor *d)
{
	if (d->root && bpfcore_needed())
		doctor_result(d,
			      &(struct doctor_note){
				      .topic = "cgroup",
				      .name = "core program",
				      .level = HOST_WARN,
				      .means = "guests do not start: the socket in kernel.core_pattern would have the memory of "
					       "their processes that crash",
				      .fix = "a kernel with CONFIG_CGROUP_BPF, or a program or a file as core_pattern: core(5)",
			      },
			      doctor_try(try_core_program, NULL));
}

static void check_group_files(struct doctor *d)
{
	static const struct {
		const char *file, *means;
	} files[] = {
		{"cgroup.kill", "guests are killed process by process, which is slower (Linux 5.14 has it)"},
		{"cgroup.freeze", "guests cannot be frozen (Linux 5.2 has it)"},
	};
	char group[128];

	if (!d->root || str_print(group, sizeof(group), "%s/isle-doctor-%d", host_get()->cgroup2, (int)getpid()) < 0)
		return;
	if (mkdir(group, 0700) < 0) {
		doctor_result(d,
			      &(struct doctor_note){
				      .topic = "cgroup",
				      .name = "new groups",
				      .level = HOST_BAD,
				      .means = "no cgroup can be made for a guest",
				      .fix = "mount cgroup2 writable; in a container: delegate a cgroup",
			      },
			      -errno);
		return;
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[192];
		bool there = str_print(path, sizeof(path), "%s/%s", group, files[i].file) == 0 && access(path, F_OK) == 0;

		doctor_add(d, &(struct doctor_note){
				      .topic = "cgroup",
				      .name = files[i].file,
				      .level = there ? HOST_GOOD : HOST_INFO,
				      .found = there ? "yes" : "not in this kernel",
				      .means = files[i].means,
				      .fix = "a newer kernel",
			      });
	}
	(void)rmdir(group); /* nothing was ever put into it */
}

void doctor_cgroup(struct doctor *d)
{
	const struct host *host = host_get();
	char found[96];

	if (host->cgroup_layout == CGROUP_NONE) {
		doctor_add(d, &(struct doctor_note){
				      .topic = "cgroup",
				      .name = "layout",
				      .level = HOST_BAD,
				      .found = "cgroup2 is mounted neither on /sys/fs/cgroup nor on /sys/fs/cgroup/unified",
				      .means = "no guest can be started",
				      .fix = "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
			      });
		return;
	}
	snprintf(found, sizeof(found), "%s at %s%s", host->cgroup_layout == CGROUP_UNIFIED ? "unified" : "hybrid", host->cgroup2,
		 host->systemd ? ", systemd" : "");
	doctor_add(d, &(struct doctor_note){.topic = "cgroup", .name = "layout", .level = HOST_GOOD, .found = found});
	check_controllers(d);
	check_group_files(d);
	if (d->root)
		doctor_result(
			d,
			&(struct doctor_note){
				.topic = "cgroup",
				.name = "device program",
				.level = HOST_WARN,
				.means = "privileged guests are refused; other guests cannot make devices anyway, but one that "
					 "a device is taken from may still have it",
				.fix = "a kernel with CONFIG_CGROUP_BPF",
			},
			doctor_try(try_bpf, NULL));
	check_core_handler(d);
}
