/* isle doctor --criu: whether criu works here, shown by putting a tiny guest to sleep and waking it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "../guest/image.h"
#include "../guest/record.h"
#include "../run/checkpoint.h"
#include "../run/create.h"
#include "../run/criu.h"
#include "../run/destroy.h"
#include "../run/start.h"
#include "doctor_criu.h"

#define TOPIC    "checkpoint"
#define NOTES    "/run/criu.kdat" /* criu writes it beside, as .tmp, and only to a tmpfs: it is to be gone with the next boot */
#define FOLDER   "doctor"
#define TINY     "tiny"
#define CHECK_MS 20000
#define CRIU_MS  30000
#define INSTALL  ISLE_LIBEXECDIR "/install-criu brings a newer one for isle alone"

/* One of the programs that there may be, by its own judgement. */
static size_t check_program(const char *name, const char *path, bool chosen, struct host_finding *ret)
{
	const char *const argv[] = {path, "check", NULL};
	const struct proc proc = {.argv = argv, .timeout_ms = CHECK_MS};
	struct err why = {0};

	if (access(path, X_OK) < 0)
		return 0;
	int r = proc_run(&proc, &why);

	*ret = (struct host_finding){.topic = TOPIC, .name = name, .level = r == 0 ? HOST_GOOD : chosen ? HOST_WARN : HOST_INFO};
	(void)str_print(ret->found, sizeof(ret->found), "%.60s%s", path, chosen ? ", which isle uses" : "");
	if (r < 0) {
		(void)snprintf(ret->means, sizeof(ret->means), "criu check: %.170s", why.what);
		(void)snprintf(ret->fix, sizeof(ret->fix), "%s", chosen ? INSTALL : "");
	}
	return 1;
}

/* The tiny guest, from its image to its end. */
struct trial {
	struct store *store;
	struct guest *guest;
	uint64_t frozen_us, wake_ms;
	const char *stage;
};

static int make(struct trial *trial, struct err *err)
{
	const struct image_request image = {.template_name = "busybox", .output = TEMPLATE_QUIET, .timeout_ms = CRIU_MS};
	auto_free char *key = NULL;
	auto_close int image_fd = -1;

	trial->stage = "make a tiny guest";
	int r = image_get(trial->store, &image, &key, &image_fd, err);
	const struct create_request request = {
		.name = TINY,
		.template_name = image.template_name,
		.image_key = key,
		.image_fd = image_fd,
		.storage = r < 0 ? NULL : storage_best(trial->store->guests_fd, NULL),
		.no_network = true,
	};

	if (r == 0)
		r = create_guest(trial->store, &request, err);
	if (r == 0)
		r = guest_open(trial->store, TINY, &trial->guest, err);
	return r < 0 ? r : guest_lock(trial->guest, STORE_LOCK_MS, err);
}

static int sleep_and_wake(struct trial *trial, struct err *err)
{
	const struct checkpoint_request sleep = {.timeout_ms = CRIU_MS};
	const struct start_request start = {0};
	struct checkpoint made = {0};
	auto_free char *path = NULL;

	trial->stage = "start a tiny guest";
	int r = start_guest(trial->guest, &start, err);
	if (r < 0)
		return r;
	trial->stage = "put a tiny guest to sleep";
	r = checkpoint_guest(trial->guest, &sleep, &made, &path, err);
	trial->frozen_us = made.frozen;
	checkpoint_clear(&made);
	if (r < 0)
		return r;
	trial->stage = "wake a tiny guest";
	uint64_t begun = proc_now_ms();

	r = start_guest(trial->guest, &start, err);
	trial->wake_ms = proc_now_ms() - begun;
	if (r == 0 && guest_state_locked(trial->guest, NULL) != STATE_RUNNING)
		r = err_set(err, ERR_FAILED, "look at it: it ended at once");
	return r;
}

/* What one that was killed left, too: its guest goes by force, its folder after it. */
static int clear(const char *path, bool begin, struct err *err)
{
	struct store *store = NULL;

	if (begin && access(path, F_OK) < 0)
		return 0;
	int r = store_open(path, true, &store, err);

	if (r == 0)
		r = create_sweep(store, err);
	if (r == 0)
		r = destroy_guest(store, TINY, true, NULL);
	store_free(store);
	return r < 0 && r != -ENOENT ? err_num(err, r, "remove the tiny guest in %s", path) : file_remove_tree(AT_FDCWD, path, err);
}

static void judge(const struct trial *trial, int r, const struct err *why, struct host_finding *ret)
{
	*ret = (struct host_finding){
		.topic = TOPIC, .name = "sleep and wake of a tiny guest", .level = r == 0 ? HOST_GOOD : HOST_BAD};
	if (r == 0) {
		(void)snprintf(ret->found, sizeof(ret->found), "frozen for %llu ms, awake after %llu ms",
			       (unsigned long long)trial->frozen_us / 1000, (unsigned long long)trial->wake_ms);
		return;
	}
	(void)snprintf(ret->found, sizeof(ret->found), "could not %s", trial->stage);
	(void)snprintf(ret->means, sizeof(ret->means), "%.30s%s%.150s", why->step, why->step[0] ? ": " : "", why->what);
	(void)snprintf(ret->fix, sizeof(ret->fix), "%.127s", why->hint[0] ? why->hint : INSTALL);
}

/* After a trial: whether criu remembers what it found out about the kernel. */
static void look_at_notes(struct host_finding *ret)
{
	bool kept = access(NOTES, F_OK) == 0;
	struct statfs fs;
	/* Elsewhere criu leaves its unfinished ones each time. */
	bool memory = statfs("/run", &fs) == 0 && fs.f_type == TMPFS_MAGIC;

	*ret = (struct host_finding){.topic = TOPIC, .name = "criu's notes of the kernel", .level = kept ? HOST_GOOD : HOST_WARN};
	(void)snprintf(ret->found, sizeof(ret->found), "%s", kept ? NOTES : "none");
	if (kept)
		return;
	(void)snprintf(ret->means, sizeof(ret->means), "criu examines the kernel anew each time, which takes it about 0.1 s");
	(void)snprintf(ret->fix, sizeof(ret->fix), "%s",
		       memory ? "rm " NOTES ".tmp, which a criu that was killed left" : "a tmpfs at /run, as Debian has it");
}

static int try_guest(const char *path, struct host_finding *ret, struct err *err)
{
	struct trial trial = {.stage = "make a tiny guest"};
	struct err why = {0};
	int r = clear(path, true, err);

	if (r == 0)
		r = store_open(path, true, &trial.store, err);
	if (r < 0)
		return r;
	r = make(&trial, &why);
	if (r == 0)
		r = sleep_and_wake(&trial, &why);
	judge(&trial, r, &why, ret);
	guest_free(trial.guest);
	store_free(trial.store);
	return clear(path, false, err);
}

int doctor_try_criu(struct call *call, struct host_finding ret[DOCTOR_CRIU_FINDINGS], struct err *err)
{
	const struct store *store;
	struct criu_program program;
	struct err why = {0};
	size_t count = 0;
	auto_close int lock = -1;

	if (geteuid() != 0)
		return err_set(err, ERR_FAILED, "put a tiny guest to sleep: only root can");
	int r = call_store(call, &store, err);
	auto_free char *path = r < 0 ? NULL : str_format("%s/../" FOLDER, store->guests);

	if (r < 0 || !path)
		return r < 0 ? r : err_num(err, ENOMEM, "try criu");
	if (criu_find(&program, &why) < 0) {
		ret[0] = (struct host_finding){.topic = TOPIC, .name = "criu", .level = HOST_BAD};
		(void)snprintf(ret->found, sizeof(ret->found), "none");
		(void)snprintf(ret->means, sizeof(ret->means), "guests cannot be put to sleep, and running ones not be cloned");
		(void)snprintf(ret->fix, sizeof(ret->fix), "%.127s", why.hint);
		return 1;
	}
	count += check_program("isle's own criu", CRIU_PRIVATE "/criu", program.private, &ret[count]);
	if (!program.private)
		count += check_program("criu", program.path, true, &ret[count]);
	else
		count += check_program("the system's criu", "/usr/sbin/criu", false, &ret[count]);
	r = file_lock(store->run_fd, ".lock-doctor", 0, &lock, err);
	if (r < 0)
		return r;
	r = try_guest(path, &ret[count], err);
	(void)unlinkat(store->run_fd, ".lock-doctor", 0);
	if (r < 0)
		return r;
	if (ret[count++].level == HOST_GOOD)
		look_at_notes(&ret[count++]);
	return (int)count;
}
