/* Makes guests from images, and clears away what was made or destroyed by halves. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../guest/network.h"
#include "../guest/record.h"
#include "../guest/workdir.h"
#include "create.h"
#include "create_spec.h"
#include "personalise.h"
#include "repair.h"

#define NAME_FILE "name"   /* in a folder being made: whose it will be */
#define UNBORN    "unborn" /* in a guest's folder: what makes it has not come to its end */

int create_check_free(const struct store *store, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(store->guests_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, ERR_STATE, "there is a guest '%s' already", name);
	return errno == ENOENT ? 0 : err_sys(err, "look for %s in %s", name, store->guests);
}

static void fill_personalise(const struct create_request *request, const char *id, const char *hostname, struct personalise *what)
{
	*what = (struct personalise){
		.hostname = hostname,
		.machine_id = id,
		.timezone = request->timezone,
		.ssh_key_text = request->ssh_key_text,
		.root_password = request->root_password,
		.make_ssh_keys = true,
		.fix_dhcp = true,
		.fix_terminals = true,
	};
}

int create_check(const struct store *store, const struct create_request *request, struct err *err)
{
	auto_spec struct spec *spec = NULL;
	struct personalise what;
	char hostname[PERSONALISE_HOSTNAME];
	int r = store_check_name(request->name, err);

	if (r == 0)
		r = create_check_free(store, request->name, err);
	if (r < 0)
		return r;
	personalise_hostname(request->name, hostname);
	fill_personalise(request, "", request->hostname ? request->hostname : hostname, &what);
	r = personalise_check(&what, err);
	return r < 0 ? r : create_spec(store, request, &spec, err);
}

static bool is_id(const char *text)
{
	return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

/* What personalising left of its run, where it was killed: found by the guest's name, which the folder holds. Somebody who has that
 * name's lock looks after it himself. */
static int clear_run(const struct store *store, const char *folder, struct err *err)
{
	auto_free char *file = str_format("%s/" NAME_FILE, folder);
	auto_free char *name = NULL;
	int lock_fd = -1;

	if (!file || file_read(store->guests_fd, file, STORE_NAME_MAX + 1, &name, NULL) < 0 || !store_name_valid(name) ||
	    store_lock_name(store, name, 0, &lock_fd, NULL) < 0)
		return 0;
	int r = create_check_free(store, name, NULL) == 0 ? repair_guest(store, name, err) : 0;

	store_unlock_name(store, name, &lock_fd);
	return r;
}

/* The folder goes last: while it is there the rest can be found by its name. */
static int clear_away(const struct store *store, const char *folder, struct err *err)
{
	const char *id = folder + strlen(".new-");
	int r = is_id(id) ? network_release(store, id, err) : 0;

	if (r == 0 && is_id(id))
		r = store_ids_drop(store, id, err);
	return r < 0 ? r : workdir_remove(store->guests_fd, folder, err);
}

/* A guest whose making was killed when it had its name already. One that runs by now is whole. */
static int sweep_unborn(const struct store *store, const char *name, struct err *err)
{
	auto_free char *note = str_format("%s/" UNBORN, name);
	struct guest *guest = NULL;
	int lock_fd = -1;

	if (!note || faccessat(store->guests_fd, note, F_OK, AT_SYMLINK_NOFOLLOW) < 0 ||
	    store_lock_name(store, name, 0, &lock_fd, NULL) < 0)
		return 0;
	int r = guest_open_any(store, name, &guest, NULL);

	if (r < 0) {
		store_unlock_name(store, name, &lock_fd);
		return 0;
	}
	guest->lock_fd = lock_fd;
	enum state state;

	r = guest_state_sure(guest, NULL, &state, err);
	if (r == 0 && state == STATE_BROKEN) {
		r = repair_guest(store, name, err);
		state = guest_state_locked(guest, NULL);
	}
	if (state == STATE_RUNNING || state == STATE_FROZEN)
		create_adopt(guest);
	else if (r == 0 && state == STATE_STOPPED)
		r = create_discard(guest, err);
	guest_free(guest);
	return r;
}

void create_adopt(struct guest *guest)
{
	(void)unlinkat(guest->dir_fd, UNBORN, 0);
}

/* What stays for a while, such as one in which the administrator has something mounted, keeps nobody from other guests. */
static void sweep_folder(const struct store *store, const char *folder)
{
	struct err why = {0};
	int r = clear_run(store, folder, &why);

	if (r == 0)
		r = clear_away(store, folder, &why);
	if (r < 0)
		log_warn("%s/%s, which a guest left, stays: %s%s%s", store->guests, folder, why.what, why.sys ? ": " : "",
			 why.sys ? strerror(why.sys) : "");
}

int create_sweep(const struct store *store, struct err *err)
{
	int again = openat(store->guests_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again >= 0 ? fdopendir(again) : NULL;

	if (!dir) {
		int r = err_sys(err, "read %s", store->guests);

		clean_close(&again);
		return r;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		auto_close int fd = -1;

		if (entry->d_name[0] != '.') {
			int swept = sweep_unborn(store, entry->d_name, err);

			if (swept < 0)
				return swept;
			continue;
		}
		if (!str_starts(entry->d_name, ".new-") && !str_starts(entry->d_name, ".old-"))
			continue;
		if (workdir_claim(store->guests_fd, entry->d_name, &fd) < 0)
			continue; /* somebody is at it, or it is gone */
		sweep_folder(store, entry->d_name);
	}
	store_sweep_locks(store);
	return 0;
}

int create_discard(struct guest *guest, struct err *err)
{
	const struct store *store = guest->store;
	const char *id = guest->spec->guest.id;
	auto_free char *folder = str_format(".old-%s", id && is_id(id) ? id : guest->name);
	auto_close int fd = -1;

	if (!folder)
		return err_num(err, ENOMEM, "remove guest '%s'", guest->name);
	int r = workdir_claim(store->guests_fd, guest->name, &fd);

	if (r < 0)
		return err_num(err, r, "hold the folder of guest '%s'", guest->name);
	if (renameat(store->guests_fd, guest->name, store->guests_fd, folder) < 0)
		return err_sys(err, "rename the folder of guest '%s' away", guest->name);
	if (fsync(store->guests_fd) < 0)
		return err_sys(err, "write the removal of guest '%s' to disk", guest->name);
	return clear_away(store, folder, err);
}

int create_settle(const struct create_work *work, const char *config, struct spec *spec, const struct personalise *what,
		  struct err *err)
{
	struct guest guest = {.store = work->store, .dir_fd = work->fd, .lock_fd = work->lock_fd, .spec = spec};
	int r = file_replace(work->fd, "config", config, strlen(config), 0600, err);

	if (r < 0)
		return r;
	r = str_copy(guest.name, sizeof(guest.name), work->name);
	return r < 0 ? err_num(err, r, "name guest '%s'", work->name) : personalise_guest(&guest, what, err);
}

/* From an image. */
static int fill_from_image(const struct create_work *work, void *arg, struct err *err)
{
	const struct create_request *request = arg;
	auto_spec struct spec *spec = NULL;
	struct personalise what;
	char hostname[PERSONALISE_HOSTNAME];
	int r = create_spec(work->store, request, &spec, err);

	if (r < 0)
		return r;
	spec->guest.id = strdup(work->id);
	if (!spec->guest.id)
		return err_num(err, ENOMEM, "make guest '%s'", request->name);
	if (!spec->security.privileged) {
		r = store_ids_take(work->store, work->id, &spec->security.ids, err);
		if (r < 0)
			return r;
	}
	r = request->storage->clone(work->fd, request->image_fd, err);
	if (r < 0)
		return r;
	auto_free char *text = spec_format(spec);

	if (!text)
		return err_num(err, ENOMEM, "write the config of guest '%s'", request->name);
	personalise_hostname(request->name, hostname);
	fill_personalise(request, work->id, spec->guest.hostname ? spec->guest.hostname : hostname, &what);
	return create_settle(work, text, spec, &what, err);
}

static int fill(const struct create_work *work, const struct create_acts *acts, void *arg, struct err *err)
{
	int r = file_replace_quick(work->fd, NAME_FILE, work->name, strlen(work->name), 0600, err);

	if (r == 0 && acts->use)
		r = file_replace_quick(work->fd, UNBORN, "", 0, 0600, err);
	if (r == 0)
		r = acts->fill(work, arg, err);
	if (r == 0 && unlinkat(work->fd, NAME_FILE, 0) < 0)
		r = err_sys(err, "put guest '%s' into place", work->name);
	return r;
}

/* The guest as others will find it. lock_fd stays the caller's. */
static int use(const struct store *store, const char *name, int lock_fd, const struct create_acts *acts, void *arg, struct err *err)
{
	struct guest *guest = NULL;
	int r = guest_open(store, name, &guest, err);

	if (r < 0)
		return r;
	guest->lock_fd = fcntl(lock_fd, F_DUPFD_CLOEXEC, 0);
	r = guest->lock_fd < 0 ? err_sys(err, "keep guest '%s' locked", name) : acts->use(guest, arg, err);
	if (r == 0)
		create_adopt(guest);
	else
		(void)create_discard(guest, NULL); /* the failure is what counts; the next command sweeps */
	guest_free(guest);
	return r;
}

static int create_locked(const struct store *store, const char *name, const struct create_acts *acts, void *arg, int lock_fd,
			 struct err *err)
{
	auto_close int work_fd = -1;
	char id[33], folder[48];
	int r = create_check_free(store, name, err);

	if (r == 0)
		r = create_sweep(store, err);
	if (r == 0)
		r = repair_guest(store, name, err); /* of a guest that had the name before */
	if (r == 0)
		r = store_new_id(id, err);
	if (r < 0)
		return r;
	(void)str_print(folder, sizeof(folder), ".new-%s", id);
	r = workdir_make(store->guests_fd, folder, &work_fd, NULL, err);
	if (r < 0)
		return r;
	const struct create_work work = {.store = store, .name = name, .id = id, .fd = work_fd, .lock_fd = lock_fd};

	r = fill(&work, acts, arg, err);
	if (r == 0)
		r = workdir_finish(store->guests_fd, folder, work_fd, name, false, err);
	if (r < 0) {
		(void)clear_away(store, folder, NULL); /* the failure is what counts; the next command sweeps */
		return r;
	}
	close(take_fd(&work_fd)); /* its lock would keep others, and ourselves, from removing the guest */
	return acts->use ? use(store, name, lock_fd, acts, arg, err) : 0;
}

int create_by(const struct store *store, const char *name, const struct create_acts *acts, void *arg, struct err *err)
{
	int lock_fd = -1;
	int r = store_lock_name(store, name, STORE_LOCK_MS, &lock_fd, err);

	if (r < 0)
		return r;
	r = create_locked(store, name, acts, arg, lock_fd, err);
	store_unlock_name(store, name, &lock_fd);
	return r;
}

int create_guest(const struct store *store, const struct create_request *request, struct err *err)
{
	static const struct create_acts acts = {.fill = fill_from_image};

	return create_by(store, request->name, &acts, (void *)request, err);
}
