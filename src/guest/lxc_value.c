/* LXC's lines about limits, capabilities, environment and the like, put into the spec. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#include "../kernel/privs.h"
#include "lxc_parts.h"

static int set_number(struct lxc *lxc, const char *dotted, uint64_t value)
{
	char text[24];

	(void)str_print(text, sizeof text, "%" PRIu64, value); /* 20 digits at most */
	return lxc_set(lxc, dotted, text);
}

/* Thousandths of a CPU from a quota in each period. */
static int set_cpus(struct lxc *lxc, uint64_t quota, uint64_t period)
{
	char text[32];
	uint64_t thousandths = quota > UINT64_MAX / 1000 ? UINT64_MAX : quota * 1000 / period;

	if (thousandths < 10)
		thousandths = 10;
	(void)str_print(text, sizeof text, "%" PRIu64 ".%03u", thousandths / 1000, (unsigned)(thousandths % 1000)); /* fits */
	return lxc_set(lxc, "limits.cpus", text);
}

/* "150000 100000", "max 100000", "max" */
static int cpu_max(struct lxc *lxc, const char *value)
{
	char quota_text[24], period_text[24];
	uint64_t quota, period = 100000;
	int fields = sscanf(value, "%23s %23s", quota_text, period_text);

	if (fields < 1)
		return lxc_set(lxc, "limits.cpus", NULL);
	if (fields == 2 && str_to_u64(period_text, 1, 1000000000, &period) < 0)
		return lxc_fail(lxc, "'%s' is not a CPU quota and its period", value);
	if (!strcmp(quota_text, "max"))
		return lxc_set(lxc, "limits.cpus", NULL);
	if (str_to_u64(quota_text, 1, UINT64_MAX - 1, &quota) < 0)
		return lxc_fail(lxc, "'%s' is not a CPU quota and its period", value);
	return set_cpus(lxc, quota, period);
}

static int cfs_quota(struct lxc *lxc, const char *value)
{
	lxc->quota = SPEC_UNSET;
	if (!*value || !strcmp(value, "-1"))
		return 0;
	return str_to_u64(value, 1, UINT64_MAX - 1, &lxc->quota) < 0 ? lxc_fail(lxc, "'%s' is not a CPU quota", value) : 0;
}

static int cfs_period(struct lxc *lxc, const char *value)
{
	lxc->period = 0;
	if (!*value)
		return 0;
	return str_to_u64(value, 1, 1000000000, &lxc->period) < 0 ? lxc_fail(lxc, "'%s' is not a CPU period", value) : 0;
}

/* cgroup v1's 2..262144 around 1024 is cgroup v2's 1..10000 around 100; the line between the ends is the kernel's and systemd's. */
static int cpu_shares(struct lxc *lxc, const char *value)
{
	uint64_t shares;

	if (!*value)
		return lxc_set(lxc, "limits.cpu-weight", NULL);
	if (str_to_u64(value, 2, 262144, &shares) < 0)
		return lxc_fail(lxc, "'%s' is not a number of CPU shares (2 to 262144)", value);
	return set_number(lxc, "limits.cpu-weight", 1 + (shares - 2) * 9999 / 262142);
}

static int memory_and_swap(struct lxc *lxc, const char *value)
{
	lxc->memory_and_swap = SPEC_UNSET;
	if (!*value || !strcmp(value, "-1"))
		return 0;
	return str_to_size(value, &lxc->memory_and_swap) < 0 ? lxc_fail(lxc, "'%s' is not a size", value) : 0;
}

/* "SOFT:HARD" or one for both */
static int rlimit(struct lxc *lxc, const char *dotted, const char *value)
{
	const char *hard = strchr(value, ':');

	hard = hard ? hard + 1 : value;
	return lxc_set(lxc, dotted, *hard && strcmp(hard, "unlimited") != 0 ? hard : NULL);
}

static int open_files(struct lxc *lxc, const char *value)
{
	const char *hard = strchr(value, ':');

	return lxc_set(lxc, "limits.open-files", hard ? hard + 1 : value);
}

static int locked_memory(struct lxc *lxc, const char *value)
{
	return rlimit(lxc, "limits.locked-memory", value);
}

static int file_size(struct lxc *lxc, const char *value)
{
	return rlimit(lxc, "limits.file-size", value);
}

static int message_queues(struct lxc *lxc, const char *value)
{
	return rlimit(lxc, "limits.message-queues", value);
}

static int pending_signals(struct lxc *lxc, const char *value)
{
	return rlimit(lxc, "limits.pending-signals", value);
}

/* "default 200" or "200" */
static int io_weight(struct lxc *lxc, const char *value)
{
	return lxc_set(lxc, "limits.io-weight", str_starts(value, "default ") ? value + strlen("default ") : *value ? value : NULL);
}

/* Capabilities */

static int drop_one(struct lxc *lxc, const char *word)
{
	const char *drop = lxc->spec->security.drop_caps;
	uint64_t usual, without, now;
	struct err fault = {0};

	if (privs_keep_mask(NULL, word, false, &without, &fault) < 0) {
		lxc_tell(lxc, "lxc.cap.drop: '%s' is not a capability that isle knows", word);
		return 0;
	}
	if (privs_keep_mask(NULL, NULL, false, &usual, lxc->err) < 0 || privs_keep_mask(NULL, drop, false, &now, lxc->err) < 0)
		return -EIO;
	/* What every guest loses, and what this one has lost, needs no word. */
	if (without == usual || (now & without) == now)
		return 0;
	auto_free char *list = drop ? str_format("%s %s", drop, word) : strdup(word);

	return list ? lxc_set(lxc, "security.drop-capabilities", list) : err_num(lxc->err, ENOMEM, "read lxc.cap.drop");
}

static int cap_drop(struct lxc *lxc, const char *value)
{
	const char *word;
	size_t len;
	int r = *value ? 0 : lxc_set(lxc, "security.drop-capabilities", NULL);

	while (!r && (word = types_next_word(&value, &len))) {
		auto_free char *name = strndup(word, len);

		r = name ? drop_one(lxc, name) : err_num(lxc->err, ENOMEM, "read lxc.cap.drop");
	}
	return r;
}

static bool has_word(const char *list, const char *name)
{
	const char *word;
	size_t len;

	while ((word = types_next_word(&list, &len)))
		if (len == strlen(name) && !strncasecmp(word, name, len))
			return true;
	return false;
}

/* A list of all that stays is a list of all that goes. */
static int cap_keep(struct lxc *lxc, const char *value)
{
	uint64_t usual;
	const char *name;
	int r = privs_keep_mask(NULL, NULL, false, &usual, lxc->err);

	if (!*value)
		return 0;
	for (unsigned cap = 0; !r && cap < 64 && (name = privs_cap_name(cap)); cap++) {
		bool keep = has_word(value, name);

		if (!keep)
			r = drop_one(lxc, name);
		else if (!(usual >> cap & 1))
			lxc_tell(lxc, "lxc.cap.keep: every guest loses '%s' here; security.keep-capabilities would give it", name);
	}
	return r;
}

/* Others */

/* A word that types_split reads back as it is. */
static void add_quoted(struct buf *list, const char *word)
{
	buf_add(list, list->len ? " \"" : "\"");
	for (; *word; word++) {
		if (*word == '"' || *word == '\\')
			buf_add(list, "\\");
		buf_add_bytes(list, word, 1);
	}
	buf_add(list, "\"");
}

/* NAME=VALUE; of two with one name the later holds. */
static int environment(struct lxc *lxc, const char *value)
{
	const char *before = lxc->spec->guest.environment;
	auto_buf struct buf list = {0};
	size_t name = strcspn(value, "=");
	char **words = NULL;

	if (!*value)
		return lxc_set(lxc, "guest.environment", NULL);
	if (!value[name]) {
		lxc_tell(lxc, "lxc.environment = %s: variables are not taken from the host", value);
		return 0;
	}
	if (before && types_split(before, &words) < 0)
		return err_num(lxc->err, ENOMEM, "read lxc.environment");
	for (char **word = words; word && *word; word++)
		if (strncmp(*word, value, name + 1))
			add_quoted(&list, *word);
	types_split_free(words);
	add_quoted(&list, value);
	return list.failed ? err_num(lxc->err, ENOMEM, "read lxc.environment") : lxc_set(lxc, "guest.environment", list.data);
}

static const struct {
	const char *lxc, *isle, *machine; /* LXC's word, the key's, and what uname(2) calls a host of that kind */
} arches[] = {
	{"x86_64", "amd64", "x86_64"},     {"amd64", "amd64", "x86_64"},      {"linux64", NULL, NULL},
	{"x86", "i686", "i686"},           {"i386", "i386", "i686"},          {"i486", "i686", "i686"},
	{"i586", "i686", "i686"},          {"i686", "i686", "i686"},          {"athlon", "i686", "i686"},
	{"linux32", "i686", "i686"},       {"arm64", "arm64", "aarch64"},     {"aarch64", "arm64", "aarch64"},
	{"arm", "arm", "armv7l"},          {"armhf", "armhf", "armv7l"},      {"armel", "armel", "armv5tel"},
	{"armv7l", "armhf", "armv7l"},     {"ppc64le", "ppc64el", "ppc64le"}, {"ppc64el", "ppc64el", "ppc64le"},
	{"riscv64", "riscv64", "riscv64"}, {"s390x", "s390x", "s390x"},       {"loongarch64", "loong64", "loongarch64"},
};

static int arch(struct lxc *lxc, const char *value)
{
	struct utsname host;

	if (!*value || uname(&host) < 0)
		return lxc_set(lxc, "guest.arch", NULL);
	for (size_t i = 0; i < sizeof arches / sizeof arches[0]; i++)
		if (!strcmp(value, arches[i].lxc)) {
			bool same = !arches[i].machine || !strcmp(arches[i].machine, host.machine);

			return lxc_set(lxc, "guest.arch", same ? NULL : arches[i].isle);
		}
	lxc_tell(lxc, "lxc.arch = %s is not known here", value);
	return 0;
}

/* isle reads LXC's language of lists; LXC's own list is no more than isle's default. */
static int seccomp(struct lxc *lxc, const char *value)
{
	bool own = str_starts(value, "/usr/share/lxc/config/");

	return lxc_set(lxc, "security.seccomp", own ? NULL : value);
}

/* Names that LXC gives to containers may be no host names. */
static int uts_name(struct lxc *lxc, const char *value)
{
	struct err fault = {0};

	if (spec_set(lxc->spec, "guest.hostname", *value ? value : NULL, &fault) < 0)
		lxc_tell(lxc, "lxc.uts.name: %s: the guest's name is used", fault.what);
	return 0;
}

static int apparmor(struct lxc *lxc, const char *value)
{
	if (!strcmp(value, "unconfined"))
		lxc_tell(lxc, "lxc.apparmor.profile = unconfined: guests are confined here");
	return 0;
}

static int only_root(struct lxc *lxc, const char *value)
{
	if (*value && strcmp(value, "0"))
		lxc_tell(lxc, "the guest's init runs as root here");
	return 0;
}

static const struct {
	const char *key;
	int (*apply)(struct lxc *lxc, const char *value);
} handlers[] = {
	{"lxc.cgroup2.cpu.max", cpu_max},
	{"lxc.cgroup.cpu.cfs_quota_us", cfs_quota},
	{"lxc.cgroup.cpu.cfs_period_us", cfs_period},
	{"lxc.cgroup.cpu.shares", cpu_shares},
	{"lxc.cgroup.memory.memsw.limit_in_bytes", memory_and_swap},
	{"lxc.prlimit.nofile", open_files},
	{"lxc.prlimit.memlock", locked_memory},
	{"lxc.prlimit.fsize", file_size},
	{"lxc.prlimit.msgqueue", message_queues},
	{"lxc.prlimit.sigpending", pending_signals},
	{"lxc.cgroup2.io.weight", io_weight},
	{"lxc.cgroup2.io.bfq.weight", io_weight},
	{"lxc.cap.drop", cap_drop},
	{"lxc.cap.keep", cap_keep},
	{"lxc.environment", environment},
	{"lxc.arch", arch},
	{"lxc.seccomp.profile", seccomp},
	{"lxc.uts.name", uts_name},
	{"lxc.apparmor.profile", apparmor},
	{"lxc.init.uid", only_root},
	{"lxc.init.gid", only_root},
};

/* True when LXC's key is one of the words. */
static bool is_one_of(const char *key, const char *words)
{
	const char *word;
	size_t len;

	while (words && (word = types_next_word(&words, &len)))
		if (len == strlen(key) && !strncmp(word, key, len))
			return true;
	return false;
}

int lxc_value(struct lxc *lxc, const char *key, const char *value, bool *ret_known)
{
	*ret_known = true;
	for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
		if (!strcmp(key, handlers[i].key))
			return handlers[i].apply(lxc, value);
	for (size_t i = 0; i < key_count; i++) {
		char dotted[64];
		bool none = !strcmp(value, "max") || !strcmp(value, "-1");

		if (section_table[key_table[i].section].many || !is_one_of(key, key_table[i].lxc))
			continue;
		if (str_print(dotted, sizeof dotted, "%s.%s", section_table[key_table[i].section].name, key_table[i].name) < 0)
			break;
		return lxc_set(lxc, dotted, none ? NULL : value);
	}
	*ret_known = false;
	return 0;
}

int lxc_value_finish(struct lxc *lxc)
{
	uint64_t memory = lxc->spec->limits.memory;

	lxc->line = 0;
	if (lxc->memory_and_swap != SPEC_UNSET && memory != SPEC_UNSET && lxc->memory_and_swap >= memory) {
		int r = set_number(lxc, "limits.swap", lxc->memory_and_swap - memory);

		if (r < 0)
			return r;
	}
	if (lxc->quota == SPEC_UNSET)
		return 0;
	return set_cpus(lxc, lxc->quota, lxc->period ? lxc->period : 100000);
}
