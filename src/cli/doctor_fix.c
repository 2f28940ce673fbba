/* isle doctor --fix: raises what many guests share, and shows before and after. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../kernel/sysctl.h"
#include "doctor_fix.h"

struct fix {
	const struct call *call;
	const char *root;
	unsigned long guests;
	bool dry;
	const struct sysctl_change *changes;
};

int doctor_check_options(const struct call *call, unsigned long *ret_guests, struct err *err)
{
	int r = call_number(call, "guests", 0, 1, SYSCTL_GUESTS_MAX, ret_guests, err);

	if (r < 0)
		return r;
	if (!call_has(call, "fix") && (call_has(call, "dry-run") || call_has(call, "root")))
		return call_usage(call, err, "--%s says how --fix goes, which is not given",
				  call_has(call, "dry-run") ? "dry-run" : "root");
	if (call_has(call, "criu") && (call_has(call, "fix") || call_has(call, "rules") || call_has(call, "lxcfs")))
		return call_usage(call, err, "--criu is tried alone");
	if (call_has(call, "fix") && call_has(call, "rules"))
		return call_usage(call, err, "--rules and --fix are two things: one after the other");
	return 0;
}

static const char *result_name(const struct fix *fix, const struct sysctl_change *change)
{
	static const char *const names[] = {
		[SYSCTL_KEPT] = "kept",     [SYSCTL_LOW] = "low",         [SYSCTL_RAISED] = "raised",
		[SYSCTL_ABSENT] = "absent", [SYSCTL_REFUSED] = "refused",
	};

	return fix->dry && change->result == SYSCTL_LOW ? "would_raise" : names[change->result];
}

static const char *reason(const struct sysctl_change *change)
{
	if (change->result == SYSCTL_ABSENT)
		return "not in this kernel or network namespace, or its module is not loaded";
	if (change->result != SYSCTL_REFUSED)
		return NULL;
	return change->error == ERANGE ? "the kernel took less" : strerror(change->error);
}

static void print_change(const struct fix *fix, const struct sysctl_change *change)
{
	const char *name = change->row->name;

	switch (change->result) {
	case SYSCTL_LOW:
	case SYSCTL_RAISED:
		printf("%-36s %20llu -> %llu\n", name, (unsigned long long)change->before,
		       (unsigned long long)(fix->dry ? change->wanted : change->after));
		break;
	case SYSCTL_KEPT:
		if (!fix->call->quiet)
			printf("%-36s %20llu    enough\n", name, (unsigned long long)change->before);
		break;
	case SYSCTL_ABSENT:
		if (!fix->call->quiet)
			printf("%-36s %20s    absent: %s\n", name, "-", reason(change));
		break;
	default:
		printf("%-36s %20llu    not raised to %llu: %s\n", name, (unsigned long long)change->before,
		       (unsigned long long)change->wanted, reason(change));
	}
}

static void print_text(const struct fix *fix)
{
	size_t counts[SYSCTL_REFUSED + 1] = {0};
	const char *slash = fix->root[strlen(fix->root) - 1] == '/' ? "" : "/";

	for (size_t i = 0; i < sysctl_count; i++) {
		counts[fix->changes[i].result]++;
		print_change(fix, &fix->changes[i]);
	}
	if (fix->call->quiet)
		return;
	if (fix->dry)
		printf("\n%zu would be raised for %lu guests, now and in %s%s%s\n", counts[SYSCTL_LOW], fix->guests, fix->root,
		       slash, SYSCTL_FILE);
	else if (counts[SYSCTL_RAISED])
		printf("\n%zu raised for %lu guests, now and in %s%s%s\n", counts[SYSCTL_RAISED], fix->guests, fix->root, slash,
		       SYSCTL_FILE);
	else if (!counts[SYSCTL_REFUSED])
		printf("\nall that is here is enough for %lu guests\n", fix->guests);
}

static void add_number(struct json_object *o, const char *key, bool known, uint64_t number)
{
	json_object_object_add(o, key, known ? json_object_new_uint64(number) : NULL);
}

static int print_json(const struct fix *fix, struct err *err)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	auto_free char *file = str_format("%s%s%s", fix->root, fix->root[strlen(fix->root) - 1] == '/' ? "" : "/", SYSCTL_FILE);

	if (!o || !list || !file)
		return err_num(err, ENOMEM, "show the host's limits");
	json_object_object_add(o, "guests", json_object_new_uint64(fix->guests));
	json_object_object_add(o, "file", json_object_new_string(file));
	json_object_object_add(o, "dry_run", json_object_new_boolean(fix->dry));
	for (size_t i = 0; i < sysctl_count; i++) {
		const struct sysctl_change *change = &fix->changes[i];
		struct json_object *one = json_object_new_object();
		bool known = change->result != SYSCTL_ABSENT;

		json_object_object_add(one, "name", json_object_new_string(change->row->name));
		add_number(one, "before", known, change->before);
		add_number(one, "wanted", true, change->wanted);
		add_number(one, "after", known, change->after);
		json_object_object_add(one, "result", json_object_new_string(result_name(fix, change)));
		json_object_object_add(one, "reason", reason(change) ? json_object_new_string(reason(change)) : NULL);
		json_object_array_add(list, one);
	}
	json_object_object_add(o, "limits", list);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}

int doctor_fix(struct call *call, unsigned long guests, struct err *err)
{
	auto_free struct sysctl_change *changes = NULL;
	struct fix fix = {
		.call = call,
		.root = call_value(call, "root") && *call_value(call, "root") ? call_value(call, "root") : "/",
		.guests = guests,
		.dry = call_has(call, "dry-run"),
	};

	if (!fix.dry && geteuid() != 0) {
		(void)err_num(err, EPERM, "raise the host's limits");
		return err_hint(err, "sudo isle doctor --fix; --dry-run shows what it would do");
	}
	int r = sysctl_look(fix.root, guests, &changes, err);

	if (r == 0 && !fix.dry)
		r = sysctl_raise(fix.root, guests, changes, err);
	if (r < 0)
		return r;
	fix.changes = changes;
	if (call->json)
		r = print_json(&fix, err);
	else
		print_text(&fix);
	for (size_t i = 0; r == 0 && i < sysctl_count; i++)
		if (changes[i].result == SYSCTL_REFUSED)
			r = ERR_FAILED;
	return r;
}
