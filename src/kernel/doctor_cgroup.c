/* Doctor: cgroups, their controllers and what a group offers. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "doctor.h"

static const struct {
	const char *name;
	int level;
	const char *means, *fix;
} controllers[] = {
	{"memory", HOST_WARN, "limits.memory and limits.swap are refused, and memory use is not shown",
	 "boot with cgroup_enable=memory"},
	{"cpu", HOST_WARN, "limits.cpus and limits.cpu-weight are refused",
	 "a kernel with CONFIG_CGROUP_SCHED and CONFIG_CFS_BANDWIDTH"},
	{"cpuset", HOST_INFO, "limits.cpuset is refused", "a kernel with CONFIG_CPUSETS"},
	{"pids", HOST_WARN, "limits.processes is refused: a fork bomb in a guest takes the host's processes",
	 "a kernel with CONFIG_CGROUP_PIDS"},
	{"io", HOST_INFO, "disk bandwidth cannot be limited", "a kernel with CONFIG_BLK_CGROUP"},
	{"hugetlb", HOST_INFO, "huge pages cannot be limited", "a kernel with CONFIG_CGROUP_HUGETLB"},
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
		list = v1_controllers();
	}
	for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		bool v1_io = host->cgroup_layout != CGROUP_UNIFIED && !strcmp(controllers[i].name, "io");
		bool there = has_word(list, v1_io ? "blkio" : controllers[i].name);

		doctor_add(d, &(struct doctor_note){
				      .topic = "cgroup",
				      .name = controllers[i].name,
				      .level = there ? HOST_GOOD : controllers[i].level,
				      .found = there ? host->cgroup_layout == CGROUP_UNIFIED ? "yes" : "yes (v1)" : "missing",
				      .means = controllers[i].means,
				      .fix = controllers[i].fix,
			      });
	}
	if (host->cgroup_layout == CGROUP_HYBRID) {
		bool there = has_word(list, "devices"),
		     swap = access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;

		doctor_add(d, &(struct doctor_note){
				      .topic = "cgroup",
				      .name = "devices",
				      .level = there ? HOST_GOOD : HOST_WARN,
				      .found = there ? "yes (v1)" : "missing",
				      .means = "a privileged guest's access to devices is not held back; other guests cannot make "
					       "devices anyway",
				      .fix = "mount the devices controller",
			      });
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

/* Loads the smallest device program, "allow", and lets it go. */
static int try_bpf(void *arg)
{
	(void)arg;
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {0};

	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)code;
	attr.insn_cnt = sizeof(code) / sizeof(code[0]);
	attr.license = (uint64_t)(uintptr_t) "GPL";
	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) < 0 ? -errno : 0;
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
	if (host->cgroup_layout == CGROUP_UNIFIED && d->root)
		doctor_result(d,
			      &(struct doctor_note){
				      .topic = "cgroup",
				      .name = "device program",
				      .level = HOST_WARN,
				      .means = "a privileged guest's access to devices is not held back; other guests cannot make "
					       "devices anyway",
				      .fix = "a kernel with CONFIG_CGROUP_BPF",
			      },
			      doctor_try(try_bpf, NULL));
}
