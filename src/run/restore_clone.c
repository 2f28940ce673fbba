/* What is another in a clone of a running guest than in the one that its images were made of. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/aside.h"
#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/status.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "../kernel/mount.h"
#include "../kernel/ns.h"
#include "criu_image.h"
#include "personalise.h"
#include "restore.h"
#include "restore_clone.h"
#include "steps.h"

#define IDS_SPAN  65536u
#define USERNS    "userns-" /* criu's image of the user namespace: its id maps */
#define IMAGE_MAX 4096
#define SETTLE_MS 10000
#define CONTAINER "/run/host/container-uuid"

/* userns_entry of criu's images/userns.proto: uid_map = 1 and gid_map = 2, each of {first = 1, lower_first = 2, count = 3}. isle's
 * guests have one extent. */
static size_t put_maps(uint8_t *at, uint64_t ids)
{
	uint8_t extent[32];
	size_t size = 0, len = 0;

	size += criu_image_number(extent + size, 1, 0);
	size += criu_image_number(extent + size, 2, ids);
	size += criu_image_number(extent + size, 3, IDS_SPAN);
	for (unsigned field = 1; field <= 2; field++) {
		at[len++] = (uint8_t)(field << 3 | 2);
		at[len++] = (uint8_t)size;
		memcpy(at + len, extent, size);
		len += size;
	}
	return len;
}

/* The image in `dir` as the clone needs it, in the file at `path`. */
static int write_maps(const struct run *run, int dir, const char *name, const char *path, struct err *err)
{
	auto_free char *old = NULL;
	uint8_t text[128], was[96], is[96];
	size_t len = 0;
	int r = file_read(dir, name, IMAGE_MAX, &old, &len);

	if (r < 0)
		return err_num(err, r, "read the image %s", name);
	uint32_t was_size = (uint32_t)put_maps(was, run->restore->source->ids);
	uint32_t is_size = (uint32_t)put_maps(is, run->record.ids);

	/* An image that is not just what it was taken for would be a guest that no isle made. */
	if (len != CRIU_IMAGE_HEADER + sizeof(was_size) + was_size ||
	    memcmp(old + CRIU_IMAGE_HEADER, &was_size, sizeof(was_size)) != 0 ||
	    memcmp(old + CRIU_IMAGE_HEADER + sizeof(was_size), was, was_size) != 0)
		return err_set(err, ERR_FAILED, "give the clone its own ids: this criu's image %s is not as isle knows it", name);
	memcpy(text, old, CRIU_IMAGE_HEADER);
	memcpy(text + CRIU_IMAGE_HEADER, &is_size, sizeof(is_size));
	memcpy(text + CRIU_IMAGE_HEADER + sizeof(is_size), is, is_size);
	return file_replace_quick(AT_FDCWD, path, text, CRIU_IMAGE_HEADER + sizeof(is_size) + is_size, 0644, err);
}

int restore_clone_images(const struct run *run, const char *images, const char *scratch, struct err *err)
{
	auto_free char *path = str_format("%s/userns", scratch);
	int fd = open(images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	int r = 0;

	if (!entries || !path) {
		r = err_sys(err, "read %s", images);
		clean_close(&fd);
		return r;
	}
	for (const struct dirent *entry; r == 0 && (entry = readdir(entries));) {
		if (!str_starts(entry->d_name, USERNS))
			continue;
		r = write_maps(run, fd, entry->d_name, path, err);
		if (r == 0)
			r = criu_image_replace(path, fd, entry->d_name, err);
	}
	return r;
}

struct naming {
	const struct run *run;
	int init;
};

/* As the guest's own root, who may do no more in there than it could itself. */
static int name_inside(void *arg)
{
	const struct naming *naming = arg;
	const struct run *run = naming->run;
	char hostname[PERSONALISE_HOSTNAME];
	auto_free char *id = str_format("%s\n", run->spec->guest.id);
	const char *name = run->spec->guest.hostname;
	uint64_t flags = CLONE_NEWNS | CLONE_NEWUTS | (run->spec->security.privileged ? 0 : CLONE_NEWUSER);

	(void)fds_close_others(&naming->init, 1, 0);
	personalise_hostname(run->guest->name, hostname);
	if (!name)
		name = hostname;
	if (!id)
		return -ENOMEM;
	int r = ns_enter(naming->init, flags, NULL);

	if (r < 0)
		return r;
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 || sethostname(name, strlen(name)) < 0)
		return -errno;
	auto_close int fd = open(CONTAINER, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		(void)file_write_all(fd, id, strlen(id)); /* it may be the guest's own file by now */
	return 0;
}

static int set_name(const struct run *run, pid_t init, struct err *err)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, init, 0);
	struct naming naming = {run, pidfd};

	if (pidfd < 0)
		return err_sys(err, "look for the clone's init");
	int r = aside_run(name_inside, &naming, SETTLE_MS);

	return r < 0 ? err_num(err, r, "give the clone its own host name") : 0;
}

int restore_clone_settle(struct run *run, pid_t init, struct err *err)
{
	if (init <= 0)
		return err_set(err, ERR_FAILED, "give the clone its own name: criu did not tell its init");
	int r = run->spec->security.privileged
			? 0
			: cgroup_shift(run->record.cgroup, (uid_t)run->restore->source->ids, (uid_t)run->record.ids, IDS_SPAN, err);

	if (r == 0)
		r = set_name(run, init, err);
	return r < 0 ? r : network_readdress(run, init, run->restore->source, err);
}

/* Daemons that have read what is another now. Children of init's by these names: who else has one is one of the guest's all the
 * same. */
static const struct nudge {
	const char *name; /* of the process, as the kernel cuts it */
	int signal;
} nudge_table[] = {
	{"sshd", SIGHUP}, /* sshd(8): it executes itself anew, and reads its host keys */
	{"systemd-journal",
	 SIGTERM}, /* systemd starts it again at once with its streams kept: its files are found by the machine-id */
};

static int nudge_task(void *arg, pid_t pid)
{
	const pid_t *init = arg;
	char parent[16];
	auto_free char *status = NULL;

	(void)str_print(parent, sizeof(parent), "%d\n", *init);
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	const char *name = NULL, *above = NULL;

	if (pidfd >= 0 && status_read(pid, pid, &status) == 0) {
		name = status_field(status, "Name");
		above = status_field(status, "PPid");
	}
	for (size_t i = 0; name && above && str_starts(above, parent) && i < sizeof(nudge_table) / sizeof(nudge_table[0]); i++) {
		size_t len = strlen(nudge_table[i].name);

		if (strncmp(name, nudge_table[i].name, len) == 0 && name[len] == '\n')
			(void)proc_signal(pidfd, nudge_table[i].signal);
	}
	return 0;
}

void restore_clone_nudge(const struct run *run, pid_t init)
{
	(void)cgroup_each_pid(run->record.cgroup, nudge_task, &init); /* one that is not reached goes by what it has read */
}
