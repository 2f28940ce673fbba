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
#include "../base/str.h"
#include "../guest/network.h"
#include "../guest/workdir.h"
#include "create.h"
#include "create_spec.h"
#include "personalise.h"
#include "repair.h"

#define NAME_FILE "name" /* in a folder being made: whose it will be */

static int check_free(const struct store *store, const char *name, struct err *err)
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
		r = check_free(store, request->name, err);
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
	int r = check_free(store, name, NULL) == 0 ? repair_guest(store, name, err) : 0;

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

		if (!str_starts(entry->d_name, ".new-") && !str_starts(entry->d_name, ".old-"))
			continue;
		if (workdir_claim(store->guests_fd, entry->d_name, &fd) < 0)
			continue; /* somebody is at it, or it is gone */
		int r = clear_run(store, entry->d_name, err);

		if (r == 0)
			r = clear_away(store, entry->d_name, err);
		if (r < 0)
			return r;
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

/* What is made in the folder work_fd, which is dropped by the caller when this fails. */
static int make_guest(const struct store *store, const struct create_request *request, const char *id, int work_fd, int lock_fd,
		      struct err *err)
{
	auto_spec struct spec *spec = NULL;
	struct personalise what;
	char hostname[PERSONALISE_HOSTNAME];
	int r = create_spec(store, request, &spec, err);

	if (r < 0)
		return r;
	spec->guest.id = strdup(id);
	if (!spec->guest.id)
		return err_num(err, ENOMEM, "make guest '%s'", request->name);
	if (!spec->security.privileged) {
		r = store_ids_take(store, id, &spec->security.ids, err);
		if (r < 0)
			return r;
	}
	r = request->storage->clone(work_fd, request->image_fd, err);
	if (r < 0)
		return r;
	auto_free char *text = spec_format(spec);

	if (!text)
		return err_num(err, ENOMEM, "write the config of guest '%s'", request->name);
	r = file_replace(work_fd, "config", text, strlen(text), 0600, err);
	if (r < 0)
		return r;
	struct guest guest = {.store = store, .dir_fd = work_fd, .lock_fd = lock_fd, .spec = spec};

	r = str_copy(guest.name, sizeof(guest.name), request->name);
	if (r < 0)
		return err_num(err, r, "name guest '%s'", request->name);
	personalise_hostname(request->name, hostname);
	fill_personalise(request, id, spec->guest.hostname ? spec->guest.hostname : hostname, &what);
	return personalise_guest(&guest, &what, err);
}

static int create_locked(const struct store *store, const struct create_request *request, int lock_fd, struct err *err)
{
	auto_close int work_fd = -1;
	char id[33], folder[48];
	int r = check_free(store, request->name, err);

	if (r == 0)
		r = create_sweep(store, err);
	if (r == 0)
		r = repair_guest(store, request->name, err); /* of a guest that had the name before */
	if (r == 0)
		r = store_new_id(id, err);
	if (r < 0)
		return r;
	(void)str_print(folder, sizeof(folder), ".new-%s", id);
	r = workdir_make(store->guests_fd, folder, &work_fd, NULL, err);
	if (r < 0)
		return r;
	r = file_replace_quick(work_fd, NAME_FILE, request->name, strlen(request->name), 0600, err);
	if (r == 0)
		r = make_guest(store, request, id, work_fd, lock_fd, err);
	if (r == 0 && unlinkat(work_fd, NAME_FILE, 0) < 0)
		r = err_sys(err, "put guest '%s' into place", request->name);
	if (r == 0)
		r = workdir_finish(store->guests_fd, folder, work_fd, request->name, false, err);
	if (r < 0)
		(void)clear_away(store, folder, NULL); /* the failure is what counts; the next command sweeps */
	return r;
}

int create_guest(const struct store *store, const struct create_request *request, struct err *err)
{
	int lock_fd = -1;
	int r = store_lock_name(store, request->name, STORE_LOCK_MS, &lock_fd, err);

	if (r < 0)
		return r;
	r = create_locked(store, request, lock_fd, err);
	store_unlock_name(store, request->name, &lock_fd);
	return r;
}
