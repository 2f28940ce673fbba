/* What is checked of a checkpoint before it is restored, and of its processes before they run on. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <linux/nsfs.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/status.h"
#include "../base/str.h"
#include "../kernel/host.h"
#include "../kernel/ns.h"
#include "external.h"
#include "restore.h"
#include "restore_check.h"

#define IDS_SPAN 65536u

static int same_word(const char *what, const char *was, const char *is, const char *remedy, struct err *err)
{
	if (strcmp(was, is) == 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "restore it here: %s was %s and is %s", what, was[0] ? was : "none", is[0] ? is : "none");
	return remedy ? err_hint(err, "%s", remedy) : -EIO;
}

/* The first feature of the CPU it ran on that this one lacks. */
static int check_cpu(const struct checkpoint *checkpoint, struct err *err)
{
	auto_free char *here = external_cpu();
	auto_free char *padded = here ? str_format(" %s ", here) : NULL;
	auto_free char *needed = strdup(checkpoint->cpu ? checkpoint->cpu : "");
	char *rest = needed;

	if (!padded || !needed)
		return err_num(err, ENOMEM, "compare the CPUs");
	for (char *word; (word = strsep(&rest, " "));) {
		auto_free char *sought = str_format(" %s ", word);

		if (!word[0] || (sought && strstr(padded, sought)))
			continue;
		(void)err_set(err, ERR_FAILED, "restore it here: this CPU lacks '%.32s', which its processes may use", word);
		return err_hint(err, "restore it on the host that it was checkpointed on, or on one with such a CPU");
	}
	return 0;
}

/* That the kernels' versions differ is no obstacle in itself: criu's images hold nothing that only one of them understands, and
 * what this one lacks criu names. What it would name too late, or in its own words only, is looked at here. */
static int check_kernel(const struct guest *guest, const struct checkpoint *checkpoint, struct err *err)
{
	const struct spec *spec = guest->spec;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	bool confined = host_get()->apparmor && spec->security.apparmor != APPARMOR_NONE;

	if (checkpoint->page != page)
		return err_set(err, ERR_FAILED,
			       "restore it here: its memory is in pages of %llu bytes, and this kernel's have %llu",
			       (unsigned long long)checkpoint->page, (unsigned long long)page);
	if (access("/proc/self/ns/time", F_OK) < 0)
		return err_set(err, ERR_FAILED, "restore it here: this kernel has no time namespaces, and its clocks are in one");
	if (checkpoint->confined && !host_get()->apparmor) {
		(void)err_set(err, ERR_FAILED,
			      "restore it here: its processes are under an AppArmor profile, and this kernel has none");
		return err_hint(err, "boot with apparmor=1 security=apparmor");
	}
	if (checkpoint->confined && !confined) {
		(void)err_set(err, ERR_FAILED,
			      "restore it here: its processes are under an AppArmor profile, and here none is wanted");
		return err_hint(err, "isle config %s unset security.apparmor", guest->name);
	}
	if (!checkpoint->confined && confined) {
		(void)err_set(err, ERR_FAILED,
			      "restore it here: its processes are under no AppArmor profile, and here they have to be");
		return err_hint(err, "isle config %s set security.apparmor=none", guest->name);
	}
	return 0;
}

/* Files hold other ids than processes do: they would fit any. */
static int other_ids(const struct guest *guest, const struct checkpoint *checkpoint, struct err *err)
{
	if (!checkpoint->ids || guest->spec->security.privileged)
		return err_set(err, ERR_FAILED, "restore it here: it was %s when it went to sleep",
			       checkpoint->ids ? "not privileged" : "privileged");
	(void)err_set(err, ERR_FAILED, "restore it here: its ids began at %llu and begin at %llu now",
		      (unsigned long long)checkpoint->ids, (unsigned long long)guest->spec->security.ids);
	return err_hint(err, "if no other guest has those: isle config %s set --force security.ids=%llu", guest->name,
			(unsigned long long)checkpoint->ids);
}

static int check_fit(const struct guest *guest, const struct checkpoint *checkpoint, struct err *err)
{
	const struct spec *spec = guest->spec;
	struct utsname name;
	int r = same_word(
		"the guest", checkpoint->guest_id, spec->guest.id ? spec->guest.id : "",
		"a checkpoint belongs to its guest; isle clone --live makes others of it, and isle-checkpoint(1) says how "
		"a guest is carried to another host",
		err);

	if (uname(&name) < 0)
		return err_sys(err, "ask for the kernel's name");
	if (r == 0)
		r = same_word("the root file system's image", checkpoint->image, spec->guest.image ? spec->guest.image : "", NULL,
			      err);
	if (r == 0)
		r = same_word("the storage", checkpoint->storage, storage_choices[spec->guest.storage], NULL, err);
	if (r == 0)
		r = same_word("the machine", checkpoint->machine, name.machine, NULL, err);
	if (r == 0 && checkpoint->ids != (spec->security.privileged ? 0 : spec->security.ids))
		r = other_ids(guest, checkpoint, err);
	if (r == 0)
		r = check_kernel(guest, checkpoint, err);
	return r < 0 ? r : check_cpu(checkpoint, err);
}

int restore_open(struct guest *guest, const char *id, const char *from, bool trust, struct restore *ret, struct err *err)
{
	struct restore made = {.folder = -1};
	char asleep[32];
	int r = from ? checkpoint_open_at(from, &made.folder, err) : checkpoint_open(guest, id, &made.folder, err);

	if (r < 0)
		return r;
	r = checkpoint_asleep(guest->store, guest->name, asleep, err);
	if (r == 0)
		r = checkpoint_verify(guest->store, made.folder, trust, &made.checkpoint, err);
	if (r == 0)
		r = check_fit(guest, &made.checkpoint, err);
	made.asleep = r == 0 && strcmp(asleep, made.checkpoint.id) == 0;
	if (r == 0 && !made.asleep && !made.checkpoint.disk) {
		(void)err_set(err, ERR_FAILED, "restore checkpoint %s: the guest has gone on since, and its files with it",
			      from ? from : id);
		(void)err_hint(err, "checkpoints made with --leave-running keep the files too");
		r = -EIO;
	}
	made.spent = !made.checkpoint.disk && !from;
	if (r < 0)
		restore_close(&made);
	else
		*ret = made;
	return r;
}

struct check {
	struct restore_policy policy;
	const char *guest;
	const char *profile; /* AppArmor's, "" for none */
	uint64_t user_ns;
	struct err *err;
};

static int fault(struct check *check, pid_t pid, const char *what)
{
	(void)err_set(check->err, ERR_FAILED, "let the restored process %d run: %s", pid, what);
	return err_hint(check->err, "undo what was changed of its config meanwhile, or start it anew: isle start --cold %s",
			check->guest);
}

/* The four ids of a line "Uid:\t0\t0\t0\t0". */
static bool ids_within(const char *status, const char *field, uint64_t first)
{
	const char *at = status_field(status, field);

	if (!at)
		return false;
	auto_free char *line = strndup(at, strcspn(at, "\n"));
	char *rest = line;
	int count = 0;

	for (char *word; line && (word = strsep(&rest, "\t "));) {
		uint64_t id;

		if (!word[0])
			continue;
		if (str_to_u64(word, first, first + IDS_SPAN - 1, &id) < 0)
			return false;
		count++;
	}
	return count == 4;
}

const char *restore_check_status(const char *status, const struct restore_policy *policy)
{
	static const char *const masks[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};

	if (policy->mapped && (!ids_within(status, "Uid", policy->ids) || !ids_within(status, "Gid", policy->ids)))
		return "it has ids that are not the guest's";
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++)
		if (status_mask(status, masks[i]) & ~policy->capabilities)
			return "it has capabilities that guests do not have";
	const char *filter = status_field(status, "Seccomp");

	return policy->filtered && (!filter || !str_starts(filter, "2\n")) ? "it has no system call filter" : NULL;
}

static bool label_is(pid_t pid, pid_t thread, const char *profile)
{
	char path[64];
	auto_free char *label = NULL;

	(void)str_print(path, sizeof(path), "/proc/%d/task/%d/attr/apparmor/current", pid, thread);
	if (file_read(AT_FDCWD, path, 4096, &label, NULL) < 0)
		return false;
	label[strcspn(label, " \n")] = '\0';
	return strcmp(label, profile) == 0;
}

/* Whoever owns it has all powers in it, and what it uses is counted for him. */
static bool owner_is(pid_t pid, uint64_t owner)
{
	auto_close int fd = ns_open(pid, "user", NULL);
	uid_t uid;

	return fd >= 0 && ioctl(fd, NS_GET_OWNER_UID, &uid) == 0 && uid == owner;
}

static int check_user_namespace(struct check *check, pid_t pid)
{
	char path[64];
	struct stat st;

	(void)str_print(path, sizeof(path), "/proc/%d/ns/user", pid);
	if (stat(path, &st) < 0)
		return 0; /* it has ended */
	if (check->user_ns == 0 && !owner_is(pid, check->policy.ids)) {
		(void)err_set(check->err, ERR_FAILED, "let the restored process %d run: its user namespace is the host's root's",
			      pid);
		return err_hint(check->err, "isle-criu.so must lie beside isle or in " ISLE_LIBEXECDIR);
	}
	if (check->user_ns == 0)
		check->user_ns = st.st_ino;
	return st.st_ino == check->user_ns ? 0 : fault(check, pid, "it is in another user namespace");
}

static int check_thread(struct check *check, pid_t pid, pid_t thread)
{
	auto_free char *status = NULL;
	int r = status_read(pid, thread, &status);

	if (r < 0)
		return r == -ESRCH ? 0 : err_num(check->err, r, "look at the restored process %d", pid);
	const char *wrong = restore_check_status(status, &check->policy);

	if (!wrong && check->profile[0] && !label_is(pid, thread, check->profile))
		wrong = "it is not under the guest's AppArmor profile";
	return wrong ? fault(check, pid, wrong) : 0;
}

/* Threads have ids, powers and filters of their own. */
static int check_task(void *arg, pid_t pid)
{
	struct check *check = arg;
	char path[48];
	int r = check->policy.mapped ? check_user_namespace(check, pid) : 0;

	(void)str_print(path, sizeof(path), "/proc/%d/task", pid);
	auto_closedir DIR *threads = r < 0 ? NULL : opendir(path);

	if (r == 0 && !threads)
		return errno == ENOENT ? 0 : err_sys(check->err, "look at the threads of the restored process %d", pid);
	for (struct dirent *entry; r == 0 && (entry = readdir(threads));) {
		uint64_t thread;

		if (str_to_u64(entry->d_name, 1, INT32_MAX, &thread) == 0)
			r = check_thread(check, pid, (pid_t)thread);
	}
	return r;
}

int restore_check_tasks(struct run *run, struct err *err)
{
	struct check check = {
		.policy =
			{
				.mapped = !run->spec->security.privileged,
				.ids = run->record.ids,
				.capabilities = run->confinement.capabilities,
				.filtered = run->confinement.filter.count > 0,
			},
		.guest = run->guest->name,
		.profile = run->confinement.profile,
		.err = err,
	};
	int r = cgroup_each_pid(run->record.cgroup, check_task, &check);

	return r < 0 && err && err->code == ERR_NONE ? err_num(err, r, "check the restored processes") : r;
}
