/* The run record: what a started guest consists of, a hint that is checked against the kernel. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "checkpoint.h"
#include "record.h"

#define RECORD_NAME "record"
#define RECORD_MAX  32768

const char *const state_names[STATE_COUNT] = {
	[STATE_STOPPED] = "stopped", [STATE_STARTING] = "starting", [STATE_RUNNING] = "running",
	[STATE_FROZEN] = "frozen",   [STATE_STOPPING] = "stopping", [STATE_CHECKPOINTED] = "checkpointed",
	[STATE_BROKEN] = "broken",
};

static const bool may_go[STATE_COUNT][STATE_COUNT] = {
	[STATE_STOPPED] = {[STATE_STARTING] = true},
	[STATE_STARTING] = {[STATE_RUNNING] = true, [STATE_STOPPED] = true, [STATE_STOPPING] = true},
	[STATE_RUNNING] = {[STATE_FROZEN] = true, [STATE_STOPPING] = true, [STATE_STOPPED] = true, [STATE_CHECKPOINTED] = true},
	[STATE_FROZEN] = {[STATE_RUNNING] = true, [STATE_STOPPING] = true, [STATE_CHECKPOINTED] = true},
	[STATE_STOPPING] = {[STATE_STOPPED] = true, [STATE_STOPPING] = true},
	[STATE_CHECKPOINTED] = {[STATE_STARTING] = true, [STATE_STOPPED] = true},
	[STATE_BROKEN] = {[STATE_STOPPED] = true, [STATE_STARTING] = true, [STATE_STOPPING] = true},
};

bool state_may_go(enum state from, enum state to)
{
	return may_go[from][to];
}

/* One row a field of the record, so that writer and reader cannot differ. */
enum kind { KIND_TEXT, KIND_PID, KIND_U64 };
static const struct field {
	const char *name;
	enum kind kind;
	size_t offset, size;
} field_table[] = {
#define TEXT(f)                                                                            \
	{                                                                                  \
#f, KIND_TEXT, offsetof(struct record, f), sizeof(((struct record *)0)->f) \
	}
#define PID(f)                                                          \
	{                                                               \
#f, KIND_PID, offsetof(struct record, f), sizeof(pid_t) \
	}
#define U64(f)                                                             \
	{                                                                  \
#f, KIND_U64, offsetof(struct record, f), sizeof(uint64_t) \
	}
	TEXT(phase),  TEXT(boot_id), PID(init_pid), U64(init_start), PID(monitor_pid), U64(monitor_start),
	U64(started), U64(ids),      TEXT(cgroup),  TEXT(console),   TEXT(init_kind),  U64(starts),
	TEXT(cpuset), TEXT(lxcfs),   U64(changing), U64(terminals),  U64(namespaces),
};

#define FIELDS (sizeof(field_table) / sizeof(field_table[0]))

static void set_field(struct record *record, const char *name, const char *value)
{
	for (size_t i = 0; i < FIELDS; i++) {
		const struct field *field = &field_table[i];
		char *at = (char *)record + field->offset;
		uint64_t number = 0;

		if (strcmp(field->name, name) != 0)
			continue;
		if (field->kind == KIND_TEXT)
			(void)str_copy(at, field->size, value);
		else if (str_to_u64(value, 0, UINT64_MAX, &number) < 0)
			return;
		if (field->kind == KIND_PID)
			*(pid_t *)at = number > INT32_MAX ? 0 : (pid_t)number;
		if (field->kind == KIND_U64)
			*(uint64_t *)at = number;
		return;
	}
}

/* link=INSIDE HOST MAC ADDRESS ADDRESS6 GUARD, "-" for none; GUARD is of the letters g, r, i. An older isle wrote no GUARD. */
static void add_link(struct record *record, char *value)
{
	if (record->link_count == RECORD_LINKS_MAX)
		return;
	struct record_link *link = &record->links[record->link_count];
	char *word[6] = {NULL}, none[] = "";

	for (size_t i = 0; i < 6; i++) {
		word[i] = strsep(&value, " ");
		if (!word[i] && i == 5)
			word[i] = none;
		if (!word[i])
			return;
		if (strcmp(word[i], "-") == 0)
			word[i][0] = '\0';
	}
	link->guarded = strchr(word[5], 'g');
	link->roaming = strchr(word[5], 'r');
	link->isolated = strchr(word[5], 'i');
	if (str_copy(link->inside, sizeof(link->inside), word[0]) == 0 && str_copy(link->host, sizeof(link->host), word[1]) == 0 &&
	    str_copy(link->mac, sizeof(link->mac), word[2]) == 0 && str_copy(link->address, sizeof(link->address), word[3]) == 0 &&
	    str_copy(link->address6, sizeof(link->address6), word[4]) == 0)
		record->link_count++;
}

/* device=NAME PHASE KIND MAJOR MINOR ACCESS INSIDE HOST, "-" for none */
static void add_device(struct record *record, char *value)
{
	struct record_device device = {0};
	char *word[8] = {NULL};

	for (size_t i = 0; i < 8; i++) {
		word[i] = strsep(&value, " ");
		if (!word[i])
			return;
		if (i > 1 && strcmp(word[i], "-") == 0)
			word[i][0] = '\0';
	}
	device.phase = word[1][0];
	device.kind = word[2][0];
	if (record->device_count < SPEC_DEVICES_MAX && str_copy(device.name, sizeof(device.name), word[0]) == 0 &&
	    str_to_u64(word[3], 0, UINT32_MAX, &device.major) == 0 && str_to_u64(word[4], 0, UINT32_MAX, &device.minor) == 0 &&
	    str_copy(device.access, sizeof(device.access), word[5]) == 0 &&
	    str_copy(device.inside, sizeof(device.inside), word[6]) == 0 &&
	    str_copy(device.host, sizeof(device.host), word[7]) == 0)
		record->devices[record->device_count++] = device;
}

void record_parse(char *text, struct record *ret)
{
	*ret = (struct record){0};
	for (char *line; (line = strsep(&text, "\n"));) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (strcmp(line, "link") == 0)
			add_link(ret, value);
		else if (strcmp(line, "device") == 0)
			add_device(ret, value);
		else
			set_field(ret, line, value);
	}
}

int record_load(const struct store *store, const char *name, struct record *ret)
{
	auto_free char *path = str_format("%s/" RECORD_NAME, name);
	auto_free char *text = NULL;
	char boot_id[37];

	if (!path)
		return -ENOMEM;
	int r = file_read(store->run_fd, path, RECORD_MAX, &text, NULL);
	if (r < 0)
		return r;
	struct record record;

	record_parse(text, &record);
	r = proc_boot_id(boot_id);
	if (r < 0)
		return r;
	if (strcmp(record.boot_id, boot_id) != 0)
		return -ESTALE;
	*ret = record;
	return 0;
}

static const char *or_dash(const char *s)
{
	return s[0] ? s : "-";
}

void record_format(const struct record *record, struct buf *out)
{
	for (size_t i = 0; i < FIELDS; i++) {
		const struct field *field = &field_table[i];
		const char *at = (const char *)record + field->offset;

		if (field->kind == KIND_TEXT)
			buf_addf(out, "%s=%s\n", field->name, at);
		else if (field->kind == KIND_PID)
			buf_addf(out, "%s=%d\n", field->name, *(const pid_t *)at);
		else
			buf_addf(out, "%s=%" PRIu64 "\n", field->name, *(const uint64_t *)at);
	}
	for (size_t i = 0; i < record->link_count; i++) {
		const struct record_link *link = &record->links[i];

		buf_addf(out, "link=%s %s %s %s %s -%s%s%s\n", link->inside, or_dash(link->host), or_dash(link->mac),
			 or_dash(link->address), or_dash(link->address6), link->guarded ? "g" : "", link->roaming ? "r" : "",
			 link->isolated ? "i" : "");
	}
	for (size_t i = 0; i < record->device_count; i++) {
		const struct record_device *device = &record->devices[i];

		buf_addf(out, "device=%s %c %c %" PRIu64 " %" PRIu64 " %s %s %s\n", device->name, device->phase, device->kind,
			 device->major, device->minor, or_dash(device->access), or_dash(device->inside), or_dash(device->host));
	}
}

int record_save(const struct store *store, const char *name, const struct record *record, struct err *err)
{
	auto_buf struct buf text = {0};

	record_format(record, &text);
	if (text.failed)
		return err_num(err, ENOMEM, "write the run record of '%s'", name);
	auto_close int dir = openat(store->run_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return err_sys(err, "open %s/%s", store->run, name);
	return file_replace_quick(dir, RECORD_NAME, text.data, text.len, 0600, err);
}

struct record_device *record_device(struct record *record, const char *name)
{
	for (size_t i = 0; i < record->device_count; i++)
		if (strcmp(record->devices[i].name, name) == 0)
			return &record->devices[i];
	return NULL;
}

int record_remove(const struct store *store, const char *name, struct err *err)
{
	return file_remove_tree(store->run_fd, name, err);
}

int record_init_pidfd(const struct record *record)
{
	if (record->init_pid <= 0)
		return -ESRCH;
	return proc_pidfd(record->init_pid, record->init_start);
}

int record_monitor_pidfd(const struct record *record)
{
	if (record->monitor_pid <= 0)
		return -ESRCH;
	int fd = proc_pidfd(record->monitor_pid, record->monitor_start);

	/* Killed, it is there until the host's init has reaped it. */
	if (fd >= 0 && proc_wait_gone(fd, 0) == 0) {
		close(fd);
		return -ESRCH;
	}
	return fd;
}

enum state guest_state(const struct store *store, const char *name, struct record *ret_record)
{
	struct record none = {0};
	struct record *record = ret_record ? ret_record : &none;
	struct stat st;

	*record = (struct record){0};
	int r = record_load(store, name, record);

	if (r < 0) {
		/* Of a boot that is over nothing is left but its folder, which the next start clears. */
		if (fstatat(store->run_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (r == -ESTALE && !store_name_locked(store, name))) {
			char asleep[32];

			return checkpoint_asleep(store, name, asleep, NULL) < 0 || asleep[0] ? STATE_CHECKPOINTED : STATE_STOPPED;
		}
		/* A run folder without a valid record: somebody is at the very start, or was killed there. */
		return store_name_locked(store, name) ? STATE_STARTING : STATE_BROKEN;
	}
	auto_close int init = record_init_pidfd(record);
	bool alive = init >= 0 && proc_wait_gone(init, 0) == -ETIMEDOUT;
	bool stopping = strcmp(record->phase, RECORD_STOPPING) == 0;

	/* A stop that was killed while it waited stops nobody. */
	if (alive && (strcmp(record->phase, RECORD_RUNNING) == 0 || (stopping && !store_name_locked(store, name))))
		return cgroup_frozen(record->cgroup) ? STATE_FROZEN : STATE_RUNNING;
	auto_close int monitor = record_monitor_pidfd(record);

	/* Without the process that makes the start there is no init yet, only one that would have become it. */
	if (strcmp(record->phase, RECORD_STARTING) == 0 && (monitor >= 0 || alive))
		return monitor >= 0 ? STATE_STARTING : STATE_BROKEN;
	if (alive)
		return stopping ? STATE_STOPPING : STATE_RUNNING;
	/* Its monitor clears up, or the command that stops it. */
	return monitor >= 0 || store_name_locked(store, name) ? STATE_STOPPING : STATE_BROKEN;
}

enum state guest_state_locked(const struct guest *guest, struct record *ret_record)
{
	struct record none;
	struct record *record = ret_record ? ret_record : &none;
	enum state state = guest_state(guest->store, guest->name, record);

	if (state == STATE_STARTING)
		return STATE_BROKEN;
	if (state != STATE_STOPPING)
		return state;
	auto_close int init = record_init_pidfd(record);
	auto_close int monitor = record_monitor_pidfd(record);

	if (init < 0 || proc_wait_gone(init, 0) == 0)
		return monitor >= 0 ? STATE_STOPPING : STATE_BROKEN;
	return cgroup_frozen(record->cgroup) ? STATE_FROZEN : STATE_RUNNING;
}

int guest_state_sure(const struct guest *guest, struct record *ret_record, enum state *ret, struct err *err)
{
	struct record record;

	*ret = guest_state_locked(guest, ret_record);
	if (*ret != STATE_BROKEN)
		return 0;
	int r = record_load(guest->store, guest->name, &record);

	/* What is too large no run has written. */
	if (r < 0 && r != -ENOENT && r != -ESTALE && r != -EFBIG)
		return err_num(err, r, "read the run record of guest '%s'", guest->name);
	*ret = guest_state_locked(guest, ret_record);
	return 0;
}
