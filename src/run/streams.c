/* What systemd's journal knows of the units' output. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/aside.h"
#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/ns.h"
#include "streams.h"

#define FOLDER      "/run/systemd/journal/streams" /* systemd-journald's: DEVICE:NUMBER of a socket that init keeps for it */
#define STREAM_NAME 44
#define SOCKETS_MAX 65536
#define ASIDE       ".isle-"
#define RENAME_MS   5000

int streams_save(const struct record *record, int images, struct err *err)
{
	char path[32], target[16];
	auto_buf struct buf text = {0};
	struct stat st;

	if (strcmp(record->init_kind, "systemd") != 0)
		return 0;
	(void)str_print(path, sizeof(path), "/proc/%d/fd", record->init_pid);
	auto_closedir DIR *fds = opendir(path);

	if (!fds)
		return err_sys(err, "look at init's sockets");
	for (const struct dirent *entry; (entry = readdir(fds));) {
		ssize_t len = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		target[len > 0 ? len : 0] = '\0';
		if (str_starts(target, "socket:") && fstatat(dirfd(fds), entry->d_name, &st, 0) == 0)
			buf_addf(&text, "%s %llu %llu\n", entry->d_name, (unsigned long long)st.st_dev,
				 (unsigned long long)st.st_ino);
	}
	if (text.failed)
		return err_num(err, ENOMEM, "note init's sockets");
	return file_replace_quick(images, STREAMS_IMAGE, text.data ? text.data : "", text.len, 0600, err);
}

struct stream {
	char was[STREAM_NAME], is[STREAM_NAME];
};

struct work {
	int init; /* a pidfd */
	uint64_t flags;
	struct stream *streams;
	size_t count;
};

/* One line, which is cut to pieces. */
static bool read_stream(pid_t init, char *line, struct stream *ret)
{
	uint64_t fd, device, number;
	char path[48];
	struct stat st;
	char *word[3];

	for (size_t i = 0; i < 3; i++) {
		word[i] = strsep(&line, " ");
		if (!word[i])
			return false;
	}
	if (str_to_u64(word[0], 0, INT32_MAX, &fd) < 0 || str_to_u64(word[1], 0, UINT64_MAX, &device) < 0 ||
	    str_to_u64(word[2], 0, UINT64_MAX, &number) < 0)
		return false;
	(void)str_print(path, sizeof(path), "/proc/%d/fd/%llu", init, (unsigned long long)fd);
	if (stat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	(void)str_print(ret->was, sizeof(ret->was), "%llu:%llu", (unsigned long long)device, (unsigned long long)number);
	(void)str_print(ret->is, sizeof(ret->is), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return true;
}

/* Aside first: the new number of one may be the old one of another. */
static int rename_all(const struct work *work)
{
	auto_close int folder = open(FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char aside[sizeof(ASIDE) + STREAM_NAME];
	int r = 0;

	if (folder < 0)
		return errno == ENOENT ? 0 : -errno;
	for (size_t i = 0; i < work->count; i++) {
		(void)str_print(aside, sizeof(aside), ASIDE "%s", work->streams[i].is);
		if (renameat(folder, work->streams[i].was, folder, aside) < 0 && errno != ENOENT)
			r = -errno;
	}
	for (size_t i = 0; i < work->count; i++) {
		(void)str_print(aside, sizeof(aside), ASIDE "%s", work->streams[i].is);
		if (renameat(folder, aside, folder, work->streams[i].is) < 0 && errno != ENOENT)
			r = -errno;
	}
	return r;
}

static int rename_inside(void *arg)
{
	const struct work *work = arg;

	(void)fds_close_others(&work->init, 1, 0);
	int r = ns_enter(work->init, work->flags, NULL);

	if (r == 0 && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		r = -errno;
	return r < 0 ? r : rename_all(work);
}

static int read_all(pid_t init, const char *sockets, struct work *work)
{
	auto_free char *copy = strdup(sockets);
	size_t lines = 0;

	for (const char *c = sockets; *c; c++)
		lines += *c == '\n';
	if (!copy || lines > SOCKETS_MAX)
		return copy ? -E2BIG : -ENOMEM;
	work->streams = calloc(lines + 1, sizeof(*work->streams));
	if (!work->streams)
		return -ENOMEM;
	char *rest = copy;

	for (char *line; (line = strsep(&rest, "\n")) && work->count < lines;)
		if (read_stream(init, line, &work->streams[work->count]))
			work->count++;
	return 0;
}

void streams_renumber(const struct run *run, pid_t init, const char *sockets)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, init, 0);
	struct work work = {.init = pidfd, .flags = CLONE_NEWNS | (run->spec->security.privileged ? 0 : CLONE_NEWUSER)};
	int r = pidfd < 0 ? -errno : read_all(init, sockets, &work);

	if (r == 0 && work.count > 0)
		r = aside_run(rename_inside, &work, RENAME_MS);
	if (r < 0)
		run_log(run, "the journal does not know its units' output any more: %s", strerror(-r));
	free(work.streams);
}
