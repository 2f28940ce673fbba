/* What the administrator asked for: a guest's config file, loaded and checked, then const. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "keys.h"

#define SPEC_NETWORKS_MAX 16
#define SPEC_MOUNTS_MAX   64
#define SPEC_UNSET        UINT64_MAX
#define SPEC_MEMBER_MAX   40 /* bytes of NAME in [mount NAME]; [network NAME] is an interface's: 15 */
#define SPEC_LINE_MAX     4000
#define SPEC_FILE_MAX     (256 << 10)

enum network_type { NETWORK_BRIDGE, NETWORK_NONE }; /* further types come below */
enum apparmor_use { APPARMOR_AUTO, APPARMOR_REQUIRE, APPARMOR_NONE };
enum storage_type { STORAGE_DIR, STORAGE_OVERLAY };
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
};

struct spec_mount {
	char name[64];
	int line;
	char *source;  /* host path, or the file system's name when type is set */
	char *target;  /* absolute, inside the guest */
	char *type;    /* NULL: bind; else tmpfs, ... */
	char *options; /* words: ro, rw, optional, create=dir, create=file, idmap, rec, nosuid, nodev, noexec; rest is for type */
};

struct spec {
	char *file; /* for messages */
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
	} guest;
	struct {
		uint64_t memory, swap; /* bytes */
		uint64_t cpus;         /* thousandths */
		uint64_t cpu_weight;   /* 1..10000 */
		char *cpuset;
		uint64_t processes;
		uint64_t open_files;
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
};

/* A spec with every key's default. Caller frees with spec_free. NULL when memory ran out. */
struct spec *spec_new(void);
void spec_free(struct spec *spec);

/* Reads and checks `name` in dir_fd (shown as `shown`, e.g. "web1/config"). Refuses unknown keys and
 * sections (with the near match), bad values, duplicates, NUL bytes, CRLF, a missing final newline, lines over
 * 4,000 bytes, files over 256 KiB; each complaint carries file:line. *ret is written on success only. */
int spec_load(int dir_fd, const char *name, const char *shown, struct spec **ret, struct err *err);

/* The same for text in memory. */
int spec_parse(const char *text, size_t len, const char *shown, struct spec **ret, struct err *err);

/* Writes a complete config from spec: only what differs from the defaults, with section comments. */
char *spec_format(const struct spec *spec);

/* Checks that need the whole: mounts without a source, targets twice, two default routes, a gateway without an address... */
int spec_check(const struct spec *spec, struct err *err);

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
 * [network NAME] or [mount NAME] (value NULL). The result is checked by the caller with spec_parse. Caller frees *ret. */
int spec_edit(const char *text, const char *dotted, const char *value, char **ret, struct err *err);
