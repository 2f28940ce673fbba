/* What the administrator asked for: a guest's config file, loaded and checked, then const. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "keys.h"

#define SPEC_NETWORKS_MAX 16
#define SPEC_MOUNTS_MAX   64
#define SPEC_DEVICES_MAX  32
#define SPEC_UNSET        UINT64_MAX
#define SPEC_MEMBER_MAX   40 /* bytes of NAME in [mount NAME]; [network NAME] is an interface's: 15 */
#define SPEC_LINE_MAX     4000
#define SPEC_FILE_MAX     (256 << 10)

enum network_type { NETWORK_BRIDGE, NETWORK_NONE }; /* further types come below */
enum device_type { DEVICE_NODE, DEVICE_NIC };
enum spoofing { SPOOFING_DENY, SPOOFING_ADDRESSES, SPOOFING_ALLOW };
enum apparmor_use { APPARMOR_AUTO, APPARMOR_REQUIRE, APPARMOR_NONE };
enum lxcfs_use { LXCFS_AUTO, LXCFS_YES, LXCFS_NO };
enum storage_type { STORAGE_DIR, STORAGE_OVERLAY };
enum on_shutdown { ON_SHUTDOWN_STOP, ON_SHUTDOWN_CHECKPOINT };
enum init_kind { INIT_AUTO, INIT_SYSTEMD, INIT_SYSV, INIT_BUSYBOX, INIT_OTHER };

struct spec_network {
	char name[16]; /* the interface inside: "eth0" */
	int line;
	int type;                     /* enum network_type */
	char *link;                   /* network's name, default isle0 */
	struct address_value address; /* IPv4 */
	struct address_value address6;
	struct ip_value gateway, gateway6; /* not set: the network's own; see no_gateway */
	bool default_route;                /* yes: default routes go through this interface */
	uint64_t mtu;                      /* SPEC_UNSET: the bridge's */
	struct mac_value mac;              /* not set: derived from the guest's id and the section's name */
	int spoofing;                      /* enum spoofing */
	bool isolated;
};

struct spec_mount {
	char name[64];
	int line;
	char *source;  /* host path, or the file system's name when type is set */
	char *target;  /* absolute, inside the guest */
	char *type;    /* NULL: bind; else tmpfs, ... */
	char *options; /* words: ro, rw, optional, create=dir, create=file, idmap, rec, nosuid, nodev, noexec; rest is for type */
};

struct spec_device {
	char name[64];
	int line;
	int type;     /* enum device_type */
	char *source; /* a node's path on the host, or an interface's name there */
	char *target; /* path below /dev, or the interface's name inside; NULL: as source, see spec_device_target */
	uint64_t mode, uid, gid;
	char *access; /* letters of rwm */
	bool optional;
};

/* Whose word a key's value is, beginning with the weakest. */
enum spec_source { SPEC_FROM_DEFAULT, SPEC_FROM_HOST, SPEC_FROM_PLAN, SPEC_FROM_GUEST };

struct spec {
	char *file;                     /* for messages */
	unsigned char source[KEYS_MAX]; /* enum spec_source of each key of the sections that are there once, by its row */
	struct {
		char *id;       /* 32 hex digits, made at creation: machine-id, MACs, leases */
		char *init;     /* command, default /sbin/init */
		char *hostname; /* NULL: the guest's name */
		bool autostart;
		uint64_t start_order;
		uint64_t start_delay; /* ms */
		char *groups;         /* words */
		char *image;          /* image key it was cloned from */
		char *template_name;
		int storage;           /* enum storage_type */
		char *arch;            /* personality: NULL = the host's */
		int stop_signal;       /* 0: by the init's convention */
		uint64_t stop_timeout; /* ms */
		char *environment;     /* words NAME=VALUE for init */
		bool checkpoint_ready;
		uint64_t console_log; /* bytes kept of the console's log before it is rotated */
		char *description;
		char *plan;      /* NULL: none */
		int lxcfs;       /* enum lxcfs_use */
		int on_shutdown; /* enum on_shutdown */
	} guest;
	struct {
		uint64_t memory, swap, memory_high, memory_guarantee; /* bytes */
		uint64_t cpus;                                        /* thousandths */
		uint64_t cpu_weight;                                  /* 1..10000 */
		char *cpuset;                                         /* a list, or auto:NUMBER */
		uint64_t processes;
		uint64_t io_weight;                                    /* 1..10000 */
		char *io_read, *io_write, *io_read_ops, *io_write_ops; /* types_next_rate */
		uint64_t hugepages;                                    /* bytes */
		uint64_t open_files;
		uint64_t locked_memory, file_size, message_queues; /* bytes */
		uint64_t pending_signals;
		uint64_t terminals, namespaces;
	} limits;
	struct {
		bool privileged; /* no user namespace */
		bool nesting;
		uint64_t ids;                /* first host id of the guest's 65,536 */
		char *keep_caps, *drop_caps; /* words, beside the default set */
		char *seccomp;               /* path of a list, "default" or "none" */
		bool time_namespace;
		int apparmor; /* enum apparmor_use */
	} security;
	struct spec_network networks[SPEC_NETWORKS_MAX];
	size_t network_count;
	struct spec_mount mounts[SPEC_MOUNTS_MAX];
	size_t mount_count;
	struct spec_device devices[SPEC_DEVICES_MAX];
	size_t device_count;
};

/* A spec with every key's default. Caller frees with spec_free. NULL when memory ran out. */
struct spec *spec_new(void);
void spec_free(struct spec *spec);

/* Reads and checks `name` in dir_fd (shown as `shown`, e.g. "web1/config"). Refuses unknown keys and
 * sections (with the near match), bad values, duplicates, NUL bytes, CRLF, a missing final newline, lines over
 * 4,000 bytes, files over 256 KiB; each complaint carries file:line. *ret is written on success only. */
int spec_load(int dir_fd, const char *name, const char *shown, struct spec **ret, struct err *err);

/* Only the bytes, for spec_parse; caller frees. */
int spec_read(int dir_fd, const char *name, const char *shown, char **ret, size_t *ret_len, struct err *err);

/* The same for text in memory. */
int spec_parse(const char *text, size_t len, const char *shown, struct spec **ret, struct err *err);

/* Lays text over what spec has. From a host's or plan's text only keys that many guests may share are taken. spec may be half
 * changed after a failure; the whole is still to be checked by spec_check. */
int spec_parse_over(struct spec *spec, enum spec_source source, const char *text, size_t len, const char *shown, struct err *err);

/* Whose word the value of a key of a section that is there once is. */
enum spec_source spec_source_of(const struct spec *spec, const struct key *key);

/* Writes a complete config from spec: what the guest itself says or what differs from the defaults, with section comments. What
 * comes from a plan or the host's defaults is left to them. */
char *spec_format(const struct spec *spec);

/* Checks that need the whole: mounts without a source, targets twice, two default routes, a gateway without an address... */
int spec_check(const struct spec *spec, struct err *err);

/* The [device] section of that name; NULL when there is none. */
const struct spec_device *spec_device(const struct spec *spec, const char *name);

/* Where a device is seen inside; NULL when the config says nothing of it. */
const char *spec_device_target(const struct spec_device *device);

/* A command-line name taken apart: limits.memory, network.eth0.address, or network.eth0 for a whole section. */
struct spec_name {
	enum section section;
	char member[SPEC_MEMBER_MAX + 1]; /* "eth0"; "" in sections that are there once */
	const struct key *key;            /* NULL: the whole section */
};
/* ERR_USAGE with the near match when there is no such key. */
int spec_name_parse(const char *dotted, struct spec_name *ret, struct err *err);

/* One key by its command-line name ("limits.memory", "network.eth0.address"). set parses and
 * checks the value; value NULL brings the default back; a network or mount section is made by its first key, and removed by
 * its name alone ("mount.data") with value NULL. The whole is checked by spec_check. */
int spec_set(struct spec *spec, const char *dotted, const char *value, struct err *err);
int spec_get(const struct spec *spec, const char *dotted, char **ret, struct err *err); /* "" when not set */
struct json_object *spec_json(const struct spec *spec);

/* Edits config text: keeps comments, blank lines and order; sets (value) or removes (NULL) one key, or one whole
 * [network NAME], [mount NAME] or [device NAME] (value NULL). The result is checked by the caller with spec_parse. Caller frees
 * *ret. */
int spec_edit(const char *text, const char *dotted, const char *value, char **ret, struct err *err);
