/* Doctor: the kernel's version, system calls, namespaces, and what keeps guests in. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define NOBODY 65534

static void check_version(struct doctor *d)
{
	struct utsname name;
	int major = 0, minor = 0;
	struct doctor_note note = {.topic = "kernel",
				   .name = "version",
				   .level = HOST_GOOD,
				   .fix = "a newer kernel: linux-image-amd64 from backports"};

	if (uname(&name) < 0)
		return;
	note.found = name.release;
	if (sscanf(name.release, "%d.%d", &major, &minor) == 2) {
		if (major < 5 || (major == 5 && minor < 12)) {
			note.level = HOST_BAD;
			note.means = "mounts cannot be id-mapped before Linux 5.12, and isle needs calls that are not there";
		} else if (major == 5 && minor < 15) {
			note.level = HOST_WARN;
			note.means = "isle is tested on Linux 5.15 and newer";
		}
	}
	doctor_add(d, &note);
}

/* Each is called with arguments that the kernel must refuse for another reason than not knowing the call. */
static void check_calls(struct doctor *d)
{
	static const struct {
		const char *name;
		long number;
	} calls[] = {
		{"clone3", SYS_clone3},
		{"openat2", SYS_openat2},
		{"pidfd_open", SYS_pidfd_open},
		{"pidfd_send_signal", SYS_pidfd_send_signal},
		{"close_range", SYS_close_range},
		{"open_tree", SYS_open_tree},
		{"move_mount", SYS_move_mount},
		{"fsopen", SYS_fsopen},
		{"mount_setattr", SYS_mount_setattr},
	};
	char missing[96] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long rc = syscall(calls[i].number, -1L, -1L, -1L, -1L, -1L, -1L);

		if (rc >= 0 || errno != ENOSYS)
			continue;
		int n = snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "", calls[i].name);

		len = n > 0 && len + (size_t)n < sizeof(missing) ? len + (size_t)n : sizeof(missing) - 1;
	}
	doctor_add(d, &(struct doctor_note){
			      .topic = "kernel",
			      .name = "system calls",
			      .level = *missing ? HOST_BAD : HOST_GOOD,
			      .found = *missing ? missing : "all that isle needs",
			      .means = "these calls are missing or filtered: no guest can be started",
			      .fix = "a newer kernel; in a container: a seccomp profile that allows them",
		      });
}

struct ns_try {
	int flag;
	bool as_nobody;
};

static int try_unshare(void *arg)
{
	const struct ns_try *t = arg;

	if (t->as_nobody &&
	    (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
		return -errno;
	return unshare(t->flag) < 0 ? -errno : 0;
}

static void check_namespaces(struct doctor *d)
{
	static const struct {
		const char *name;
		int flag, level;
		const char *means;
	} spaces[] = {
		{"mount namespace", CLONE_NEWNS, HOST_BAD, "no guest can be started"},
		{"pid namespace", CLONE_NEWPID, HOST_BAD, "no guest can be started"},
		{"network namespace", CLONE_NEWNET, HOST_BAD, "no guest can be started"},
		{"uts namespace", CLONE_NEWUTS, HOST_BAD, "no guest can be started"},
		{"ipc namespace", CLONE_NEWIPC, HOST_BAD, "no guest can be started"},
		{"cgroup namespace", CLONE_NEWCGROUP, HOST_BAD, "no guest can be started"},
		{"user namespace", CLONE_NEWUSER, HOST_BAD, "only privileged guests can be started, whose root is the host's root"},
		{"time namespace", CLONE_NEWTIME, HOST_INFO,
		 "guests see the host's uptime; a guest moved to another host sees its clocks jump"},
	};

	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
		struct ns_try t = {.flag = spaces[i].flag};
		int rc = doctor_try(try_unshare, &t);
		struct doctor_note note = {
			.topic = "kernel",
			.name = spaces[i].name,
			.level = spaces[i].level,
			.means = spaces[i].means,
			.fix = rc == -ENOSPC  ? "sysctl user.max_*_namespaces: raise the limit"
			       : rc == -EPERM ? "run as root, outside of a container that forbids it"
					      : "a kernel with this namespace type (CONFIG_NAMESPACES and below)",
		};

		if (!d->root && spaces[i].flag != CLONE_NEWUSER) {
			note.level = HOST_INFO;
			note.found = "not tried";
			note.means = "only root can try it";
			note.fix = "sudo isle doctor";
			doctor_add(d, &note);
			continue;
		}
		doctor_result(d, &note, rc);
	}
}

static void check_user_namespaces(struct doctor *d)
{
	struct ns_try t = {.flag = CLONE_NEWUSER, .as_nobody = true};
	long long number;

	if (doctor_number("/proc/sys/user/max_user_namespaces", &number) == 0) {
		char found[32];

		snprintf(found, sizeof(found), "%lld", number);
		doctor_add(d, &(struct doctor_note){
				      .topic = "kernel",
				      .name = "user.max_user_namespaces",
				      .level = number == 0   ? HOST_BAD
					       : number < 64 ? HOST_WARN
							     : HOST_GOOD,
				      .found = found,
				      .means = "only so many user namespaces may exist for each user",
				      .fix = "sysctl -w user.max_user_namespaces=65536",
			      });
	}
	if (!d->root)
		return;
	int rc = doctor_try(try_unshare, &t);
	const char *fix = "see user_namespaces(7)";

	if (doctor_number("/proc/sys/kernel/unprivileged_userns_clone", &number) == 0 && number == 0)
		fix = "sysctl -w kernel.unprivileged_userns_clone=1";
	else if (doctor_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &number) == 0 && number == 1)
		fix = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
	doctor_result(d,
		      &(struct doctor_note){
			      .topic = "kernel",
			      .name = "unprivileged user namespaces",
			      .level = HOST_INFO,
			      .means = "guests run all the same; programs inside them that make their own sandbox may not",
			      .fix = fix,
		      },
		      rc);
}

static void check_devices(struct doctor *d)
{
	static const struct {
		const char *path, *name, *means, *fix;
	} devices[] = {
		{"/dev/fuse", "FUSE", "guests cannot mount FUSE file systems, and lxcfs cannot run", "modprobe fuse"},
		{"/dev/net/tun", "tun", "guests cannot open VPN tunnels", "modprobe tun"},
	};

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		doctor_add(d, &(struct doctor_note){
				      .topic = "kernel",
				      .name = devices[i].name,
				      .level = access(devices[i].path, F_OK) == 0 ? HOST_GOOD : HOST_INFO,
				      .found = access(devices[i].path, F_OK) == 0 ? devices[i].path : "missing",
				      .means = devices[i].means,
				      .fix = devices[i].fix,
			      });
	}
	bool restores = access("/proc/sys/kernel/ns_last_pid", F_OK) == 0;

	doctor_add(d, &(struct doctor_note){
			      .topic = "kernel",
			      .name = "checkpoint and restore",
			      .level = restores ? HOST_GOOD : HOST_INFO,
			      .found = restores ? "yes" : "not in this kernel",
			      .means = "guests cannot be frozen to disk",
			      .fix = "a kernel with CONFIG_CHECKPOINT_RESTORE",
		      });
}

void doctor_kernel(struct doctor *d)
{
	check_version(d);
	check_calls(d);
	check_namespaces(d);
	check_user_namespaces(d);
	check_devices(d);
}

static void check_apparmor(struct doctor *d)
{
	bool on = host_get()->apparmor, has_parser = doctor_has_program("apparmor_parser");
	struct doctor_note note = {.topic = "security", .name = "AppArmor", .level = HOST_GOOD, .found = "enabled"};

	if (!on) {
		note.level = HOST_INFO;
		note.found = access("/sys/module/apparmor", F_OK) == 0 ? "off" : "not in this kernel";
		note.means = "guests are held by user namespace, seccomp and capabilities only";
		note.fix = "boot with apparmor=1 security=apparmor";
	} else if (!has_parser) {
		note.level = HOST_WARN;
		note.found = "enabled, but apparmor_parser is missing";
		note.means = "guests' profiles cannot be loaded";
		note.fix = "apt install apparmor";
	}
	doctor_add(d, &note);
}

void doctor_security(struct doctor *d)
{
	unsigned action = SECCOMP_RET_ERRNO;
	int rc = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? -errno : 0;
	long long number;

	doctor_result(d,
		      &(struct doctor_note){
			      .topic = "security",
			      .name = "seccomp",
			      .level = HOST_BAD,
			      .means = "guests' system calls cannot be filtered; only guests with security.seccomp = none start",
			      .fix = "a kernel with CONFIG_SECCOMP_FILTER",
		      },
		      rc);
	check_apparmor(d);
	doctor_add(d, &(struct doctor_note){
			      .topic = "security",
			      .name = "CAP_SYS_RESOURCE",
			      .level = host_get()->cap_sys_resource ? HOST_GOOD
				       : d->root                    ? HOST_WARN
								    : HOST_INFO,
			      .found = host_get()->cap_sys_resource ? "yes" : "no",
			      .means = "limits above the caller's own (open files, for one) cannot be given to guests",
			      .fix = d->root ? "run isle outside of a container that drops the capability" : "sudo isle doctor",
		      });
	if (doctor_number("/proc/sys/kernel/dmesg_restrict", &number) == 0)
		doctor_add(d, &(struct doctor_note){
				      .topic = "security",
				      .name = "kernel.dmesg_restrict",
				      .level = number ? HOST_GOOD : HOST_INFO,
				      .found = number ? "1" : "0",
				      .means = "whatever the system call filter lets through may read the host's kernel messages",
				      .fix = "sysctl -w kernel.dmesg_restrict=1",
			      });
}
