/* The device rows of a start: what the guest may open, and nodes for what it is given. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "../base/str.h"
#include "../kernel/bpfdev.h"
#include "../kernel/netlink.h"
#include "devices.h"
#include "devnode.h"
#include "steps.h"

_Static_assert(SPEC_DEVICES_MAX <= DEVNODES_MAX, "all nodes of a guest are made at once");

const char *devices_path(const struct record_device *device)
{
	return str_starts(device->inside, "/dev/") ? device->inside + strlen("/dev/") : device->inside;
}

static int find_node(const struct spec_device *section, struct record_device *ret, struct err *err)
{
	struct stat st;

	if (stat(section->source, &st) < 0)
		return err_sys(err, "find device %s", section->source);
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) {
		(void)err_num(err, ENOTSUP, "find device %s: it is no device node", section->source);
		return err_hint(err, "files and folders are given by a [mount] section");
	}
	ret->kind = S_ISCHR(st.st_mode) ? 'c' : 'b';
	ret->major = major(st.st_rdev);
	ret->minor = minor(st.st_rdev);
	return str_copy(ret->access, sizeof(ret->access), section->access);
}

static int find_nic(const struct spec_device *section, struct netlink *netlink, struct record_device *ret, struct err *err)
{
	struct netlink_link link;
	int r = netlink_get(netlink, section->source, &link, err);

	if (r < 0)
		return r;
	if (link.master) {
		r = err_set(err, ERR_FAILED, "give interface %s to the guest: it is a port of a bridge or bond", section->source);
		(void)err_hint(err, "ip link set %s nomaster", section->source);
		return r;
	}
	ret->kind = 'n';
	ret->major = (uint64_t)link.index;
	(void)str_copy(ret->access, sizeof(ret->access), link.kind);
	return str_copy(ret->host, sizeof(ret->host), section->source);
}

int devices_find(const struct spec_device *section, struct netlink *netlink, struct record_device *ret, struct err *err)
{
	struct record_device found = {.phase = '='};
	int r = section->type == DEVICE_NIC ? find_nic(section, netlink, &found, err) : find_node(section, &found, err);

	if (r == 0 && (str_copy(found.name, sizeof(found.name), section->name) < 0 ||
		       str_copy(found.inside, sizeof(found.inside), spec_device_target(section)) < 0))
		r = err_num(err, ENAMETOOLONG, "give device '%s'", section->name);
	if (r == 0)
		*ret = found;
	return r;
}

static struct bpfdev_rule rule_of(const struct record_device *device)
{
	return (struct bpfdev_rule){
		.kind = device->kind == 'b' ? BPFDEV_BLOCK : BPFDEV_CHAR,
		.access = (strchr(device->access, 'r') ? BPFDEV_READ : 0u) | (strchr(device->access, 'w') ? BPFDEV_WRITE : 0u) |
			  (strchr(device->access, 'm') ? BPFDEV_MKNOD : 0u),
		.major = (uint32_t)device->major,
		.minor = (uint32_t)device->minor,
	};
}

int devices_allow(const struct record *record, struct err *err)
{
	struct bpfdev_rule rules[BPFDEV_RULES];
	size_t count = 0;

	for (size_t i = 0; i < bpfdev_usual_count; i++)
		rules[count++] = bpfdev_usual[i];
	for (size_t i = 0; i < record->device_count && count < BPFDEV_RULES; i++)
		if (record->devices[i].kind != 'n' && record->devices[i].phase != '-')
			rules[count++] = rule_of(&record->devices[i]);
	return bpfdev_attach(record->cgroup, rules, count, err);
}

bool devices_usual(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)))
		return true;
	const struct bpfdev_rule wanted = {
		.kind = S_ISBLK(st.st_mode) ? BPFDEV_BLOCK : BPFDEV_CHAR,
		.access = BPFDEV_READ | BPFDEV_WRITE,
		.major = major(st.st_rdev),
		.minor = minor(st.st_rdev),
	};

	return bpfdev_allows(bpfdev_usual, bpfdev_usual_count, &wanted);
}

static int find_all(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	struct netlink *netlink = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->device_count; i++) {
		const struct spec_device *section = &spec->devices[i];

		if (section->type == DEVICE_NIC && !netlink)
			r = netlink_open(-1, &netlink, err);
		if (r == 0)
			r = devices_find(section, netlink, &run->record.devices[run->record.device_count], err);
		if (r == 0) {
			run->record.device_count++;
		} else if (section->optional && (r == -ENOENT || r == -ENODEV)) {
			err_clear(err);
			r = 0;
		} else {
			(void)err_where(err, spec->file, section->line);
			if (r == -ENOENT || r == -ENODEV)
				(void)err_hint(err, "plug it in, or say optional = yes in its section");
		}
	}
	netlink_free(netlink);
	return r;
}

int step_device_program(struct run *run, struct err *err)
{
	struct err why = {0};
	int r = 0;

	run->record.device_count = 0;
	if (run->mode != RUN_PERSONALISE)
		r = find_all(run, err);
	if (r == 0 && run->record.device_count > 0)
		r = record_save(run->guest->store, run->guest->name, &run->record, err); /* what is about to be given */
	if (r < 0)
		return r;
	r = devices_allow(&run->record, &why);
	if (r == -EOPNOTSUPP && !run->spec->security.privileged) {
		run_log(run, "no device program: %s", why.what); /* in a user namespace of its own it can make no device anyway */
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

int devices_make_nodes(const struct spec *spec, const struct record *record, int *ret, struct err *err)
{
	struct devnode nodes[SPEC_DEVICES_MAX];
	int made[SPEC_DEVICES_MAX];
	size_t count = 0, next = 0;

	for (size_t i = 0; i < record->device_count; i++) {
		const struct record_device *device = &record->devices[i];
		const struct spec_device *section = spec_device(spec, device->name);

		if (device->kind == 'n' || !section)
			continue;
		nodes[count++] = (struct devnode){
			.mode = (device->kind == 'b' ? S_IFBLK : S_IFCHR) | (mode_t)section->mode,
			.device = makedev((unsigned)device->major, (unsigned)device->minor),
			.uid = (uid_t)(record->ids + section->uid),
			.gid = (gid_t)(record->ids + section->gid),
		};
	}
	int r = count ? devnode_make(nodes, count, made, err) : 0;

	for (size_t i = 0; r == 0 && i < record->device_count; i++) {
		bool has = record->devices[i].kind != 'n' && spec_device(spec, record->devices[i].name);

		ret[i] = has ? made[next++] : -1;
	}
	return r;
}

int step_device_nodes(struct run *run, struct err *err)
{
	return devices_make_nodes(run->spec, &run->record, &run->fd[RUN_FD_DEVICE], err);
}
