/* Gives a stopped guest another name. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../guest/record.h"
#include "confine.h"
#include "personalise.h"
#include "rename.h"
#include "repair.h"

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

/* Both under one roof: the guest has its new name already when its files get to know it. */
static int tell_guest(const struct store *store, const char *to, struct err *err)
{
	struct guest *guest = NULL;
	int r = guest_open(store, to, &guest, err);

	if (r == 0 && !guest->spec->guest.hostname) {
		struct personalise what = {.hostname = to};

		r = personalise_guest(guest, &what, err);
	}
	guest_free(guest);
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
	(void)err_set(err, ERR_STATE, "rename a guest that is %s", state_names[state]);
	return err_hint(err, "isle stop %s", guest->name);
}

int rename_guest(const struct store *store, const char *from, const char *to, struct err *err)
{
	struct guest *guest = NULL;
	bool first = strcmp(from, to) < 0;
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
	if (r == 0)
		r = move(store, from, to, err);
	if (r == 0) {
		r = tell_guest(store, to, err);
		if (r < 0)
			(void)move(store, to, from, NULL); /* the first failure is the one to tell */
	}
	store_unlock_name(store, to, &to_lock);
	if (r == 0)
		confine_forget(store, from);
	guest_free(guest);
	return r;
}
