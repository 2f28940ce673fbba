/* Looks at the host's shared limits and raises them, in the kernel and in a file of sysctl.d. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "sysctl.h"

#define FILE_MAX (64 << 10)
#define FOLDER   "etc/sysctl.d"

/* "fs.aio-max-nr" -> "proc/sys/fs/aio-max-nr": none of the names has a dot of its own. */
static int open_limit(int root, const char *name, int flags)
{
	char path[128];
	int r = str_print(path, sizeof(path), "proc/sys/%s", name);

	if (r < 0)
		return r;
	for (char *at = path; *at; at++)
		if (*at == '.')
			*at = '/';
	int fd = openat(root, path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_limit(int root, const char *name, uint64_t *ret)
{
	char text[32];
	auto_close int fd = open_limit(root, name, O_RDONLY);

	if (fd < 0)
		return fd;
	ssize_t n = read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	text[strcspn(text, " \t\n")] = '\0';
	return str_to_u64(text, 0, UINT64_MAX, ret);
}

/* 0 only when the kernel has it then: it may take a smaller one without a word. */
static int write_limit(int root, struct sysctl_change *change)
{
	char text[24];
	auto_close int fd = open_limit(root, change->row->name, O_WRONLY);

	if (fd < 0)
		return fd;
	(void)str_print(text, sizeof(text), "%llu\n", (unsigned long long)change->wanted);
	ssize_t n = write(fd, text, strlen(text));

	if (n < 0)
		return -errno;
	int r = read_limit(root, change->row->name, &change->after);

	return r < 0 ? r : change->after < change->wanted ? -ERANGE : 0;
}

/* The value of one "name = value" line of a sysctl.d file; 0 when it is of another name. */
static uint64_t value_in_line(char *line, const char *name)
{
	uint64_t value = 0;

	line += strspn(line, " \t-");
	size_t len = strlen(name);

	if (strncmp(line, name, len) != 0)
		return 0;
	line += len;
	line += strspn(line, " \t");
	if (*line++ != '=')
		return 0;
	line += strspn(line, " \t");
	line[strcspn(line, " \t\r")] = '\0';
	return str_to_u64(line, 0, UINT64_MAX, &value) == 0 ? value : 0;
}

/* What our own file has already; one that was damaged has nothing. */
static void read_filed(int root, struct sysctl_change *changes)
{
	auto_free char *text = NULL;

	if (file_read(root, SYSCTL_FILE, FILE_MAX, &text, NULL) < 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		for (size_t i = 0; i < sysctl_count; i++) {
			uint64_t value = value_in_line(line, changes[i].row->name);

			if (value)
				changes[i].filed = value;
		}
}

static int open_root(const char *root, struct err *err)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open %s", root) : fd;
}

int sysctl_look(const char *root, unsigned long guests, struct sysctl_change **ret, struct err *err)
{
	struct sysctl_change *changes = calloc(sysctl_count, sizeof(*changes));
	auto_close int root_fd = open_root(root, err);

	if (!changes || root_fd < 0) {
		free(changes);
		return changes ? root_fd : err_num(err, ENOMEM, "look at the host's limits");
	}
	for (size_t i = 0; i < sysctl_count; i++) {
		struct sysctl_change *change = &changes[i];

		change->row = &sysctl_table[i];
		change->wanted = sysctl_wanted(change->row, guests);
		change->result = SYSCTL_ABSENT;
		if (read_limit(root_fd, change->row->name, &change->before) < 0)
			continue;
		change->after = change->before;
		change->result = change->before >= change->wanted ? SYSCTL_KEPT : SYSCTL_LOW;
	}
	read_filed(root_fd, changes);
	*ret = changes;
	return 0;
}

/* The value that a boot should bring; 0: none of ours. */
static uint64_t to_file(const struct sysctl_change *change)
{
	uint64_t value = change->filed;

	switch (change->result) {
	case SYSCTL_LOW:
	case SYSCTL_RAISED:
		return value > change->wanted ? value : change->wanted;
	case SYSCTL_KEPT:
		/* High enough, perhaps by this very file; or by the administrator, whom an older line here must not undo. */
		return value && value < change->before ? change->before : value;
	default:
		return value;
	}
}

static bool file_changes(const struct sysctl_change *changes)
{
	for (size_t i = 0; i < sysctl_count; i++)
		if (to_file(&changes[i]) != changes[i].filed)
			return true;
	return false;
}

static int write_file(int root, unsigned long guests, const struct sysctl_change *changes, struct err *err)
{
	auto_buf struct buf text = {0};

	buf_addf(&text,
		 "# Written by isle doctor --fix for %lu guests, and written anew by the next one. A value of your own belongs\n"
		 "# into a file whose name comes after this one's.\n",
		 guests);
	for (size_t i = 0; i < sysctl_count; i++) {
		uint64_t value = to_file(&changes[i]);

		if (value)
			buf_addf(&text, "%s = %llu\n", changes[i].row->name, (unsigned long long)value);
	}
	if (text.failed)
		return err_num(err, ENOMEM, "write /" SYSCTL_FILE);
	if (mkdirat(root, "etc", 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make /etc");
	if (mkdirat(root, FOLDER, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "make /" FOLDER);
	auto_close int folder = openat(root, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return err_sys(err, "open /" FOLDER);
	return file_replace(folder, strrchr(SYSCTL_FILE, '/') + 1, text.data, text.len, 0644, err);
}

int sysctl_raise(const char *root, unsigned long guests, struct sysctl_change *changes, struct err *err)
{
	auto_close int root_fd = open_root(root, err);
	bool refused = false;

	if (root_fd < 0)
		return root_fd;
	int r = file_changes(changes) ? write_file(root_fd, guests, changes, err) : 0;

	for (size_t i = 0; r == 0 && i < sysctl_count; i++) {
		struct sysctl_change *change = &changes[i];

		if (change->result != SYSCTL_LOW)
			continue;
		int failed = write_limit(root_fd, change);

		change->result = failed < 0 ? SYSCTL_REFUSED : SYSCTL_RAISED;
		change->error = -failed;
		refused = refused || failed < 0;
	}
	return r == 0 && refused ? write_file(root_fd, guests, changes, err) : r;
}
