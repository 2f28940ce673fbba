/* isle usage: what guests have used since they were made, or in a span of time, for who bills it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../base/str.h"
#include "../base/when.h"
#include "../run/usage.h"
#include "report.h"
#include "verbs.h"

#define DISK_AGE 3600 /* seconds; counting takes a walk through the guest's files */

struct span {
	uint64_t since, until, now; /* since 0: the guest's beginning */
};

struct shown {
	char name[STORE_NAME_MAX + 1];
	struct usage usage;
	struct usage_total total; /* in the span */
};

static void subtract(struct usage_total *from, const struct usage_total *what)
{
	for (size_t i = 0; i < USAGE_COUNTERS; i++)
		from->counter[i] -= what->counter[i] < from->counter[i] ? what->counter[i] : from->counter[i];
	from->running_ms -= what->running_ms < from->running_ms ? what->running_ms : from->running_ms;
	from->starts -= what->starts < from->starts ? what->starts : from->starts;
	from->memory_byte_seconds -= what->memory_byte_seconds;
	from->disk_byte_seconds -= what->disk_byte_seconds;
}

static int load(const struct store *store, const char *name, const struct span *span, struct shown *ret, struct err *err)
{
	struct usage_total before = {0};
	struct guest *guest = NULL;
	int r = guest_open_any(store, name, &guest, err);

	if (r == 0)
		r = usage_now(store, name, guest->dir_fd, NULL, &ret->usage, err);
	if (r == 0) {
		(void)str_copy(ret->name, sizeof(ret->name), name);
		r = usage_at(guest->dir_fd, span->until, &ret->usage, &ret->total, err);
	}
	if (r == 0 && span->since)
		r = usage_at(guest->dir_fd, span->since, &ret->usage, &before, err);
	if (r == 0)
		subtract(&ret->total, &before);
	guest_free(guest);
	return r;
}

/* Shown */

static struct json_object *real(double value, int decimals)
{
	auto_free char *text = str_format("%.*f", decimals, value);

	return text ? json_object_new_double_s(value, text) : NULL;
}

static struct json_object *json_of(const struct shown *shown, const struct span *span)
{
	struct json_object *o = json_object_new_object();
	const struct usage_total *total = &shown->total;

	json_object_object_add(o, "name", json_object_new_string(shown->name));
	json_object_object_add(o, "since", span->since ? json_object_new_uint64(span->since) : NULL);
	json_object_object_add(o, "until", json_object_new_uint64(span->until));
	json_object_object_add(o, "cpu_seconds", real((double)total->counter[USAGE_CPU] / 1e6, 6));
	json_object_object_add(o, "memory_byte_seconds", real(total->memory_byte_seconds, 0));
	json_object_object_add(o, "network_received_bytes", json_object_new_uint64(total->counter[USAGE_RX_BYTES]));
	json_object_object_add(o, "network_sent_bytes", json_object_new_uint64(total->counter[USAGE_TX_BYTES]));
	json_object_object_add(o, "disk_byte_seconds", real(total->disk_byte_seconds, 0));
	json_object_object_add(o, "running_seconds", real((double)total->running_ms / 1000, 3));
	json_object_object_add(o, "disk_read_bytes", json_object_new_uint64(total->counter[USAGE_READ_BYTES]));
	json_object_object_add(o, "disk_written_bytes", json_object_new_uint64(total->counter[USAGE_WRITTEN_BYTES]));
	json_object_object_add(o, "oom_kills", json_object_new_uint64(total->counter[USAGE_OOM_KILLS]));
	json_object_object_add(o, "starts", json_object_new_uint64(shown->total.starts));
	json_object_object_add(o, "disk_bytes", shown->usage.disk_at ? json_object_new_uint64(shown->usage.disk) : NULL);
	return o;
}

static int name_width(char *const *names)
{
	size_t width = 20;

	for (size_t i = 0; names[i]; i++)
		width = strlen(names[i]) > width ? strlen(names[i]) : width;
	return (int)width;
}

static void print_head(int width)
{
	printf("%-*s  %14s  %16s  %12s  %12s  %16s  %s\n", width, "NAME", "CPU SECONDS", "MEMORY GiB*h", "RECEIVED", "SENT",
	       "DISK GiB*h", "RAN");
}

static void print_row(const struct shown *shown, int width)
{
	const struct usage_total *total = &shown->total;
	char received[16], sent[16], ran[32];

	str_show_size(total->counter[USAGE_RX_BYTES], received);
	str_show_size(total->counter[USAGE_TX_BYTES], sent);
	str_show_duration(total->running_ms / 1000, ran);
	printf("%-*s  %14.2f  %16.3f  %12s  %12s  %16.3f  %s\n", width, shown->name, (double)total->counter[USAGE_CPU] / 1e6,
	       total->memory_byte_seconds / (1 << 30) / 3600, received, sent, total->disk_byte_seconds / (1 << 30) / 3600, ran);
}

/* A guest that nobody named may have been destroyed since. */
static void failed(const struct call *call, const char *name, const struct err *why, int *worst)
{
	if (why->code == ERR_NOT_FOUND && call->argc == 0)
		return;
	report_error(call, why, name);
	if (report_status(why) > *worst)
		*worst = report_status(why);
}

/* Recording */

/* With the disk: of a guest whose files are to be counted again. */
static int record_one(struct call *call, const char *name, bool disk, struct err *err)
{
	const struct usage_recording recording = {.disk_age = disk ? DISK_AGE : UINT64_MAX};
	struct guest *guest = NULL;
	const struct store *store;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = guest_open_any(store, name, &guest, err);
	if (r == 0 && (!disk || usage_disk_due(guest->dir_fd, DISK_AGE)))
		r = usage_record(guest, &recording, NULL, err);
	guest_free(guest);
	return r;
}

/* One after the other: a timer has no haste, and the disk is the guests'. How long their files take to count is up to each guest,
 * so nobody's counters wait for that. */
static int record_all(struct call *call, char *const *names)
{
	int worst = 0;

	for (int disk = 0; disk < 2; disk++)
		for (size_t i = 0; names[i]; i++) {
			struct err why = {0};

			if (record_one(call, names[i], disk, &why) < 0 && (!disk || why.code != ERR_NOT_FOUND))
				failed(call, names[i], &why, &worst);
		}
	return worst;
}

/* One guest's fault keeps nobody else's figures back. */
static int show(struct call *call, char *const *names, const struct span *span, struct err *err)
{
	struct json_object *list = call->json ? json_object_new_array() : NULL;
	const struct store *store;
	int r = call_store(call, &store, err), width = name_width(names), worst = 0;

	if (r == 0 && !call->json && !call->quiet)
		print_head(width);
	for (size_t i = 0; r == 0 && names[i]; i++) {
		struct shown shown = {0};
		struct err why = {0};

		if (load(store, names[i], span, &shown, &why) < 0)
			failed(call, names[i], &why, &worst);
		else if (call->json)
			json_object_array_add(list, json_of(&shown, span));
		else
			print_row(&shown, width);
	}
	if (r == 0 && call->json)
		puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(list);
	return r < 0 ? r : worst;
}

static int moment(struct call *call, const char *option, uint64_t now, uint64_t *ret, struct err *err)
{
	const char *text = call_value(call, option);

	if (!text || when_parse(text, now, ret) == 0)
		return 0;
	return call_usage(
		call, err,
		"--%s: '%s' is neither a date (2026-11-20, 2026-11-20T14:30), today, month, @SECONDS nor an age (24h, 7d)", option,
		text);
}

static int run_usage(struct call *call, struct err *err)
{
	struct span span = {.now = (uint64_t)time(NULL)};
	char **names = NULL;
	int r;

	span.until = span.now;
	r = moment(call, "since", span.now, &span.since, err);
	if (r == 0)
		r = moment(call, "until", span.now, &span.until, err);
	if (r == 0 && span.until < span.since)
		r = call_usage(call, err, "%s",
			       call_value(call, "until") ? "--until is before --since" : "--since is in the future");
	if (r == 0 && call->argc == 0 && !call_has(call, "all")) {
		const struct store *store;

		r = call_store(call, &store, err);
		if (r == 0)
			r = store_names(store, &names, err);
	} else if (r == 0) {
		r = call_names(call, CALL_ANY_STATE, &names, err);
	}
	if (r == 0)
		r = call_has(call, "record") ? record_all(call, names) : show(call, names, &span, err);
	store_names_free(names);
	return r;
}

static const struct option_row options[] = {
	{.name = "since",
	 .letter = 's',
	 .arg = "WHEN",
	 .doc = "From then on: 2026-11-01, 2026-11-01T14:30 (local time; with Z, UTC), @SECONDS, today, month (its beginning), or an age "
		"such as 24h or 7d."},
	{.name = "until", .letter = 'u', .arg = "WHEN", .doc = "Up to then, in the same forms."},
	{.name = "record",
	 .doc = "Put down what was used so far, and print nothing; isle-usage.timer does it about every five minutes."},
	{NULL},
};

const struct verb verb_usage = {
	.name = "usage",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [NAME...]",
	.summary = "Show what guests have used since they were made, or in a span of time.",
	.headline = "show the usage of guest %",
	.text = "Counters that only grow, whatever happens to the guest: processor time, memory times time, bytes received and sent, disk "
		"times time. Without names, of all guests. They are put down in the guest's folder when it stops or reboots and, by "
		"isle-usage.timer or any other caller of --record, while it runs; what a host that lost its power had not put down "
		"is lost. A rename keeps them, destroy removes them.\n\n"
		"Memory is looked at when something is put down, at a moment that the timer draws by lot; in between a straight line is drawn. "
		"Disk is what the guest's own files take, without the image that they stand on, counted once an hour by --record. Both are "
		"byte-seconds: 1 GiB kept for an hour is 3865470566400 of them; the table shows GiB-hours. A clock that is set does not change "
		"sums while the host is up. Traffic stays on the account when the guest's root takes an interface away, but for that since the "
		"last look where the packet filter does not watch it (network.NAME.spoofing=allow).\n\n"
		"A span that begins or ends between two notes takes of what was used between them the part that is in the span. Notes "
		"are kept for three years: every five minutes for a day, then hourly for five weeks, then daily.\n\n"
		"With --json the result is an array of objects with name, since (null: the guest's beginning) and until (seconds since "
		"1970), cpu_seconds, memory_byte_seconds, network_received_bytes, network_sent_bytes, disk_byte_seconds, "
		"running_seconds, disk_read_bytes, disk_written_bytes, oom_kills, starts and disk_bytes (by the last count, null before "
		"the first).",
	.examples = "isle usage\nisle usage web1 --since month --json\nisle usage web1 --since 2026-10-01 --until 2026-11-01\n"
		    "isle usage --record",
	.options = options,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.takes_all = true,
	.needs_root = true,
	.run = run_usage,
};
