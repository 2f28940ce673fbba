/* From a config's [limits] to what the kernel is told. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/blockdev.h"
#include "limits.h"
#include "lxcfs.h"

#define CPUS_LOCK ".cpus.lock"
#define LOCK_MS   10000

static const struct key *key_of(enum cgroup_kind kind)
{
	return key_find(SECTION_LIMITS, cgroup_kind_key(kind));
}

enum cgroup_kind limits_kind_of(const struct key *key)
{
	enum cgroup_kind kind = 0;

	while (kind < CGROUP_KINDS && key_of(kind) != key)
		kind++;
	return kind;
}

unsigned limits_changed(const struct spec *old, const struct spec *now)
{
	unsigned kinds = 0;

	for (enum cgroup_kind kind = 0; kind < CGROUP_KINDS; kind++) {
		const struct key *key = key_of(kind);
		auto_buf struct buf before = {0}, after = {0};

		if (old)
			key->type->format(key, (const char *)old + key->offset, &before);
		key->type->format(key, (const char *)now + key->offset, &after);
		if (before.len != after.len || (after.len && memcmp(before.data, after.data, after.len) != 0))
			kinds |= CGROUP_BIT(kind);
	}
	/* The number of CPUs may follow cpus. */
	if ((kinds & CGROUP_BIT(CGROUP_CPUS)) || (old && old->guest.lxcfs != now->guest.lxcfs))
		kinds |= CGROUP_BIT(CGROUP_CPUSET);
	return kinds;
}

/* Disks */

static int find_device(const struct guest *guest, const char *name, struct blockdev *ret, struct err *err)
{
	if (*name)
		return blockdev_of_path(name, ret, err);
	return blockdev_of_file(guest->dir_fd, guest->name, ret, err);
}

static int rates_of(const struct guest *guest, const char *text, bool bytes, struct cgroup_io *ret, struct err *err)
{
	char name[TYPES_DEVICE_SIZE];
	uint64_t rate;

	while (text && types_next_rate(&text, bytes, name, &rate)) {
		struct blockdev device;
		int r = find_device(guest, name, &device, err);

		if (r < 0)
			return r;
		for (size_t i = 0; i < ret->count; i++)
			if (ret->device[i].major == device.major && ret->device[i].minor == device.minor)
				return err_set(err, ERR_FAILED, "limit the disk %u:%u: two of its names have a rate", device.major,
					       device.minor);
		if (ret->count == CGROUP_IO_DEVICES)
			return err_set(err, ERR_FAILED, "limit more than %d disks", CGROUP_IO_DEVICES);
		ret->device[ret->count++] = (struct cgroup_io_device){device.major, device.minor, rate};
	}
	return 0;
}

/* A weight that the kernel takes and nobody reads is no limit. */
static int check_weight(const struct guest *guest, uint64_t weight, struct err *err)
{
	struct blockdev device;
	char name[64];

	if (weight == SPEC_UNSET)
		return 0;
	int r = blockdev_of_file(guest->dir_fd, guest->name, &device, err);

	if (r < 0 || cgroup_io_weighs(device.major, device.minor))
		return r;
	blockdev_name(&device, name, sizeof(name));
	(void)err_set(err, ERR_FAILED, "set limits.io-weight: %s is scheduled by none that weighs guests", name);
	(void)err_hint(err, "echo bfq > /sys/block/%s/queue/scheduler (CONFIG_IOSCHED_BFQ), or unset it",
		       str_starts(name, "/dev/") ? name + strlen("/dev/") : "DISK");
	return -EOPNOTSUPP;
}

int limits_of(const struct guest *guest, const struct spec *spec, const struct record *record, unsigned kinds,
	      struct cgroup_limits *ret, struct err *err)
{
	const char *const rates[CGROUP_IO_KINDS] = {spec->limits.io_read, spec->limits.io_write, spec->limits.io_read_ops,
						    spec->limits.io_write_ops};
	struct cgroup_limits limits;

	cgroup_limits_none(&limits);
	for (enum cgroup_kind kind = 0; kind < CGROUP_KINDS; kind++)
		if (kind != CGROUP_CPUSET && (kind < CGROUP_IO_READ || kind > CGROUP_IO_WRITE_OPS))
			limits.number[kind] = *(const uint64_t *)((const char *)spec + key_of(kind)->offset);
	limits.cpuset = record->cpuset[0] ? record->cpuset : NULL;
	int r = kinds & CGROUP_BIT(CGROUP_IO_WEIGHT) ? check_weight(guest, spec->limits.io_weight, err) : 0;

	for (size_t i = 0; r == 0 && i < CGROUP_IO_KINDS; i++)
		if (kinds & CGROUP_BIT(CGROUP_IO_READ + i))
			r = rates_of(guest, rates[i], i < 2, &limits.io[i], err);
	if (r == 0)
		*ret = limits;
	return r;
}

static void count_disk(const struct guest *guest, int fd, const char *cgroup)
{
	struct blockdev device;

	if (blockdev_of_file(fd, guest->name, &device, NULL) == 0)
		cgroup_io_count(device.major, device.minor, cgroup);
}

void limits_count_disks(const struct guest *guest, const struct spec *spec, const char *cgroup)
{
	count_disk(guest, guest->dir_fd, cgroup);
	for (size_t i = 0; i < spec->mount_count; i++) {
		const struct spec_mount *mount = &spec->mounts[i];
		auto_close int fd = mount->type || !mount->source ? -1 : open(mount->source, O_PATH | O_CLOEXEC);

		if (fd >= 0)
			count_disk(guest, fd, cgroup);
	}
}

/* CPUs */

struct cpus {
	bool there[LIMITS_CPUS];
	bool chosen[LIMITS_CPUS];
	unsigned guests[LIMITS_CPUS];
	size_t count; /* of those there */
};

int limits_online(bool *there, struct err *err)
{
	auto_free char *text = NULL;
	int r = file_read(AT_FDCWD, "/sys/devices/system/cpu/online", 4096, &text, NULL);

	if (r == 0) {
		text[strcspn(text, "\n")] = '\0';
		r = types_cpuset_read(text, there, LIMITS_CPUS);
	}
	return r < 0 ? err_num(err, r, "read /sys/devices/system/cpu/online") : 0;
}

bool limits_are_placed(const struct spec *spec)
{
	const char *list = spec->limits.cpuset;

	return !list || strcmp(list, "auto") == 0 || types_cpuset_count(list) > 0;
}

static int find_cpus(struct cpus *cpus, struct err *err)
{
	int r = limits_online(cpus->there, err);

	for (size_t i = 0; i < LIMITS_CPUS; i++)
		cpus->count += cpus->there[i];
	return r;
}

static int count_guests(const struct guest *guest, struct cpus *cpus, struct err *err)
{
	char **names = NULL;
	int r = store_names(guest->store, &names, err);

	for (size_t i = 0; r == 0 && names[i]; i++) {
		struct record record;
		bool list[LIMITS_CPUS];

		if (strcmp(names[i], guest->name) == 0 || record_load(guest->store, names[i], &record) < 0 || !record.cpuset[0] ||
		    types_cpuset_read(record.cpuset, list, LIMITS_CPUS) < 0)
			continue;
		for (size_t cpu = 0; cpu < LIMITS_CPUS; cpu++)
			cpus->guests[cpu] += list[cpu];
	}
	store_names_free(names);
	return r;
}

static int choose(const struct guest *guest, uint64_t wanted, struct record *record, struct err *err)
{
	auto_free struct cpus *cpus = calloc(1, sizeof(*cpus));
	int r = cpus ? find_cpus(cpus, err) : err_num(err, ENOMEM, "choose CPUs");

	if (r == 0 && wanted > cpus->count) {
		(void)err_set(err, ERR_FAILED, "choose %llu CPUs for the guest: the host has %zu", (unsigned long long)wanted,
			      cpus->count);
		(void)err_hint(err, "lower limits.cpuset to auto:%zu at most", cpus->count);
		return -EIO;
	}
	if (r == 0)
		r = count_guests(guest, cpus, err);
	for (; r == 0 && wanted > 0; wanted--) {
		size_t best = LIMITS_CPUS;

		for (size_t i = 0; i < LIMITS_CPUS; i++)
			if (cpus->there[i] && !cpus->chosen[i] && (best == LIMITS_CPUS || cpus->guests[i] < cpus->guests[best]))
				best = i;
		cpus->chosen[best] = true;
	}
	if (r < 0)
		return r;
	auto_free char *list = types_cpuset_format(cpus->chosen, LIMITS_CPUS);

	r = list ? str_copy(record->cpuset, sizeof(record->cpuset), list) : -ENOMEM;
	return r < 0 ? err_num(err, r, "choose CPUs") : 0;
}

static uint64_t count_of(const char *list)
{
	bool cpus[LIMITS_CPUS];
	uint64_t count = 0;

	if (!*list || types_cpuset_read(list, cpus, LIMITS_CPUS) < 0)
		return 0;
	for (size_t i = 0; i < LIMITS_CPUS; i++)
		count += cpus[i];
	return count;
}

/* A guest that sees its own size sees as many CPUs as it may use: most programs count those that they may run on. */
static bool follows_cpus(const struct spec *spec)
{
	struct cgroup_limits any;

	if (spec->limits.cpus == SPEC_UNSET)
		return false;
	if (spec->limits.cpuset)
		return strcmp(spec->limits.cpuset, "auto") == 0;
	cgroup_limits_none(&any);
	any.cpuset = "0";
	return lxcfs_wanted(spec) && lxcfs_state(NULL) == LXCFS_ALIVE &&
	       cgroup_limits_check(&any, CGROUP_BIT(CGROUP_CPUSET), NULL) == 0;
}

/* How many CPUs are to be chosen; 0: none is. */
static int count_wanted(const struct spec *spec, uint64_t *ret, struct err *err)
{
	auto_free struct cpus *cpus = NULL;
	int r = 0;

	*ret = types_cpuset_count(spec->limits.cpuset);
	if (!follows_cpus(spec))
		return 0;
	cpus = calloc(1, sizeof(*cpus));
	r = cpus ? find_cpus(cpus, err) : err_num(err, ENOMEM, "choose CPUs");
	*ret = (spec->limits.cpus + 999) / 1000;
	if (r == 0 && *ret >= cpus->count)
		*ret = 0; /* that is all of them */
	return r;
}

int limits_choose(const struct guest *guest, const struct spec *spec, struct record *record, struct err *err)
{
	const struct store *store = guest->store;
	const char *list = spec->limits.cpuset;
	uint64_t wanted;
	int lock = -1;
	int r = count_wanted(spec, &wanted, err);

	if (r < 0)
		return r;
	if (wanted == 0) {
		bool none = !list || strcmp(list, "auto") == 0 || strcmp(list, "all") == 0;

		r = str_copy(record->cpuset, sizeof(record->cpuset), none ? "" : list);
		return r < 0 ? err_num(err, r, "note the guest's CPUs") : 0;
	}
	if (count_of(record->cpuset) == wanted)
		return 0;
	r = file_lock(store->run_fd, CPUS_LOCK, LOCK_MS, &lock, err);
	if (r < 0)
		return r;
	r = choose(guest, wanted, record, err);
	if (r == 0)
		r = record_save(store, guest->name, record, err);
	(void)unlinkat(store->run_fd, CPUS_LOCK, 0); /* file_lock knows of removed files */
	close(lock);
	return r;
}
