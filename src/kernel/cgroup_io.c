/* Limits of block devices: rates and weights, on both layouts. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "blockdev.h"
#include "cgroup_layout.h"
#include "cgroup_parts.h"
#include "host.h"

/* In the order of enum cgroup_kind from CGROUP_IO_READ on. */
static const struct rate {
	const char *v1, *v2; /* file of v1, word of cgroup2's io.max */
	const char *done_v1, *done_word, *done_v2;
} rates[CGROUP_IO_KINDS] = {
	{"blkio.throttle.read_bps_device", "rbps", "blkio.throttle.io_service_bytes_recursive", " Read ", "rbytes="},
	{"blkio.throttle.write_bps_device", "wbps", "blkio.throttle.io_service_bytes_recursive", " Write ", "wbytes="},
	{"blkio.throttle.read_iops_device", "riops", "blkio.throttle.io_serviced_recursive", " Read ", "rios="},
	{"blkio.throttle.write_iops_device", "wiops", "blkio.throttle.io_serviced_recursive", " Write ", "wios="},
};

#define V2_FILE  "io.max"
#define BFQ_MOST 1000

static char *read_all(const char *folder, const char *file)
{
	auto_free char *path = str_format("%s/%s", folder, file);
	char *text = NULL;

	return path && file_read(AT_FDCWD, path, 65536, &text, NULL) == 0 ? text : NULL;
}

/* The rate in a line "8:0 1048576" or "8:0 rbps=1048576 wbps=max riops=max wiops=max". */
static bool rate_of(const char *line, bool v1, const struct rate *rate, struct cgroup_io_device *ret)
{
	char word[16];
	unsigned long long value;
	int at = 0;

	if (sscanf(line, "%u:%u %n", &ret->major, &ret->minor, &at) != 2 || !at)
		return false;
	line += at;
	if (!v1) {
		(void)str_print(word, sizeof(word), "%s=", rate->v2);
		for (; *line && *line != '\n' && !str_starts(line, word); line += strcspn(line, " \n"), line += *line == ' ')
			;
		if (!str_starts(line, word))
			return false;
		line += strlen(word);
	}
	if (sscanf(line, "%llu", &value) != 1)
		return false; /* "max" */
	ret->rate = value;
	return true;
}

void cgroup_io_read(const char *folder, bool v1, unsigned which, struct cgroup_io *ret)
{
	auto_free char *text = read_all(folder, v1 ? rates[which].v1 : V2_FILE);

	ret->count = 0;
	for (const char *line = text; line && *line && ret->count < CGROUP_IO_DEVICES;
	     line += strcspn(line, "\n"), line += *line == '\n')
		ret->count += rate_of(line, v1, &rates[which], &ret->device[ret->count]);
}

uint64_t cgroup_io_done(const char *folder, bool v1, unsigned which)
{
	const struct rate *rate = &rates[which];
	auto_free char *text = read_all(folder, v1 ? rate->done_v1 : "io.stat");
	const char *word = v1 ? rate->done_word : rate->done_v2;
	uint64_t sum = 0;

	if (!text)
		return UINT64_MAX;
	for (const char *at = text; (at = strstr(at, word));) {
		at += strlen(word);
		sum += strtoull(at, NULL, 10);
	}
	return sum;
}

static void line_for(char ret[96], bool v1, const struct rate *rate, const struct cgroup_io_device *device)
{
	if (device->rate == UINT64_MAX)
		(void)str_print(ret, 96, v1 ? "%u:%u 0" : "%u:%u %s=max", device->major, device->minor, rate->v2);
	else if (v1)
		(void)str_print(ret, 96, "%u:%u %llu", device->major, device->minor, (unsigned long long)device->rate);
	else
		(void)str_print(ret, 96, "%u:%u %s=%llu", device->major, device->minor, rate->v2, (unsigned long long)device->rate);
}

void cgroup_io_count(unsigned major, unsigned minor, const char *cgroup)
{
	const struct cgroup_io_device lifted = {major, minor, UINT64_MAX};
	char folder[PATH_MAX], line[96];
	bool v1;

	if (cgroup_place("io", cgroup, folder, &v1) < 0 || !v1)
		return;
	/* The top group has a line for each disk that is counted. */
	auto_free char *counted = read_all(cgroup_v1_path("blkio"), rates[0].done_v1);

	(void)str_print(line, sizeof(line), "%u:%u ", major, minor);
	for (const char *at = counted; at && *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (str_starts(at, line))
			return;
	auto_free char *path = str_format("%s/%s", folder, rates[0].v1);

	line_for(line, v1, &rates[0], &lifted);
	if (path)
		(void)file_poke(AT_FDCWD, path, line); /* see the header */
}

static const struct cgroup_io_device *find(const struct cgroup_io *io, const struct cgroup_io_device *wanted)
{
	for (size_t i = 0; i < io->count; i++)
		if (io->device[i].major == wanted->major && io->device[i].minor == wanted->minor)
			return &io->device[i];
	return NULL;
}

/* One device's rate; the file has a line for each, so reading back is a search. */
static int set_device(struct cgroup_change *change, const char *folder, bool v1, unsigned which,
		      const struct cgroup_io_device *device, const struct cgroup_io *before, struct err *err)
{
	const struct rate *rate = &rates[which];
	const struct cgroup_io_device *old = find(before, device);
	struct cgroup_io_device none = {device->major, device->minor, UINT64_MAX};
	auto_free char *path = str_format("%s/%s", folder, v1 ? rate->v1 : V2_FILE);
	char line[96], undo[96];
	struct cgroup_io now;

	if ((old ? old->rate : UINT64_MAX) == device->rate)
		return 0;
	line_for(line, v1, rate, device);
	line_for(undo, v1, rate, old ? old : &none);
	int r = path ? cgroup_change_note(change, path, undo, err) : err_num(err, ENOMEM, "limit a device");
	if (r < 0)
		return r;
	r = file_poke(AT_FDCWD, path, line);
	if (r == -ENODEV || r == -ENXIO) {
		(void)err_num(err, r, "write %s to %s", line, path);
		return err_hint(err, "the kernel limits whole disks only: is %u:%u one?", device->major, device->minor), r;
	}
	if (r < 0)
		return err_num(err, r, "write %s to %s", line, path);
	cgroup_io_read(folder, v1, which, &now);
	const struct cgroup_io_device *found = find(&now, device);

	if ((found ? found->rate : UINT64_MAX) != device->rate)
		return err_set(err, ERR_FAILED, "write %s to %s: the kernel kept another rate", line, path);
	return 0;
}

int cgroup_io_set(struct cgroup_change *change, const char *cgroup, unsigned which, const struct cgroup_io *io, struct err *err)
{
	char folder[PATH_MAX], path[PATH_MAX];
	struct cgroup_io before;
	bool v1;
	int r = cgroup_place_made("io", cgroup, folder, &v1, err);

	if (r == -EOPNOTSUPP)
		return io->count ? cgroup_lacks("io", "CONFIG_BLK_CGROUP", "a limit of a disk", err) : 0;
	if (r < 0)
		return r;
	if (str_print(path, sizeof(path), "%s/%s", folder, v1 ? rates[which].v1 : V2_FILE) < 0 || access(path, F_OK) < 0) {
		if (!io->count)
			return 0;
		(void)err_set(err, ERR_FAILED, "limit a disk: this kernel has no %s", v1 ? rates[which].v1 : V2_FILE);
		(void)err_hint(err, "a kernel with CONFIG_BLK_DEV_THROTTLING is needed, or unset it");
		return -EOPNOTSUPP;
	}
	cgroup_io_read(folder, v1, which, &before);
	for (size_t i = 0; r == 0 && i < before.count; i++) {
		struct cgroup_io_device none = {before.device[i].major, before.device[i].minor, UINT64_MAX};

		if (!find(io, &none))
			r = set_device(change, folder, v1, which, &none, &before, err);
	}
	for (size_t i = 0; r == 0 && i < io->count; i++)
		r = set_device(change, folder, v1, which, &io->device[i], &before, err);
	return r;
}

/* "default 200" with lines for devices behind it, or "200". */
static bool same_weight(const char *asked, const char *shown)
{
	return strcmp(asked, str_starts(shown, "default ") ? shown + strlen("default ") : shown) == 0;
}

/* BFQ counts to 1000 where the rest counts to 10000. systemd draws a line through both ends, by which 300 against 100 would be no
 * more than 118 against 100: up to 1000 the numbers are taken as they are. */
static uint64_t bfq_weight(uint64_t weight)
{
	return weight > BFQ_MOST ? BFQ_MOST : weight;
}

/* *ret_some: there is such a file. */
static int write_weight(struct cgroup_change *change, const char *folder, const char *file, uint64_t weight, bool *ret_some,
			struct err *err)
{
	auto_free char *path = str_format("%s/%s", folder, file);
	char value[24];

	if (!path || access(path, F_OK) < 0)
		return 0;
	*ret_some = true;
	(void)str_print(value, sizeof(value), "%llu", (unsigned long long)weight);
	return cgroup_change_write(change, folder, file, value, same_weight, NULL, err);
}

int cgroup_io_bfq_weight(struct cgroup_change *change, const char *folder, bool v1, uint64_t weight, bool *ret_some,
			 struct err *err)
{
	return write_weight(change, folder, v1 ? "blkio.bfq.weight" : "io.bfq.weight", bfq_weight(weight), ret_some, err);
}

int cgroup_io_weight(struct cgroup_change *change, const char *folder, bool v1, uint64_t weight, struct err *err)
{
	bool some = false, lift = weight == UINT64_MAX;
	int r = cgroup_io_bfq_weight(change, folder, v1, lift ? 100 : weight, &some, err);

	if (r == 0 && !v1)
		r = write_weight(change, folder, "io.weight", lift ? 100 : weight, &some, err);
	if (r < 0 || some || lift)
		return r;
	(void)err_set(err, ERR_FAILED, "set limits.io-weight: this kernel weighs no disk traffic");
	(void)err_hint(err, "modprobe bfq, or a kernel with CONFIG_BFQ_GROUP_IOSCHED or CONFIG_BLK_CGROUP_IOCOST, or unset it");
	return -EOPNOTSUPP;
}

bool cgroup_io_weighs(unsigned major, unsigned minor)
{
	const struct blockdev device = {major, minor};
	const char *base = cgroup_layout()->unified;
	auto_free char *text = base[0] && cgroup_has_controller("io") == CGROUP_UNIFIED ? read_all(base, "io.cost.qos") : NULL;
	char id[32];

	(void)str_print(id, sizeof(id), "%u:%u enable=1", major, minor);
	for (const char *line = text; line && *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (str_starts(line, id))
			return true;
	return blockdev_has_bfq(&device);
}
