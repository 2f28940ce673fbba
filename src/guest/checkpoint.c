/* Checkpoints on disk: their folders below the guest's, and the note of the one that it sleeps in. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "checkpoint.h"
#include "checkpoint_place.h"
#include "kept.h"
#include "workdir.h"

#define FOLDER "checkpoints"
/* Below guests/NAME: the id of the checkpoint that the guest sleeps in, and its path if it is elsewhere. */
#define ASLEEP "asleep"
#define AWAKE  ".asleep-no-more"

static int open_folder(const struct guest *guest, bool make, struct err *err)
{
	if (make && mkdirat(guest->dir_fd, FOLDER, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make the folder for checkpoints");
	int fd = openat(guest->dir_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_sys(err, "open the folder of checkpoints") : fd;
}

static int new_id(struct checkpoint *checkpoint, struct err *err)
{
	char day[24];
	struct tm tm;
	uint16_t random = 0;
	time_t now = (time_t)checkpoint->created;

	if (!gmtime_r(&now, &tm) || !strftime(day, sizeof(day), "%Y%m%d-%H%M%S", &tm) || getrandom(&random, 2, 0) != 2)
		return err_sys(err, "name the checkpoint");
	(void)str_print(checkpoint->id, sizeof(checkpoint->id), "%s-%04x", day, random);
	return 0;
}

/* criu reads them again as the guest's root, by descriptor; nobody else comes through the folders above. */
int checkpoint_images(int fd, struct err *err)
{
	if (mkdirat(fd, CHECKPOINT_IMAGES, 0755) < 0 || fchmodat(fd, CHECKPOINT_IMAGES, 0755, 0) < 0)
		return err_sys(err, "make the checkpoint's folder of images");
	return 0;
}

void checkpoint_place_close(struct checkpoint_place *place)
{
	if (place->fd >= 0)
		close(take_fd(&place->fd));
	if (place->parent >= 0)
		close(take_fd(&place->parent));
	free(take_ptr(&place->path));
}

void checkpoint_sweep(struct guest *guest)
{
	auto_close int folder = open_folder(guest, false, NULL);

	/* What fails here is tried again by the next command. */
	(void)workdir_sweep(guest->dir_fd, CHECKPOINT_NEW, NULL);
	if (folder >= 0)
		(void)workdir_sweep(folder, CHECKPOINT_NEW, NULL);
	(void)unlinkat(guest->dir_fd, FOLDER, AT_REMOVEDIR); /* only when it is empty */
	checkpoint_place_sweep(guest);
}

static int begin(struct guest *guest, const char *to, struct checkpoint *checkpoint, struct checkpoint_place *place,
		 struct err *err)
{
	char name[sizeof(place->name) + sizeof(CHECKPOINT_NEW)];
	int r = new_id(checkpoint, err);

	if (r < 0)
		return r;
	checkpoint_sweep(guest);
	if (to) {
		r = checkpoint_place_choose(guest, to, place, err);
	} else {
		place->parent = open_folder(guest, true, err);
		(void)str_copy(place->name, sizeof(place->name), checkpoint->id);
		r = place->parent < 0 ? place->parent : 0;
	}
	if (r < 0)
		return r;
	(void)str_print(name, sizeof(name), CHECKPOINT_NEW "%s", place->name);
	r = workdir_make(place->parent, name, &place->fd, NULL, err);
	return r < 0 ? r : checkpoint_images(place->fd, err);
}

int checkpoint_begin(struct guest *guest, const char *to, struct checkpoint *checkpoint, struct checkpoint_place *ret,
		     struct err *err)
{
	struct checkpoint_place place = {.parent = -1, .fd = -1};

	checkpoint->created = (uint64_t)time(NULL);
	int r = begin(guest, to, checkpoint, &place, err);

	if (r < 0) {
		if (place.fd >= 0)
			checkpoint_drop(guest, &place);
		checkpoint_place_close(&place);
		checkpoint_place_done(guest);
	} else {
		*ret = place;
	}
	return r;
}

int checkpoint_keep(struct guest *guest, const struct checkpoint *checkpoint, const struct checkpoint_place *place, bool asleep,
		    struct err *err)
{
	char name[sizeof(place->name) + sizeof(CHECKPOINT_NEW)];
	auto_free char *note = str_format("%s%s%s", checkpoint->id, place->path ? "\n" : "", place->path ? place->path : "");

	if (!note)
		return err_num(err, ENOMEM, "put the checkpoint in its place");
	(void)str_print(name, sizeof(name), CHECKPOINT_NEW "%s", place->name);
	/* Over an empty folder at most; network file systems know no rename that would refuse that too. */
	if (renameat(place->parent, name, place->parent, place->name) < 0 || fsync(place->parent) < 0)
		return err_sys(err, "put the checkpoint in its place");
	int r = asleep ? file_replace(guest->dir_fd, ASLEEP, note, strlen(note), 0600, err) : 0;
	if (r == 0)
		checkpoint_place_done(guest);
	return r;
}

void checkpoint_drop(struct guest *guest, const struct checkpoint_place *place)
{
	char name[sizeof(place->name) + sizeof(CHECKPOINT_NEW)];
	struct stat made, found;

	(void)str_print(name, sizeof(name), CHECKPOINT_NEW "%s", place->name);
	(void)file_remove_tree(place->parent, name, NULL); /* what stays is swept by the next one */
	if (fstat(place->fd, &made) == 0 && fstatat(place->parent, place->name, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
	    made.st_ino == found.st_ino && made.st_dev == found.st_dev)
		(void)file_remove_tree(place->parent, place->name, NULL);
	checkpoint_place_done(guest);
	(void)unlinkat(guest->dir_fd, FOLDER, AT_REMOVEDIR); /* only when it is empty */
}

static bool is_id(const char *name)
{
	return name[0] && name[0] != '.' && strlen(name) < sizeof(((struct checkpoint *)0)->id) && !strchr(name, '/') &&
	       str_printable(name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int checkpoint_ids(const struct guest *guest, char ***ret, struct err *err)
{
	size_t count = 0;
	int fd = openat(guest->dir_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char **names = calloc(1, sizeof(*names));

	if (!names) {
		if (fd >= 0)
			close(fd);
		return err_num(err, ENOMEM, "list checkpoints");
	}
	auto_closedir DIR *entries = fd < 0 ? NULL : fdopendir(fd);

	for (struct dirent *entry; entries && (entry = readdir(entries));) {
		if (!is_id(entry->d_name))
			continue;
		char **more = reallocarray(names, count + 2, sizeof(*names));

		if (more)
			names = more;
		names[count] = more ? strdup(entry->d_name) : NULL;
		if (!names[count]) {
			store_names_free(names);
			return err_num(err, ENOMEM, "list checkpoints");
		}
		names[++count] = NULL;
	}
	qsort(names, count, sizeof(*names), by_name);
	*ret = names;
	return 0;
}

int checkpoint_open(const struct guest *guest, const char *id, int *ret_fd, struct err *err)
{
	auto_free char *path = str_format(FOLDER "/%s", id);
	char **have = NULL;

	if (!path || !is_id(id))
		return err_set(err, ERR_NOT_FOUND, "open checkpoint '%.31s': that is no name of one", id);
	*ret_fd = openat(guest->dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	(void)err_set(err, ERR_NOT_FOUND, "open checkpoint '%s': there is none of that name", id);
	if (checkpoint_ids(guest, &have, NULL) == 0 && have[0])
		(void)err_hint(err, "isle checkpoint --list %s shows what there is", guest->name);
	store_names_free(have);
	return -ENOENT;
}

/* *ret: the note, NULL when there is none. */
static int read_asleep(const struct store *store, const char *name, char **ret)
{
	auto_free char *path = str_format("%s/" ASLEEP, name);
	int r = path ? file_read(store->guests_fd, path, PATH_MAX + 32, ret, NULL) : -ENOMEM;

	if (r == -ENOENT || r == -ENOTDIR) {
		*ret = NULL;
		return 0;
	}
	return r;
}

int checkpoint_asleep(const struct store *store, const char *name, char ret[32], struct err *err)
{
	auto_free char *text = NULL;
	int r = read_asleep(store, name, &text);

	ret[0] = '\0';
	if (r == 0 && text) {
		text[strcspn(text, "\n")] = '\0';
		r = is_id(text) ? str_copy(ret, 32, text) : -EBADMSG;
	}
	if (r == 0)
		return 0;
	(void)err_num(err, r, "read in %s/%s/" ASLEEP " whether it sleeps", store->guests, name);
	if (r == -EBADMSG)
		(void)err_hint(err, "remove that file, and it starts anew");
	return r;
}

char *checkpoint_asleep_at(const struct store *store, const char *name)
{
	auto_free char *text = NULL;
	const char *path = read_asleep(store, name, &text) == 0 && text ? strchr(text, '\n') : NULL;

	return path && path[1] == '/' ? strdup(path + 1) : NULL;
}

/* Where that is not on disk for certain it sleeps on. */
int checkpoint_wake(struct guest *guest, struct err *err)
{
	kept_drop(guest->store, guest->name);
	bool slept = renameat(guest->dir_fd, ASLEEP, guest->dir_fd, AWAKE) == 0;

	if (!slept && errno != ENOENT)
		return err_sys(err, "remove the note that the guest sleeps");
	if (fsync(guest->dir_fd) < 0) {
		int r = err_sys(err, "note on disk that the guest sleeps no more");

		if (slept)
			(void)renameat(guest->dir_fd, AWAKE, guest->dir_fd, ASLEEP);
		return r;
	}
	(void)unlinkat(guest->dir_fd, AWAKE, 0); /* the next one's takes its place */
	return 0;
}

int checkpoint_delete(struct guest *guest, const char *id, struct err *err)
{
	char asleep[32], name[48];
	auto_close int fd = -1;
	int r = checkpoint_open(guest, id, &fd, err);

	if (r < 0)
		return r;
	auto_close int folder = open_folder(guest, false, err);

	if (folder < 0)
		return folder;
	r = checkpoint_asleep(guest->store, guest->name, asleep, err);
	if (r == 0 && strcmp(asleep, id) == 0)
		r = checkpoint_wake(guest, err);
	(void)str_print(name, sizeof(name), CHECKPOINT_NEW "gone-%s", id);
	if (r == 0 && renameat(folder, id, folder, name) < 0)
		r = err_sys(err, "remove checkpoint %s", id);
	if (r == 0)
		r = file_remove_tree(folder, name, err);
	(void)unlinkat(guest->dir_fd, FOLDER, AT_REMOVEDIR);
	return r;
}

void checkpoint_delete_spent(struct guest *guest)
{
	char asleep[32], **ids = NULL;

	if (checkpoint_asleep(guest->store, guest->name, asleep, NULL) < 0 || checkpoint_ids(guest, &ids, NULL) < 0)
		return;
	for (size_t i = 0; ids[i]; i++) {
		struct checkpoint one = {0};
		auto_close int fd = -1;

		if (strcmp(ids[i], asleep) != 0 && checkpoint_open(guest, ids[i], &fd, NULL) == 0 &&
		    checkpoint_load(fd, &one, NULL) == 0 && !one.disk)
			(void)checkpoint_delete(guest, ids[i], NULL); /* one that stays can be deleted by hand */
		checkpoint_clear(&one);
	}
	store_names_free(ids);
}
