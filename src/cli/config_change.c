/* A change of a guest's config: text is edited, checked, made good in a running guest, and only then saved. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../base/file.h"
#include "../guest/plan.h"
#include "../guest/record.h"
#include "../guest/spec_parts.h"
#include "../run/limits.h"
#include "../run/repair.h"
#include "../run/update.h"
#include "config_change.h"

#define CONFIG_FILE "config"

int change_when(const struct call *call, enum change_when *ret, struct err *err)
{
	bool runtime = call_has(call, "runtime"), next = call_has(call, "next");

	if (runtime && next)
		return call_usage(call, err, "--runtime and --next exclude each other");
	*ret = runtime ? CHANGE_RUNTIME : next ? CHANGE_NEXT : CHANGE_BOTH;
	return 0;
}

/* guest_open wants a config without fault; here the folder is enough. */
static int open_folder(struct config_change *change, struct err *err)
{
	struct guest *guest = &change->guest;
	int r = store_lock_name(guest->store, guest->name, STORE_LOCK_MS, &guest->lock_fd, err);

	if (r < 0)
		return r;
	guest->dir_fd = openat(guest->store->guests_fd, guest->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (guest->dir_fd >= 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, "open %s/%s", guest->store->guests, guest->name);
	/* It knows the near match. */
	struct guest *absent = NULL;

	r = guest_open(guest->store, guest->name, &absent, err);
	guest_free(absent);
	return r < 0 ? r : err_num(err, EAGAIN, "open guest '%s'", guest->name);
}

static int read_config(struct config_change *change, struct err *err)
{
	struct guest *guest = &change->guest;
	size_t len;
	int r = file_read(guest->dir_fd, CONFIG_FILE, SPEC_FILE_MAX, &change->text, &len);

	if (r < 0)
		return err_num(err, r, "read %s/%s", guest->name, CONFIG_FILE);
	if (strlen(change->text) != len)
		return err_set(err, ERR_FAILED, "%s/%s has a NUL byte: edit it by hand", guest->name, CONFIG_FILE);
	if (plan_parse(guest->store, change->text, len, guest->name, &guest->spec, NULL) < 0)
		return 0;
	return repair_as_needed(guest, err);
}

int config_change_begin(struct call *call, const char *name, struct config_change *ret, struct err *err)
{
	struct config_change change = {.call = call, .guest = {.dir_fd = -1, .lock_fd = -1}};
	int r = call_store(call, &change.guest.store, err);

	if (!r)
		r = store_check_name(name, err);
	if (!r)
		r = str_copy(change.guest.name, sizeof change.guest.name, name);
	if (!r)
		r = open_folder(&change, err);
	if (!r)
		r = read_config(&change, err);
	if (r < 0) {
		config_change_end(&change);
		return r;
	}
	*ret = change;
	return 0;
}

void config_change_end(struct config_change *change)
{
	clean_close(&change->guest.dir_fd);
	guest_unlock(&change->guest);
	spec_free(change->guest.spec);
	free(change->text);
}

/* Keys by their change */

static bool differs(const struct key *key, const void *old, const void *now)
{
	auto_buf struct buf a = {0}, b = {0};

	if (old)
		key->type->format(key, spec_field_const(old, key), &a);
	if (now)
		key->type->format(key, spec_field_const(now, key), &b);
	return a.len != b.len || (a.len && memcmp(a.data, b.data, a.len));
}

static void compare_element(enum section section, const char *name, const void *old, const void *now, struct buf *waiting)
{
	if (!old || !now) {
		buf_addf(waiting, "%s%s.%s", waiting->len ? ", " : "", section_table[section].name, name);
		return;
	}
	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];

		if (key->section == section && differs(key, old, now) && !update_is_live(key))
			buf_addf(waiting, "%s%s%s%s.%s", waiting->len ? ", " : "", section_table[section].name, *name ? "." : "",
				 name, key->name);
	}
}

static void compare(struct spec *old, struct spec *now, struct buf *waiting)
{
	for (enum section section = 0; section < SECTION_COUNT; section++) {
		for (size_t i = 0; i < spec_element_count(now, section); i++) {
			const char *name = spec_element_name(now, section, i);

			compare_element(section, name, spec_element(old, section, name), spec_element_at(now, section, i), waiting);
		}
		for (size_t i = 0; section_table[section].many && i < spec_element_count(old, section); i++) {
			const char *name = spec_element_name(old, section, i);

			if (!spec_element(now, section, name))
				compare_element(section, name, spec_element_at(old, section, i), NULL, waiting);
		}
	}
}

/* Applying */

static bool is_up(const struct config_change *change)
{
	enum state state = guest_state_locked(&change->guest, NULL);

	return state == STATE_RUNNING || state == STATE_FROZEN;
}

static int apply_and_save(struct config_change *change, struct spec *old, const char *text, struct buf *notes, struct err *err)
{
	struct guest *guest = &change->guest;
	unsigned kinds = change->kinds;
	bool live = change->when != CHANGE_NEXT;
	int r = live ? update_apply(guest, old, kinds, notes, err) : 0;

	if (r < 0 || change->when == CHANGE_RUNTIME || !strcmp(text, change->text))
		return r;
	r = guest_save(guest, text, err);
	if (r < 0 && live) {
		struct spec *now = guest->spec;

		guest->spec = old;
		(void)update_apply(guest, now, kinds, NULL, NULL); /* the first fault is the one to tell */
		guest->spec = now;
	}
	return r;
}

/* guest->spec is already the new one. Makes it good in the running guest, then on disk; the guest goes back when the disk fails. */
static int make_good(struct config_change *change, struct spec *old, const char *text, struct buf *notes, struct err *err)
{
	struct guest *guest = &change->guest;
	bool touches = change->when != CHANGE_NEXT && (change->kinds || limits_changed(old, guest->spec));
	int marked = touches ? update_mark(guest, true, err) : 0;

	if (marked < 0)
		return marked;
	int r = apply_and_save(change, old, text, notes, err);

	if (marked)
		(void)update_mark(guest, false, NULL); /* else the next command only sets once more what holds */
	return r;
}

static int check_runtime(const struct config_change *change, const struct buf *waiting, struct err *err)
{
	if (change->when != CHANGE_RUNTIME)
		return 0;
	if (!is_up(change)) {
		(void)err_set(err, ERR_STATE, "change '%s' for now only: it does not run", change->guest.name);
		return err_hint(err, "without --runtime the change is kept for its next start");
	}
	if (!waiting->len)
		return 0;
	(void)err_set(err, ERR_USAGE, "change '%s' for now only: %s takes effect at a start", change->guest.name, waiting->data);
	return err_hint(err, "without --runtime the change is kept for the next start");
}

static void tell(const struct config_change *change, const struct buf *waiting, const struct buf *notes)
{
	char *rest = notes->data;

	if (change->call->quiet)
		return;
	for (char *line; rest && (line = strsep(&rest, "\n"));)
		if (*line)
			fprintf(stderr, "isle: %s\n", line);
	if (change->when == CHANGE_BOTH && waiting->data && is_up(change))
		fprintf(stderr, "isle: %s takes effect at the next start of '%s'\n", waiting->data, change->guest.name);
}

int config_change_apply(struct config_change *change, const char *text, struct err *err)
{
	struct guest *guest = &change->guest;
	auto_buf struct buf waiting = {0}, notes = {0};
	struct spec *old = guest->spec;
	char shown[STORE_NAME_MAX + sizeof "/" CONFIG_FILE];

	(void)str_print(shown, sizeof shown, "%s/%s", guest->name, CONFIG_FILE); /* fits */
	int r = plan_parse(guest->store, text, strlen(text), shown, &guest->spec, err);

	if (r < 0)
		return r;
	if (old)
		compare(old, guest->spec, &waiting);
	r = check_runtime(change, &waiting, err);
	/* There is nothing to compare with when the file had a fault: a running guest then waits for its next start. */
	if (r == 0)
		r = old ? make_good(change, old, text, &notes, err) : guest_save(guest, text, err);
	if (r == 0)
		tell(change, &waiting, &notes);
	spec_free(old);
	return r;
}
