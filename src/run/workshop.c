/* Where criu restores a guest: namespaces that only it and the restoring process see, and a control group of its own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../guest/checkpoint_pack.h"
#include "../kernel/cgroup.h"
#include "../kernel/mount.h"
#include "../kernel/netlink.h"
#include "criu_yard.h"
#include "restore.h"
#include "restore_clone.h"
#include "workshop.h"

#define ROOT_AT "rootfs" /* below run/NAME, in criu's mount namespace only */
#define MOUNTS  "mounts"

#define NUMBERS_MAX 128  /* of links; guests have a handful */
#define REMOVE_MS   5000 /* for what was killed to end */

static int attach_at(int tree, const char *path, bool folder, struct err *err)
{
	int made = folder ? mkdir(path, 0700) : open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (made < 0 && errno != EEXIST)
		return err_sys(err, "make %s", path);
	if (!folder && made >= 0)
		close(made);
	auto_close int target = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	return target < 0 ? err_sys(err, "open %s", path) : mount_attach(tree, target, path, err);
}

/* criu makes folders in /tmp, which stay when it is killed: these go with the namespace. An instance in there must be seen, though.
 */
static int make_scratch(const struct run *run, struct workshop *shop, struct err *err)
{
	const struct store *store = run->guest->store;
	bool taken = str_starts(store->run, "/tmp/") || str_starts(store->guests, "/tmp/");
	const char *at = taken ? "/mnt" : "/tmp";

	if (mount("none", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m") < 0)
		return err_sys(err, "mount a %s for criu", at);
	(void)str_print(shop->mounts_path, sizeof(shop->mounts_path), "%s/" MOUNTS, at);
	(void)str_print(shop->images_path, sizeof(shop->images_path), "%s/" CHECKPOINT_IMAGES, at);
	(void)str_print(shop->work_path, sizeof(shop->work_path), "%s/work", at);
	(void)str_print(shop->yard_path, sizeof(shop->yard_path), "%s/yard", at);
	/* The guest's root looks for its mounts there. */
	if (mkdir(shop->mounts_path, 0755) < 0 || chmod(shop->mounts_path, 0755) < 0)
		return err_sys(err, "make %s", shop->mounts_path);
	if (mkdir(shop->work_path, 0700) < 0)
		return err_sys(err, "make %s", shop->work_path);
	return criu_yard_mount(shop->yard_path, err);
}

/* The folder that was checked, whatever its path may lead to by now, and whatever hides that where criu works. */
static int images_tree(const struct run *run, struct err *err)
{
	const struct restore *restore = run->restore;
	auto_close int unpacked = -1;

	if (!restore->checkpoint.unpacked)
		return mount_copy(restore->folder, CHECKPOINT_IMAGES, false, err);
	int r = checkpoint_unpacked(run->guest, restore->folder, &restore->checkpoint, &unpacked, err);

	return r < 0 ? r : mount_copy(unpacked, "", false, err);
}

/* A mount namespace that only this process and criu see, with the root file system, lxcfs and the configured mounts in it. */
static int enter_mounts(const struct run *run, struct workshop *shop, struct err *err)
{
	auto_close int images = images_tree(run, err);

	if (images < 0)
		return images;
	shop->home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (shop->home < 0 || unshare(CLONE_NEWNS) < 0)
		return err_sys(err, "make a mount namespace for criu");
	int r = mount_make_private(err);
	if (r == 0)
		r = make_scratch(run, shop, err);
	if (r == 0)
		r = attach_at(images, shop->images_path, true, err);
	if (r == 0 && run->restore->source && !run->spec->security.privileged)
		r = restore_clone_images(run, shop->images_path, shop->work_path, err);
	if (r == 0)
		r = attach_at(run->fd[RUN_FD_ROOT], shop->root_path, true, err);
	for (size_t i = RUN_FD_LXCFS; r == 0 && i < RUN_FD_COUNT; i++) {
		auto_free char *path = str_format("%s/%zu", shop->mounts_path, i);
		struct stat st;

		if (run->fd[i] < 0 || i == RUN_FD_NOTIFY)
			continue;
		if (!path || fstat(run->fd[i], &st) < 0)
			return err_sys(err, "look at what %s is for", shop->mounts_path);
		r = attach_at(run->fd[i], path, S_ISDIR(st.st_mode), err);
	}
	return r;
}

static int group_of_criu(const struct run *run, char ret[160])
{
	return str_print(ret, 160, "%s:criu", run->record.cgroup);
}

int workshop_join_group(const struct run *run, struct err *err)
{
	char group[160];
	int r = group_of_criu(run, group);
	char *slash = r < 0 ? NULL : strrchr(group, '/');

	if (!slash)
		return err_num(err, r < 0 ? r : EINVAL, "name criu's control group");
	*slash = '\0';
	return cgroup_enter_leaf(group, slash + 1, err);
}

void workshop_clear_group(struct run *run)
{
	char group[160];
	struct err err = {0};

	if (group_of_criu(run, group) < 0 || !cgroup_exists(group))
		return;
	(void)cgroup_kill(group, NULL);
	if (cgroup_remove(group, REMOVE_MS, &err) < 0) {
		run_log(run, "could not remove criu's control group: %s", err.what);
		run->undo_err = err;
	}
}

/* criu asks for each link under the number that it had in the guest, and the kernel takes one of that number here for the one that
 * is meant: the outer ends, which get the next free numbers here, must have others. Links that come and go use the low ones up. */
static int use_up_numbers(const struct checkpoint *checkpoint, struct netlink *inside, struct err *err)
{
	char name[NUMBERS_MAX][16];
	const char *names[NUMBERS_MAX];
	size_t count = 0;
	int r = 0;

	if (checkpoint->link_count < 2)
		return 0; /* there is no second that could meet the first one's outer end */
	for (; r == 0 && count + 1 < checkpoint->ifindex && count < NUMBERS_MAX; count++) {
		(void)str_print(name[count], sizeof(name[count]), "used%zu", count);
		names[count] = name[count];
		r = netlink_add_bridge(inside, &(struct netlink_bridge){.name = name[count]}, err);
	}
	return r < 0 ? r : netlink_delete_all(inside, names, count, err);
}

/* A network namespace for criu with lo up, which it needs to try things on. */
static int make_netns(const struct run *run, struct workshop *shop, struct err *err)
{
	struct netlink *inside = NULL;

	shop->netns = netlink_new_namespace(err);
	int r = shop->netns < 0 ? shop->netns : netlink_open(shop->netns, &inside, err);
	if (r == 0)
		r = netlink_set_up(inside, "lo", err);
	if (r == 0)
		r = use_up_numbers(&run->restore->checkpoint, inside, err);
	netlink_free(inside);
	return r;
}

int workshop_enter(const struct run *run, struct workshop *ret, struct err *err)
{
	const struct store *store = run->guest->store;

	*ret = (struct workshop){.home = -1, .netns = -1};
	int r = str_print(ret->root_path, sizeof(ret->root_path), "%s/%s/" ROOT_AT, store->run, run->guest->name);

	if (r < 0)
		return err_num(err, r, "name the folder to restore in");
	r = make_netns(run, ret, err);
	return r < 0 ? r : enter_mounts(run, ret, err);
}

void workshop_leave(struct workshop *shop)
{
	if (shop->home >= 0) {
		if (setns(shop->home, CLONE_NEWNS) < 0)
			abort(); /* the monitor would keep the guest's mounts alive */
		close(take_fd(&shop->home));
	}
	if (shop->netns >= 0)
		close(take_fd(&shop->netns));
}
