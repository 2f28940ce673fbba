/* The files row: what isle writes into a guest before init runs, as the guest's root, inside it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "steps.h"

#define RESOLV_MAX  65536
#define RESOLV_MARK "# written by isle at each start; make it your own by removing this line\n"

/* Units' own user, host name and IPC namespaces cannot be checkpointed; the rest of their sandbox stays. Keys that an older systemd
 * does not know are warned about and ignored there. */
static const char service_drop_in[] =
	"# isle: see guest.checkpoint-ready in isle.conf(5)\n[Service]\nPrivateUsers=no\nPrivatePIDs=no\nProtectHostname=no\n"
	"PrivateIPC=no\n";
static const char manager_drop_in[] =
	"# isle: see guest.checkpoint-ready in isle.conf(5)\n[Manager]\nDefaultMemoryPressureWatch=off\n";

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
	if (r == 0 && spec->guest.checkpoint_ready && !spec->security.nesting && strcmp(run->init_kind, "systemd") == 0) {
		r = write_new("/run/systemd/system/service.d", "10-isle.conf", service_drop_in, err);
		if (r == 0)
			r = write_new("/run/systemd/system.conf.d", "10-isle.conf", manager_drop_in, err);
	}
	if (r == 0 && run->want_notify && strcmp(run->init_kind, "systemd") == 0)
		r = open_notify_socket(run, err);
	return r;
}
