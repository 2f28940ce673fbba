/* Doctor: programs that isle runs, and settings of the kernel that many guests exhaust. */
#include "config.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/str.h"
#include "doctor.h"

struct needed {
	const char *program; /* a name to look for in PATH, or an absolute path */
	const char *package;
	int level;
	const char *means;
};

static const struct needed programs[] = {
	{"debootstrap", "debootstrap", HOST_WARN, "the template debian cannot make images"},
	{"/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring", HOST_WARN,
	 "signatures of Debian's archive cannot be verified, so the template debian refuses"},
	{"gpgv", "gpgv", HOST_WARN, "signatures cannot be verified, so the template debian refuses"},
	{"busybox", "busybox-static", HOST_INFO, "the template busybox cannot make images"},
	{"/usr/share/lxc/templates/lxc-debian", "lxc-templates", HOST_INFO, "LXC's own templates (-t lxc-debian) are not there"},
	{"dnsmasq", "dnsmasq-base", HOST_INFO, "guests get their address from isle alone: no DHCP, no names of guests in DNS"},
	{"lxcfs", "lxcfs", HOST_INFO, "guests see the host's memory and processors in /proc, not their limits"},
	{"criu", "criu", HOST_INFO, "no checkpoint, restore and live migration"},
	{"rsync", "rsync", HOST_INFO, "no migration to another host"},
	{"ssh", "openssh-client", HOST_INFO, "no migration to another host"},
};

static bool have(const char *program)
{
	return *program == '/' ? access(program, F_OK) == 0 : doctor_has_program(program);
}

void doctor_programs(struct doctor *d)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		const struct needed *need = &programs[i];
		const char *name = *need->program == '/' ? need->package : need->program;
		bool there = have(need->program);
		char fix[96];

		snprintf(fix, sizeof(fix), "apt install %s", need->package);
		doctor_add(d, &(struct doctor_note){
				      .topic = "programs",
				      .name = name,
				      .level = there ? HOST_GOOD : need->level,
				      .found = there ? "installed" : "missing",
				      .means = need->means,
				      .fix = fix,
			      });
	}
	void *library = dlopen("libnftables.so.1", RTLD_LAZY | RTLD_LOCAL);

	doctor_add(d,
		   &(struct doctor_note){
			   .topic = "programs",
			   .name = "libnftables",
			   .level = library ? HOST_GOOD : HOST_WARN,
			   .found = library ? "installed" : "missing",
			   .means = "packets are neither filtered nor masqueraded: guests on a private network reach the host only",
			   .fix = "apt install libnftables1",
		   });
	if (library)
		dlclose(library);
	if (!host_get()->systemd)
		return;
	bool machined =
		access("/usr/lib/systemd/systemd-machined", X_OK) == 0 || access("/lib/systemd/systemd-machined", X_OK) == 0;

	doctor_add(d, &(struct doctor_note){
			      .topic = "programs",
			      .name = "systemd-machined",
			      .level = machined ? HOST_GOOD : HOST_INFO,
			      .found = machined ? "installed" : "missing",
			      .means = "machinectl does not show guests",
			      .fix = "apt install systemd-container",
		      });
}

static const struct {
	const char *name, *path;
	long long minimum, wanted; /* below minimum: warn; below wanted: info */
	const char *means;
} limits[] = {
	{"fs.inotify.max_user_instances", "/proc/sys/fs/inotify/max_user_instances", 128, 1024,
	 "systemd and desktop programs in a guest run out of inotify instances"},
	{"fs.inotify.max_user_watches", "/proc/sys/fs/inotify/max_user_watches", 8192, 65536,
	 "guests' programs run out of inotify watches"},
	{"kernel.keys.maxkeys", "/proc/sys/kernel/keys/maxkeys", 200, 2000,
	 "services in privileged guests, which share root's keys, fail to start"},
	{"kernel.pid_max", "/proc/sys/kernel/pid_max", 32768, 4194304, "all guests together run out of process ids"},
	{"kernel.threads-max", "/proc/sys/kernel/threads-max", 8192, 16384, "all guests together run out of threads"},
	{"kernel.pty.max", "/proc/sys/kernel/pty/max", 1024, 4096, "all guests together run out of pseudo terminals"},
	{"fs.file-max", "/proc/sys/fs/file-max", 100000, 1000000, "all guests together run out of open files"},
	{"fs.nr_open", "/proc/sys/fs/nr_open", 524288, 1048576, "guests' limits of open files are cut to this"},
	{"fs.aio-max-nr", "/proc/sys/fs/aio-max-nr", 65536, 1048576,
	 "databases in several guests run out of asynchronous requests"},
	{"vm.max_map_count", "/proc/sys/vm/max_map_count", 65530, 262144,
	 "programs that map many files (search engines) refuse to start in guests"},
	{"net.ipv4.neigh.default.gc_thresh3", "/proc/sys/net/ipv4/neigh/default/gc_thresh3", 1024, 8192,
	 "with many hundreds of guests on a bridge, neighbours are forgotten and connections stall"},
	{"net.ipv6.neigh.default.gc_thresh3", "/proc/sys/net/ipv6/neigh/default/gc_thresh3", 1024, 8192,
	 "with many hundreds of guests on a bridge, neighbours are forgotten and connections stall"},
};

void doctor_limits(struct doctor *d)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		long long number;
		char found[32], fix[96];

		if (doctor_number(limits[i].path, &number) < 0)
			continue; /* a kernel without that facility */
		snprintf(found, sizeof(found), "%lld", number);
		snprintf(fix, sizeof(fix), "sysctl -w %s=%lld", limits[i].name, limits[i].wanted);
		doctor_add(d, &(struct doctor_note){
				      .topic = "limits",
				      .name = limits[i].name,
				      .level = number < limits[i].minimum  ? HOST_WARN
					       : number < limits[i].wanted ? HOST_INFO
									   : HOST_GOOD,
				      .found = found,
				      .means = limits[i].means,
				      .fix = fix,
			      });
	}
}
