/* Doctor: which modules the kernel loads because a guest asked for something. */
#include "config.h"

#include <sys/stat.h>
#include <unistd.h>

#include "../base/str.h"
#include "bpfmodule.h"
#include "doctor.h"

/* On a group of its own, which nothing ever enters. */
static int try_program(struct err *why)
{
	char name[48], path[128];

	if (str_print(name, sizeof(name), "isle-doctor-modules-%d", (int)getpid()) < 0 ||
	    str_print(path, sizeof(path), "%s/%s", host_get()->cgroup2, name) < 0 || mkdir(path, 0700) < 0)
		return err_set(why, ERR_FAILED, "not tried: no cgroup can be made");
	int r = bpfmodule_attach(name, NULL, why);

	(void)rmdir(path);
	return r;
}

void doctor_modules(struct doctor *d)
{
	static const char means[] = "a guest's root makes the kernel load every file system and link type that is installed, "
				    "with the holes that they have";
	struct doctor_note note = {.topic = "security", .name = "modules for guests", .level = HOST_GOOD, .means = means};
	struct err why = {0};

	if (access("/proc/modules", F_OK) < 0) {
		note.found = "this kernel loads none";
	} else if (!d->root) {
		note.level = HOST_INFO;
		note.found = "not tried";
		note.means = "only root can try it";
		note.fix = "sudo isle doctor";
	} else if (try_program(&why) == 0) {
		note.found = "those that a guest needs, no others";
	} else {
		note.level = HOST_WARN;
		note.found = "any";
		note.fix = why.hint;
	}
	doctor_add(d, &note);
}
