/* isle checkpoint. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../guest/record.h"
#include "../run/checkpoint.h"
#include "../run/preflight.h"
#include "../run/repair.h"
#include "../storage/measure.h"
#include "verbs.h"

#define CRIU_MS 60000ul

static struct json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *unpacked_or_null(const struct checkpoint *checkpoint)
{
	return checkpoint->unpacked ? json_object_new_uint64(checkpoint->unpacked) : NULL;
}

static void print_made(const struct call *call, const char *name, const struct checkpoint *made, const char *path)
{
	char size[16], unpacked[16], beforehand[16];

	str_show_size(made->beforehand, beforehand);
	str_show_size(made->bytes, size);
	str_show_size(made->unpacked, unpacked);
	if (call->json) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "name", json_object_new_string(name));
		json_object_object_add(object, "checkpoint", json_object_new_string(made->id));
		json_object_object_add(object, "path", text_or_null(path));
		json_object_object_add(object, "frozen_seconds", json_object_new_double((double)made->frozen / 1e6));
		json_object_object_add(object, "bytes", json_object_new_uint64(made->bytes));
		json_object_object_add(object, "unpacked_bytes", unpacked_or_null(made));
		json_object_object_add(object, "beforehand_bytes", json_object_new_uint64(made->beforehand));
		printf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
		json_object_put(object);
	} else if (!call->quiet) {
		printf("%s: checkpoint %s, frozen for %llu ms, %s%s%s%s%s\n", name, path ? path : made->id,
		       (unsigned long long)(made->frozen / 1000), made->unpacked ? unpacked : size,
		       made->unpacked ? " packed into " : "", made->unpacked ? size : "",
		       made->beforehand ? ", copied before it stood still: " : "", made->beforehand ? beforehand : "");
	}
	fflush(stdout);
}

static int make_one(struct call *call, const char *name, struct err *err)
{
	struct guest *guest = NULL;
	struct checkpoint made = {0};
	auto_free char *path = NULL;
	unsigned long timeout;
	int r = call_duration(call, "timeout", CRIU_MS, &timeout, err);

	if (r == 0)
		r = call_guest(call, name, &guest, err);
	struct checkpoint_request request = {
		.leave_running = call_has(call, "leave-running"),
		.pre_dump = call_has(call, "pre-dump"),
		.compress = call_has(call, "compress"),
		.to = call_value(call, "to"),
		.timeout_ms = (unsigned)timeout,
	};

	if (r == 0)
		r = checkpoint_guest(guest, &request, &made, &path, err);
	if (r == 0)
		print_made(call, name, &made, path);
	checkpoint_clear(&made);
	guest_free(guest);
	return r;
}

static struct json_object *obstacle_json(const char *name, const struct obstacle *obstacle)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", json_object_new_string(name));
	json_object_object_add(object, "pid", json_object_new_int(obstacle->pid));
	json_object_object_add(object, "process", json_object_new_string(obstacle->process));
	json_object_object_add(object, "unit", obstacle->unit[0] ? json_object_new_string(obstacle->unit) : NULL);
	json_object_object_add(object, "reason", json_object_new_string(obstacle->what));
	json_object_object_add(object, "fix", json_object_new_string(obstacle->remedy));
	json_object_object_add(object, "blocking", json_object_new_boolean(!obstacle->passing));
	return object;
}

static void print_obstacles(const struct call *call, const char *name, const struct obstacle *obstacles, size_t count)
{
	if (call->json) {
		struct json_object *array = json_object_new_array();

		for (size_t i = 0; i < count; i++)
			json_object_array_add(array, obstacle_json(name, &obstacles[i]));
		printf("%s\n", json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED));
		json_object_put(array);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		const struct obstacle *one = &obstacles[i];

		printf("%s: process %d (%s%s%s): %s\n  fix: %s\n", name, one->pid, one->process, one->unit[0] ? " of " : "",
		       one->unit, one->what, one->remedy);
	}
	if (!count && !call->quiet)
		printf("%s: nothing stands in the way\n", name);
}

static int not_running(const char *name, enum state state, struct err *err)
{
	int r = err_set(err, ERR_STATE, "look at its processes: it is %s", state_names[state]);

	return state == STATE_STOPPED || state == STATE_CHECKPOINTED ? err_hint(err, "isle start %s", name) : r;
}

static int check_one(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	struct record record;
	auto_free struct obstacle *obstacles = calloc(OBSTACLES_MAX, sizeof(*obstacles));
	struct guest *guest = NULL;
	unsigned long timeout;
	int r = obstacles ? call_store(call, &store, err) : err_num(err, ENOMEM, "look at the guest's processes");

	if (r == 0)
		r = call_duration(call, "timeout", CRIU_MS, &timeout, err);
	if (r == 0)
		r = guest_open(store, name, &guest, err);
	enum state state = r < 0 ? STATE_BROKEN : guest_state(store, name, &record);

	if (r == 0 && state != STATE_RUNNING && state != STATE_FROZEN)
		r = not_running(name, state, err);
	int count = r < 0 ? r : preflight(guest, &record, (unsigned)timeout, obstacles, err);

	guest_free(guest);
	if (count < 0)
		return count;
	print_obstacles(call, name, obstacles, (size_t)count);
	size_t blocking = preflight_blocking(obstacles, (size_t)count);

	return blocking ? preflight_refuse(obstacles, blocking, err) : 0;
}

/* What is listed: the checkpoints of one guest after the other. */
struct listing {
	const char *name;
	int width;                 /* of the longest name */
	struct json_object *array; /* NULL: a table */
	bool headed;
};

struct row {
	const struct checkpoint *checkpoint;
	bool asleep;
	const char *path; /* of a folder elsewhere, else NULL */
	uint64_t files;   /* bytes of the guest's own files in it */
};

static void print_row(struct listing *listing, const struct row *row)
{
	const struct checkpoint *one = row->checkpoint;
	char day[32] = "", size[16], files[16];
	struct tm tm;
	time_t created = (time_t)one->created;

	if (localtime_r(&created, &tm))
		(void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", &tm);
	str_show_size(one->bytes, size);
	str_show_size(row->files, files);
	if (!listing->headed)
		printf("%-*s  %-22s %-20s %-10s %-10s\n", listing->width, "NAME", "CHECKPOINT", "MADE", "SIZE", "FILES");
	listing->headed = true;
	printf("%-*s  %-22s %-20s %-10s %-10s %s%s\n", listing->width, listing->name, one->id, day, size, one->disk ? files : "-",
	       !row->asleep ? ""
	       : row->path  ? "asleep in "
			    : "asleep in it",
	       row->path ? row->path : "");
}

static struct json_object *row_json(const struct listing *listing, const struct row *row)
{
	const struct checkpoint *one = row->checkpoint;
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "name", json_object_new_string(listing->name));
	json_object_object_add(object, "id", json_object_new_string(one->id));
	json_object_object_add(object, "created", json_object_new_uint64(one->created));
	json_object_object_add(object, "bytes", json_object_new_uint64(one->bytes));
	json_object_object_add(object, "unpacked_bytes", unpacked_or_null(one));
	json_object_object_add(object, "frozen_seconds", json_object_new_double((double)one->frozen / 1e6));
	json_object_object_add(object, "files", json_object_new_boolean(one->disk != 0));
	json_object_object_add(object, "files_bytes", one->disk ? json_object_new_uint64(row->files) : NULL);
	json_object_object_add(object, "asleep", json_object_new_boolean(row->asleep));
	json_object_object_add(object, "path", text_or_null(row->path));
	return object;
}

/* One of its own, or, with a path, the one elsewhere that it sleeps in. One that cannot be read went meanwhile, or lies where
 * nothing is mounted now. */
static void list_row(struct listing *listing, const struct guest *guest, const char *id, bool asleep, const char *path)
{
	struct checkpoint one = {0};
	struct row row = {.checkpoint = &one, .asleep = asleep, .path = path};
	auto_close int fd = -1;
	int r = path ? checkpoint_open_at(path, &fd, NULL) : checkpoint_open(guest, id, &fd, NULL);

	if (r == 0)
		r = checkpoint_load(fd, &one, NULL);
	if (r < 0 && !path)
		return;
	if (r < 0)
		(void)str_copy(one.id, sizeof(one.id), id);
	if (r == 0 && one.disk)
		(void)measure_folder(fd, CHECKPOINT_DISK, &row.files, NULL);
	if (listing->array)
		json_object_array_add(listing->array, row_json(listing, &row));
	else
		print_row(listing, &row);
	checkpoint_clear(&one);
}

static int list_guest(const struct store *store, struct listing *listing, struct err *err)
{
	struct guest *guest = NULL;
	char **ids = NULL, asleep[32] = "";
	auto_free char *elsewhere = NULL;
	int r = guest_open_any(store, listing->name, &guest, err);

	if (r == 0)
		r = checkpoint_ids(guest, &ids, err);
	if (r == 0)
		r = checkpoint_asleep(store, listing->name, asleep, err);
	if (r == 0)
		elsewhere = checkpoint_asleep_at(store, listing->name);
	for (size_t i = 0; r == 0 && ids[i]; i++)
		list_row(listing, guest, ids[i], !elsewhere && strcmp(asleep, ids[i]) == 0, NULL);
	if (r == 0 && elsewhere)
		list_row(listing, guest, asleep, true, elsewhere);
	store_names_free(ids);
	guest_free(guest);
	return r;
}

/* All in one table. The first guest that fails is told when the others are listed. */
static int list_all(struct call *call, char *const *names, struct err *err)
{
	const struct store *store;
	struct listing listing = {.width = 4};
	int r = call_store(call, &store, err);

	if (r < 0)
		return r;
	listing.array = call->json ? json_object_new_array() : NULL;
	for (size_t i = 0; names[i]; i++)
		if ((int)strlen(names[i]) > listing.width)
			listing.width = (int)strlen(names[i]);
	for (size_t i = 0; names[i]; i++) {
		listing.name = names[i];
		int one = list_guest(store, &listing, r < 0 ? NULL : err);

		r = r < 0 ? r : one;
	}
	if (listing.array)
		printf("%s\n", json_object_to_json_string_ext(listing.array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED));
	json_object_put(listing.array);
	return r;
}

static int delete_one(struct call *call, const char *name, struct err *err)
{
	struct guest *guest = NULL;
	int r = call_guest(call, name, &guest, err);

	/* One that it is about to sleep in would be gone, and its network with it, while it runs on. */
	if (r == 0)
		r = repair_as_needed(guest, err);
	if (r == 0)
		r = checkpoint_delete(guest, call_value(call, "delete"), err);
	guest_free(guest);
	return r;
}

static int run_checkpoint(struct call *call, struct err *err)
{
	int (*act)(struct call *, const char *, struct err *) = call_has(call, "list") ? NULL : make_one; /* NULL: list_all */
	char **names = NULL;
	int acts = call_has(call, "list") + call_has(call, "check") + call_has(call, "delete") + call_has(call, "leave-running");

	if (acts > 1)
		return call_usage(call, err, "do one thing: --list, --check, --delete and --leave-running exclude each other");
	if (call_has(call, "check"))
		act = check_one;
	if (call_has(call, "delete"))
		act = delete_one;
	if (call_has(call, "pre-dump") && act != make_one)
		return call_usage(
			call, err,
			"--pre-dump is about a checkpoint that is made: it does not go with --list, --check and --delete");
	if (call_has(call, "compress") && act != make_one)
		return call_usage(
			call, err,
			"--compress is about a checkpoint that is made: it does not go with --list, --check and --delete");
	if (call_has(call, "to") && act != make_one)
		return call_usage(call, err,
				  "--to says where a checkpoint is made: it does not go with --list, --check and --delete");
	int r = call_names(call, !act ? CALL_ANY_STATE : CALL_STATE(STATE_RUNNING), &names, err);

	if (r == 0 && act == delete_one && (!names[0] || names[1]))
		r = call_usage(call, err, "delete a checkpoint: of one guest");
	if (r == 0 && call_has(call, "to") && (!names[0] || names[1]))
		r = call_usage(call, err, "--to names the folder of one guest's checkpoint");
	if (r == 0)
		r = act ? call_each(call, names, act, err) : list_all(call, names, err);
	store_names_free(names);
	return r;
}

static const struct option_row checkpoint_options[] = {
	{.name = "leave-running",
	 .doc = "Save this moment and let the guest go on. Its files are kept with it, so that it can be restored at any time."},
	{.name = "to",
	 .arg = "DIR",
	 .doc = "Make the checkpoint in this folder of your own, which isle makes (an empty one will do): on another disk, or one that other hosts "
		"mount. It is yours: isle never removes it.",
	 .complete = COMPLETE_FILE},
	{.name = "pre-dump",
	 .doc = "Copy its memory while it runs on, and again what it has written meanwhile, until little is left for the moment when it stands "
		"still. Needs a kernel that tracks written pages, as Debian's do."},
	{.name = "compress",
	 .doc = "Pack the images with zstd when the guest stands still or runs on again: an idle Debian guest then takes 2 MB instead of 12."},
	{.name = "check", .doc = "Only tell what stands in the way; exit status 1 when something does."},
	{.name = "list",
	 .letter = 'l',
	 .doc = "List the checkpoints that are kept: the size of the images, and of the guest's own files where those were kept too."},
	{.name = "delete",
	 .arg = "ID",
	 .doc = "Remove a checkpoint. A guest that sleeps in it starts anew the next time.",
	 .complete = COMPLETE_CHECKPOINT},
	{.name = "timeout",
	 .letter = 't',
	 .arg = "DURATION",
	 .doc = "Give up after this long; 60 s by default. The guest then goes on."},
	{NULL},
};

const struct verb verb_checkpoint = {
	.name = "checkpoint",
	.group = GROUP_STATE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Freeze running guests to disk, with all their processes and connections.",
	.headline = "checkpoint guest %",
	.text = "The guest's processes, their memory, open files and TCP connections go to disk, and the guest ends: it is "
		"checkpointed. isle start (or isle restore) wakes it where it was. How long it stood still and how large the "
		"images are is printed.\n\n"
		"criu does the work; isle doctor says whether there is one. A distribution's often does not run on a newer "
		"kernel; install-criu, beside isle's helper programs, brings a newer one for isle alone. A checkpoint that "
		"fails leaves the guest running; so does one whose images would fill their disk, of which a tenth, or 512 "
		"MiB, stays free. What criu said of a failure, of a wake too, is in log/criu below the guest's folder.\n\n"
		"Not carried are: containers in the guest (security.nesting), io_uring, BPF programs, performance counters, "
		"userfaultfd, memfd_secret, vsock, SCTP and multipath TCP sockets, AF_ALG, open POSIX message queues, open "
		"TUN and TAP interfaces, watches for pressure (PSI), FUSE file systems that the guest serves, processes that are traced, stopped or "
		"frozen, removed files of more than 1 GiB that are open still, and network interfaces of the host. isle looks "
		"for them before criu is started, and names process, unit and remedy; --check does only that.\n\n"
		"A sleep that is under way (nanosleep(2)) ends with EINTR in the guest that wakes: nearly all programs go on with what is left of "
		"it, some do not, as the sleep of busybox 1.37.\n\n"
		"What was started by isle exec or isle shell and still runs in the foreground is the host's and not carried: "
		"it is stopped while the guest is saved, then ends with the guest, or goes on with --leave-running; isle tells which it is. A command that isle exec begins meanwhile waits for the end of that.\n\n"
		"A checkpoint belongs to the guest's files as they were: once the guest has gone on it is of no use, and "
		"gone, unless it was made with --leave-running, which keeps the files too. isle checkpoint --list shows how "
		"much room each takes, isle checkpoint --delete removes one; isle destroy removes all but those in folders of "
		"yours. With storage dir the files are a full copy, with overlay what differs from the image.\n\n"
		"Limits, addresses, MACs and sources of mounts that are changed while the guest sleeps hold when it wakes; other changes "
		"wait for isle start --cold, and those under which its processes must not run any more, such as fewer "
		"capabilities, keep it from waking until they are undone.\n\n"
		"Until this host reboots the guest's network namespace stays in the kernel, its link down and on no bridge, and the guest "
		"wakes in it, quicker than in one that is made anew. Two mounts below isle's run folder hold it, which keep the file system that "
		"this is on from being unmounted; isle start --cold, isle destroy, --delete, a wake from another checkpoint and a wake "
		"that fails let it go. A network from which links lead to another in the guest, as a unit's own, does not stay. The images "
		"hold the network all the same.\n\n"
		"The images hold all that the guest had in memory, its keys and passwords too, and are not encrypted. Only "
		"root can read them: they lie in folders of mode 0700. A checkpoint is signed with this host's key (host-key "
		"beside the folder of guests), and refused when it was changed or comes from another host, unless isle "
		"restore is told --trust-images: whoever can write in an image decides what its processes do, as the guest's "
		"users, under its limits and its system call filter.\n\n"
		"With --compress the images are packed once the guest's processes are saved: it stands still no longer by "
		"that, but the command takes longer, about a second for 300 MB, and so does the wake. The guest's files that "
		"--leave-running keeps are not packed.\n\n"
		"With --pre-dump a guest with much memory stands still for a moment only: its memory is copied while it runs "
		"on, up to five times, each time what was written since the last, until that is less than 4 MiB or hardly "
		"less than before. The whole takes longer, and as much room on the disk again for that time.\n\n"
		"With --to it is made in a folder of yours. The guest then sleeps there: isle start wakes it from that "
		"folder, isle restore --from from wherever it has been carried. What goes along is the same as without: the "
		"processes, and with --leave-running the guest's own files. Its config never does, so it is restored into the "
		"guest of the same id. Nobody but root may be able to write in the folders above it.\n\n"
		"To carry a guest to another host, checkpoint it, copy its image and its folder there with owners and "
		"attributes (rsync -aHAXS --numeric-ids or cp -a; /var/cache/isle/images/KEY, where KEY is what isle config "
		"web1 get guest.image says, and /var/lib/isle/guests/web1), and type there: isle restore --trust-images web1. "
		"It gets addresses of the networks there. The CPU must have the features of the first, and criu must run on "
		"both. Then destroy it on the first: isle destroy --force web1.",
	.examples = "isle checkpoint web1\nisle start web1\nisle checkpoint --check web1\nisle checkpoint --leave-running web1\n"
		    "isle checkpoint --pre-dump web1\nisle checkpoint --compress --to /mnt/backup/web1 web1\n"
		    "isle checkpoint --list web1",
	.options = checkpoint_options,
	.max = -1,
	.complete = COMPLETE_RUNNING,
	.takes_all = true,
	.needs_root = true,
	.run = run_checkpoint,
};
