/* Doctor: the file system that guests lie on, tried with a scratch folder on it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "doctor.h"

#define FIRST_ID   524288
#define IDS        65536
#define LOW_BYTES  (1ull << 30)
#define LOW_INODES 50000

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#endif
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static const char *fs_name(long type)
{
	static const struct {
		long type;
		const char *name;
	} names[] = {
		{0xef53, "ext4"},     {0x58465342, "xfs"},  {0x9123683e, "btrfs"}, {0x01021994, "tmpfs"}, {0x794c7630, "overlay"},
		{0x2fc12fc1, "zfs"},  {0xf2f52010, "f2fs"}, {0x6969, "nfs"},       {0x65735546, "fuse"},  {0xca451a4e, "bcachefs"},
		{0x5346544e, "ntfs"}, {0x4d44, "vfat"},     {0x9660, "iso9660"},   {0x01021997, "9p"},    {0x73717368, "squashfs"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].type == type)
			return names[i].name;
	}
	return "unknown file system";
}

static void check_room(struct doctor *d)
{
	struct statfs fs;
	struct statvfs flags;
	char found[96], size[16];

	if (statfs(d->guests_dir, &fs) < 0 || statvfs(d->guests_dir, &flags) < 0)
		return;
	uint64_t bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;

	str_show_size(bytes, size);
	snprintf(found, sizeof(found), "%s on %s", size, fs_name(fs.f_type));
	doctor_add(d, &(struct doctor_note){
			      .topic = "storage",
			      .name = "free space",
			      .level = bytes < LOW_BYTES ? HOST_WARN : HOST_GOOD,
			      .found = found,
			      .means = "a Debian guest takes about 500 MiB",
			      .fix = "free some space, or keep guests elsewhere (-P DIR)",
		      });
	if (fs.f_files > 0) {
		snprintf(found, sizeof(found), "%llu of %llu", (unsigned long long)fs.f_ffree, (unsigned long long)fs.f_files);
		doctor_add(d, &(struct doctor_note){
				      .topic = "storage",
				      .name = "free inodes",
				      .level = fs.f_ffree < LOW_INODES ? HOST_WARN : HOST_GOOD,
				      .found = found,
				      .means = "a Debian guest has about 20,000 files",
				      .fix = "remove files, or a file system with more inodes",
			      });
	}
	bool noexec = flags.f_flag & ST_NOEXEC, bad = flags.f_flag & (ST_NOEXEC | ST_NOSUID | ST_NODEV | ST_RDONLY);

	snprintf(found, sizeof(found), "%s%s%s%s", flags.f_flag & ST_RDONLY ? "ro " : "", noexec ? "noexec " : "",
		 flags.f_flag & ST_NOSUID ? "nosuid " : "", flags.f_flag & ST_NODEV ? "nodev" : "");
	doctor_add(d, &(struct doctor_note){
			      .topic = "storage",
			      .name = "mount flags",
			      .level = !bad                                   ? HOST_GOOD
				       : noexec || (flags.f_flag & ST_RDONLY) ? HOST_BAD
									      : HOST_WARN,
			      .found = bad ? found : "none that harm",
			      .means = "guests inherit them: nosuid breaks su and sudo inside, noexec every program",
			      .fix = "mount -o remount,rw,exec,suid,dev (and in /etc/fstab)",
		      });
}

struct scratch {
	char path[512]; /* a dot-folder in guests_dir with lower, upper, work and merged */
	bool idmapped;
};

static int make_scratch(const char *dir, struct scratch *s)
{
	static const char *const subs[] = {"lower", "upper", "work", "merged"};

	if (str_print(s->path, sizeof(s->path), "%s/.doctor-%d", dir, (int)getpid()) < 0)
		return -ENAMETOOLONG;
	if (mkdir(s->path, 0700) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++) {
		char sub[560];

		if (str_print(sub, sizeof(sub), "%s/%s", s->path, subs[i]) < 0 || mkdir(sub, 0755) < 0)
			return -EIO;
	}
	return 0;
}

static void remove_scratch(const char *dir, const struct scratch *s)
{
	auto_close int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)file_remove_tree(fd, strrchr(s->path, '/') + 1, NULL); /* what stays is listed by the next doctor */
}

/* A user namespace with the range that guests have, kept by a child that sleeps until we end. */
static int open_userns(void)
{
	auto_free char *map = str_format("0 %d %d\n", FIRST_ID, IDS);
	char path[64];
	int ready[2];

	if (!map || pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	auto_close int in = ready[0];
	auto_close int out = ready[1];
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		char ok = unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? 'n' : 'y';

		if (write(out, &ok, 1) == 1 && ok == 'y')
			pause();
		_exit(1);
	}
	char ok = 'n';
	int fd = -1, rc = 0;

	close(take_fd(&out));
	if (read(in, &ok, 1) != 1 || ok != 'y')
		rc = -EPERM;
	for (int i = 0; rc == 0 && i < 2; i++) {
		rc = str_print(path, sizeof(path), "/proc/%d/%s", (int)pid, i ? "gid_map" : "uid_map");
		if (rc == 0)
			rc = file_poke(AT_FDCWD, path, map);
	}
	if (rc == 0 && str_print(path, sizeof(path), "/proc/%d/ns/user", (int)pid) == 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		rc = fd < 0 ? -errno : 0;
	}
	kill(pid, SIGKILL); /* our own child, not reaped yet */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return rc < 0 ? rc : fd;
}

/* A detached, id-mapped copy of the mount that holds path. */
static int open_idmapped(const char *path)
{
	auto_close int userns = open_userns();

	if (userns < 0)
		return userns;
	auto_close int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC);

	if (tree < 0)
		return -errno;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};

	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return take_fd(&tree);
}

static int try_idmapped(void *arg)
{
	const struct scratch *s = arg;

	if (unshare(CLONE_NEWNS) < 0)
		return -errno;
	int fd = open_idmapped(s->path);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int try_overlay(void *arg)
{
	const struct scratch *s = arg;
	auto_free char *lower = str_format("%s/lower", s->path);
	auto_free char *merged = str_format("%s/merged", s->path);
	auto_free char *options = str_format("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", s->path, s->path, s->path);

	if (!lower || !merged || !options)
		return -ENOMEM;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (s->idmapped) {
		auto_close int tree = open_idmapped(lower);

		if (tree < 0)
			return tree;
		if (syscall(SYS_move_mount, tree, "", AT_FDCWD, lower, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -errno;
	}
	return mount("overlay", merged, "overlay", 0, options) < 0 ? -errno : 0;
}

static void check_mounts(struct doctor *d)
{
	struct scratch s = {.idmapped = false};
	int rc = make_scratch(d->guests_dir, &s);

	if (rc < 0) {
		doctor_result(d,
			      &(struct doctor_note){
				      .topic = "storage",
				      .name = "writing",
				      .level = HOST_BAD,
				      .means = "no guest can be created there",
				      .fix = "make the folder of guests writable, or use another with -P DIR",
			      },
			      rc);
		if (*s.path)
			remove_scratch(d->guests_dir, &s);
		return;
	}
	doctor_result(
		d,
		&(struct doctor_note){
			.topic = "storage",
			.name = "id-mapped mounts",
			.level = HOST_WARN,
			.means = "the owners of a guest's files are shifted on disk once, at its first start, which takes time",
			.fix = "keep guests on ext4, xfs or btrfs; tmpfs from Linux 6.3",
		},
		doctor_try(try_idmapped, &s));
	doctor_result(d,
		      &(struct doctor_note){
			      .topic = "storage",
			      .name = "overlay",
			      .level = HOST_WARN,
			      .means = "guests cannot share an image's files: each is a full copy (storage dir)",
			      .fix = "modprobe overlay; guests on a file system that overlay takes (ext4, xfs, btrfs)",
		      },
		      doctor_try(try_overlay, &s));
	s.idmapped = true;
	doctor_result(d,
		      &(struct doctor_note){
			      .topic = "storage",
			      .name = "overlay on id-mapped layers",
			      .level = HOST_WARN,
			      .means = "overlay guests need the owners of their image's files shifted on disk",
			      .fix = "Linux 5.19 or newer",
		      },
		      doctor_try(try_overlay, &s));
	remove_scratch(d->guests_dir, &s);
}

void doctor_storage(struct doctor *d)
{
	if (access(d->guests_dir, F_OK) < 0) {
		doctor_add(d, &(struct doctor_note){
				      .topic = "storage",
				      .name = "folder of guests",
				      .level = HOST_INFO,
				      .found = d->root ? "not there yet" : "cannot be looked into",
				      .means = "nothing is known of its file system",
				      .fix = d->root ? "it is made with the first guest" : "sudo isle doctor",
			      });
		return;
	}
	check_room(d);
	if (d->root)
		check_mounts(d);
}
