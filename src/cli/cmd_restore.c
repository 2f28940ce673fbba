/* isle restore. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../guest/record.h"
#include "../run/restore.h"
#include "../run/start.h"
#include "verbs.h"

#define CRIU_MS 60000ul

/* One without is of no use to a guest that does not sleep in it. */
static bool has_files(const struct guest *guest, const char *id)
{
	struct checkpoint one = {0};
	auto_close int fd = -1;
	bool has = checkpoint_open(guest, id, &fd, NULL) == 0 && checkpoint_load(fd, &one, NULL) == 0 && one.disk;

	checkpoint_clear(&one);
	return has;
}

/* The id that was asked for, else the one that the guest sleeps in, else the newest with files. */
static int choose(struct guest *guest, const char *asked, char ret[32], char **ret_from, struct err *err)
{
	char **ids = NULL;

	if (*ret_from)
		return 0;
	if (asked)
		return str_copy(ret, 32, asked) < 0 ? err_set(err, ERR_NOT_FOUND, "open checkpoint '%.31s': there is none", asked)
						    : 0;
	int r = checkpoint_asleep(guest->store, guest->name, ret, err);

	if (r < 0)
		return r;
	*ret_from = checkpoint_asleep_at(guest->store, guest->name);
	if (ret[0])
		return 0;
	r = checkpoint_ids(guest, &ids, err);

	for (size_t i = 0; r == 0 && ids[i]; i++)
		if (has_files(guest, ids[i]))
			(void)str_copy(ret, 32, ids[i]);
	store_names_free(ids);
	if (r == 0 && !ret[0]) {
		(void)err_set(err, ERR_STATE, "restore it: there is no checkpoint of it");
		return err_hint(err, "isle checkpoint %s makes one while it runs", guest->name);
	}
	return r;
}

static int run_restore(struct call *call, struct err *err)
{
	const char *name = call->argv[0];
	struct guest *guest = NULL;
	struct restore restore = {.folder = -1};
	char id[32] = "";
	auto_free char *from = call_has(call, "from") ? strdup(call_value(call, "from")) : NULL;
	unsigned long timeout;
	int r = call_duration(call, "timeout", CRIU_MS, &timeout, err);

	if (call_has(call, "from") && call->argc > 1)
		return call_usage(call, err, "--from names the checkpoint already");
	if (call_has(call, "from") && !from)
		return err_num(err, ENOMEM, "restore it");
	if (r == 0)
		r = call_guest(call, name, &guest, err);
	if (r == 0)
		r = choose(guest, call->argc > 1 ? call->argv[1] : NULL, id, &from, err);
	if (r == 0) {
		r = start_may(guest, err);
		if (r < 0 && guest_state_locked(guest, NULL) == STATE_RUNNING)
			r = err_hint(err, "isle stop %s, then restore it: with the files of the checkpoint its own of now go",
				     name);
	}
	if (r == 0)
		r = restore_open(guest, id, from, call_has(call, "trust-images"), &restore, err);
	restore.timeout_ms = (unsigned)timeout;
	if (r == 0)
		r = restore_disk(guest, &restore, err);
	struct start_request request = {.restore = &restore};

	if (r == 0)
		r = start_guest(guest, &request, err);
	restore_close(&restore);
	guest_free(guest);
	return r;
}

static const struct option_row restore_options[] = {
	{.name = "from",
	 .arg = "DIR",
	 .doc = "The checkpoint in this folder, made with --to here or carried here from another host.",
	 .complete = COMPLETE_FILE},
	{.name = "trust-images",
	 .doc = "Take images that this host did not sign or that were changed since. Their processes are still checked: ids, capabilities, "
		"system call filter and AppArmor label must be the guest's."},
	{.name = "timeout",
	 .letter = 't',
	 .arg = "DURATION",
	 .doc = "Give up after this long; 60 s by default. The checkpoint stays."},
	{NULL},
};

const struct verb verb_restore = {
	.name = "restore",
	.group = GROUP_STATE,
	.synopsis = "[OPTIONS] NAME [CHECKPOINT]",
	.summary = "Wake a guest from a checkpoint.",
	.headline = "restore guest %",
	.text = "A restore is a start: the guest gets its interfaces, control groups, limits and monitor as by isle start, and criu puts its processes "
		"back. Without a CHECKPOINT it is the one that the guest sleeps in, else the newest that is kept with its files.\n\n"
		"A checkpoint with files brings them back too: what the guest's root file system holds now is lost, and so is a sleep in another "
		"checkpoint.\n\n"
		"Packed images (isle checkpoint --compress) are unpacked beside the guest's files first, and need that much room there until it runs.\n\n"
		"With --from it is the one in a folder that isle checkpoint --to made. That folder and the images must be root's and closed to other users. "
		"The signature covers the images, not the guest's files that may lie beside them. isle only reads there.\n\n"
		"It is refused beforehand when the guest, its image or storage is another one, or when this CPU or machine cannot run it.",
	.examples = "isle restore web1\nisle restore web1 20261120-131502-4f2a\nisle restore --from /mnt/backup/web1 web1",
	.options = restore_options,
	.min = 1,
	.max = 2,
	.complete = COMPLETE_STOPPED,
	.args = "STOPPED CHECKPOINT NOTHING",
	.needs_root = true,
	.run = run_restore,
};
