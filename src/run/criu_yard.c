/* Makes the folder in which criu finds the control groups. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/cgroup_layout.h"
#include "criu_yard.h"

static int detached_folder(struct err *err)
{
	auto_close int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);

	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "make a folder for criu");
	int fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);

	return fd < 0 ? err_sys(err, "make a folder for criu") : fd;
}

/* Either kind of folder. */
struct yard {
	int fd;
	const char *path; /* hierarchies are mounted below it; NULL: linked to */
};

static int add(const struct yard *yard, const char *name, const char *hierarchy, struct err *err)
{
	auto_free char *at = yard->path ? str_format("%s/%s", yard->path, name) : NULL;
	int r = yard->path ? mkdirat(yard->fd, name, 0700) : symlinkat(hierarchy, yard->fd, name);

	if (r == 0 && yard->path)
		r = at ? mount(hierarchy, at, NULL, MS_BIND, NULL) : -1;
	return r < 0 && errno != EEXIST ? err_sys(err, "show criu %s", hierarchy) : 0;
}

/* By all its names, as the kernel lists them, and for a dump by each of them. */
static int add_hierarchy(const struct yard *yard, const char *names, struct err *err)
{
	auto_free char *copy = strdup(names);
	const char *path = NULL;
	int r = copy ? 0 : err_num(err, ENOMEM, "make a folder for criu");

	for (char *rest = copy, *name; r == 0 && (name = strsep(&rest, ","));) {
		path = path ? path : cgroup_v1_path(name);
		if (path && !yard->path)
			r = add(yard, name, path, err);
	}
	return r == 0 && path ? add(yard, names, path, err) : r;
}

static int fill(const struct yard *yard, struct err *err)
{
	auto_free char *text = NULL;
	int r = add(yard, "unified", cgroup_layout()->unified, err);

	if (r < 0)
		return r;
	r = file_read(AT_FDCWD, "/proc/self/cgroup", 65536, &text, NULL);
	if (r < 0)
		return err_num(err, r, "read /proc/self/cgroup");
	/* ID:NAMES:PATH, of cgroup2 without names (cgroups(7)). */
	for (char *rest = text, *line; r == 0 && (line = strsep(&rest, "\n"));) {
		char *names = strchr(line, ':');

		if (!names)
			continue;
		names++;
		names[strcspn(names, ":")] = '\0';
		if (*names)
			r = add_hierarchy(yard, names, err);
	}
	return r;
}

int criu_yard_open(struct err *err)
{
	auto_close int folder = detached_folder(err);
	int r = folder < 0 ? folder : fill(&(struct yard){.fd = folder}, err);

	return r < 0 ? r : take_fd(&folder);
}

int criu_yard_mount(const char *path, struct err *err)
{
	if (mkdir(path, 0700) < 0)
		return err_sys(err, "make %s", path);
	auto_close int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return folder < 0 ? err_sys(err, "open %s", path) : fill(&(struct yard){.fd = folder, .path = path}, err);
}
