/* What a guest's processes may never do: capability sets and rlimits, by plain system calls. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/file.h"
#include "../base/str.h"
#include "host.h"
#include "privs.h"

/* Indexed by the kernel's number. `lost` says why a guest does without it; NULL: it keeps it, confined to its own
 * user namespace. See capabilities(7). */
static const struct capability {
	const char *name;
	const char *lost;
} capabilities[] = {
	[CAP_CHOWN] = {"chown"},
	[CAP_DAC_OVERRIDE] = {"dac_override"},
	[CAP_DAC_READ_SEARCH] = {"dac_read_search"},
	[CAP_FOWNER] = {"fowner"},
	[CAP_FSETID] = {"fsetid"},
	[CAP_KILL] = {"kill"},
	[CAP_SETGID] = {"setgid"},
	[CAP_SETUID] = {"setuid"},
	[CAP_SETPCAP] = {"setpcap"},
	[CAP_LINUX_IMMUTABLE] = {"linux_immutable"},
	[CAP_NET_BIND_SERVICE] = {"net_bind_service"},
	[CAP_NET_BROADCAST] = {"net_broadcast"},
	[CAP_NET_ADMIN] = {"net_admin"},
	[CAP_NET_RAW] = {"net_raw"},
	[CAP_IPC_LOCK] = {"ipc_lock"},
	[CAP_IPC_OWNER] = {"ipc_owner"},
	[CAP_SYS_MODULE] = {"sys_module", "there is one kernel, and it is the host's: whoever loads a module owns it"},
	[CAP_SYS_RAWIO] = {"sys_rawio", "I/O ports, /dev/mem and raw disk commands reach the machine itself"},
	[CAP_SYS_CHROOT] = {"sys_chroot"},
	[CAP_SYS_PTRACE] = {"sys_ptrace"},
	[CAP_SYS_PACCT] = {"sys_pacct", "process accounting is one switch for the host's whole pid tree"},
	[CAP_SYS_ADMIN] = {"sys_admin"},
	[CAP_SYS_BOOT] = {"sys_boot"},
	[CAP_SYS_NICE] = {"sys_nice"},
	[CAP_SYS_RESOURCE] = {"sys_resource"},
	[CAP_SYS_TIME] = {"sys_time", "there is one wall clock for all guests"},
	[CAP_SYS_TTY_CONFIG] = {"sys_tty_config"},
	[CAP_MKNOD] = {"mknod"},
	[CAP_LEASE] = {"lease"},
	[CAP_AUDIT_WRITE] = {"audit_write"},
	[CAP_AUDIT_CONTROL] = {"audit_control"},
	[CAP_SETFCAP] = {"setfcap"},
	[CAP_MAC_OVERRIDE] = {"mac_override", "it passes by the confinement that holds the guest"},
	[CAP_MAC_ADMIN] = {"mac_admin", "it rewrites the confinement that holds the guest"},
	[CAP_SYSLOG] = {"syslog", "the kernel log tells addresses and the host's and other guests' events"},
	[CAP_WAKE_ALARM] = {"wake_alarm", "waking the machine from sleep is its owner's affair"},
	[CAP_BLOCK_SUSPEND] = {"block_suspend", "so is keeping it awake"},
	[CAP_AUDIT_READ] = {"audit_read", "the audit stream tells of every process on the host"},
	[CAP_PERFMON] = {"perfmon", "performance counters observe other guests"},
	[CAP_BPF] = {"bpf", "BPF programs run inside the host's kernel; no distribution's boot needs them"},
	[CAP_CHECKPOINT_RESTORE] = {"checkpoint_restore",
				    "choosing pids and reading map_files serves a checkpointer, which is the host"},
};

#define KEYS_GONE_MS     5000
#define KEYS_PAUSE_MS    20
#define CAPABILITY_COUNT (sizeof(capabilities) / sizeof(capabilities[0]))
#define WORD_MAX_LEN     64
#define BLANKS           " \t\r\n,"

const char *privs_cap_name(unsigned cap)
{
	return cap < CAPABILITY_COUNT ? capabilities[cap].name : NULL;
}

const char *privs_cap_lost(unsigned cap)
{
	return cap < CAPABILITY_COUNT ? capabilities[cap].lost : NULL;
}

static int unknown_capability(const char *word, struct err *err)
{
	const char *names[CAPABILITY_COUNT];

	for (size_t i = 0; i < CAPABILITY_COUNT; i++)
		names[i] = capabilities[i].name;

	const char *near = str_near(word, names, CAPABILITY_COUNT);

	(void)err_set(err, ERR_USAGE, "read capability '%s'", word); /* the number is the same in every case */
	if (near)
		err_hint(err, "did you mean '%s'?", near);
	else
		err_hint(err, "capabilities(7) lists the names, written here in lower case and without cap_");
	return -EINVAL;
}

/* Calls for each word; "CAP_SYS_TIME", "cap_sys_time" and "sys_time" are one. */
static int words_to_mask(const char *words, uint64_t *ret, struct err *err)
{
	uint64_t mask = 0;

	for (const char *at = words ? words : ""; *(at += strspn(at, BLANKS));) {
		size_t len = strcspn(at, BLANKS);
		char word[WORD_MAX_LEN];
		unsigned cap = 0;

		(void)str_print(word, sizeof(word), "%.*s", (int)(len < sizeof(word) - 1 ? len : sizeof(word) - 1), at);
		const char *name = strncasecmp(word, "cap_", 4) == 0 ? word + 4 : word;

		while (cap < CAPABILITY_COUNT && strcasecmp(name, capabilities[cap].name) != 0)
			cap++;
		if (cap == CAPABILITY_COUNT)
			return unknown_capability(word, err);
		mask |= UINT64_C(1) << cap;
		at += len;
	}
	*ret = mask;
	return 0;
}

int privs_keep_mask(const char *keep, const char *drop, bool nesting, uint64_t *ret_mask, struct err *err)
{
	uint64_t mask = 0, kept, dropped;
	int r = words_to_mask(keep, &kept, err);

	if (r < 0)
		return r;
	r = words_to_mask(drop, &dropped, err);
	if (r < 0)
		return r;
	if (kept & dropped) {
		unsigned cap = (unsigned)__builtin_ctzll(kept & dropped);

		return err_set(err, ERR_USAGE, "both keep and drop capability '%s'", capabilities[cap].name);
	}
	for (unsigned cap = 0; cap < CAPABILITY_COUNT; cap++)
		if (!capabilities[cap].lost)
			mask |= UINT64_C(1) << cap;
	/* Containers inside a guest run with capabilities over user namespaces of their own: nesting needs none of the lost. */
	(void)nesting;
	*ret_mask = (mask | kept) & ~dropped;
	return 0;
}

static int get_caps(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capget, &header, data);
}

static int set_caps(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(SYS_capset, &header, data);
}

/* A kernel newer than this source has capabilities without a name here: they are dropped too. */
static int drop_bounding(uint64_t mask, struct err *err)
{
	for (unsigned cap = 0; cap < 64; cap++) {
		if (mask & (UINT64_C(1) << cap))
			continue;

		int has = prctl(PR_CAPBSET_READ, (unsigned long)cap, 0, 0, 0);

		if (has < 0)
			break; /* beyond the kernel's last */
		if (has && prctl(PR_CAPBSET_DROP, (unsigned long)cap, 0, 0, 0) < 0)
			return err_sys(err, "drop capability %s (%u) from the bounding set",
				       privs_cap_name(cap) ? privs_cap_name(cap) : "unnamed", cap);
	}
	return 0;
}

int privs_apply(uint64_t mask, struct err *err)
{
	struct __user_cap_data_struct data[2];
	int r = drop_bounding(mask, err);

	if (r < 0)
		return r;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, "clear the ambient capabilities");

	/* Bits left by whoever changed uids here (keep-caps, no-setuid-fixup) would change what exec and setuid do in the guest. */
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	if (bits < 0)
		return err_sys(err, "read the secure bits");
	if (bits != SECUREBITS_DEFAULT && prctl(PR_SET_SECUREBITS, (unsigned long)SECUREBITS_DEFAULT, 0, 0, 0) < 0)
		return err_sys(err, "reset the secure bits");

	if (get_caps(data) < 0)
		return err_sys(err, "read the process's capabilities");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(mask >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (set_caps(data) < 0)
		return err_sys(err, "set the process's capabilities");
	return 0;
}

int privs_raise(struct err *err)
{
	struct __user_cap_data_struct data[2];

	if (get_caps(data) < 0)
		return err_sys(err, "read the process's capabilities");
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted;
	if (set_caps(data) < 0)
		return err_sys(err, "raise the process's capabilities");
	return 0;
}

/* The kernel takes its time to remove the keys of the guest's last run, which count for the same user. */
int privs_own_keyring(struct err *err)
{
	for (int waited = 0;; waited += KEYS_PAUSE_MS) {
		if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 || errno == ENOSYS)
			return 0;
		if (errno != EDQUOT || waited >= KEYS_GONE_MS)
			return err_sys(err, "make a session keyring");
		(void)poll(NULL, 0, KEYS_PAUSE_MS);
	}
}

int privs_hide(struct err *err)
{
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(err, "forbid tracing");
	return 0;
}

#define MIB             (UINT64_C(1) << 20)
#define OPEN_FILES_SOFT 1024
#define OPEN_FILES_HARD 524288

/* What a guest's init begins with, whatever the shell had that started it: the values a kernel gives its first process,
 * or more bounded ones. Budgets also become the bound of the user namespace that is made next (user_namespaces(7)). */
static const struct limit {
	int resource;
	const char *name;
	rlim_t soft, hard;
	bool budget; /* the user namespace's own as well */
} limits[] = {
	{RLIMIT_CPU, "cpu", RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_FSIZE, "fsize", RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_DATA, "data", RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_STACK, "stack", 8 * MIB, RLIM_INFINITY},
	/* Not 0: the kernel runs a "|program" of core_pattern, as the host's root, for every limit but exactly 1 (core(5),
	 * do_coredump). To a file nothing shorter than a page is written. The filter keeps guests from changing it. */
	{RLIMIT_CORE, "core", 1, 1},
	{RLIMIT_RSS, "rss", RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_NPROC, "nproc", RLIM_INFINITY, RLIM_INFINITY, true}, /* the pids cgroup bounds it */
	{RLIMIT_MEMLOCK, "memlock", 8 * MIB, 64 * MIB, true},
	{RLIMIT_AS, "as", RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_LOCKS, "locks", RLIM_INFINITY, RLIM_INFINITY},
	{RLIMIT_SIGPENDING, "sigpending", 65536, 65536, true},
	{RLIMIT_MSGQUEUE, "msgqueue", 819200, 819200, true},
	{RLIMIT_NICE, "nice", 0, 0},
	{RLIMIT_RTPRIO, "rtprio", 0, 0},
	{RLIMIT_RTTIME, "rttime", RLIM_INFINITY, RLIM_INFINITY},
};

/* What the config can ask for; the rest of a row's limits is in the table above. */
static const struct {
	int resource;
	const char *key;
	const char *row; /* of /proc/PID/limits */
} asked_for[PRIVS_LIMITS] = {
	[PRIVS_OPEN_FILES] = {RLIMIT_NOFILE, "open-files", "Max open files "},
	[PRIVS_LOCKED_MEMORY] = {RLIMIT_MEMLOCK, "locked-memory", "Max locked memory "},
	[PRIVS_FILE_SIZE] = {RLIMIT_FSIZE, "file-size", "Max file size "},
	[PRIVS_MESSAGE_QUEUES] = {RLIMIT_MSGQUEUE, "message-queues", "Max msgqueue size "},
	[PRIVS_PENDING_SIGNALS] = {RLIMIT_SIGPENDING, "pending-signals", "Max pending signals "},
};

enum privs_limit privs_limit_named(const char *key)
{
	enum privs_limit limit = 0;

	while (limit < PRIVS_LIMITS && strcmp(asked_for[limit].key, key) != 0)
		limit++;
	return limit;
}

/* A hard limit that this process may not raise is kept as it is, a soft one below it; but one that was asked for must hold. */
static int set_limit(const struct limit *limit, const char *asked, struct err *err)
{
	struct rlimit wish = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
	struct rlimit has;

	if (setrlimit((__rlimit_resource_t)limit->resource, &wish) == 0)
		return 0;
	if (errno != EPERM || asked)
		return err_sys(err, "set limits.%s", asked ? asked : limit->name);
	if (getrlimit((__rlimit_resource_t)limit->resource, &has) < 0)
		return err_sys(err, "read resource limit %s", limit->name);
	wish.rlim_max = limit->hard < has.rlim_max ? limit->hard : has.rlim_max;
	wish.rlim_cur = limit->soft < wish.rlim_max ? limit->soft : wish.rlim_max;
	if (setrlimit((__rlimit_resource_t)limit->resource, &wish) < 0)
		return err_sys(err, "set resource limit %s", limit->name);
	return 0;
}

static int set_rows(const struct privs_limits *wanted, bool budgets_only, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct limit limit = limits[i];
		const char *key = NULL;

		if (budgets_only && !limit.budget)
			continue;
		for (size_t k = 0; k < PRIVS_LIMITS; k++) {
			if (asked_for[k].resource != limit.resource || wanted->hard[k] == UINT64_MAX)
				continue;
			key = asked_for[k].key;
			limit.soft = limit.hard = wanted->hard[k];
		}
		r = set_limit(&limit, key, err);
	}
	return r;
}

/* fs.nr_open bounds RLIMIT_NOFILE even for root. */
static uint64_t most_open_files(void)
{
	auto_free char *text = NULL;
	uint64_t most = OPEN_FILES_HARD;

	if (file_read(AT_FDCWD, "/proc/sys/fs/nr_open", 64, &text, NULL) < 0)
		return most;
	text[strcspn(text, "\n")] = '\0';
	(void)str_to_u64(text, 1, UINT64_MAX, &most); /* keeps the default for a text that is no number */
	return most;
}

static int check_open_files(uint64_t open_files, uint64_t most, struct err *err)
{
	if (open_files == UINT64_MAX || open_files <= most)
		return 0;
	(void)err_set(err, ERR_FAILED, "set the limit of open files to %llu", (unsigned long long)open_files);
	(void)err_hint(err, "raise the host's fs.nr_open, now %llu, or lower limits.open-files", (unsigned long long)most);
	return -EIO;
}

int privs_rlimits(const struct privs_limits *wanted, struct err *err)
{
	struct limit files = {RLIMIT_NOFILE, "nofile", OPEN_FILES_SOFT, OPEN_FILES_HARD};
	uint64_t open_files = wanted->hard[PRIVS_OPEN_FILES], most = most_open_files();
	int r = check_open_files(open_files, most, err);

	if (r < 0)
		return r;
	files.hard = open_files != UINT64_MAX ? open_files : files.hard > most ? most : files.hard;
	files.soft = files.soft > files.hard ? files.hard : files.soft;
	r = set_limit(&files, open_files == UINT64_MAX ? NULL : "open-files", err);
	return r < 0 ? r : set_rows(wanted, false, err);
}

uint64_t privs_limit_default(enum privs_limit limit)
{
	uint64_t hard = most_open_files();
	struct rlimit own;

	if (limit != PRIVS_OPEN_FILES || hard > OPEN_FILES_HARD)
		hard = OPEN_FILES_HARD;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (limits[i].resource == asked_for[limit].resource)
			hard = limits[i].hard;
	if (host_get()->cap_sys_resource || getrlimit((__rlimit_resource_t)asked_for[limit].resource, &own) < 0)
		return hard;
	return own.rlim_max < hard ? own.rlim_max : hard;
}

/* "Max open files            1024                 524288               files" */
static uint64_t hard_of_row(const char *row)
{
	uint64_t hard = UINT64_MAX;
	char text[24];

	row += strspn(row, " ");
	row += strcspn(row, " ");
	row += strspn(row, " ");
	if (str_print(text, sizeof(text), "%.*s", (int)strcspn(row, " \n"), row) == 0)
		(void)str_to_u64(text, 0, UINT64_MAX, &hard); /* "unlimited" is no number */
	return hard;
}

int privs_limits_of(pid_t pid, struct privs_limits *ret)
{
	auto_free char *text = NULL;
	char path[32];

	(void)str_print(path, sizeof(path), "/proc/%d/limits", pid);
	int r = file_read(AT_FDCWD, path, 8192, &text, NULL);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	for (size_t i = 0; i < PRIVS_LIMITS; i++) {
		const char *row = strstr(text, asked_for[i].row);

		ret->hard[i] = row ? hard_of_row(row + strlen(asked_for[i].row)) : UINT64_MAX;
	}
	return 0;
}

int privs_budgets(const struct privs_limits *wanted, struct err *err)
{
	return set_rows(wanted, true, err);
}

void privs_limits_save(struct privs_rlimits *ret)
{
	for (int i = 0; i < RLIM_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &ret->at[i]) < 0)
			ret->at[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY}; /* a kind that this kernel lacks */
}

void privs_limits_restore(const struct privs_rlimits *own)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit now, wish = own->at[i];

		if (setrlimit((__rlimit_resource_t)i, &wish) == 0 || getrlimit((__rlimit_resource_t)i, &now) < 0)
			continue;
		wish.rlim_max = now.rlim_max;
		if (wish.rlim_cur > wish.rlim_max)
			wish.rlim_cur = wish.rlim_max;
		(void)setrlimit((__rlimit_resource_t)i, &wish);
	}
}

void privs_reset_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number <= SIGRTMAX; number++)
		(void)sigaction(number, &action, NULL); /* KILL, STOP and libc's own two refuse, and have no handler */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* fails for bad arguments only */
	umask(022);
}
