/* Asks systemd for scopes and tells machined of guests, through sd-bus, which is loaded at first use. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "systemd.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-bus.h>

#define JOB_MS                   25000
#define AGAIN_MS                 5
#define SYSTEMD_NAME             "org.freedesktop.systemd1"
#define SYSTEMD_PATH             "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER          "org.freedesktop.systemd1.Manager"
#define MACHINE_NAME             "org.freedesktop.machine1"
#define MACHINED                 "/usr/lib/systemd/systemd-machined"
#define MACHINED_BEFORE_USRMERGE "/lib/systemd/systemd-machined"

/* The functions of libsystemd that are used, one a row: linking it would cost every start of isle 0.5 ms. */
#define FUNCTIONS(X)                      \
	X(sd_bus_open_system)             \
	X(sd_bus_flush_close_unref)       \
	X(sd_bus_message_new_method_call) \
	X(sd_bus_message_append)          \
	X(sd_bus_message_append_array)    \
	X(sd_bus_message_read)            \
	X(sd_bus_message_unref)           \
	X(sd_bus_match_signal)            \
	X(sd_bus_slot_unref)              \
	X(sd_bus_call)                    \
	X(sd_bus_process)                 \
	X(sd_bus_wait)                    \
	X(sd_bus_error_free)              \
	X(sd_bus_error_has_name)

struct library {
	void *handle;
#define MEMBER(name) __typeof__(name) *name;
	FUNCTIONS(MEMBER)
#undef MEMBER
};

static int load(struct library *lib, struct err *err)
{
	bool whole = true;

	lib->handle = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (lib->handle) {
#define LOOK_UP(name) whole = whole && (lib->name = (__typeof__(lib->name))dlsym(lib->handle, #name));
		FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	}
	if (lib->handle && whole)
		return 0;
	(void)err_num(err, EOPNOTSUPP, "load libsystemd.so.0, by which systemd is asked for the guest's scope");
	(void)err_hint(err, "apt-get install libsystemd0");
	return -EOPNOTSUPP;
}

static int err_bus(struct err *err, int num, const sd_bus_error *said, const char *what, const char *object)
{
	if (said && said->message)
		return err_num(err, num, "%s %s: %s", what, object, said->message);
	return err_num(err, num, "%s %s", what, object);
}

/* One job of systemd's, until its JobRemoved says how it ended. */
struct job {
	const struct library *lib;
	const char *path;
	char seen[8][64]; /* paths of jobs that ended before we knew ours */
	char results[8][16];
	size_t count;
};

static int on_job_removed(sd_bus_message *message, void *arg, sd_bus_error *error)
{
	struct job *job = arg;
	const char *path, *unit, *result;
	uint32_t id;

	if (job->lib->sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	size_t slot = job->count++ % 8;

	(void)str_copy(job->seen[slot], sizeof(job->seen[slot]), path);
	(void)str_copy(job->results[slot], sizeof(job->results[slot]), result);
	return 0;
}

static const char *job_result(const struct job *job)
{
	for (size_t i = 0; i < 8 && i < job->count; i++)
		if (strcmp(job->seen[i], job->path) == 0)
			return job->results[i];
	return NULL;
}

static int await_job(const struct library *lib, sd_bus *bus, struct job *job, const char *unit, struct err *err)
{
	uint64_t deadline = proc_now_ms() + JOB_MS;

	while (!job_result(job)) {
		int r = lib->sd_bus_process(bus, NULL);
		uint64_t now = proc_now_ms();

		if (r < 0)
			return err_num(err, r, "hear from systemd about %s", unit);
		if (r > 0)
			continue;
		if (now >= deadline)
			return err_set(err, ERR_TIMEOUT, "wait for systemd to make %s", unit);
		(void)lib->sd_bus_wait(bus, (deadline - now) * 1000);
	}
	if (strcmp(job_result(job), "done") == 0)
		return 0;
	return err_set(err, ERR_FAILED, "have systemd make %s: its job ended as '%s'", unit, job_result(job));
}

static int new_scope_call(const struct library *lib, sd_bus *bus, const struct systemd_scope *scope, sd_bus_message **ret)
{
	sd_bus_message *m = NULL;
	int r = lib->sd_bus_message_new_method_call(bus, &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");

	if (r < 0)
		return r;
	/* Before= a unit that the scope also pulls in: at shutdown, or when the slice is stopped, that unit stops first and ends
	 * guests in their own manner, before systemd signals every process of the scope. */
	r = lib->sd_bus_message_append(m, "ssa(sv)a(sa(sv))", scope->unit, "fail", 9, /* properties */
				       "Description", "s", scope->description,        /* */
				       "Slice", "s", SYSTEMD_SLICE,                   /* */
				       "PIDs", "au", 1, (uint32_t)scope->pid,         /* */
				       "Delegate", "b", 1,                            /* */
				       "CollectMode", "s", "inactive-or-failed",      /* */
				       "TasksMax", "t", UINT64_MAX,                   /* */
				       "TimeoutStopUSec", "t", (uint64_t)120000000,   /* */
				       "Before", "as", 1, SYSTEMD_SHUTDOWN_UNIT,      /* */
				       "Wants", "as", 1, SYSTEMD_SHUTDOWN_UNIT,       /* */
				       0);
	if (r < 0)
		lib->sd_bus_message_unref(m);
	else
		*ret = m;
	return r;
}

/* One try; -EEXIST while a scope of that name still is. */
static int try_scope(const struct library *lib, sd_bus *bus, const struct systemd_scope *scope, struct job *job, struct err *err)
{
	sd_bus_error said = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL, *reply = NULL;
	int r = new_scope_call(lib, bus, scope, &call);

	if (r >= 0)
		r = lib->sd_bus_call(bus, call, 0, &said, &reply);
	if (r < 0 && lib->sd_bus_error_has_name(&said, SYSTEMD_NAME ".UnitExists"))
		r = -EEXIST;
	if (r >= 0)
		r = lib->sd_bus_message_read(reply, "o", &job->path);
	if (r < 0)
		(void)err_bus(err, r, &said, "ask systemd for", scope->unit);
	else
		r = await_job(lib, bus, job, scope->unit, err);
	lib->sd_bus_error_free(&said);
	lib->sd_bus_message_unref(call);
	lib->sd_bus_message_unref(reply);
	return r;
}

static int start_on(const struct library *lib, sd_bus *bus, const struct systemd_scope *scope, struct err *err)
{
	struct job job = {.lib = lib};
	sd_bus_slot *slot = NULL;
	uint64_t deadline = proc_now_ms() + JOB_MS;
	int r = lib->sd_bus_match_signal(bus, &slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed,
					 &job);

	if (r < 0)
		return err_num(err, r, "listen to systemd");
	for (;;) {
		struct err why = {0};

		r = try_scope(lib, bus, scope, &job, &why);
		if (r != -EEXIST || proc_now_ms() >= deadline) {
			if (r < 0 && err)
				*err = why;
			break;
		}
		(void)poll(
			NULL, 0,
			AGAIN_MS); /* the old scope ends when systemd has seen its last process go: no event is ours to wait for */
	}
	lib->sd_bus_slot_unref(slot);
	return r;
}

int systemd_scope_start(const struct systemd_scope *scope, struct err *err)
{
	struct library lib = {0};
	sd_bus *bus = NULL;
	int r = load(&lib, err);

	if (r < 0)
		return r;
	r = lib.sd_bus_open_system(&bus);
	if (r < 0) {
		(void)err_num(err, r, "connect to D-Bus, by which systemd is asked for the guest's scope");
		return err_hint(err, "is dbus running? apt-get install dbus");
	}
	r = start_on(&lib, bus, scope, err);
	lib.sd_bus_flush_close_unref(bus);
	return r;
}

static int register_on(const struct library *lib, sd_bus *bus, const char *name, const uint8_t id[16], pid_t leader,
		       struct err *err)
{
	sd_bus_error said = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL, *reply = NULL;
	int r = lib->sd_bus_message_new_method_call(bus, &call, MACHINE_NAME, "/org/freedesktop/machine1", MACHINE_NAME ".Manager",
						    "RegisterMachine");

	if (r >= 0)
		r = lib->sd_bus_message_append(call, "s", name);
	if (r >= 0)
		r = lib->sd_bus_message_append_array(call, 'y', id, 16);
	if (r >= 0)
		r = lib->sd_bus_message_append(call, "ssus", "isle", "container", (uint32_t)leader, "");
	if (r >= 0)
		r = lib->sd_bus_call(bus, call, 0, &said, &reply);
	if (r < 0)
		(void)err_bus(err, r, &said, "register with systemd-machined the guest", name);
	lib->sd_bus_error_free(&said);
	lib->sd_bus_message_unref(call);
	lib->sd_bus_message_unref(reply);
	return r < 0 ? r : 0;
}

static void id_bytes(const char *text, uint8_t id[16])
{
	for (size_t i = 0; i < 16; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

		id[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

int systemd_machine_register(const char *name, const char *id, pid_t leader, struct err *err)
{
	struct library lib = {0};
	uint8_t bytes[16] = {0};
	sd_bus *bus = NULL;

	if (access(MACHINED, X_OK) < 0 && access(MACHINED_BEFORE_USRMERGE, X_OK) < 0)
		return 0;
	int r = load(&lib, err);

	if (r == 0)
		r = lib.sd_bus_open_system(&bus);
	if (r < 0)
		return err_num(err, r, "connect to D-Bus");
	if (id && strlen(id) == 32)
		id_bytes(id, bytes);
	r = register_on(&lib, bus, name, bytes, leader, err);
	lib.sd_bus_flush_close_unref(bus);
	return r;
}

#else

int systemd_scope_start(const struct systemd_scope *scope, struct err *err)
{
	(void)err_num(err, EOPNOTSUPP, "ask systemd for %s: isle was built without libsystemd", scope->unit);
	return -EOPNOTSUPP;
}

int systemd_machine_register(const char *name, const char *id, pid_t leader, struct err *err)
{
	return 0;
}

#endif
