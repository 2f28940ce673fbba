/* Mounts of a guest that criu cannot carry: those without nodev of a root file system that has it, parts of what is mounted
 * nowhere. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "preflight_mounts.h"

/* Fields of a line of mountinfo: proc(5). */
struct line {
	char *device, *root, *point, *options, *rest;
};

static bool split(char *text, struct line *ret)
{
	char *field[6] = {NULL};

	for (size_t i = 0; i < 6; i++)
		field[i] = strsep(&text, " ");
	*ret = (struct line){.device = field[2], .root = field[3], .point = field[4], .options = field[5], .rest = text};
	return field[5] != NULL;
}

static bool has_nodev(char *options)
{
	for (char *word; (word = strsep(&options, ","));)
		if (strcmp(word, "nodev") == 0)
			return true;
	return false;
}

/* A restored root file system comes from another user namespace, and the kernel then lets none of its mounts be without the flags
 * that it has (mount_namespaces(7)). In a guest that was started they are the guest's own to drop. */
bool preflight_mounts_bare(char *mountinfo, const char *device, char *ret, size_t size)
{
	struct line line;

	for (char *text; (text = strsep(&mountinfo, "\n"));) {
		if (!split(text, &line) || strcmp(line.device, device) != 0 || has_nodev(line.options))
			continue;
		(void)str_escape_into(ret, size, line.point);
		return true;
	}
	return false;
}

static bool has_mount(const char *mountinfo, const char *device, bool whole)
{
	auto_free char *copy = strdup(mountinfo);
	char *rest = copy;
	struct line line;

	for (char *text; (text = strsep(&rest, "\n"));)
		if (split(text, &line) && strcmp(line.device, device) == 0 && (!whole || strcmp(line.root, "/") == 0))
			return true;
	return !copy;
}

bool preflight_mounts_part(const char *mountinfo, const char *of_init, char *ret, size_t size)
{
	auto_free char *copy = strdup(mountinfo);
	char *rest = copy;
	struct line line;

	for (char *text; (text = strsep(&rest, "\n"));) {
		if (!split(text, &line) || strcmp(line.root, "/") == 0 || !line.rest || !strstr(line.rest, "- tmpfs ") ||
		    has_mount(mountinfo, line.device, true) || has_mount(of_init, line.device, false))
			continue;
		(void)str_escape_into(ret, size, line.point);
		return true;
	}
	return false;
}

void preflight_mounts_root(char *mountinfo, char *ret, size_t size)
{
	struct line line;

	ret[0] = '\0';
	for (char *text; (text = strsep(&mountinfo, "\n"));)
		if (split(text, &line) && strcmp(line.point, "/") == 0 && has_nodev(line.options))
			(void)str_copy(ret, size, line.device);
}
