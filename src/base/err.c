/* The error record: its setters, the table of hints and its one printed form. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "err.h"
#include "file.h"
#include "str.h"

/* What an administrator can do, by operation (the first word of err.what, NULL: any) and errno.
 * The first row that fits is taken, so rows for any operation stand at the end. */
static const struct {
	const char *operation;
	int sys;
	const char *hint;
} hints[] = {
	{"mount", ENOENT, "create the folder on the host, or add 'optional' to the mount"},
	{"mount", EPERM, "run isle as root; inside another container, allow that one to nest"},
	{"mount", EACCES, "the source is not readable for the guest's ids, or a security module forbids the mount"},
	{"mount", EBUSY, "something is mounted or used there already: see 'findmnt' and 'fuser -vm'"},
	{"mount", EINVAL, "check the mount's options: the file system does not know one of them"},
	{"mount", ENODEV, "this kernel lacks the file system: load its module, or use another kind of storage"},
	{"mount", ENOTDIR, "a folder can only be mounted on a folder, a file only on a file"},
	{"mount", ENOTBLK, "the source is no block device: use 'loop', or name a folder with 'bind'"},
	{"mount", ELOOP, "a symbolic link lies on the way: name the place that it points to"},
	{"mount", ENOSPC, "raise the sysctl fs.mount-max"},
	{"clone", ENOSPC, "raise the sysctl user.max_user_namespaces (and its fellows user.max_*_namespaces)"},
	{"clone", EUSERS, "namespaces are nested 32 deep already: start the guest from an outer one"},
	{"clone", EPERM, "run isle as root, and set the sysctl kernel.unprivileged_userns_clone = 1 where it exists"},
	{"clone", EAGAIN, "raise the process limit: 'ulimit -u', the sysctl kernel.pid_max, or the cgroup's pids.max"},
	{"clone", EINVAL, "this kernel lacks a kind of namespace: see 'isle doctor'"},
	{"clone", ENOSYS, "isle needs Linux 5.15 or newer"},
	{"unshare", ENOSPC, "raise the sysctl user.max_user_namespaces (and its fellows user.max_*_namespaces)"},
	{"unshare", EPERM, "run isle as root"},
	{"setns", EPERM, "run isle as root of the host"},
	{"setns", ESRCH, "the guest has just stopped: see 'isle info'"},
	{"write", ENOSPC, "free space there: see 'df -h' and 'df -i'"},
	{"write", EDQUOT, "raise the quota, or remove what is not needed"},
	{"write", EROFS, "the file system is read-only: remount it, or use another folder with -P"},
	{"write", EINVAL, "the kernel refuses the value: see 'isle doctor' for what this host can hold"},
	{"write", EBUSY, "something still uses it: stop what runs there first"},
	{"write", EIO, "the disk reports errors: see 'dmesg'"},
	{"read", EIO, "the disk reports errors: see 'dmesg'"},
	{"read", EFBIG, "the file is far larger than it should be: see what wrote it"},
	{"open", ENOENT, "check the path"},
	{"open", EACCES, "run isle as root, and look at the permissions of the file and of every folder above it"},
	{"open", EPERM, "run isle as root; the file may be immutable: see 'lsattr'"},
	{"open", ELOOP, "a symbolic link is not allowed there: name the place that it points to"},
	{"open", EROFS, "the file system is read-only: remount it, or use another folder with -P"},
	{"open", ENXIO, "the device or the other end of the pipe is not there"},
	{"create", EEXIST, "it exists already: choose another name, or remove it first"},
	{"create", EACCES, "run isle as root"},
	{"create", EROFS, "the file system is read-only: remount it, or use another folder with -P"},
	{"make", EACCES, "run isle as root"},
	{"make", EROFS, "the file system is read-only: remount it, or use another folder with -P"},
	{"make", ENOTDIR, "a file stands where a folder is needed: move it away"},
	{"remove", EBUSY, "something is mounted below it: see 'findmnt', unmount it and try again"},
	{"remove", EPERM, "run isle as root; a file may be immutable: see 'lsattr'"},
	{"rename", EXDEV, "both places must lie on the same file system"},
	{"rename", EEXIST, "the new name is taken: choose another one"},
	{"rename", ENOTEMPTY, "the new name is taken: choose another one"},
	{"lock", EBUSY, "wait until the other command is done, then try again"},
	{"lock", EACCES, "run isle as root"},
	{"run", ENOENT, "install the program: 'isle doctor' names its package"},
	{"run", EACCES, "make the program executable: chmod +x"},
	{"run", ENOEXEC, "the program is for another machine, or its first line names no interpreter"},
	{"run", E2BIG, "give fewer or shorter arguments"},
	{"exec", ENOENT, "the program is not in the guest: check its path, and the interpreter that it needs"},
	{"exec", EACCES, "make the program executable, on a file system mounted without noexec"},
	{"exec", ENOEXEC, "the program is for another machine, or its first line names no interpreter"},
	{"connect", ECONNREFUSED, "nobody listens there: is the guest's monitor running? See 'isle info'"},
	{"connect", ENOENT, "the guest is not running: isle start"},
	{"bind", EADDRINUSE, "another program uses the address: see 'ss -lnp'"},
	{"bind", EADDRNOTAVAIL, "the address is not this host's"},
	{"netlink", EEXIST, "a link or address of that name exists: see 'ip link' and 'ip addr'"},
	{"netlink", EPERM, "run isle as root of this network namespace"},
	{"netlink", ENODEV, "there is no such link: see 'ip link'"},
	{"netlink", EOPNOTSUPP, "this kernel lacks that kind of link: load its module (veth, bridge, macvlan, 8021q)"},
	{"netlink", EBUSY, "the link is in use: it belongs to another bridge or guest"},
	{"netlink", EADDRINUSE, "the address is taken: choose another one"},
	{"link", EEXIST, "a link of that name exists: see 'ip link'"},
	{"link", ENODEV, "there is no such link: see 'ip link'"},
	{"link", EOPNOTSUPP, "this kernel lacks that kind of link: load its module (veth, bridge, macvlan, 8021q)"},
	{"nft", EOPNOTSUPP, "this kernel lacks nf_tables: load the module nf_tables"},
	{"nft", EPERM, "run isle as root of this network namespace"},
	{"map", EPERM, "the id range is not allowed: see /etc/subuid and /etc/subgid"},
	{"attach", ESRCH, "the guest has just stopped: see 'isle info'"},
	{NULL, ENOSPC, "free space there: see 'df -h' and 'df -i'"},
	{NULL, EDQUOT, "raise the quota, or remove what is not needed"},
	{NULL, ENOMEM, "free memory, or raise the memory limit that isle itself runs under"},
	{NULL, EMFILE, "raise the limit of open files: 'ulimit -n'"},
	{NULL, ENFILE, "raise the sysctl fs.file-max"},
	{NULL, ENOSYS, "isle needs Linux 5.15 or newer"},
	{NULL, EPERM, "run isle as root"},
};

const char *err_hint_for(const char *what, int sys)
{
	size_t word = strcspn(what ? what : "", " :");

	if (sys < 0)
		sys = -sys;
	for (size_t i = 0; sys && i < sizeof(hints) / sizeof(hints[0]); i++) {
		const char *operation = hints[i].operation;

		if (hints[i].sys != sys)
			continue;
		if (!operation || (strlen(operation) == word && !memcmp(what, operation, word)))
			return hints[i].hint;
	}
	return NULL;
}

bool err_hint_row(size_t at, const char **ret_operation, int *ret_sys, const char **ret_hint)
{
	if (at >= sizeof(hints) / sizeof(hints[0]))
		return false;
	*ret_operation = hints[at].operation;
	*ret_sys = hints[at].sys;
	*ret_hint = hints[at].hint;
	return true;
}

/* The number that a setter returned for what the record holds. */
static int number_of(const struct err *err)
{
	if (!err)
		return -EIO;
	if (err->sys)
		return -err->sys;
	switch (err->code) {
	case ERR_USAGE:
		return -EINVAL;
	case ERR_NOT_FOUND:
		return -ENOENT;
	case ERR_STATE:
		return -EBUSY;
	case ERR_TIMEOUT:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

/* Formats into a field; text that does not fit ends in "...", never within a character. */
__attribute__((format(printf, 3, 0))) static void fill(char *dst, size_t size, const char *fmt, va_list ap)
{
	int len = vsnprintf(dst, size, fmt, ap);
	size_t end = size - 4;

	if (len < 0)
		dst[0] = '\0';
	if (len < 0 || (size_t)len < size)
		return;
	while (end && ((unsigned char)dst[end] & 0xc0) == 0x80)
		end--;
	memcpy(dst + end, "...", 4);
}

/* A record that is already set stays as it is: what an undo meets later must not hide the cause. */
__attribute__((format(printf, 4, 0))) static void set(struct err *err, int code, int sys, const char *fmt, va_list ap)
{
	if (!err || err->code != ERR_NONE)
		return;
	memset(err, 0, sizeof(*err));
	err->code = code;
	err->sys = sys;
	fill(err->what, sizeof(err->what), fmt, ap);
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int num = errno ? errno : EIO;
	va_list ap;

	va_start(ap, fmt);
	set(err, ERR_FAILED, num, fmt, ap);
	va_end(ap);
	return -num;
}

int err_num(struct err *err, int num, const char *fmt, ...)
{
	va_list ap;

	if (num < 0)
		num = -num;
	va_start(ap, fmt);
	set(err, ERR_FAILED, num, fmt, ap);
	va_end(ap);
	return num ? -num : -EIO;
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	struct err fresh = {.code = code};
	va_list ap;

	va_start(ap, fmt);
	set(err, code == ERR_NONE ? ERR_FAILED : (int)code, 0, fmt, ap);
	va_end(ap);
	return number_of(&fresh);
}

int err_hint(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		fill(err->hint, sizeof(err->hint), fmt, ap);
		va_end(ap);
	}
	return number_of(err);
}

int err_where(struct err *err, const char *file, int line)
{
	const char *shown = file ? file : "";
	size_t room = err ? sizeof(err->where) - sizeof(":2147483647") : 0;

	if (!err)
		return number_of(err);
	/* Of a long path the end tells more, and the line must never be what is cut. */
	if (strlen(shown) > room)
		shown += strlen(shown) - room;
	if (line > 0)
		(void)snprintf(err->where, sizeof(err->where), "%.*s:%d", (int)room, shown, line);
	else
		(void)snprintf(err->where, sizeof(err->where), "%.*s", (int)room, shown);
	return number_of(err);
}

int err_step(struct err *err, const char *step)
{
	if (err && !err->step[0] && step)
		(void)snprintf(err->step, sizeof(err->step), "%s", step);
	return number_of(err);
}

void err_clear(struct err *err)
{
	if (err)
		memset(err, 0, sizeof(*err));
}

void err_seal(struct err *err)
{
	char *const texts[] = {err->step, err->where, err->what, err->hint};
	const size_t sizes[] = {sizeof(err->step), sizeof(err->where), sizeof(err->what), sizeof(err->hint)};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		texts[i][sizes[i] - 1] = '\0';
	if (err->code <= ERR_NONE || err->code > ERR_TIMEOUT)
		err->code = ERR_FAILED;
	if (err->sys < 0)
		err->sys = 0;
}

static void add_row(struct buf *b, const char *label, const char *text, const char *where)
{
	char safe[1024];

	(void)str_escape_into(safe, sizeof(safe), text);
	buf_addf(b, "  %-7s %s", label, safe);
	if (where && where[0]) {
		(void)str_escape_into(safe, sizeof(safe), where);
		buf_addf(b, " (%s)", safe);
	}
	buf_add(b, "\n");
}

void err_print(const struct err *err, const char *headline)
{
	const char *hint = err->hint[0] ? err->hint : err_hint_for(err->what, err->sys);
	bool alone = !headline || !headline[0];
	auto_buf struct buf text = {0};
	char safe[1024];

	(void)str_escape_into(safe, sizeof(safe), alone ? err->what : headline);
	buf_addf(&text, "isle: %s\n", safe);
	if (err->step[0])
		add_row(&text, "step:", err->step, err->where);
	else if (err->where[0])
		add_row(&text, "where:", err->where, NULL);
	if (err->what[0] && !alone)
		add_row(&text, "failed:", err->what, NULL);
	if (err->sys)
		add_row(&text, "reason:", strerror(err->sys), NULL);
	if (hint)
		add_row(&text, "fix:", hint, NULL);
	if (text.failed)
		(void)dprintf(STDERR_FILENO, "isle: %s: out of memory\n", safe);
	else /* One write, so that commands in parallel do not mix their lines. */
		(void)file_write_all(STDERR_FILENO, text.data, text.len);
}
