/* A change of a guest's config: text is edited, checked, made good in a running guest, and only then saved. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "../base/file.h"
#include "../guest/record.h"
#include "../guest/spec_parts.h"
#include "../run/repair.h"
#include "../run/update.h"
#include "config_change.h"

#define CONFIG_FILE "config"

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
	if (spec_parse(change->text, len, guest->name, &guest->spec, NULL) < 0)
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

struct difference {
	unsigned facets;
	struct buf waiting; /* names of keys that take effect at the next start */
};

static bool differs(const struct key *key, const void *old, const void *now)
{
	auto_buf struct buf a = {0}, b = {0};

	if (old)
		key->type->format(key, spec_field_const(old, key), &a);
	if (now)
		key->type->format(key, spec_field_const(now, key), &b);
	return a.len != b.len || (a.len && memcmp(a.data, b.data, a.len));
}

static void compare_element(enum section section, const char *name, const void *old, const void *now, struct difference *ret)
{
	if (!old || !now) {
		buf_addf(&ret->waiting, "%s%s.%s", ret->waiting.len ? ", " : "", section_table[section].name, name);
		return;
	}
	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];

		if (key->section != section || !differs(key, old, now))
			continue;
		ret->facets |= key->live;
		if (!update_is_live(key, old, now))
			buf_addf(&ret->waiting, "%s%s%s%s.%s", ret->waiting.len ? ", " : "", section_table[section].name,
				 *name ? "." : "", name, key->name);
	}
}

static void compare(struct spec *old, struct spec *now, struct difference *ret)
{
	for (enum section section = 0; section < SECTION_COUNT; section++) {
		for (size_t i = 0; i < spec_element_count(now, section); i++) {
			const char *name = spec_element_name(now, section, i);

			compare_element(section, name, spec_element(old, section, name), spec_element_at(now, section, i), ret);
		}
		for (size_t i = 0; section_table[section].many && i < spec_element_count(old, section); i++) {
			const char *name = spec_element_name(old, section, i);

			if (!spec_element(now, section, name))
				compare_element(section, name, spec_element_at(old, section, i), NULL, ret);
		}
	}
}

/* Applying */

/* guest->spec is already the new one. Makes it good in the running guest, then on disk; the guest goes back when the disk fails. */
static int make_good(struct config_change *change, struct spec *old, const char *text, struct difference *difference,
		     struct err *err)
{
	struct guest *guest = &change->guest;

	compare(old, guest->spec, difference);
	int r = update_apply(guest, old, difference->facets, err);

	if (r < 0)
		return r;
	r = guest_save(guest, text, err);
	if (r < 0) {
		struct spec *now = guest->spec;

		guest->spec = old;
		(void)update_apply(guest, now, difference->facets, NULL); /* the first fault is the one to tell */
		guest->spec = now;
	}
	return r;
}

static void tell_waiting(const struct config_change *change, const struct difference *difference)
{
	enum state state = guest_state_locked(&change->guest, NULL);

	if (change->call->quiet || !difference->waiting.data || (state != STATE_RUNNING && state != STATE_FROZEN))
		return;
	fprintf(stderr, "isle: %s takes effect at the next start of '%s'\n", difference->waiting.data, change->guest.name);
}

int config_change_apply(struct config_change *change, const char *text, struct err *err)
{
	struct guest *guest = &change->guest;
	struct difference difference = {0};
	struct spec *old = guest->spec;
	char shown[STORE_NAME_MAX + sizeof "/" CONFIG_FILE];

	(void)str_print(shown, sizeof shown, "%s/%s", guest->name, CONFIG_FILE); /* fits */
	int r = spec_parse(text, strlen(text), shown, &guest->spec, err);

	if (r < 0)
		return r;
	if (!strcmp(text, change->text)) {
		spec_free(old);
		return 0;
	}
	/* There is nothing to compare with when the file had a fault: a running guest then waits for its next start. */
	r = old ? make_good(change, old, text, &difference, err) : guest_save(guest, text, err);
	if (!r)
		tell_waiting(change, &difference);
	buf_free(&difference.waiting);
	spec_free(old);
	return r;
}
