/* Reads LXC's config files line by line, and what they include. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/file.h"
#include "../base/path.h"
#include "lxc_parts.h"

#define OWN_FILES      "/usr/share/lxc/config/" /* LXC's own, and Debian's */
#define FILE_MAX_BYTES (256 << 10)
#define DEPTH_MAX      16
#define FILES_MAX      256

/* What isle does in its own way, or what is about LXC itself. */
static const char *const silent[] = {
	"lxc.autodev*",         "lxc.tty.*",           "lxc.pty.*",      "lxc.console.*",     "lxc.log.*",
	"lxc.mount.auto",       "lxc.rootfs.*",        "lxc.idmap",      "lxc.signal.reboot", "lxc.signal.stop",
	"lxc.apparmor.allow_*", "lxc.selinux.*",       "lxc.monitor.*",  "lxc.ephemeral",     "lxc.net.*.flags",
	"lxc.net.*.veth.*",     "lxc.cgroup.relative", "lxc.cgroup.dir", "lxc.cgroup.dir.*",
};

void lxc_tell(struct lxc *lxc, const char *fmt, ...)
{
	char text[300];
	va_list args;

	if (!lxc->note || lxc->quiet)
		return;
	va_start(args, fmt);
	/* A text that is cut still says what it is about. */
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	lxc->note(lxc->arg, lxc->file, lxc->line, text);
}

int lxc_fail(struct lxc *lxc, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	int r = err_set(lxc->err, ERR_FAILED, "%s", text);

	(void)err_where(lxc->err, lxc->file, lxc->line);
	return r;
}

int lxc_set(struct lxc *lxc, const char *dotted, const char *value)
{
	int r = spec_set(lxc->spec, dotted, value && *value ? value : NULL, lxc->err);

	if (r < 0) {
		if (lxc->err && lxc->err->code == ERR_USAGE)
			lxc->err->code = ERR_FAILED;
		(void)err_where(lxc->err, lxc->file, lxc->line);
	}
	return r;
}

static bool matches(const char *const *patterns, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (!fnmatch(patterns[i], text, 0))
			return true;
	return false;
}

static int read_file(struct lxc *lxc, const char *path);

/* The last part must end in .conf; names come in their order. */
static int wanted_entry(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && entry->d_name[0] != '.' && !strcmp(entry->d_name + len - 5, ".conf");
}

static int read_folder(struct lxc *lxc, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, wanted_entry, alphasort);
	int r = 0;

	if (count < 0)
		return lxc_fail(lxc, "read folder %s: %s", path, strerror(errno));
	for (int i = 0; i < count; i++) {
		auto_free char *file = path_join(path, entries[i]->d_name);

		if (!r)
			r = file ? read_file(lxc, file) : err_num(lxc->err, ENOMEM, "read %s", path);
		free(entries[i]);
	}
	free(entries);
	return r;
}

static int include(struct lxc *lxc, const char *path)
{
	struct stat st;
	const char *last = strrchr(path, '/');

	if (*path != '/')
		return lxc_fail(lxc, "lxc.include: '%s' is not an absolute path", path);
	if (str_starts(path, OWN_FILES) && !strcmp(last, "/nesting.conf"))
		return lxc_set(lxc, "security.nesting", "yes");
	if (stat(path, &st) < 0) {
		/* LXC may not be installed here; its own files say nothing that isle needs. */
		if (errno != ENOENT)
			return lxc_fail(lxc, "open %s: %s", path, strerror(errno));
		if (!str_starts(path, OWN_FILES))
			lxc_tell(lxc, "lxc.include: there is no %s", path);
		return 0;
	}
	return S_ISDIR(st.st_mode) ? read_folder(lxc, path) : read_file(lxc, path);
}

static int read_fstab(struct lxc *lxc, const char *path)
{
	auto_free char *text = NULL;
	struct lxc outer = *lxc;
	size_t len;
	int r = file_read(AT_FDCWD, path, FILE_MAX_BYTES, &text, &len);

	if (r < 0)
		return lxc_fail(lxc, "lxc.mount.fstab: read %s: %s", path, strerror(-r));
	lxc->file = path;
	lxc->line = 0;
	for (char *at = text, *line; !r && (line = strsep(&at, "\n"));) {
		lxc->line++;
		line += strspn(line, " \t");
		if (*line && *line != '#')
			r = lxc_mount_entry(lxc, line);
	}
	lxc->file = outer.file;
	lxc->line = outer.line;
	return r;
}

/* lxc.rootfs.path = dir:/var/lib/lxc/web1/rootfs */
static int keep_rootfs(struct lxc *lxc, const char *value)
{
	const char *path = strchr(value, '/');
	const char *kind = strchr(value, ':');

	free(lxc->rootfs);
	lxc->rootfs = NULL;
	if (path && (!kind || kind < path))
		lxc->rootfs = strdup(path);
	return 0;
}

static int apply(struct lxc *lxc, const char *key, const char *value)
{
	bool known = false;

	if (!strcmp(key, "lxc.include"))
		return include(lxc, value);
	if (!strcmp(key, "lxc.mount.entry"))
		return *value ? lxc_mount_entry(lxc, value) : 0;
	if (!strcmp(key, "lxc.mount.fstab"))
		return *value ? read_fstab(lxc, value) : 0;
	if (!strcmp(key, "lxc.rootfs.path"))
		return keep_rootfs(lxc, value);
	if (!fnmatch("lxc.cgroup*.devices.*", key, 0))
		return lxc_device_rule(lxc, key, value);
	int r = lxc_net_value(lxc, key, value, &known);

	if (!r && !known)
		r = lxc_value(lxc, key, value, &known);
	if (r < 0 || known || matches(silent, sizeof silent / sizeof silent[0], key))
		return r;
	if (*value)
		lxc_tell(lxc, "%s has no counterpart here and is passed over", key);
	return 0;
}

/* Cuts blanks at the end. */
static void cut(char *text)
{
	size_t len = strlen(text);

	while (len && strchr(" \t", text[len - 1]))
		text[--len] = '\0';
}

static int read_line(struct lxc *lxc, char *line)
{
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 0;
	char *value = strchr(line, '=');

	if (!value)
		return lxc_fail(lxc, "the line is neither KEY = VALUE nor a # comment");
	*value++ = '\0';
	value += strspn(value, " \t");
	cut(line);
	cut(value);
	size_t len = strlen(value);

	/* LXC takes one pair of quotes off. */
	if (len > 1 && (*value == '"' || *value == '\'') && value[len - 1] == *value) {
		value[len - 1] = '\0';
		value++;
	}
	if (types_check_text(line, strlen(line), lxc->err) < 0 || types_check_text(value, strlen(value), lxc->err) < 0)
		return err_where(lxc->err, lxc->file, lxc->line);
	if (!str_starts(line, "lxc.")) {
		lxc_tell(lxc, "%s is not a key of LXC and is passed over", line);
		return 0;
	}
	return apply(lxc, line, value);
}

/* The lines of one file; the reading's place is the including line again afterwards. */
static int read_lines(struct lxc *lxc, const char *path, char *text)
{
	const char *file = lxc->file;
	int line = lxc->line, r = 0;
	bool quiet = lxc->quiet;

	lxc->file = path;
	lxc->line = 0;
	lxc->quiet = quiet || str_starts(path, OWN_FILES);
	lxc->depth++;
	for (char *at = text, *next; !r && (next = strsep(&at, "\n"));) {
		lxc->line++;
		r = read_line(lxc, next);
	}
	lxc->depth--;
	lxc->file = file;
	lxc->line = line;
	lxc->quiet = quiet;
	return r;
}

static int read_file(struct lxc *lxc, const char *path)
{
	auto_free char *text = NULL;
	size_t len;

	if (lxc->depth == DEPTH_MAX || ++lxc->files > FILES_MAX)
		return lxc_fail(lxc, "lxc.include: %s: more than %d files, or %d inside one another", path, FILES_MAX, DEPTH_MAX);
	int r = file_read(AT_FDCWD, path, FILE_MAX_BYTES, &text, &len);

	if (r < 0) {
		r = err_num(lxc->err, r, "read %s", path);
		return lxc->file ? err_where(lxc->err, lxc->file, lxc->line) : r;
	}
	if (strlen(text) != len) {
		r = err_set(lxc->err, ERR_FAILED, "%s has a NUL byte: it is not a config file", path);
		return lxc->file ? err_where(lxc->err, lxc->file, lxc->line) : r;
	}
	return read_lines(lxc, path, text);
}

int lxc_read(const char *file, struct spec *spec, lxc_note *note, void *arg, struct err *err)
{
	struct err unused = {0};
	struct lxc lxc = {
		.spec = spec,
		.note = note,
		.arg = arg,
		.err = err ? err : &unused,
		.quota = SPEC_UNSET,
		.memory_and_swap = SPEC_UNSET,
	};
	int r = read_file(&lxc, file);

	/* What the lines say together has the whole file as its place. */
	lxc.file = file;
	if (!r)
		r = lxc_device_finish(&lxc);
	if (!r)
		r = lxc_value_finish(&lxc);
	if (!r)
		r = lxc_net_finish(&lxc);
	if (!r)
		r = spec_check(spec, lxc.err);
	if (r < 0 && !*lxc.err->where)
		(void)err_where(lxc.err, file, 0);
	for (size_t i = 0; i < lxc.net_count; i++)
		for (int f = 0; f < LXC_NET_FIELDS; f++)
			free(lxc.nets[i].field[f]);
	for (size_t i = 0; i < lxc.rule_count; i++) {
		free(lxc.rules[i].text);
		free(lxc.rules[i].file);
	}
	free(lxc.rootfs);
	return r;
}
