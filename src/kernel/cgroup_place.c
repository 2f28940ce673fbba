/* Finds the hierarchy that has a controller, and says what lacks where none has. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_parts.h"
#include "host.h"

/* cgroup2 renamed one. */
static const char *v1_name(const char *controller)
{
	return strcmp(controller, "io") == 0 ? "blkio" : controller;
}

static bool folder_has(const char *folder, const char *file, const char *controller)
{
	auto_free char *list = NULL;

	return cgroup_read_text(folder, file, &list) == 0 && cgroup_has_word(list, controller);
}

/* Hands the controller down from the root to the folder's parent. systemd hands down those that it knows to what it delegates, and
 * leaves alone those that it does not know (hugetlb). */
static int hand_down(const char *controller, const char *base, const char *cgroup, struct err *err)
{
	auto_free char *word = str_format("+%s", controller);

	for (const char *at = cgroup; word; at = strchr(at, '/') + 1) {
		char folder[PATH_MAX], path[PATH_MAX];

		if (str_print(folder, sizeof(folder), "%s/%.*s", base, (int)(at - cgroup), cgroup) < 0 ||
		    str_print(path, sizeof(path), "%s/cgroup.subtree_control", folder) < 0)
			return err_num(err, ENAMETOOLONG, "hand the %s controller down to %s", controller, cgroup);
		if (!folder_has(folder, "cgroup.subtree_control", controller)) {
			int r = file_poke(AT_FDCWD, path, word);

			if (r < 0)
				return err_num(err, r, "write %s to %s", word, path);
		}
		if (!strchr(at, '/'))
			return 0;
	}
	return err_num(err, ENOMEM, "hand the %s controller down", controller);
}

int cgroup_place(const char *controller, const char *cgroup, char ret[PATH_MAX], bool *ret_v1)
{
	const char *v1 = cgroup_v1_path(v1_name(controller)), *base = cgroup_layout()->unified;

	if (!cgroup_is_name(cgroup))
		return -EINVAL;
	*ret_v1 = v1 != NULL;
	if (!v1 && !base[0])
		return -EOPNOTSUPP;
	int r = str_print(ret, PATH_MAX, "%s/%s", v1 ? v1 : base, cgroup);
	return r == 0 && !v1 && !folder_has(ret, "cgroup.controllers", controller) ? -EOPNOTSUPP : r;
}

int cgroup_place_made(const char *controller, const char *cgroup, char ret[PATH_MAX], bool *ret_v1, struct err *err)
{
	const char *base = cgroup_layout()->unified;
	int r = cgroup_place(controller, cgroup, ret, ret_v1);

	if (r == -EOPNOTSUPP && base[0] && folder_has(base, "cgroup.controllers", controller))
		r = hand_down(controller, base, cgroup, err);
	return r == -EINVAL ? err_num(err, r, "use cgroup '%s', which is no guest's", cgroup) : r;
}

int cgroup_has_controller(const char *controller)
{
	const char *base = cgroup_layout()->unified;

	if (cgroup_v1_path(v1_name(controller)))
		return CGROUP_HYBRID;
	return base[0] && folder_has(base, "cgroup.controllers", controller) ? CGROUP_UNIFIED : CGROUP_NONE;
}

/* The controller's line in /proc/cgroups: NAME HIERARCHY GROUPS ENABLED. */
static bool kernel_has(const char *name, bool *ret_enabled)
{
	auto_free char *text = NULL;
	size_t len = strlen(name);

	if (file_read(AT_FDCWD, "/proc/cgroups", 65536, &text, NULL) < 0)
		return false;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, name, len) != 0 || line[len] != '\t')
			continue;
		*ret_enabled = strcspn(line, "\n") > 0 && line[strcspn(line, "\n") - 1] == '1';
		return true;
	}
	return false;
}

int cgroup_lacks(const char *controller, const char *config, const char *what, struct err *err)
{
	bool enabled = false;

	(void)err_set(err, ERR_FAILED, "set %s: no control group hierarchy of this host has the %s controller", what, controller);
	if (!kernel_has(v1_name(controller), &enabled))
		(void)err_hint(err, "a kernel with %s is needed, or unset it", config);
	else if (!enabled)
		(void)err_hint(err, "it is switched off: boot with cgroup_enable=%s, or unset it", v1_name(controller));
	else
		(void)err_hint(err, "mount -t cgroup -o %s %s /sys/fs/cgroup/%s, or unset it", v1_name(controller),
			       v1_name(controller), v1_name(controller));
	return -EOPNOTSUPP;
}
