/* Gives a stopped guest another name. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../guest/image.h"
#include "../guest/record.h"
#include "confine.h"
#include "personalise.h"
#include "rename.h"
#include "repair.h"

#define UNTOLD "renamed" /* in a guest's folder: its files may not know its name yet */

static int move(const struct store *store, const char *from, const char *to, struct err *err)
{
	if (renameat2(store->guests_fd, from, store->guests_fd, to, RENAME_NOREPLACE) < 0) {
		int r = err_sys(err, "rename guest '%s' to '%s'", from, to);

		return r == -EEXIST ? err_hint(err, "there is a guest '%s' already", to) : r;
	}
	if (fsync(store->guests_fd) < 0)
		return err_sys(err, "write %s to disk", store->guests);
	return 0;
}

static int tell(struct guest *guest, struct err *err)
{
	char hostname[PERSONALISE_HOSTNAME];
	struct personalise what = {.hostname = hostname};
	int r = 0;

	personalise_hostname(guest->name, hostname);
	if (!guest->spec->guest.hostname)
		r = personalise_guest(guest, &what, err);
	if (r == 0 && unlinkat(guest->dir_fd, UNTOLD, 0) < 0 && errno != ENOENT)
		r = err_sys(err, "remove %s/" UNTOLD, guest->name);
	return r;
}

void rename_finish(struct guest *guest)
{
	if (faccessat(guest->dir_fd, UNTOLD, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		(void)tell(guest, NULL); /* a guest with the wrong name in its files starts as well */
}

/* The guest has its new name already when its files get to know it; the note tells a later start when we do not come that far. */
static int move_and_tell(struct guest *guest, const char *to, struct err *err)
{
	const struct store *store = guest->store;
	struct guest *moved = NULL;
	int r = file_replace(guest->dir_fd, UNTOLD, "", 0, 0600, err);

	if (r == 0)
		r = move(store, guest->name, to, err);
	if (r < 0) {
		(void)unlinkat(guest->dir_fd, UNTOLD, 0); /* it would only have the name told that it has */
		return r;
	}
	r = guest_open(store, to, &moved, err);
	if (r == 0)
		r = tell(moved, err);
	guest_free(moved);
	/* The first failure is the one to report. */
	if (r < 0 && move(store, to, guest->name, NULL) == 0)
		rename_finish(guest);
	return r;
}

static int check(struct guest *guest, struct err *err)
{
	int r = repair_as_needed(guest, err);

	if (r < 0)
		return r;
	enum state state = guest_state_locked(guest, NULL);

	if (state == STATE_STOPPED)
		return 0;
	(void)err_set(err, ERR_STATE, "rename it while it is %s", state_names[state]);
	if (state == STATE_CHECKPOINTED)
		return err_hint(err, "isle start %s wakes it; then isle stop %s", guest->name, guest->name);
	return err_hint(err, "isle stop %s", guest->name);
}

int rename_guest(const struct store *store, const char *from, const char *to, struct err *err)
{
	struct guest *guest = NULL;
	bool first = strcmp(from, to) < 0;
	auto_close int image = -1;
	int to_lock = -1;
	int r = store_check_name(to, err);

	if (r == 0 && strcmp(from, to) == 0)
		r = err_set(err, ERR_USAGE, "rename guest '%s' to its own name", from);
	if (r == 0)
		r = guest_open(store, from, &guest, err);
	if (r == 0 && !first)
		r = store_lock_name(store, to, STORE_LOCK_MS, &to_lock, err);
	if (r == 0)
		r = guest_lock(guest, STORE_LOCK_MS, err);
	if (r == 0 && first)
		r = store_lock_name(store, to, STORE_LOCK_MS, &to_lock, err);
	if (r == 0)
		r = check(guest, err);
	/* Of a guest that had the name before. The lock is ours: what looks half started or half stopped is nobody's. */
	enum state left = r == 0 ? guest_state(store, to, NULL) : STATE_STOPPED;

	if (left == STATE_BROKEN || left == STATE_STARTING || left == STATE_STOPPING)
		r = repair_guest(store, to, err);
	/* Shared meanwhile: who wants to remove the image may read the folder of guests and miss the one that moves. */
	if (r == 0 && guest->spec->guest.image)
		(void)image_open(store, guest->spec->guest.image, &image, NULL); /* not every storage needs it to be there */
	if (r == 0) {
		confine_forget(store, from); /* a start makes it anew, and under the old name nobody would look for it */
		r = move_and_tell(guest, to, err);
	}
	store_unlock_name(store, to, &to_lock);
	guest_free(guest);
	return r;
}
