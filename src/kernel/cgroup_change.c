/* Several control files written as one change: each is read back, and all go back when one fails. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "cgroup_change.h"
#include "systemd.h"

int cgroup_change_note(struct cgroup_change *change, const char *path, const char *text, struct err *err)
{
	struct cgroup_undo *more = reallocarray(change->undo, change->count + 1, sizeof(*more));

	if (!more)
		return err_num(err, ENOMEM, "change %s", path);
	change->undo = more;
	more[change->count] = (struct cgroup_undo){strdup(path), strdup(text)};
	if (!more[change->count].path || !more[change->count].text) {
		free(more[change->count].path);
		free(more[change->count].text);
		return err_num(err, ENOMEM, "change %s", path);
	}
	change->count++;
	return 0;
}

int cgroup_change_write(struct cgroup_change *change, const char *folder, const char *file, const char *value,
			bool (*same)(const char *asked, const char *shown), const char *undo, struct err *err)
{
	auto_free char *path = str_format("%s/%s", folder, file);
	auto_free char *now = NULL;

	if (!path)
		return err_num(err, ENOMEM, "write %s", file);
	/* An empty list is written as a line end: a write of nothing is none. */
	if (!undo && cgroup_read_text(folder, file, &now) == 0)
		undo = *now ? now : "\n";
	if (undo && cgroup_change_note(change, path, undo, err) < 0)
		return -ENOMEM;
	return cgroup_set(folder, file, value, same, err);
}

/* "UNIT PROPERTY" is systemd's to set, anything else a file. The first failure is the one to tell, so this has none. */
static void bring_back(const struct cgroup_undo *undo)
{
	const char *space = undo->path[0] == '/' ? NULL : strchr(undo->path, ' ');
	auto_free char *unit = space ? strndup(undo->path, (size_t)(space - undo->path)) : NULL;
	uint64_t value;

	if (!space)
		(void)file_poke(AT_FDCWD, undo->path, undo->text);
	else if (unit && str_to_u64(undo->text, 0, UINT64_MAX, &value) == 0)
		(void)systemd_unit_set(unit, space + 1, value, NULL);
}

int cgroup_change_end(struct cgroup_change *change, int r)
{
	while (change->count > 0) {
		struct cgroup_undo *undo = &change->undo[--change->count];

		if (r < 0)
			bring_back(undo);
		free(undo->path);
		free(undo->text);
	}
	free(change->undo);
	change->undo = NULL;
	return r;
}
