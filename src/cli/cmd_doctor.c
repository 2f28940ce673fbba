/* isle doctor: what this host offers, what is missing and what that costs. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "../base/str.h"
#include "../guest/record.h"
#include "../kernel/host.h"
#include "../kernel/sysctl.h"
#include "doctor_criu.h"
#include "doctor_fix.h"
#include "doctor_lxcfs.h"
#include "doctor_rules.h"
#include "doctor_timers.h"
#include "promised.h"
#include "verbs.h"

static const char *const level_names[] = {
	[HOST_GOOD] = "good",
	[HOST_INFO] = "info",
	[HOST_WARN] = "warn",
	[HOST_BAD] = "bad",
};

struct doctor_report {
	struct call *call;
	struct host_finding *list;
	size_t count;
};

static int add_finding(struct doctor_report *report, const struct host_finding *finding)
{
	struct host_finding *list = reallocarray(report->list, report->count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	report->list = list;
	list[report->count++] = *finding;
	return 0;
}

/* Dot-names are what a create or destroy that was killed has left, or what one is making right now. */
static int find_leftovers(struct doctor_report *report, const char *what, const char *dir)
{
	auto_closedir DIR *folder = opendir(dir);
	struct dirent *entry;
	char own[32];

	if (!folder || str_print(own, sizeof(own), ".doctor-%d", (int)getpid()) < 0)
		return 0;
	while ((entry = readdir(folder))) {
		struct host_finding finding = {.topic = "instance", .name = what, .level = HOST_WARN};

		if (entry->d_name[0] != '.' || !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !strcmp(entry->d_name, own) || str_starts(entry->d_name, ".lock"))
			continue;
		auto_free char *shown = str_escape(entry->d_name);

		snprintf(finding.found, sizeof(finding.found), "%s", shown ? shown : "?");
		snprintf(finding.means, sizeof(finding.means),
			 "left by a command that was killed, or being made by one that runs; it takes space in %s", dir);
		snprintf(finding.fix, sizeof(finding.fix), "the next create or destroy removes it");
		if (add_finding(report, &finding) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int find_broken(struct doctor_report *report, const struct store *store)
{
	char **names = NULL;
	int rc = store_names(store, &names, NULL);

	for (size_t i = 0; rc == 0 && names[i]; i++) {
		struct host_finding finding = {.topic = "instance", .name = "guest", .level = HOST_WARN};
		struct guest *guest = NULL;
		struct err why = {0};

		if (guest_state(store, names[i], NULL) == STATE_BROKEN) {
			snprintf(finding.found, sizeof(finding.found), "%s is broken", names[i]);
			snprintf(finding.means, sizeof(finding.means), "a start or stop of it was killed in the middle");
			snprintf(finding.fix, sizeof(finding.fix), "isle stop %s (or start): either repairs it first", names[i]);
			rc = add_finding(report, &finding);
		}
		if (rc == 0 && guest_open(store, names[i], &guest, &why) < 0 && why.code != ERR_NOT_FOUND) {
			snprintf(finding.found, sizeof(finding.found), "%s has a bad config", names[i]);
			snprintf(finding.means, sizeof(finding.means), "%.80s%s%.100s", why.where, *why.where ? ": " : "",
				 why.what);
			snprintf(finding.fix, sizeof(finding.fix), "correct the line in %.60s/%s/config", store->guests, names[i]);
			rc = add_finding(report, &finding);
		}
		guest_free(guest);
	}
	store_names_free(names);
	return rc;
}

static int find_missing_rules(struct doctor_report *report, const struct store *store)
{
	struct host_finding finding;

	return doctor_find_rules(store, &finding) == 1 ? add_finding(report, &finding) : 0;
}

static int find_lxcfs(struct doctor_report *report, const struct store *store)
{
	struct host_finding finding;
	int r = doctor_find_lxcfs(store, &finding) == 1 ? add_finding(report, &finding) : 0;

	return r == 0 && doctor_find_loadavg(&finding) == 1 ? add_finding(report, &finding) : r;
}

static int find_timers(struct doctor_report *report, const struct store *store)
{
	struct host_finding findings[DOCTOR_TIMERS];
	size_t count = doctor_find_timers(store, findings);
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_finding(report, &findings[i]);
	return rc;
}

static int find_promised(struct doctor_report *report, const struct store *store)
{
	struct host_finding findings[PROMISED_KINDS + 1];
	struct promised promised;
	int rc = promised_load(store, &promised, NULL);
	size_t count = rc < 0 ? 0 : promised_findings(&promised, findings, PROMISED_KINDS + 1);

	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_finding(report, &findings[i]);
	return rc;
}

static int examine(struct doctor_report *report, unsigned long many, struct err *err)
{
	const struct store *store = NULL;
	const char *guests = "/var/lib/isle/guests";
	bool root = geteuid() == 0;

	if (root) {
		int rc = call_store(report->call, &store, err);

		if (rc < 0)
			return rc;
		guests = store->guests;
	}
	int rc = host_examine(guests, many, &report->list, &report->count, err);

	if (rc < 0 || !store)
		return rc;
	rc = find_leftovers(report, "left in guests", store->guests);
	if (rc == 0)
		rc = find_leftovers(report, "left in images", store->images);
	if (rc == 0)
		rc = find_broken(report, store);
	if (rc == 0)
		rc = find_missing_rules(report, store);
	if (rc == 0)
		rc = find_lxcfs(report, store);
	if (rc == 0)
		rc = find_timers(report, store);
	if (rc == 0)
		rc = find_promised(report, store);
	return rc < 0 ? err_num(err, rc, "examine the host") : 0;
}

static void print_finding(const struct doctor_report *report, const struct host_finding *finding)
{
	static const char *const colors[] = {
		[HOST_GOOD] = "\033[32m",
		[HOST_INFO] = "\033[36m",
		[HOST_WARN] = "\033[33m",
		[HOST_BAD] = "\033[31m",
	};
	bool color = report->call->color;

	printf("  %s%s%s  %-34s %s\n", color ? colors[finding->level] : "", level_names[finding->level],
	       color                        ? "\033[0m"
	       : finding->level == HOST_BAD ? " "
					    : "",
	       finding->name, finding->found);
	if (*finding->means)
		printf("        means: %s\n", finding->means);
	if (*finding->fix)
		printf("        fix:   %s\n", finding->fix);
}

static void print_text(const struct doctor_report *report, const size_t *levels)
{
	const char *topic = "";

	for (size_t i = 0; i < report->count; i++) {
		const struct host_finding *finding = &report->list[i];

		if (report->call->quiet && finding->level < HOST_WARN)
			continue;
		if (strcmp(topic, finding->topic)) {
			printf("%s%s\n", *topic ? "\n" : "", finding->topic);
			topic = finding->topic;
		}
		print_finding(report, finding);
	}
	if (report->call->quiet && !levels[HOST_BAD] && !levels[HOST_WARN])
		return;
	const char *verdict = call_has(report->call, "criu") ? (levels[HOST_BAD] ? "Guests cannot be put to sleep here"
										 : "Guests can be put to sleep here")
			      : levels[HOST_BAD]             ? "Guests cannot run here"
			      : geteuid() == 0               ? "Guests can run here"
							     : "Nothing seen so far keeps guests from running; root sees more";

	printf("%s%s: %zu good, %zu info, %zu warn, %zu bad\n", *topic ? "\n" : "", verdict, levels[HOST_GOOD], levels[HOST_INFO],
	       levels[HOST_WARN], levels[HOST_BAD]);
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text && *text ? json_object_new_string(text) : NULL);
}

static int print_json(const struct doctor_report *report, const size_t *levels, struct err *err)
{
	static const char *const layouts[] = {[CGROUP_NONE] = NULL, [CGROUP_UNIFIED] = "unified", [CGROUP_HYBRID] = "hybrid"};
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	const struct host *host = host_get();
	struct utsname name;

	if (!o || !list)
		return err_num(err, ENOMEM, "show the host");
	json_object_object_add(o, call_has(report->call, "criu") ? "can_checkpoint" : "can_run",
			       json_object_new_boolean(levels[HOST_BAD] == 0));
	add_text(o, "kernel", uname(&name) == 0 ? name.release : NULL);
	add_text(o, "machine", uname(&name) == 0 ? name.machine : NULL);
	add_text(o, "cgroup_layout", layouts[host->cgroup_layout]);
	json_object_object_add(o, "systemd", json_object_new_boolean(host->systemd));
	json_object_object_add(o, "apparmor", json_object_new_boolean(host->apparmor));
	for (size_t i = 0; i < report->count; i++) {
		struct json_object *one = json_object_new_object();

		add_text(one, "topic", report->list[i].topic);
		add_text(one, "name", report->list[i].name);
		add_text(one, "level", level_names[report->list[i].level]);
		add_text(one, "found", report->list[i].found);
		add_text(one, "means", report->list[i].means);
		add_text(one, "fix", report->list[i].fix);
		json_object_array_add(list, one);
	}
	json_object_object_add(o, "findings", list);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return 0;
}

static int try_criu(struct doctor_report *report, struct err *err)
{
	struct host_finding findings[DOCTOR_CRIU_FINDINGS];
	int count = doctor_try_criu(report->call, findings, err), rc = 0;

	for (int i = 0; rc == 0 && i < count; i++)
		rc = add_finding(report, &findings[i]);
	return count < 0 ? count : rc < 0 ? err_num(err, rc, "show what was found") : 0;
}

static int run_doctor(struct call *call, struct err *err)
{
	struct doctor_report report = {.call = call};
	size_t levels[HOST_BAD + 1] = {0};
	unsigned long guests;
	int rc = doctor_check_options(call, &guests, err);

	if (rc < 0)
		return rc;
	if (call_has(call, "rules"))
		return doctor_restore_rules(call, err);
	if (call_has(call, "lxcfs"))
		return doctor_renew_lxcfs(call, err);
	if (call_has(call, "fix"))
		return doctor_fix(call, guests ? guests : SYSCTL_GUESTS, err);
	rc = call_has(call, "criu") ? try_criu(&report, err) : examine(&report, guests, err);
	for (size_t i = 0; rc == 0 && i < report.count; i++)
		levels[report.list[i].level]++;
	if (rc == 0 && call->json)
		rc = print_json(&report, levels, err);
	else if (rc == 0)
		print_text(&report, levels);
	free(report.list);
	return rc < 0 ? rc : levels[HOST_BAD] ? ERR_FAILED : 0;
}

static const struct option_row options[] = {
	{.name = "guests", .arg = "N", .doc = "How many guests are to run on this host."},
	{.name = "fix", .doc = "Raise the kernel's limits to what so many guests need, now and at every boot."},
	{.name = "dry-run", .doc = "With --fix: show what would be raised, and change nothing."},
	{.name = "root",
	 .arg = "DIR",
	 .doc = "With --fix: the folder whose proc/sys and etc/sysctl.d are meant, instead of /.",
	 .complete = COMPLETE_FILE},
	{.name = "rules",
	 .doc = "Write isle's nftables rules again, for its networks and for all guests that run, and examine nothing."},
	{.name = "lxcfs",
	 .doc = "Give running guests the files of lxcfs as it is now, see guest.lxcfs in isle.conf(5), and examine nothing."},
	{.name = "criu",
	 .doc = "Try whether guests can be put to sleep here: by criu check, and by a tiny guest that is put to sleep and woken. Takes some "
		"seconds; nothing else is examined."},
	{.name = "timeout", .arg = "DURATION", .doc = "With --lxcfs, wait that long for it to be mounted, if it is not."},
	{NULL},
};

const struct verb verb_doctor = {
	.name = "doctor",
	.aliases = "checkconfig",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS]",
	.summary = "Show what this host offers, what is missing and what to do about it.",
	.headline = "examine the host",
	.text = "Kernel, namespaces, security modules, cgroups, network, storage, programs and kernel limits are tried, in child "
		"processes and "
		"namespaces of their own, and judged: good; info, something is not possible without it; warn, something that most "
		"guests want is "
		"missing or a limit is low; bad, guests cannot run. Each finding that is not good says what it costs and what to "
		"do: a package "
		"to install or a setting to change. What killed commands have left and guests with a broken state or config are "
		"listed too, what running guests are promised against what the host has, and nftables rules that are missing under guests that run, since something emptied the ruleset; --rules writes "
		"them again. So are running guests that have not the files of the lxcfs that is mounted, because it was started anew or has died: "
		"any command that changes such a guest gives them to it, and --lxcfs gives them to all, which a drop-in of lxcfs.service "
		"does on hosts that systemd runs. There isle-usage.timer and isle-balance.timer are named, too, when guests that run "
		"would need them and they are not active. With "
		"--quiet only warn and bad are shown. Without --rules, --lxcfs and --fix nothing on the host is changed.\n\n"
		"Limits of the kernel that all guests share are compared with what --guests N need (1000 without it, and then what is "
		"low is "
		"no more than info). With --fix these limits are raised instead: in /etc/sysctl.d/60-isle.conf, which every boot reads, "
		"and at "
		"once. Nothing is lowered: a limit that is high enough stays as it is, whoever set it. Each limit that changes is shown "
		"with its "
		"value before and after; so is what this kernel has not or does not take. --dry-run only shows what --fix would do.\n\n"
		"With --criu a guest is made (by the template busybox, without a network, in a folder of its own), started, put to sleep, woken and "
		"removed, as isle checkpoint and isle start do it with others. isle's own criu, where tools/install-criu has brought one, is "
		"the one that is used; what the system's says of itself is shown beside it. The exit status is 1 when it does not work.\n\n"
		"The exit status is 0 when guests can run and 1 when something is bad; with --fix it is 1 when a limit could not be "
		"raised. Without root only a part can be tried.\n\n"
		"With --json the result is an object with can_run, kernel, machine, cgroup_layout, systemd, apparmor and findings, "
		"an array of objects "
		"with topic, name, level, found, means and fix; with --criu it has can_checkpoint in the place of can_run. With --fix it is an object with guests, file, dry_run and limits, an array "
		"of objects with name, before, wanted, after, result (kept, raised, would_raise, absent or refused) and reason.",
	.examples =
		"isle doctor\nisle doctor --quiet\nisle doctor --criu\nisle doctor --guests 200 --fix --dry-run\nisle doctor --guests 200 --fix\nisle doctor --json | jq -r '.findings[] | select(.level == \"bad\")'",
	.options = options,
	.run = run_doctor,
};
