/* What the files lxc*.c share: one reading of a config and of all that it includes. */
#pragma once

#include "lxc.h"
#include "spec_parts.h"

#define LXC_NETS_MAX 32

/* What lxc.net.N.* said; put into the spec at the end, when name and type are known. */
enum lxc_net_field {
	LXC_NET_TYPE,
	LXC_NET_LINK,
	LXC_NET_NAME,
	LXC_NET_MAC,
	LXC_NET_MTU,
	LXC_NET_IPV4,
	LXC_NET_IPV6,
	LXC_NET_GATEWAY4,
	LXC_NET_GATEWAY6,
	LXC_NET_FIELDS
};

struct lxc_net {
	uint64_t index;
	int line;
	char *field[LXC_NET_FIELDS];
};

#define LXC_RULES_MAX 64

/* lxc.cgroup2.devices.allow, judged when all devices are known. */
struct lxc_rule {
	char *text, *file;
	int line;
	bool quiet;
};

struct lxc {
	struct spec *spec;
	lxc_note *note;
	void *arg;
	struct err *err;
	const char *file; /* the one being read, and its line */
	int line;
	int depth;                /* of includes */
	int files;                /* read so far: bounds what includes can multiply to */
	bool quiet;               /* one of LXC's own files: nothing is told */
	char *rootfs;             /* lxc.rootfs.path without its kind, to take off absolute targets; NULL */
	uint64_t quota, period;   /* cgroup v1's CPU limit in microseconds */
	uint64_t memory_and_swap; /* cgroup v1's sum */
	struct lxc_net nets[LXC_NETS_MAX];
	size_t net_count;
	struct lxc_rule rules[LXC_RULES_MAX];
	size_t rule_count;
};

/* Tells what is passed over. */
void lxc_tell(struct lxc *lxc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A fault at the present line. */
int lxc_fail(struct lxc *lxc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets a key of the spec by its dotted name at the present line; value NULL or "" brings the default back. */
int lxc_set(struct lxc *lxc, const char *dotted, const char *value);

/* Each returns 0, or a negative errno with err set; *ret_known says whether the key is one of theirs. */
int lxc_value(struct lxc *lxc, const char *key, const char *value, bool *ret_known);     /* limits, capabilities, environment ... */
int lxc_net_value(struct lxc *lxc, const char *key, const char *value, bool *ret_known); /* lxc.net.* */

/* lxc.mount.entry's value, or a line of an fstab. */
int lxc_mount_entry(struct lxc *lxc, const char *value);

/* lxc.cgroup.devices.* and lxc.cgroup2.devices.*. */
int lxc_device_rule(struct lxc *lxc, const char *key, const char *value);
/* Whether a bind mount is one of a device node; when the host has none, whether it would make a file says so. */
bool lxc_device_is(struct lxc *lxc, const char *source, const char *target, bool makes_file);
int lxc_device_entry(struct lxc *lxc, const char *source, const char *target, bool optional);

/* After the last line: what several lines say together. */
int lxc_device_finish(struct lxc *lxc);
int lxc_value_finish(struct lxc *lxc);
int lxc_net_finish(struct lxc *lxc);
