/* What of a sleeping guest stays in the kernel, for a quicker wake on the same host. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/nsfs.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/mount.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "kept.h"

/* The note has the checkpoint's id, the first of the guest's ids, and of each link its host's end and its name inside, a line each.
 */
#define FOLDER   ".kept-"
#define NOTE     "note"
#define NOTE_MAX 4096

static int open_folder(const struct store *store, const char *name)
{
	char path[sizeof(FOLDER) + STORE_NAME_MAX];
	int r = str_print(path, sizeof(path), FOLDER "%s", name);

	r = r < 0 ? r : openat(store->run_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

static void remove_folder(const struct store *store, const char *name)
{
	char path[sizeof(FOLDER) + STORE_NAME_MAX];

	if (str_print(path, sizeof(path), FOLDER "%s", name) == 0)
		(void)unlinkat(store->run_fd, path, AT_REMOVEDIR); /* an empty folder is in nobody's way */
}

/* A namespace lives on as long as a mount of it (namespaces(7)). */
static int pin(int folder, pid_t init, const char *file, struct err *err)
{
	char path[48];
	auto_close int made = openat(folder, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	auto_close int target = made < 0 ? -1 : openat(folder, file, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (target < 0)
		return err_sys(err, "make a place to hold its %s namespace at", file);
	(void)str_print(path, sizeof(path), "/proc/%d/ns/%s", init, file);
	auto_close int tree = mount_copy(AT_FDCWD, path, false, err);

	return tree < 0 ? tree : mount_attach(tree, target, file, err);
}

/* The mount goes when its last user does, as one in a service's mount namespace that saw it. */
static void unpin(int folder, const char *file)
{
	char path[48];

	(void)str_print(path, sizeof(path), "/proc/self/fd/%d/%s", folder, file);
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	(void)unlinkat(folder, file, 0);
}

static void let_go(const struct store *store, const char *name, int folder)
{
	unpin(folder, "net");
	unpin(folder, "user");
	(void)unlinkat(folder, NOTE, 0);
	remove_folder(store, name);
}

static int write_note(int folder, const struct record *record, const char *id, struct err *err)
{
	auto_buf struct buf text = {0};

	buf_addf(&text, "%s\n%llu\n", id, (unsigned long long)record->ids);
	for (size_t i = 0; i < record->link_count; i++)
		if (if_nametoindex(record->links[i].host))
			buf_addf(&text, "%s %s\n", record->links[i].host, record->links[i].inside);
	return text.failed ? err_num(err, ENOMEM, "note what of it is kept")
			   : file_replace_quick(folder, NOTE, text.data, text.len, 0600, err);
}

/* A link to another network of the guest, as a unit's own, criu makes with both ends; and that network ends with the guest. */
static int stands_alone(const struct record *record, struct err *err)
{
	struct netlink *inside = NULL;
	auto_close int netns = ns_open(record->init_pid, "net", err);
	size_t ours = 0, all = 0;
	int r = netns < 0 ? netns : netlink_open(netns, &inside, err);

	for (size_t i = 0; i < record->link_count; i++)
		ours += if_nametoindex(record->links[i].host) != 0;
	if (r == 0)
		r = netlink_count_away(inside, &all, err);
	netlink_free(inside);
	return r < 0 || all <= ours ? r : err_set(err, ERR_FAILED, "links lead from it to other networks in the guest");
}

int kept_pin(const struct guest *guest, const struct record *record, const char *id, struct err *err)
{
	const struct store *store = guest->store;
	char path[sizeof(FOLDER) + STORE_NAME_MAX];
	auto_close int stale = open_folder(store, guest->name);

	if (stale >= 0)
		let_go(store, guest->name, stale); /* not its links: they are this guest's */
	int r = stands_alone(record, err);
	if (r < 0)
		return r;
	r = str_print(path, sizeof(path), FOLDER "%s", guest->name);
	if (r < 0 || mkdirat(store->run_fd, path, 0700) < 0)
		return r < 0 ? err_num(err, r, "name the folder of what is kept") : err_sys(err, "mkdir %s/%s", store->run, path);
	auto_close int folder = open_folder(store, guest->name);

	r = folder < 0 ? err_num(err, folder, "open %s/%s", store->run, path) : pin(folder, record->init_pid, "net", err);
	if (r == 0 && record->ids)
		r = pin(folder, record->init_pid, "user", err);
	if (r == 0)
		r = write_note(folder, record, id, err);
	if (r < 0 && folder >= 0)
		let_go(store, guest->name, folder);
	return r;
}

/* After a reboot the file may be there, on a disk, and is only a file. */
static int open_namespace(int folder, const char *file, int kind)
{
	auto_close int fd = openat(folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != kind)
		return -1;
	return take_fd(&fd);
}

/* The next line of *rest, NULL behind the last. */
static char *next_line(char **rest)
{
	char *line = strsep(rest, "\n");

	return line && line[0] ? line : NULL;
}

/* Ends are numbered as the config has the interfaces, which may be in another order now. */
static bool has_link(const struct record *record, const char *host, const char *inside)
{
	for (size_t i = 0; inside && i < record->link_count; i++)
		if (strcmp(record->links[i].host, host) == 0)
			return strcmp(record->links[i].inside, inside) == 0;
	return false;
}

static bool fits(int folder, const char *id, const struct record *record)
{
	auto_free char *text = NULL;
	uint64_t had;

	if (file_read(folder, NOTE, NOTE_MAX, &text, NULL) < 0)
		return false;
	char *rest = text, *line = next_line(&rest);

	if (!line || strcmp(line, id) != 0)
		return false;
	line = next_line(&rest);
	if (!line || str_to_u64(line, 0, UINT32_MAX, &had) < 0 || had != record->ids)
		return false;
	while ((line = next_line(&rest))) {
		const char *host = strsep(&line, " ");

		if (!has_link(record, host, line) || !if_nametoindex(host))
			return false;
	}
	return true;
}

static bool has_one(const struct kept *kept, bool mapped)
{
	return kept->netns >= 0 && (!mapped || kept->userns >= 0);
}

void kept_take(const struct guest *guest, const char *id, const struct record *record, struct kept *ret)
{
	const struct store *store = guest->store;
	auto_close int folder = open_folder(store, guest->name);

	*ret = (struct kept){.netns = -1, .userns = -1};
	if (folder < 0)
		return;
	if (fits(folder, id, record)) {
		ret->netns = open_namespace(folder, "net", CLONE_NEWNET);
		ret->userns = record->ids ? open_namespace(folder, "user", CLONE_NEWUSER) : -1;
	}
	/* Without the note nobody takes the links, which run from now on, for those of one that sleeps. */
	if (!has_one(ret, record->ids != 0) || unlinkat(folder, NOTE, 0) < 0) {
		kept_close(ret);
		kept_drop(store, guest->name);
		return;
	}
	let_go(store, guest->name, folder);
}

void kept_close(struct kept *kept)
{
	if (kept->netns >= 0)
		close(take_fd(&kept->netns));
	if (kept->userns >= 0)
		close(take_fd(&kept->userns));
}

/* The kernel takes its time to end a network namespace: a start right after it would meet the links. */
static void delete_links(int folder)
{
	const char *links[RECORD_LINKS_MAX];
	auto_free char *text = NULL;
	struct netlink *host = NULL;
	size_t count = 0;

	if (file_read(folder, NOTE, NOTE_MAX, &text, NULL) < 0)
		return;
	char *rest = text, *line = next_line(&rest);

	line = line ? next_line(&rest) : NULL;
	while (line && (line = next_line(&rest)) && count < RECORD_LINKS_MAX)
		links[count++] = strsep(&line, " ");
	if (count && netlink_open(-1, &host, NULL) == 0)
		(void)netlink_delete_all(host, links, count, NULL); /* they go with the namespace in any case */
	netlink_free(host);
}

void kept_drop(const struct store *store, const char *name)
{
	auto_close int folder = open_folder(store, name);

	if (folder < 0)
		return;
	delete_links(folder);
	let_go(store, name, folder);
}
