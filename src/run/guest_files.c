/* The files row: what isle writes into a guest before init runs, as the guest's root, inside it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "steps.h"

#define CREDENTIALS "/run/credentials"
#define RESOLV_MAX  65536
#define RESOLV_MARK "# written by isle at each start; make it your own by removing this line\n"

/* What systemd is told. Units' own user, process, host name and IPC namespaces cannot be checkpointed, nor what watches
 * pressure; the rest of their sandbox stays. A key that is newer than the guest's systemd would have it complain of every unit. */
static const struct setting {
	const char *section, *key;
	unsigned since; /* version of systemd */
} settings[] = {
	{"Service", "PrivateUsers=no", 232},
	{"Service", "ProtectHostname=no", 242},
	{"Service", "PrivateIPC=no", 248},
	{"Service", "PrivatePIDs=no", 257},
	{"Manager", "DefaultMemoryPressureWatch=off", 254},
	{"Manager", "DefaultCPUPressureWatch=off", 261},
	{"Manager", "DefaultIOPressureWatch=off", 261},
};

static int write_new(const char *folder, const char *name, const char *text, struct err *err)
{
	int r = path_make(folder, 0755, err);

	if (r < 0)
		return r;
	auto_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_sys(err, "open %s in the guest", folder);
	auto_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_sys(err, "write %s/%s in the guest", folder, name);
	r = file_write_all(fd, text, strlen(text));
	return r < 0 ? err_num(err, r, "write %s/%s in the guest", folder, name) : 0;
}

/* Ours to write when it is missing, empty, or carries our mark; a link means that somebody else manages it. It is left alone when
 * it says already what it should: to write it anew at every start costs a truncation and a flush on the guest's disk. */
static bool resolv_conf_wants(int etc, const char *wanted)
{
	auto_free char *have = NULL;
	struct stat st;

	if (fstatat(etc, "resolv.conf", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT;
	if (!S_ISREG(st.st_mode))
		return false;
	if (st.st_size == 0)
		return true;
	if (file_read(etc, "resolv.conf", RESOLV_MAX, &have, NULL) < 0)
		return false;
	return str_starts(have, RESOLV_MARK) && strcmp(have, wanted) != 0;
}

static int write_resolv_conf(const struct run *run, struct err *err)
{
	auto_close int etc = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!run->resolv_conf || etc < 0)
		return 0;
	auto_free char *text = str_format("%s%s", RESOLV_MARK, run->resolv_conf);

	if (!text)
		return err_num(err, ENOMEM, "write /etc/resolv.conf in the guest");
	return resolv_conf_wants(etc, text) ? write_new("/etc", "resolv.conf", text, err) : 0;
}

/* Which init it is decides how it is asked to stop. */
static void find_init_kind(struct run *run)
{
	char **argv = NULL;
	const char *kind = "other";

	if (types_split(run->spec->guest.init, &argv) < 0)
		return;
	auto_free char *real = argv[0] ? realpath(argv[0], NULL) : NULL;
	const char *name = real ? strrchr(real, '/') : NULL;

	if (name && str_starts(name, "/systemd"))
		kind = "systemd";
	else if (name && str_starts(name, "/busybox"))
		kind = "busybox";
	else if (name && strcmp(name, "/init") == 0 && access("/etc/inittab", F_OK) == 0)
		kind = "sysv";
	(void)str_copy(run->init_kind, sizeof(run->init_kind), kind);
	types_split_free(argv);
}

static int open_notify_socket(struct run *run, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/host/notify"};
	auto_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_sys(err, "make /run/host/notify in the guest");
	run->fd[RUN_FD_NOTIFY] = take_fd(&fd);
	return 0;
}

/* By the name of the library that comes with it; UINT_MAX when there is none to tell by. */
static unsigned systemd_version(void)
{
	static const char *const places[] = {"/usr/lib/*/systemd/libsystemd-shared-*.so", "/usr/lib/systemd/libsystemd-shared-*.so",
					     "/lib/systemd/libsystemd-shared-*.so"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		glob_t found = {0};
		uint64_t version = 0;

		if (glob(places[i], GLOB_NOSORT, NULL, &found) == 0) {
			const char *text = strrchr(found.gl_pathv[0], '-') + 1;
			auto_free char *digits = strndup(text, strspn(text, "0123456789"));

			if (!digits || str_to_u64(digits, 1, UINT_MAX, &version) < 0)
				version = 0;
		}
		globfree(&found);
		if (version)
			return (unsigned)version;
	}
	return UINT_MAX;
}

static int write_settings(const char *folder, const char *section, unsigned version, struct err *err)
{
	auto_buf struct buf text = {0};

	buf_addf(&text, "# isle: see guest.checkpoint-ready in isle.conf(5)\n[%s]\n", section);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (strcmp(settings[i].section, section) == 0 && settings[i].since <= version)
			buf_addf(&text, "%s\n", settings[i].key);
	if (text.failed)
		return err_num(err, ENOMEM, "write %s in the guest", folder);
	return write_new(folder, "10-isle.conf", text.data, err);
}

/* Until systemd 257 at least a unit's credentials are mounted in a mount namespace of their own, and come to the unit by
 * propagation. All else is private: of shared mounts criu can make only some again. */
static int share_credentials(struct err *err)
{
	int r = path_make(CREDENTIALS, 0755, err);

	if (r < 0)
		return r;
	if (mount("none", CREDENTIALS, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=1m,nr_inodes=4k") < 0 ||
	    mount(NULL, CREDENTIALS, NULL, MS_SHARED, NULL) < 0)
		return err_sys(err, "mount " CREDENTIALS " in the guest");
	return 0;
}

int step_files(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	auto_free char *id = str_format("%s\n", spec->guest.id ? spec->guest.id : "");
	int r = write_new("/run/host", "container-manager", "isle\n", err);

	if (r == 0 && id && id[0] != '\n')
		r = write_new("/run/host", "container-uuid", id, err);
	if (r == 0)
		r = write_resolv_conf(run, err);
	find_init_kind(run);
	if (r == 0 && strcmp(run->init_kind, "systemd") == 0)
		r = share_credentials(err);
	if (r == 0 && spec->guest.checkpoint_ready && !spec->security.nesting && strcmp(run->init_kind, "systemd") == 0) {
		unsigned version = systemd_version();

		r = write_settings("/run/systemd/system/service.d", "Service", version, err);
		if (r == 0)
			r = write_settings("/run/systemd/system.conf.d", "Manager", version, err);
	}
	if (r == 0 && run->want_notify && strcmp(run->init_kind, "systemd") == 0)
		r = open_notify_socket(run, err);
	return r;
}
