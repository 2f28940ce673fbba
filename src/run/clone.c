/* Makes further guests of one that is there: its files and config with an identity of their own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../guest/image.h"
#include "../guest/plan.h"
#include "../storage/storage.h"
#include "checkpoint.h"
#include "clone.h"
#include "create.h"
#include "create_spec.h"
#include "personalise.h"
#include "repair.h"
#include "restore.h"
#include "start.h"

static int check_state(struct guest *guest, bool live, struct err *err)
{
	int r = repair_as_needed(guest, err);

	if (r < 0)
		return r;
	enum state state = guest_state_locked(guest, NULL);

	if (live || state == STATE_STOPPED) /* a checkpoint tells what it does not like itself */
		return 0;
	(void)err_set(err, ERR_STATE, "copy its files while it is %s", state_names[state]);
	if (state == STATE_RUNNING)
		return err_hint(err, "--live makes running clones of it; isle stop %s stops it", guest->name);
	return state == STATE_CHECKPOINTED
		       ? err_hint(err, "isle start %s, then isle clone --live %s NAME", guest->name, guest->name)
		       : -EBUSY;
}

int clone_open(const struct store *store, const char *name, bool live, unsigned timeout_ms, struct clone_source *ret,
	       struct err *err)
{
	*ret = (struct clone_source){.image_fd = -1, .live = live, .place = {.parent = -1, .fd = -1}, .timeout_ms = timeout_ms};
	int r = guest_open(store, name, &ret->guest, err);

	if (r == 0)
		r = guest_lock(ret->guest, STORE_LOCK_MS, err);
	if (r == 0)
		r = check_state(ret->guest, live, err);
	if (r == 0 && ret->guest->spec->guest.image)
		(void)image_open(store, ret->guest->spec->guest.image, &ret->image_fd, NULL); /* not every storage needs it */
	return r;
}

int clone_begin(struct clone_source *source, struct err *err)
{
	const struct checkpoint_request request = {.leave_running = true, .timeout_ms = source->timeout_ms};

	return source->live ? checkpoint_moment(source->guest, &request, &source->checkpoint, &source->place, &source->record, err)
			    : 0;
}

void clone_end(struct clone_source *source)
{
	if (source->place.fd >= 0)
		checkpoint_drop(source->guest, &source->place);
	checkpoint_place_close(&source->place);
	checkpoint_clear(&source->checkpoint);
	if (source->image_fd >= 0)
		close(take_fd(&source->image_fd));
	guest_free(source->guest);
	source->guest = NULL;
}

int clone_sync(const struct clone_source *source, struct err *err)
{
	return source->live && syncfs(source->guest->dir_fd) < 0 ? err_sys(err, "write the clones to disk") : 0;
}

/* text becomes what it is with one key changed. */
static int edit(char **text, const char *dotted, const char *value, struct err *err)
{
	char *edited = NULL;
	int r = spec_edit(*text, dotted, value, &edited, err);

	if (r < 0)
		return r;
	free(*text);
	*text = edited;
	return 0;
}

static int edit_network(char **text, const char *name, const char *key, const char *value, struct err *err)
{
	auto_free char *dotted = str_format("network.%s.%s", name, key);

	return dotted ? edit(text, dotted, value, err) : err_num(err, ENOMEM, "write the clone's config");
}

/* What only one guest can have. */
static int forget_own(const struct spec *spec, char **text, struct err *err)
{
	int r = spec->guest.hostname ? edit(text, "guest.hostname", NULL, err) : 0;

	for (size_t i = 0; r == 0 && i < spec->network_count; i++) {
		const struct spec_network *network = &spec->networks[i];

		if (network->mac.set)
			r = edit_network(text, network->name, "mac", NULL, err);
		if (r == 0 && network->address.mode == ADDRESS_STATIC)
			r = edit_network(text, network->name, "address", "auto", err);
		if (r == 0 && network->address6.mode == ADDRESS_STATIC)
			r = edit_network(text, network->name, "address6", "auto", err);
	}
	return r;
}

static int apply_settings(const struct clone_request *request, char **text, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < request->setting_count; i++) {
		const char *equals = strchr(request->settings[i], '=');
		auto_free char *dotted = equals ? strndup(request->settings[i], (size_t)(equals - request->settings[i])) : NULL;
		struct spec_name name;

		if (!dotted || !*dotted)
			return err_set(err, ERR_USAGE, "--set %s is not KEY=VALUE", request->settings[i]);
		r = spec_name_parse(dotted, &name, err);
		if (r == 0 && name.key && name.key->internal)
			r = err_set(err, ERR_USAGE, "--set %s: isle sets that key itself", request->settings[i]);
		if (r == 0)
			r = edit(text, dotted, equals[1] ? equals + 1 : NULL, err);
	}
	return r;
}

/* The source's text with its comments; id NULL: only to see whether it will do. */
static int make_config(const struct clone_source *source, const struct clone_request *request, const char *id, uint64_t ids,
		       char **ret_text, struct spec **ret_spec, struct err *err)
{
	const struct guest *guest = source->guest;
	auto_free char *text = NULL;
	char number[24];
	size_t len;
	int r = spec_read(guest->dir_fd, "config", guest->spec->file, &text, &len, err);

	if (r == 0)
		r = forget_own(guest->spec, &text, err);
	if (r == 0)
		r = apply_settings(request, &text, err);
	if (r == 0 && id)
		r = edit(&text, "guest.id", id, err);
	(void)str_print(number, sizeof(number), "%llu", (unsigned long long)ids);
	if (r == 0 && id && !guest->spec->security.privileged)
		r = edit(&text, "security.ids", number, err);
	if (r == 0)
		r = plan_parse(guest->store, text, strlen(text), "the clone's config", ret_spec, err);
	if (r < 0)
		return r;
	if ((*ret_spec)->security.privileged != guest->spec->security.privileged ||
	    (*ret_spec)->guest.storage != guest->spec->guest.storage)
		return err_set(err, ERR_USAGE, "a clone is privileged, and stored, as its source is");
	*ret_text = take_ptr(&text);
	return 0;
}

int clone_check(const struct clone_source *source, const struct clone_request *request, struct err *err)
{
	auto_free char *text = NULL;
	auto_spec struct spec *spec = NULL;
	int r = store_check_name(request->name, err);

	if (r == 0)
		r = create_check_free(source->guest->store, request->name, err);
	return r < 0 ? r : make_config(source, request, NULL, 0, &text, &spec, err);
}

struct making {
	const struct clone_source *source;
	const struct clone_request *request;
};

static int copy_files(const struct clone_source *source, int to, struct err *err)
{
	const struct guest *guest = source->guest;
	const struct storage *storage = storage_find(storage_choices[guest->spec->guest.storage]);

	if (!storage)
		return err_num(err, EOPNOTSUPP, "copy the files of guest '%s'", guest->name);
	if (!source->live)
		return storage->copy(guest->dir_fd, to, false, err);
	auto_close int disk = openat(source->place.fd, CHECKPOINT_DISK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return disk < 0 ? err_sys(err, "open the files of that moment") : storage->copy(disk, to, source->single, err);
}

static int fill(const struct create_work *work, void *arg, struct err *err)
{
	const struct making *making = arg;
	const struct clone_source *source = making->source;
	auto_free char *text = NULL;
	auto_spec struct spec *spec = NULL;
	char hostname[PERSONALISE_HOSTNAME];
	uint64_t ids = 0;
	int r = source->guest->spec->security.privileged ? 0 : store_ids_take(work->store, work->id, &ids, err);

	if (r == 0)
		r = make_config(source, making->request, work->id, ids, &text, &spec, err);
	if (r == 0)
		r = copy_files(source, work->fd, err);
	if (r < 0)
		return r;
	personalise_hostname(work->name, hostname);
	const struct personalise what = {
		.hostname = spec->guest.hostname ? spec->guest.hostname : hostname,
		.machine_id = work->id,
		.make_ssh_keys = true,
		.unsynced = source->live, /* once for all of them: see clone_sync */
	};

	return create_settle(work, text, spec, &what, err);
}

/* Wakes what the source's processes were in the clone's own place. */
static int wake(struct guest *guest, void *arg, struct err *err)
{
	const struct making *making = arg;
	const struct clone_source *source = making->source;
	struct restore restore = {
		.checkpoint = source->checkpoint, /* the source's to clear */
		.folder = source->place.fd,
		.timeout_ms = source->timeout_ms,
		.source = &source->record,
	};
	const struct start_request request = {.restore = &restore};

	return start_guest(guest, &request, err);
}

int clone_make(const struct clone_source *source, const struct clone_request *request, struct err *err)
{
	struct making making = {.source = source, .request = request};
	const struct create_acts acts = {.fill = fill, .use = source->live ? wake : NULL};

	return create_by(source->guest->store, request->name, &acts, &making, err);
}
