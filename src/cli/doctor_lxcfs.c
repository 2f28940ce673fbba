/* isle doctor: guests that do not see their own size as they should, and giving them the files of lxcfs. */
#include "config.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../run/lxcfs.h"
#include "../run/repair.h"
#include "../run/update.h"
#include "doctor_lxcfs.h"
#include "report.h"

#define LOOK_MS       50
#define LXCFS_PROGRAM "/usr/bin/lxcfs"

/* Whether a running guest lacks what it should have. An empty mark of what is there counts for a dead lxcfs. */
static bool lacks(const struct store *store, const char *name, bool dead)
{
	struct record record;
	struct guest *guest = NULL;
	bool lacking = false;

	if (record_load(store, name, &record) == 0 && guest_open(store, name, &guest, NULL) == 0)
		lacking = dead ? record.lxcfs[0] != '\0' : !lxcfs_current(guest->spec, &record);
	guest_free(guest);
	return lacking;
}

int doctor_find_lxcfs(const struct store *store, struct host_finding *ret)
{
	struct host_finding finding = {.topic = "instance", .name = "lxcfs", .level = HOST_WARN};
	enum lxcfs_state state = lxcfs_state(NULL);
	const char *first = NULL;
	char **names = NULL;
	size_t count = 0;

	if (store_names(store, &names, NULL) < 0)
		return 0;
	for (size_t i = 0; names[i]; i++)
		if (lacks(store, names[i], state == LXCFS_DEAD) && count++ == 0)
			first = names[i];
	if (count == 1)
		(void)str_print(finding.found, sizeof(finding.found), "%s has no file of the present one", first);
	else if (count > 1)
		(void)str_print(finding.found, sizeof(finding.found), "%s and %zu others have no file of the present one", first,
				count - 1);
	(void)str_copy(finding.means, sizeof(finding.means),
		       state == LXCFS_ALIVE ? "these guests see the host's memory and CPUs in /proc, or cannot read them"
					    : "it has died: free, top and ps fail in these guests");
	(void)str_copy(finding.fix, sizeof(finding.fix), "isle doctor --lxcfs");
	store_names_free(names);
	if (count == 0 && state == LXCFS_NONE && access(LXCFS_PROGRAM, X_OK) == 0) {
		finding.level = HOST_INFO;
		(void)str_copy(finding.found, sizeof(finding.found), "installed, but not mounted on " LXCFS_AT);
		(void)str_copy(finding.means, sizeof(finding.means),
			       "guests see the host's memory and processors in /proc, not their limits");
		(void)str_copy(finding.fix, sizeof(finding.fix), "systemctl enable --now lxcfs");
	}
	if (finding.found[0])
		*ret = finding;
	return finding.found[0] != '\0';
}

/* Among the options of lxcfs, which may be drawn together ("-fl"); behind -o and -p is a word of theirs. */
static bool asks_for_loadavg(const char *option)
{
	if (option[0] != '-')
		return false;
	if (option[1] == '-')
		return strcmp(option, "--enable-loadavg") == 0;
	return option[strcspn(option, "lop")] == 'l';
}

/* lxcfs tells nobody what it was started with but in its command line. */
static bool has_loadavg(const char *pid)
{
	auto_free char *comm = str_format("/proc/%s/comm", pid), *cmdline = str_format("/proc/%s/cmdline", pid);
	auto_free char *name = NULL, *words = NULL;
	size_t len = 0;
	bool found = false;

	if (!comm || !cmdline || file_read(AT_FDCWD, comm, 64, &name, NULL) < 0 || strcmp(name, "lxcfs\n") != 0 ||
	    file_read(AT_FDCWD, cmdline, 65536, &words, &len) < 0)
		return false;
	for (size_t at = 0; at < len; at += strlen(words + at) + 1)
		found = found || asks_for_loadavg(words + at);
	return found;
}

int doctor_find_loadavg(struct host_finding *ret)
{
	auto_closedir DIR *dir = lxcfs_state(NULL) == LXCFS_ALIVE ? opendir("/proc") : NULL;
	bool found = false;

	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		found = found || (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && has_loadavg(entry->d_name));
	if (found)
		return 0;
	*ret = (struct host_finding){.topic = "instance", .name = "lxcfs -l", .level = HOST_INFO};
	(void)str_copy(ret->found, sizeof(ret->found), "lxcfs runs without it");
	(void)str_copy(ret->means, sizeof(ret->means), "uptime and top in guests show the host's load average");
	(void)str_copy(ret->fix, sizeof(ret->fix),
		       "systemctl edit lxcfs: [Service], ExecStart=, ExecStart=/usr/bin/lxcfs -l " LXCFS_AT
		       "; systemctl restart lxcfs");
	return 1;
}

static int renew_one(struct call *call, const char *name, struct err *err)
{
	struct guest *guest = NULL;
	struct record record;
	int r = call_guest(call, name, &guest, err);

	if (r == 0)
		r = repair_as_needed(guest, err);
	if (r == 0 && record_load(guest->store, name, &record) == 0) {
		r = lxcfs_renew(guest, guest->spec, &record, err);
		/* How many CPUs it should have may depend on it. */
		if (r == 0 && guest->spec->limits.cpus != SPEC_UNSET)
			r = update_apply(guest, NULL, CGROUP_BIT(CGROUP_CPUSET), NULL, err);
	}
	guest_free(guest);
	return r;
}

int doctor_renew_lxcfs(struct call *call, struct err *err)
{
	const struct store *store;
	unsigned long patience;
	char **names = NULL;
	int worst = 0;
	int r = call_duration(call, "timeout", 0, &patience, err);

	if (r == 0)
		r = call_store(call, &store, err);
	if (r < 0)
		return r;
	uint64_t end = proc_now_ms() + patience;

	while (lxcfs_state(NULL) != LXCFS_ALIVE && proc_now_ms() < end)
		(void)poll(NULL, 0, LOOK_MS); /* a mount in /var/lib/lxcfs tells nobody */
	r = store_names(store, &names, err);
	for (size_t i = 0; r == 0 && names[i]; i++) {
		struct err why = {0};
		struct record record;

		if (record_load(store, names[i], &record) < 0 || renew_one(call, names[i], &why) == 0 || why.code == ERR_NOT_FOUND)
			continue;
		report_error(call, &why, names[i]);
		worst = why.code;
	}
	store_names_free(names);
	return r < 0 ? r : worst;
}
