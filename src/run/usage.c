/* What a guest has used since it was made: looks at its run, adds what is new, and keeps the sums. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/aside.h"
#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/cgroup_figures.h"
#include "../kernel/spoof.h"
#include "../storage/storage.h"
#include "usage.h"

#define NAME      "usage"
#define LOCK      "usage.lock"
#define END       "end" /* the last line: without it the file is half of one */
#define LOCK_MS   5000
#define ENDING_MS 30000 /* what is not put down now is lost, and whoever holds the lock may wait for a busy disk */
#define COUNT_MS  (15 * 60 * 1000)
#define FILE_MOST 16384
#define TRIES     4 /* a guest does not restart as often while it is looked at */

/* One row a number of the file, so that writer and reader cannot differ. */
static const struct field {
	const char *name;
	size_t offset;
	bool real;
} field_table[] = {
#define TOTAL(name_, counter_)                                                \
	{                                                                     \
		name_, offsetof(struct usage, total.counter[counter_]), false \
	}
#define LAST(name_, counter_)                                        \
	{                                                            \
		name_, offsetof(struct usage, last[counter_]), false \
	}
	TOTAL("cpu_usec", USAGE_CPU),
	TOTAL("rx_bytes", USAGE_RX_BYTES),
	TOTAL("tx_bytes", USAGE_TX_BYTES),
	TOTAL("rx_packets", USAGE_RX_PACKETS),
	TOTAL("tx_packets", USAGE_TX_PACKETS),
	TOTAL("read_bytes", USAGE_READ_BYTES),
	TOTAL("written_bytes", USAGE_WRITTEN_BYTES),
	TOTAL("oom_kills", USAGE_OOM_KILLS),
	{"running_ms", offsetof(struct usage, total.running_ms), false},
	{"memory_byte_seconds", offsetof(struct usage, total.memory_byte_seconds), true},
	{"disk_byte_seconds", offsetof(struct usage, total.disk_byte_seconds), true},
	{"starts", offsetof(struct usage, total.starts), false},
	{"init_start", offsetof(struct usage, init_start), false},
	LAST("last_cpu_usec", USAGE_CPU),
	LAST("last_read_bytes", USAGE_READ_BYTES),
	LAST("last_written_bytes", USAGE_WRITTEN_BYTES),
	LAST("last_oom_kills", USAGE_OOM_KILLS),
	{"memory", offsetof(struct usage, memory), false},
	{"at_ms", offsetof(struct usage, at_ms), false},
	{"at", offsetof(struct usage, at), false},
	{"disk", offsetof(struct usage, disk), false},
	{"disk_at", offsetof(struct usage, disk_at), false},
};

#define FIELDS (sizeof(field_table) / sizeof(field_table[0]))

/* File */

/* link=HOST and its counters */
static void add_link(struct usage *usage, char *value)
{
	struct usage_link link = {0};
	char *host = strsep(&value, " ");

	if (usage->link_count == RECORD_LINKS_MAX || str_copy(link.host, sizeof(link.host), host) < 0)
		return;
	for (size_t i = 0; i < USAGE_LINK_COUNTERS; i++) {
		const char *word = strsep(&value, " ");

		if (!word || str_to_u64(word, 0, UINT64_MAX, &link.counter[i]) < 0)
			return;
	}
	usage->links[usage->link_count++] = link;
}

static void set_field(struct usage *usage, const char *name, char *value)
{
	if (strcmp(name, "boot_id") == 0)
		(void)str_copy(usage->boot_id, sizeof(usage->boot_id), value); /* "" is no boot's */
	if (strcmp(name, "link") == 0)
		add_link(usage, value);
	for (size_t i = 0; i < FIELDS; i++) {
		char *at = (char *)usage + field_table[i].offset;
		uint64_t number;

		if (strcmp(field_table[i].name, name) != 0)
			continue;
		if (field_table[i].real)
			*(double *)at = strtod(value, NULL);
		else if (str_to_u64(value, 0, UINT64_MAX, &number) == 0)
			*(uint64_t *)at = number;
	}
}

int usage_load(int guest_fd, struct usage *ret, struct err *err)
{
	auto_free char *text = NULL;
	struct usage usage = {0};
	int r = file_read(guest_fd, NAME, FILE_MOST, &text, NULL);

	if (r < 0 && r != -ENOENT)
		return err_num(err, r, "read the usage of the guest");
	bool whole = false;

	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		char *value = strchr(line, '=');

		whole = whole || strcmp(line, END) == 0;
		if (value) {
			*value++ = '\0';
			set_field(&usage, line, value);
		}
	}
	/* The host lost its power before a file was on disk that a stop had not waited for. No history either: nothing was used. */
	if (!whole) {
		usage = (struct usage){0};
		usage_history_last(guest_fd, &usage.at, &usage.total);
	}
	*ret = usage;
	return 0;
}

/* A process of its own waits for the disk, so that a stop need not; it holds nothing but the folder. */
static void sync_later(int guest_fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		pid_t waiting = fork();

		if (waiting != 0)
			_exit(0);
		for (int i = 0; i < 3; i++)
			close(i); /* whoever reads what the stop says need not wait either */
		(void)fds_close_others(&guest_fd, 1, 0);
		int fd = openat(guest_fd, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

		_exit(fd < 0 || fsync(fd) < 0 || fsync(guest_fd) < 0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Over the old text, in the blocks that it has: a guest that has filled the disk, or has taken the last inode, would else run for
 * nothing until it stops. */
static int overwrite(int guest_fd, const struct buf *text)
{
	auto_close int fd = openat(guest_fd, NAME, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : file_write_all(fd, text->data, text->len);

	return r == 0 && (ftruncate(fd, (off_t)text->len) < 0 || fsync(fd) < 0) ? -errno : r;
}

static int save(int guest_fd, const struct usage *usage, bool wait, struct err *err)
{
	auto_buf struct buf text = {0};

	buf_addf(&text, "boot_id=%s\n", usage->boot_id);
	for (size_t i = 0; i < FIELDS; i++) {
		const char *at = (const char *)usage + field_table[i].offset;

		if (field_table[i].real)
			buf_addf(&text, "%s=%.3f\n", field_table[i].name, *(const double *)at);
		else
			buf_addf(&text, "%s=%" PRIu64 "\n", field_table[i].name, *(const uint64_t *)at);
	}
	for (size_t i = 0; i < usage->link_count; i++) {
		buf_addf(&text, "link=%s", usage->links[i].host);
		for (size_t n = 0; n < USAGE_LINK_COUNTERS; n++)
			buf_addf(&text, " %" PRIu64, usage->links[i].counter[n]);
		buf_add(&text, "\n");
	}
	buf_add(&text, END "\n");
	if (text.failed)
		return err_num(err, ENOMEM, "write the usage of the guest");
	struct err why = {0};
	int r = wait ? file_replace(guest_fd, NAME, text.data, text.len, 0600, &why)
		     : file_replace_quick(guest_fd, NAME, text.data, text.len, 0600, &why);

	if ((r == -ENOSPC || r == -EDQUOT) && overwrite(guest_fd, &text) == 0)
		return 0;
	if (r < 0 && err)
		*err = why;
	if (r == 0 && !wait)
		sync_later(guest_fd);
	return r;
}

/* Adding up */

/* Milliseconds since the last look: by a clock that nobody sets, as long as the host has been up. */
static uint64_t elapsed(const struct usage *usage, const struct usage_look *look)
{
	if (usage->at == 0)
		return 0;
	if (strcmp(usage->boot_id, look->boot_id) == 0)
		return look->now_ms > usage->at_ms ? look->now_ms - usage->at_ms : 0;
	return look->now > usage->at ? (look->now - usage->at) * 1000 : 0;
}

/* One that went back was set to nought by somebody: all that it shows is new. */
static uint64_t grown(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

/* The kernel shows a sum of disks here, which becomes less when one of them is taken out: what it still shows was counted. */
static bool is_sum(size_t counter)
{
	return counter == USAGE_READ_BYTES || counter == USAGE_WRITTEN_BYTES;
}

static void add_counters(struct usage *usage, const struct usage_look *look, bool same)
{
	for (size_t i = 0; i < USAGE_COUNTERS; i++) {
		uint64_t before = same ? usage->last[i] : 0, now = look->counter[i];

		if (now == UINT64_MAX)
			now = before;
		usage->total.counter[i] += is_sum(i) && now < before ? 0 : grown(before, now);
		usage->last[i] = now;
	}
}

static struct usage_link *find_link(struct usage *usage, const char *host)
{
	for (size_t i = 0; i < usage->link_count; i++)
		if (strcmp(usage->links[i].host, host) == 0)
			return &usage->links[i];
	return NULL;
}

/* Each by itself: one that cannot be asked, or that the guest has taken away, must not make the others' bytes count twice. */
static void add_links(struct usage *usage, const struct usage_look *look, bool same)
{
	if (!same)
		usage->link_count = 0;
	for (size_t i = 0; i < look->link_count; i++) {
		struct usage_link *last = find_link(usage, look->links[i].host);

		struct usage_link now = look->links[i];

		for (size_t n = 0; n < USAGE_LINK_COUNTERS; n++) {
			uint64_t before = last ? last->counter[n] : 0;

			if (now.lost && now.counter[n] < before)
				now.counter[n] = before;
			usage->total.counter[USAGE_RX_BYTES + n] += grown(before, now.counter[n]);
		}
		if (!last && usage->link_count < RECORD_LINKS_MAX)
			last = &usage->links[usage->link_count++];
		if (last)
			*last = now;
	}
}

void usage_advance(struct usage *usage, const struct usage_look *look)
{
	bool same = look->runs && usage->init_start == look->init_start && strcmp(usage->boot_id, look->boot_id) == 0;
	uint64_t passed = elapsed(usage, look);

	usage->total.disk_byte_seconds += (double)usage->disk * (double)passed / 1000;
	if (look->runs) {
		uint64_t since = same ? usage->at_ms : look->begun_ms;
		uint64_t ran = look->now_ms > since && !look->ended ? look->now_ms - since : 0;
		double memory = same ? ((double)usage->memory + (double)look->memory) / 2 : (double)look->memory;

		add_counters(usage, look, same);
		add_links(usage, look, same);
		usage->total.running_ms += ran;
		usage->total.memory_byte_seconds += memory * (double)ran / 1000;
		usage->total.starts += !same;
		usage->init_start = look->init_start;
		usage->memory = look->memory;
	}
	(void)str_copy(usage->boot_id, sizeof(usage->boot_id), look->boot_id);
	usage->at_ms = look->now_ms;
	usage->at = look->now;
}

/* Looking */

static void look_at_links(const struct record *record, struct netlink *nl, struct usage_look *look)
{
	struct netlink *own = NULL;

	if (record->link_count > 0 && !nl && netlink_open(-1, &own, NULL) == 0)
		nl = own;
	for (size_t i = 0; nl && i < record->link_count; i++) {
		const char *name = record->links[i].host;
		struct netlink_stats host;
		bool lost = name[0] && netlink_link_stats(nl, name, &host, NULL) < 0;

		/* The guest's root has deleted it, and what he has sent is to be counted all the same. */
		if (!name[0] || (lost && spoof_traffic(name, &host) < 0))
			continue;
		/* The host's end receives what the guest sends. */
		struct usage_link link = {
			.counter = {host.tx_bytes, host.rx_bytes, host.tx_packets, host.rx_packets},
			.lost = lost,
		};

		(void)str_copy(link.host, sizeof(link.host), name);
		look->links[look->link_count++] = link;
	}
	netlink_free(own);
}

static bool has_init(const struct record *record)
{
	auto_close int init = record_init_pidfd(record);

	return init >= 0;
}

static void look_at(const struct record *record, bool ending, struct netlink *nl, struct usage_look *look)
{
	struct cgroup_figures figures;
	struct timespec time_now;
	long hertz = sysconf(_SC_CLK_TCK);

	*look = (struct usage_look){.now = (uint64_t)time(NULL)};
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		look->counter[i] = UINT64_MAX;
	(void)proc_boot_id(look->boot_id); /* "" is no boot's */
	(void)clock_gettime(CLOCK_BOOTTIME, &time_now);
	look->now_ms = (uint64_t)time_now.tv_sec * 1000 + (uint64_t)time_now.tv_nsec / 1000000;
	if (record->init_start == 0 || cgroup_figures(record->cgroup, &figures) < 0)
		return;
	look->runs = true;
	look->ended = !ending && !has_init(record);
	look->init_start = record->init_start;
	look->begun_ms = record->init_start * 1000 / (uint64_t)(hertz > 0 ? hertz : 100);
	look->memory = figures.stat.memory == UINT64_MAX ? 0 : figures.stat.memory;
	look->counter[USAGE_CPU] = figures.stat.cpu_usec;
	look->counter[USAGE_OOM_KILLS] = figures.stat.oom_kills;
	look->counter[USAGE_READ_BYTES] = figures.io[0];
	look->counter[USAGE_WRITTEN_BYTES] = figures.io[1];
	look_at_links(record, nl, look);
}

/* None, or one of another boot: nobody runs. One that cannot be read now would make a run look as if it had not been. */
static int load_record(const struct store *store, const char *name, struct record *ret, struct err *err)
{
	int r = record_load(store, name, ret);

	return r < 0 && r != -ENOENT && r != -ESTALE && r != -EFBIG ? err_num(err, r, "read the run record of guest '%s'", name)
								    : 0;
}

int usage_now(const struct store *store, const char *name, int guest_fd, struct netlink *nl, struct usage *ret, struct err *err)
{
	for (int i = 0;; i++) {
		struct record record = {0}, after = {0};
		struct usage usage, unmoved;
		struct usage_look look;

		int r = load_record(store, name, &record, err);
		if (r == 0)
			r = usage_load(guest_fd, &usage, err);
		if (r < 0)
			return r;
		unmoved = usage;
		look_at(&record, false, nl, &look);
		usage_advance(&usage, &look);
		*ret = usage;
		/* A run whose groups were gone when we looked, or that had not begun, has put down what it used meanwhile. */
		r = load_record(store, name, &after, err);
		if (r == 0)
			r = usage_load(guest_fd, &usage, err);
		if (r < 0 || i == TRIES ||
		    (record.init_start == after.init_start && usage.at_ms == unmoved.at_ms && usage.at == unmoved.at &&
		     strcmp(usage.boot_id, unmoved.boot_id) == 0))
			return r;
	}
}

bool usage_disk_due(int guest_fd, uint64_t age)
{
	uint64_t now = (uint64_t)time(NULL);
	struct usage usage;

	return age != UINT64_MAX &&
	       (usage_load(guest_fd, &usage, NULL) < 0 || !usage.disk_at || now < usage.disk_at || now - usage.disk_at >= age);
}

struct counting {
	const struct storage *storage;
	int guest_fd;
	uint64_t bytes;
	struct err err;
};

static int count_aside(void *arg)
{
	struct counting *counting = arg;

	return counting->storage->usage(counting->guest_fd, &counting->bytes, &counting->err);
}

/* The walk through the guest's files may take minutes, and would take for ever where a guest keeps moving them: it comes before the
 * lock, for which a stop does not wait as long. */
static int count_disk(struct guest *guest, uint64_t age, uint64_t *ret, struct err *err)
{
	const struct storage *storage = guest->spec ? storage_find(storage_choices[guest->spec->guest.storage]) : NULL;

	if (!storage || !usage_disk_due(guest->dir_fd, age))
		return 0;
	struct counting *counting = aside_memory(sizeof(*counting));

	if (!counting)
		return err_num(err, ENOMEM, "count the guest's files");
	counting->storage = storage;
	counting->guest_fd = guest->dir_fd;
	int r = aside_run(count_aside, counting, COUNT_MS);
	if (r == 0)
		*ret = counting->bytes;
	else if (err && counting->err.code != ERR_NONE)
		*err = counting->err;
	else
		(void)err_num(err, r, "count the guest's files");
	aside_free(counting, sizeof(*counting));
	return r;
}

/* It was renamed or destroyed while its files were counted, and what runs under the name is another. */
static bool has_name(const struct guest *guest)
{
	struct stat held, named;

	return fstat(guest->dir_fd, &held) == 0 &&
	       fstatat(guest->store->guests_fd, guest->name, &named, AT_SYMLINK_NOFOLLOW) == 0 && held.st_dev == named.st_dev &&
	       held.st_ino == named.st_ino;
}

int usage_record(struct guest *guest, const struct usage_recording *recording, struct usage *ret, struct err *err)
{
	struct record record = {0};
	struct usage_look look;
	struct usage usage;
	auto_close int lock = -1;
	uint64_t disk = UINT64_MAX;
	int counted = count_disk(guest, recording->disk_age, &disk, err); /* what else was used is put down without it too */
	int r = file_lock(guest->dir_fd, LOCK, recording->ending ? ENDING_MS : LOCK_MS, &lock, counted < 0 ? NULL : err);

	if (r == 0)
		r = usage_load(guest->dir_fd, &usage, err);
	if (r < 0)
		return r;
	if (recording->record)
		record = *recording->record;
	else
		r = load_record(guest->store, guest->name, &record, err);
	if (!recording->record && !has_name(guest))
		record = (struct record){0};
	if (r < 0)
		return r;
	look_at(&record, recording->ending, NULL, &look);
	if (recording->memory)
		look.memory = recording->memory;
	usage_advance(&usage, &look);
	if (disk != UINT64_MAX) {
		usage.disk = disk;
		usage.disk_at = usage.at;
	}
	r = save(guest->dir_fd, &usage, !recording->ending, err);
	if (r == 0)
		r = usage_history_add(guest->dir_fd, usage.at, &usage.total, err);
	if (r == 0 && ret)
		*ret = usage;
	return r < 0 ? r : counted;
}
