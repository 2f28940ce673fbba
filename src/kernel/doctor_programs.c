/* Doctor: programs that isle runs. */
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
