/* isle push and isle pull. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../run/attach.h"
#include "../run/repair.h"
#include "../run/transfer.h"
#include "verbs.h"

#define PATIENCE_MS 120000 /* a guest that neither takes nor gives a byte for so long holds the transfer up */
#define ID_MAX      65535

/* The guest's side waits as long as the host's does, and ends with it. */
static int send_inside(const void *data, int fd, struct err *err)
{
	return transfer_send(data, fd, err);
}

static int receive_inside(const void *data, int fd, struct err *err)
{
	return transfer_receive(data, fd, err);
}

static int with_patience(const struct transfer *transfer, int (*end)(const struct transfer *, int, struct err *), int fd,
			 struct err *err)
{
	struct transfer bounded = *transfer;

	bounded.patience_ms = PATIENCE_MS;
	int r = end(&bounded, fd, err);

	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "copy files: the guest has neither taken nor given a byte for %d s",
			       PATIENCE_MS / 1000);
	return r;
}

static int send_outside(const void *data, int fd, struct err *err)
{
	return with_patience(data, transfer_send, fd, err);
}

static int receive_outside(const void *data, int fd, struct err *err)
{
	return with_patience(data, transfer_receive, fd, err);
}

/* UID or UID:GID, numbers. */
static int read_owner(const struct call *call, struct transfer *transfer, struct err *err)
{
	const char *text = call_value(call, "owner");
	uint64_t uid, gid;

	if (!text)
		return 0;
	auto_free char *copy = strdup(text);
	char *colon = copy ? strchr(copy, ':') : NULL;

	if (!copy)
		return err_num(err, ENOMEM, "read the owner");
	if (colon)
		*colon++ = '\0';
	if (str_to_u64(copy, 0, ID_MAX, &uid) < 0 || str_to_u64(colon ? colon : copy, 0, ID_MAX, &gid) < 0)
		return call_usage(call, err, "give files to '%.40s': it is no UID or UID:GID from 0 to %d", text, ID_MAX);
	transfer->owner = (int64_t)uid;
	transfer->group = (int64_t)gid;
	return 0;
}

/* A relative path would mean another folder than the reader of the command thinks of. */
static int check_guest_path(const struct call *call, const char *path, struct err *err)
{
	return path[0] == '/' ? 0 : call_usage(call, err, "use '%.100s' in the guest: its path must begin with /", path);
}

static int read_arguments(const struct call *call, bool pull, struct transfer *ret, struct err *err)
{
	struct transfer transfer = {
		.sources = (const char *const *)call->argv + 1,
		.source_count = (size_t)call->argc - 2,
		.target = call->argv[call->argc - 1],
		.to_host = pull,
		.owner = -1,
		.group = -1,
	};
	int r = read_owner(call, &transfer, err);

	for (size_t i = 0; r == 0 && pull && i < transfer.source_count; i++)
		r = check_guest_path(call, transfer.sources[i], err);
	if (r == 0 && !pull)
		r = check_guest_path(call, transfer.target, err);
	for (size_t i = 0; r == 0 && !pull && i < transfer.source_count; i++)
		if (!strcmp(transfer.sources[i], "-") && transfer.source_count > 1)
			r = call_usage(call, err, "read standard input: it can be the only source");
	if (r == 0 && pull && !strcmp(transfer.target, "-") && transfer.source_count > 1)
		r = call_usage(call, err, "write to standard output: only one file can be");
	if (r == 0)
		*ret = transfer;
	return r;
}

static int carry(struct call *call, bool pull, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	struct transfer transfer;
	struct attach_work work = {
		.into_guest = !pull,
		.inside = pull ? send_inside : receive_inside,
		.outside = pull ? receive_outside : send_outside,
		.data = &transfer,
	};
	struct attach_request request = {.work = &work};
	int status, r = call_store(call, &store, err);

	if (r == 0)
		r = store_check_name(call->argv[0], err);
	if (r == 0)
		r = read_arguments(call, pull, &transfer, err);
	if (r < 0)
		return r;
	repair_unwatched(store, call->argv[0]);
	r = guest_open(store, call->argv[0], &guest, err);
	if (r == 0)
		r = attach_run(guest, &request, &status, err);
	guest_free(guest);
	return r;
}

static int run_push(struct call *call, struct err *err)
{
	return carry(call, false, err);
}

static int run_pull(struct call *call, struct err *err)
{
	return carry(call, true, err);
}

#define FILES_TEXT                                                                                                           \
	"Folders are copied with all that is in them. When the target is a folder, what is copied gets its own name in "     \
	"there, else the one source gets the target's name; a source that ends in /. stands for what is in the folder. "     \
	"Modes, owners as numbers, times and links are kept; access lists, other attributes and holes are not, and hard "    \
	"links become files of their own. Devices and sockets are left out, with a warning. A file takes its name when it "  \
	"is whole.\n\n"                                                                                                      \
	"Files in the guest are read and written by a process that is inside, as its root and confined like its init, so a " \
	"path can mean nothing but a file of the guest's; it counts towards the guest's limits. No program of the guest's "  \
	"is run."

static const struct option_row push_options[] = {
	{.name = "owner", .arg = "UID[:GID]", .doc = "Give all files to this user and group of the guest, by number."},
	{NULL},
};

const struct verb verb_push = {
	.name = "push",
	.group = GROUP_INSIDE,
	.synopsis = "[OPTIONS] NAME SOURCE... TARGET",
	.summary = "Copy files of the host into a running guest.",
	.headline = "copy files into guest %",
	.text = "Copies SOURCE, files or folders of the host, to TARGET, a path in the guest. - as the source is standard input.\n\n" FILES_TEXT
		" An owner that a guest cannot have, 65536 and up, becomes its root.",
	.examples = "isle push web1 site /var/www\nisle push web1 nginx.conf /etc/nginx/nginx.conf\n"
		    "pg_dump shop | isle push db1 - /root/shop.sql\nisle push --owner 33 web1 site/. /var/www/html",
	.options = push_options,
	.min = 3,
	.max = -1,
	.args = "RUNNING FILE",
	.needs_root = true,
	.enters_guests = true,
	.run = run_push,
};

static const struct option_row pull_options[] = {
	{.name = "owner", .arg = "UID[:GID]", .doc = "Give all files to this user and group of the host, by number."},
	{NULL},
};

const struct verb verb_pull = {
	.name = "pull",
	.group = GROUP_INSIDE,
	.synopsis = "[OPTIONS] NAME SOURCE... TARGET",
	.summary = "Copy files of a running guest to the host.",
	.headline = "copy files of guest %",
	.text = "Copies SOURCE, paths in the guest, to TARGET, a file or folder of the host. - as the target is standard output.\n\n" FILES_TEXT
		" Set-user-id and set-group-id bits and file capabilities stay behind: on the host they would make the guest's program root's.",
	.examples =
		"isle pull web1 /var/log/nginx .\nisle pull web1 /etc/hostname -\nisle pull --owner 1000 web1 /srv/export ~ann/",
	.options = pull_options,
	.min = 3,
	.max = -1,
	.args = "RUNNING FILE",
	.needs_root = true,
	.enters_guests = true,
	.run = run_pull,
};
