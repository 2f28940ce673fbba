/* Gives a new guest its own identity: the part that runs inside. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "personalise.h"

#define TEXT_MAX        (256u << 10)
#define TOOL_TIMEOUT_MS 30000

/* A folder of the guest, O_RDONLY. -errno without text. */
static int open_folder(const char *path)
{
	auto_close int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return root_fd < 0 ? -errno : path_open_in_root(root_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

/* The text of a plain file, never waiting for a fifo or a device that lies in its place. -errno without text. */
static int read_text(int dir_fd, const char *name, char **ret, unsigned *ret_mode)
{
	auto_close int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	auto_buf struct buf text = {0};
	char chunk[4096];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	for (;;) {
		ssize_t got = read(fd, chunk, sizeof(chunk));

		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		if (text.len + (size_t)got > TEXT_MAX)
			return -EFBIG;
		buf_add_bytes(&text, chunk, (size_t)got);
	}
	if (text.len && memchr(text.data, '\0', text.len))
		return -EINVAL;
	*ret = buf_take(&text);
	if (ret_mode)
		*ret_mode = st.st_mode & 07777;
	return *ret ? 0 : -ENOMEM;
}

/* Not flushed one by one: the host writes the new guest to disk as a whole before anybody can see it. */
static int write_text(int dir_fd, const char *shown, const char *name, const char *text, unsigned mode, struct err *err)
{
	struct stat st;

	/* A folder in the file's place would make the rename fail without saying why. */
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return err_num(err, EISDIR, "write the guest's %s", shown);
	int r = file_replace_quick(dir_fd, name, text, strlen(text), mode, NULL);

	return r < 0 ? err_num(err, r, "write the guest's %s", shown) : 0;
}

static int set_hostname(int etc_fd, const char *hostname, struct err *err)
{
	auto_free char *text = str_format("%s\n", hostname);

	return text ? write_text(etc_fd, "/etc/hostname", "hostname", text, 0644, err)
		    : err_num(err, ENOMEM, "write the guest's /etc/hostname");
}

/* Debian's convention: the own name on 127.0.1.1, behind localhost. */
static int set_hosts(int etc_fd, const char *hostname, struct err *err)
{
	auto_free char *old = NULL;
	auto_buf struct buf text = {0};
	bool written = false;
	int r = read_text(etc_fd, "hosts", &old, NULL);

	if (r < 0 && r != -ENOENT && r != -ELOOP)
		return err_num(err, r, "read the guest's /etc/hosts");
	for (const char *line = old ? old : "127.0.0.1\tlocalhost\n::1\t\tlocalhost\n"; *line;) {
		size_t len = strcspn(line, "\n");
		size_t word = strcspn(line, " \t\n");

		if (!(word == 9 && !strncmp(line, "127.0.1.1", 9))) {
			buf_add_bytes(&text, line, len);
			buf_add(&text, "\n");
		}
		if (!written && word == 9 && !strncmp(line, "127.0.0.1", 9)) {
			buf_addf(&text, "127.0.1.1\t%s\n", hostname);
			written = true;
		}
		line += len + (line[len] == '\n');
	}
	if (!written)
		buf_addf(&text, "127.0.1.1\t%s\n", hostname);
	if (text.failed)
		return err_num(err, ENOMEM, "write the guest's /etc/hosts");
	return write_text(etc_fd, "/etc/hosts", "hosts", text.data, 0644, err);
}

static int set_machine_id(int etc_fd, const char *id, struct err *err)
{
	auto_free char *text = str_format("%s\n", id);
	auto_close int dbus_fd = open_folder("/var/lib/dbus");
	int r = text ? write_text(etc_fd, "/etc/machine-id", "machine-id", text, 0444, err)
		     : err_num(err, ENOMEM, "write the guest's /etc/machine-id");

	if (r < 0 || dbus_fd < 0)
		return r;
	/* A copy of its own would be the image's, the same in every guest. */
	if (unlinkat(dbus_fd, "machine-id", 0) < 0 && errno != ENOENT)
		return err_sys(err, "remove the guest's /var/lib/dbus/machine-id");
	return symlinkat("/etc/machine-id", dbus_fd, "machine-id") < 0 ? err_sys(err, "link the guest's /var/lib/dbus/machine-id")
								       : 0;
}

static int set_timezone(int etc_fd, const char *zone, struct err *err)
{
	auto_free char *target = str_format("/usr/share/zoneinfo/%s", zone);
	auto_free char *text = str_format("%s\n", zone);
	auto_close int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (!target || !text || root_fd < 0)
		return err_num(err, root_fd < 0 ? errno : ENOMEM, "set the guest's time zone");
	auto_close int zone_fd = path_open_in_root(root_fd, target, O_PATH | O_CLOEXEC, 0);

	if (zone_fd < 0) {
		int r = err_num(err, zone_fd, "set the guest's time zone: open its %s", target);

		err_hint(err, "the name may be wrong, or the guest lacks the package tzdata (tzdata-legacy for old names)");
		return r;
	}
	(void)unlinkat(etc_fd, ".isle-localtime", 0); /* left by a run that was killed */
	if (symlinkat(target, etc_fd, ".isle-localtime") < 0 || renameat(etc_fd, ".isle-localtime", etc_fd, "localtime") < 0)
		return err_sys(err, "link the guest's /etc/localtime");
	return write_text(etc_fd, "/etc/timezone", "timezone", text, 0644, err);
}

static int set_authorized_keys(const char *keys, struct err *err)
{
	auto_close int root_fd = open_folder("/root");

	if (root_fd < 0)
		return err_num(err, root_fd, "open the guest's /root");
	if (mkdirat(root_fd, ".ssh", 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make the guest's /root/.ssh");
	auto_close int ssh_fd = openat(root_fd, ".ssh", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (ssh_fd < 0 || fchown(ssh_fd, 0, 0) < 0 || fchmod(ssh_fd, 0700) < 0)
		return err_sys(err, "open the guest's /root/.ssh");
	return write_text(ssh_fd, "/root/.ssh/authorized_keys", "authorized_keys", keys, 0600, err);
}

/* Runs a program of the guest's. -ENOENT without text when there is none of these. */
static int run_tool(const char *const *places, const char *const *arguments, const char *input, struct err *err)
{
	static const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
					  "LANG=C.UTF-8", NULL};
	const char *argv[16] = {NULL};

	while (*places && access(*places, X_OK) < 0)
		places++;
	if (!*places)
		return -ENOENT;
	argv[0] = *places;
	for (size_t i = 0; arguments[i] && i < 14; i++)
		argv[i + 1] = arguments[i];
	const struct proc proc = {.argv = argv, .env = env, .input = input, .timeout_ms = TOOL_TIMEOUT_MS};

	return proc_run(&proc, err);
}

static int set_password(const char *password, struct err *err)
{
	static const char *const places[] = {"/usr/sbin/chpasswd", "/sbin/chpasswd", "/usr/bin/chpasswd", "/bin/chpasswd", NULL};
	static const char *const none[] = {NULL};
	auto_free char *input = str_format("root:%s\n", password);

	if (!input)
		return err_num(err, ENOMEM, "set the guest's root password");
	int r = run_tool(places, none, input, err);

	explicit_bzero(input, strlen(input));
	if (r == -ENOENT) {
		r = err_num(err, r, "set the guest's root password: find its chpasswd");
		err_hint(err, "leave the password out, and use isle shell or an SSH key");
	}
	return r;
}

static int make_host_key(const char *type, struct err *err)
{
	static const char *const places[] = {"/usr/bin/ssh-keygen", "/bin/ssh-keygen", "/usr/local/bin/ssh-keygen", NULL};
	auto_free char *file = str_format("/etc/ssh/ssh_host_%s_key", type);
	const char *const arguments[] = {"-q", "-N", "", "-C", "", "-t", type, "-f", file, NULL};

	if (!file)
		return err_num(err, ENOMEM, "make the guest's SSH host keys");
	int r = run_tool(places, arguments, NULL, err);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	auto_close int fd = open(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	/* A guest whose keys a power cut has emptied would have no SSH. */
	return fd < 0 || fsync(fd) < 0 ? err_sys(err, "write the guest's %s to disk", file) : 0;
}

/* What the image brought is everybody's: it goes even when no new ones can be made. */
static int make_host_keys(struct err *err)
{
	int ssh_fd = open_folder("/etc/ssh");
	auto_closedir DIR *dir = ssh_fd >= 0 ? fdopendir(ssh_fd) : NULL;
	bool server = false;

	if (!dir) {
		clean_close(&ssh_fd);
		return 0;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (!strcmp(entry->d_name, "sshd_config"))
			server = true;
		if (str_starts(entry->d_name, "ssh_host_") && unlinkat(ssh_fd, entry->d_name, 0) < 0)
			return err_sys(err, "remove the guest's /etc/ssh/%s", entry->d_name);
	}
	if (!server)
		return 0;
	int r = make_host_key("ed25519", err);

	return r < 0 ? r : make_host_key("ecdsa", err);
}

/* One line of a guest's file: true when it is to be replaced by text written to `out`. */
typedef bool line_fn(const char *line, struct buf *out);

/* Edits a file line by line. One that is not there, or is no plain text file, is left alone. */
static int edit(const char *folder, const char *name, line_fn *change, struct err *err)
{
	auto_close int dir_fd = open_folder(folder);
	auto_free char *old = NULL, *shown = str_format("%s/%s", folder, name);
	auto_buf struct buf text = {0};
	bool changed = false;
	unsigned mode;

	if (dir_fd < 0 || !shown || read_text(dir_fd, name, &old, &mode) < 0)
		return 0;
	for (const char *line = old; *line;) {
		size_t len = strcspn(line, "\n");
		auto_free char *copy = strndup(line, len);

		if (copy && change(copy, &text))
			changed = true;
		else
			buf_add_bytes(&text, line, len);
		if (line[len])
			buf_add(&text, "\n");
		line += len + (line[len] == '\n');
	}
	if (text.failed)
		return err_num(err, ENOMEM, "write the guest's %s", shown);
	return changed ? write_text(dir_fd, shown, name, text.data, mode, err) : 0;
}

/* `iface eth0 inet dhcp` becomes `iface eth0 inet manual`. */
static bool change_interface(const char *line, struct buf *out)
{
	char words[5][16] = {""};
	int count = sscanf(line, "%15s %15s %15s %15s %15s", words[0], words[1], words[2], words[3], words[4]);

	if (count != 4 || strcmp(words[0], "iface") || strcmp(words[1], "eth0") || strcmp(words[2], "inet") ||
	    strcmp(words[3], "dhcp"))
		return false;
	buf_add(out, "# isle sets the address before the guest boots.\niface eth0 inet manual");
	return true;
}

/* lxc-busybox's start script asks for an address in the foreground, after it has flushed the one that is there. */
static bool change_udhcpc(const char *line, struct buf *out)
{
	const char *word = line + strspn(line, " \t");

	if (!str_starts(word, "/bin/udhcpc") && !str_starts(word, "/sbin/udhcpc") && !str_starts(word, "udhcpc"))
		return false;
	buf_addf(out, "# isle sets the address before the guest boots: %s", word);
	return true;
}

/* Logins on tty1 and so on, in both inits' syntax: tty1::respawn:/bin/getty..., 1:2345:respawn:/sbin/getty 38400 tty1. */
static bool change_inittab(const char *line, struct buf *out)
{
	const char *at = strstr(line, "tty");

	if (*line == '#' || !strstr(line, "getty"))
		return false;
	for (; at; at = strstr(at + 3, "tty"))
		if (isdigit((unsigned char)at[3]) && (at == line || !isalnum((unsigned char)at[-1]))) {
			buf_addf(out, "# isle has no such terminal: %s", line);
			return true;
		}
	return false;
}

int personalise_inside(const struct personalise *what, struct err *err)
{
	auto_close int etc_fd = open_folder("/etc");

	if (etc_fd < 0)
		return err_num(err, etc_fd, "open the guest's /etc");
	int r = set_hostname(etc_fd, what->hostname, err);

	if (r == 0)
		r = set_hosts(etc_fd, what->hostname, err);
	if (r == 0 && what->machine_id)
		r = set_machine_id(etc_fd, what->machine_id, err);
	if (r == 0 && what->timezone)
		r = set_timezone(etc_fd, what->timezone, err);
	if (r == 0 && what->ssh_key_text)
		r = set_authorized_keys(what->ssh_key_text, err);
	if (r == 0 && what->root_password)
		r = set_password(what->root_password, err);
	if (r == 0 && what->make_ssh_keys)
		r = make_host_keys(err);
	if (r == 0 && what->fix_dhcp)
		r = edit("/etc/network", "interfaces", change_interface, err);
	if (r == 0 && what->fix_dhcp)
		r = edit("/etc/init.d", "rcS", change_udhcpc, err);
	if (r == 0 && what->fix_terminals)
		r = edit("/etc", "inittab", change_inittab, err);
	return r;
}

void personalise_hostname(const char *name, char out[PERSONALISE_HOSTNAME])
{
	size_t i = 0;

	for (; name[i] && i < PERSONALISE_HOSTNAME - 1; i++)
		out[i] = name[i] == '_' ? '-' : name[i];
	while (i && out[i - 1] == '-')
		i--;
	out[i] = '\0';
}

static bool hostname_valid(const char *name)
{
	size_t label = 0;

	if (strlen(name) > 63)
		return false;
	for (; *name; name++) {
		if (*name == '.' ? label == 0 || name[-1] == '-' : !isalnum((unsigned char)*name) && (*name != '-' || label == 0))
			return false;
		label = *name == '.' ? 0 : label + 1;
	}
	return label > 0 && name[-1] != '-';
}

static bool timezone_valid(const char *zone)
{
	if (!isalpha((unsigned char)*zone) || strlen(zone) > 64 || strstr(zone, "..") || strstr(zone, "//"))
		return false;
	for (; *zone; zone++)
		if (!isalnum((unsigned char)*zone) && !strchr("_+-/", *zone))
			return false;
	return zone[-1] != '/';
}

int personalise_check(const struct personalise *what, struct err *err)
{
	auto_free char *hostname = str_escape(what->hostname);
	auto_free char *timezone = what->timezone ? str_escape(what->timezone) : NULL;

	if (!hostname_valid(what->hostname))
		return err_set(err, ERR_USAGE, "the host name '%s' is not letters, digits, '-' and '.'", hostname ? hostname : "");
	if (what->timezone && !timezone_valid(what->timezone))
		return err_set(err, ERR_USAGE, "the time zone '%s' is not a name such as Europe/Berlin", timezone ? timezone : "");
	if (what->root_password && (!*what->root_password || !str_printable(what->root_password)))
		return err_set(err, ERR_USAGE, "the root password is empty or holds control characters");
	return 0;
}
