/* isle log: what a guest's console showed, and what isle did to the guest. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "logview.h"
#include "verbs.h"

#define BLOCK         65536
#define FOLLOW_LINES  10
#define ALL_LINES     ULONG_MAX
#define POLL_MS       1000 /* looks also without news from inotify: the folder itself may be made anew */
#define LINE_MAX_JSON 65536

struct source {
	const char *label, *name, *old;
	int fd;          /* name, read up to its position; -1: there is none */
	struct buf tail; /* an unfinished line or sequence */
};

struct view {
	int guest_fd;
	bool raw, json, follow;
	struct source sources[2];
	size_t count;
	const struct source *last; /* the one that was shown last */
	struct json_object *array; /* NULL: objects are printed one a line */
};

static int open_log(int guest_fd, const char *name)
{
	return openat(guest_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Showing. */

static void put_heading(struct view *view, const struct source *source)
{
	if (view->count > 1 && view->last != source)
		printf("%s==> %s <==\n", view->last ? "\n" : "", source->label);
	view->last = source;
}

static void add_text(struct json_object *object, const char *key, const char *text, size_t len)
{
	auto_buf struct buf clean = {0};

	logview_utf8(&clean, text, len);
	json_object_object_add(object, key, json_object_new_string_len(clean.data ? clean.data : "", clean.len));
}

/* isle's own lines are "TIME WHO: TEXT" or "TIME TEXT". */
static void put_json_line(struct view *view, const struct source *source, const char *line, size_t len)
{
	struct json_object *object = json_object_new_object();
	const char *space;

	while (len > 0 && line[len - 1] == '\r')
		len--;
	json_object_object_add(object, "source", json_object_new_string(source->label));
	space = strcmp(source->label, "isle") == 0 ? memchr(line, ' ', len) : NULL;
	if (space) {
		size_t rest = len - (space + 1 - line);
		const char *word_end = memchr(space + 1, ' ', rest);

		add_text(object, "time", line, space - line);
		if (word_end && word_end[-1] == ':') {
			add_text(object, "by", space + 1, word_end - space - 2);
			add_text(object, "text", word_end + 1, len - (word_end + 1 - line));
		} else {
			json_object_object_add(object, "by", NULL);
			add_text(object, "text", space + 1, rest);
		}
	} else {
		add_text(object, "text", line, len);
	}
	if (view->array) {
		json_object_array_add(view->array, object);
		return;
	}
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
}

static size_t put_json(struct view *view, const struct source *source, const struct buf *text, bool final)
{
	size_t at = 0;

	while (at < text->len) {
		const char *end = memchr(text->data + at, '\n', text->len - at);
		size_t n = end ? (size_t)(end - text->data) - at : text->len - at;

		if (!end && !final && n < LINE_MAX_JSON)
			break;
		put_json_line(view, source, text->data + at, n);
		at += n + (end ? 1 : 0);
	}
	return at;
}

static void show(struct view *view, struct source *source, const char *data, size_t len, bool final)
{
	struct buf *tail = &source->tail;
	size_t taken;

	if (len > 0 && !view->json)
		put_heading(view, source);
	if (len > 0 && view->raw)
		fwrite(data, 1, len, stdout);
	else if (len > 0)
		buf_add_bytes(tail, data, len);
	if (tail->failed || tail->len == 0)
		return;
	if (view->json) {
		taken = put_json(view, source, tail, final);
	} else {
		auto_buf struct buf out = {0};

		taken = logview_escape(&out, tail->data, tail->len, final);
		if (out.len > 0)
			fwrite(out.data, 1, out.len, stdout);
	}
	memmove(tail->data, tail->data + taken, tail->len - taken);
	tail->len -= taken;
}

static int show_rest(struct view *view, struct source *source, int fd, struct err *err)
{
	char block[BLOCK];

	for (;;) {
		ssize_t n = read(fd, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read %s", source->name);
		if (n == 0 || ferror(stdout))
			return 0;
		show(view, source, block, n, false);
	}
}

/* Places fd so that its last *lines lines follow, and takes from *lines those that it has. */
static int seek_lines(int fd, unsigned long *lines)
{
	char block[BLOCK];
	off_t end = lseek(fd, 0, SEEK_END), at = end;
	unsigned long seen = 0;

	if (end < 0)
		return -errno;
	if (*lines == 0 || *lines == ALL_LINES)
		return lseek(fd, *lines ? 0 : end, SEEK_SET) < 0 ? -errno : 0;
	while (at > 0) {
		off_t from = at > BLOCK ? at - BLOCK : 0;
		ssize_t n = pread(fd, block, at - from, from);

		if (n != at - from)
			return n < 0 ? -errno : -EIO;
		while (n-- > 0) {
			/* The last line's own end does not begin another. */
			if (block[n] != '\n' || from + n + 1 == end || ++seen < *lines)
				continue;
			*lines = 0;
			return lseek(fd, from + n + 1, SEEK_SET) < 0 ? -errno : 0;
		}
		at = from;
	}
	*lines -= seen + (end > 0);
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int show_source(struct view *view, struct source *source, unsigned long lines, struct err *err)
{
	struct stat now, before;
	auto_close int old = -1;
	int r = 0;

	/* The newer one first: if it is rotated meanwhile it is found as the old one, and not shown twice. */
	source->fd = open_log(view->guest_fd, source->name);
	if (source->fd < 0 && errno != ENOENT)
		return err_sys(err, "open %s", source->name);
	old = open_log(view->guest_fd, source->old);
	if (old >= 0 && source->fd >= 0 && fstat(old, &before) == 0 && fstat(source->fd, &now) == 0 &&
	    before.st_ino == now.st_ino) {
		close(old);
		old = -1;
	}
	if (source->fd >= 0)
		r = seek_lines(source->fd, &lines);
	if (r == 0 && old >= 0)
		r = seek_lines(old, &lines);
	if (r < 0)
		return err_num(err, r, "read %s", source->name);
	if (old >= 0)
		r = show_rest(view, source, old, err);
	if (r == 0 && source->fd >= 0)
		r = show_rest(view, source, source->fd, err);
	if (r == 0 && !view->follow)
		show(view, source, NULL, 0, true);
	return r;
}

/* Following. */

static int follow_source(struct view *view, struct source *source, struct err *err)
{
	struct stat named, open;
	int r = 0;

	if (source->fd >= 0)
		r = show_rest(view, source, source->fd, err);
	if (r < 0 || fstatat(view->guest_fd, source->name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		return r;
	if (source->fd >= 0 && fstat(source->fd, &open) == 0 && open.st_ino == named.st_ino && open.st_dev == named.st_dev)
		return 0;
	/* Rotated: what came between the two looks is read before the file is left. */
	if (source->fd >= 0)
		r = show_rest(view, source, source->fd, err);
	clean_close(&source->fd);
	source->fd = open_log(view->guest_fd, source->name);
	return r < 0 || source->fd < 0 ? r : show_rest(view, source, source->fd, err);
}

static void watch_folder(const struct view *view, int notify)
{
	char path[64];

	if (str_print(path, sizeof(path), "/proc/self/fd/%d/log", view->guest_fd) == 0)
		(void)inotify_add_watch(notify, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO); /* or the next look does it */
}

static int follow(struct view *view, struct err *err)
{
	auto_close int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct stat st;

	if (notify < 0)
		return err_sys(err, "watch the log");
	while (!ferror(stdout)) {
		struct pollfd fds[2] = {{.fd = notify, .events = POLLIN}, {.fd = STDOUT_FILENO}};
		char events[4096];

		watch_folder(view, notify); /* before the look: what comes after it wakes us */
		for (size_t i = 0; i < view->count; i++) {
			int r = follow_source(view, &view->sources[i], err);

			if (r < 0)
				return r;
		}
		if (fflush(stdout) != 0)
			break;
		if (fstat(view->guest_fd, &st) == 0 && st.st_nlink == 0)
			return 0; /* destroyed */
		if (poll(fds, 2, POLL_MS) < 0 && errno != EINTR)
			return err_sys(err, "wait for the log");
		if (fds[1].revents & (POLLERR | POLLNVAL))
			return 0; /* nobody reads any more */
		while (read(notify, events, sizeof(events)) > 0)
			;
	}
	return 0; /* main tells that output could not be written */
}

static int show_all(struct view *view, unsigned long lines, struct err *err)
{
	int r = 0;

	if (view->json && !view->follow)
		view->array = json_object_new_array();
	for (size_t i = 0; i < view->count && r == 0; i++)
		r = show_source(view, &view->sources[i], lines, err);
	if (r == 0 && view->array)
		puts(json_object_to_json_string_ext(view->array, JSON_C_TO_STRING_PRETTY));
	if (r == 0 && view->follow)
		r = follow(view, err);
	json_object_put(view->array);
	for (size_t i = 0; i < view->count; i++) {
		clean_close(&view->sources[i].fd);
		buf_free(&view->sources[i].tail);
	}
	return r;
}

static int open_guest(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	int fd, r = call_store(call, &store, err);

	if (r < 0)
		return r;
	/* Not by guest_open: a guest whose config is at fault has a log too. */
	fd = openat(store->guests_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		return err_sys(err, "open the folder of guest '%s'", name);
	r = guest_open(store, name, &guest, err); /* it knows the near match */
	guest_free(guest);
	return r < 0 ? r : err_set(err, ERR_NOT_FOUND, "there is no guest '%s'", name);
}

static int parse_lines(struct call *call, bool is_follow, unsigned long *ret, struct err *err)
{
	const char *lines = call_value(call, "lines");

	if (lines && strcmp(lines, "all") == 0) {
		*ret = ALL_LINES;
		return 0;
	}
	return call_number(call, "lines", is_follow ? FOLLOW_LINES : ALL_LINES, 0, ALL_LINES - 1, ret, err);
}

static int run_log(struct call *call, struct err *err)
{
	static const struct source isle = {.label = "isle", .name = "log/isle", .old = "log/isle.1", .fd = -1};
	static const struct source console = {.label = "console", .name = "log/console", .old = "log/console.1", .fd = -1};
	bool both = call_has(call, "console") == call_has(call, "events");
	struct view view = {.json = call->json, .follow = call_has(call, "follow"), .guest_fd = -1};
	unsigned long lines;
	char **names = NULL;
	int r = parse_lines(call, view.follow, &lines, err);

	view.raw = !view.json && call_has(call, "raw");
	if (both || call_has(call, "events"))
		view.sources[view.count++] = isle;
	if (both || call_has(call, "console"))
		view.sources[view.count++] = console;
	if (r == 0)
		r = call_names(call, CALL_ANY_STATE, &names, err);
	if (r == 0)
		r = view.guest_fd = open_guest(call, names[0], err);
	if (r >= 0)
		r = show_all(&view, lines, err);
	clean_close(&view.guest_fd);
	store_names_free(names);
	return r;
}

static const struct option_row log_options[] = {
	{"follow", 'f', NULL, "Go on showing what comes, until interrupted or until the guest is destroyed."},
	{"lines", 'l', "N", "Only the last N lines of each log, or all of them ('all', the default; with --follow: 10)."},
	{"console", 'c', NULL, "Only what the console showed."},
	{"events", 'e', NULL, "Only what isle did: starts, stops, errors."},
	{"raw", 'r', NULL, "Write the console's bytes as they are."},
	{NULL},
};

const struct verb verb_log = {
	.name = "log",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] NAME",
	.summary = "Show what isle did to a guest and what its console showed.",
	.headline = "show the log of guest %",
	.text = "Shows isle's own lines about the guest (starts, stops, errors) and then its console's output, of "
		"which the monitor keeps two files of bounded size; they outlive the guest's runs.\n\nControl "
		"bytes of the console are written as \\xNN and colours are left out, because a guest must not drive the "
		"administrator's terminal, be it behind a pager or tail; with --raw bytes are written as they are.\n\nWith --json the result is an array of objects with source (\"isle\" or \"console\") and "
		"text, for isle's lines also time and by; with --follow one such object a line.",
	.examples = "isle log web1\nisle log --console --lines 50 web1\nisle log --follow web1\nisle log --console --raw web1 > "
		    "boot.txt",
	.options = log_options,
	.min = 1,
	.max = 1,
	.complete = COMPLETE_GUEST,
	.needs_root = true,
	.run = run_log,
};
