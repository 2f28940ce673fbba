/* Asks systemd for guests' scopes, and to set what units have. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "bus.h"
#include "cgroup.h"
#include "machined.h"
#include "systemd.h"

#ifdef HAVE_LIBSYSTEMD

#define JOB_MS     25000
#define ANSWER_MS  3000
#define AGAIN_MS   5
#define SILENCE_US 500000

/* One job of systemd's, until its JobRemoved says how it ended. */
struct job {
	const struct bus_library *lib;
	const char *path; /* signals are only looked at when it is known */
	char result[16];
};

static int on_job_removed(sd_bus_message *message, void *arg, sd_bus_error *error)
{
	struct job *job = arg;
	const char *path, *unit, *result;
	uint32_t id;

	if (job->lib->sd_bus_message_read(message, "uoss", &id, &path, &unit, &result) < 0)
		return 0;
	if (job->path && strcmp(path, job->path) == 0)
		(void)str_copy(job->result, sizeof(job->result), result);
	return 0;
}

/* Whether it is in the scope, which says more than any message: systemd that executes itself anew loses some. */
static bool is_inside(const struct systemd_scope *scope)
{
	char below[256];
	size_t len = strlen(scope->unit);

	return cgroup_of(scope->pid, SYSTEMD_SLICE, below, sizeof(below)) == 0 && str_starts(below, scope->unit) &&
	       (!below[len] || below[len] == '/');
}

static int await_job(struct bus *bus, struct job *job, const struct systemd_scope *scope, struct err *err)
{
	while (!job->result[0]) {
		int r = bus->lib.sd_bus_process(bus->bus, NULL);

		if (r < 0)
			return err_num(err, r, "hear from systemd about %s", scope->unit);
		if (r > 0)
			continue;
		if (bus_left_us(bus) == 0)
			return err_set(err, ERR_TIMEOUT, "wait for systemd to make %s", scope->unit);
		if (bus->lib.sd_bus_wait(bus->bus, bus_left_us(bus) < SILENCE_US ? bus_left_us(bus) : SILENCE_US) == 0 &&
		    is_inside(scope))
			return 0;
	}
	if (strcmp(job->result, "done") == 0)
		return 0;
	return err_set(err, ERR_FAILED, "have systemd make %s: its job ended as '%s'", scope->unit, job->result);
}

/* systemd is not on the bus while it executes itself anew, as an upgrade has it do. */
static bool is_away(const sd_bus_error *said)
{
	static const char *const names[] = {"NoReply", "ServiceUnknown", "NameHasNoOwner", "Spawn."};
	static const char prefix[] = "org.freedesktop.DBus.Error.";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (said->name && str_starts(said->name, prefix) && str_starts(said->name + strlen(prefix), names[i]))
			return true;
	return false;
}

static int new_scope_call(struct bus *bus, const struct systemd_scope *scope, sd_bus_message **ret)
{
	int r = bus->lib.sd_bus_message_new_method_call(bus->bus, ret, BUS_MANAGER, BUS_MANAGER_PATH, BUS_MANAGER_FACE,
							"StartTransientUnit");

	if (r < 0)
		return r;
	/* Before= a unit that the scope also pulls in: at shutdown, or when the slice is stopped, that unit stops first and ends
	 * guests in their own manner, before systemd signals every process of the scope. IOAccounting= since what is delegated has
	 * a name of cgroup2's, io: without it systemd takes a scope out of v1's blkio when it looks at it next. */
	return bus->lib.sd_bus_message_append(*ret, "ssa(sv)a(sa(sv))", scope->unit, "fail", 10, /* properties */
					      "Description", "s", scope->description,            /* */
					      "Slice", "s", SYSTEMD_SLICE,                       /* */
					      "PIDs", "au", 1, (uint32_t)scope->pid,             /* */
					      "Delegate", "b", 1,                                /* */
					      "CollectMode", "s", "inactive-or-failed",          /* */
					      "IOAccounting", "b", 1,                            /* */
					      "TasksMax", "t", UINT64_MAX,                       /* */
					      "TimeoutStopUSec", "t", scope->stop_ms * 1000,     /* */
					      "Before", "as", 1, SYSTEMD_SHUTDOWN_UNIT,          /* */
					      "Wants", "as", 1, SYSTEMD_SHUTDOWN_UNIT,           /* */
					      0);
}

/* One try; -EEXIST while a scope of that name still is, -EAGAIN while systemd is away. */
static int try_scope(struct bus *bus, const struct systemd_scope *scope, struct job *job, struct err *err)
{
	sd_bus_error said = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL, *reply = NULL;
	int r = new_scope_call(bus, scope, &call);

	r = bus_call(bus, r, call, &said, &reply);
	if (r < 0 && bus->lib.sd_bus_error_has_name(&said, BUS_MANAGER ".UnitExists"))
		r = -EEXIST;
	else if (r < 0 && is_away(&said))
		r = -EAGAIN;
	if (r >= 0)
		r = bus->lib.sd_bus_message_read(reply, "o", &job->path);
	if (r < 0)
		(void)bus_err(err, r, &said, "ask systemd for", scope->unit);
	else
		r = await_job(bus, job, scope, err);
	bus->lib.sd_bus_error_free(&said);
	bus->lib.sd_bus_message_unref(reply);
	return r;
}

int systemd_scope_start(const struct systemd_scope *scope, struct err *err)
{
	auto_bus struct bus bus = {0};
	struct job job = {0};
	struct err why = {0};
	int r = bus_open(&bus, JOB_MS, err);

	if (r < 0)
		return r;
	job.lib = &bus.lib;
	sd_bus_slot *slot = NULL;
	r = bus.lib.sd_bus_match_signal(bus.bus, &slot, BUS_MANAGER, BUS_MANAGER_PATH, BUS_MANAGER_FACE, "JobRemoved",
					on_job_removed, &job);
	if (r < 0)
		return bus_err(err, r, NULL, "listen to systemd about", scope->unit);
	machined_await_gone(&bus, scope->machine, scope->unit);
	/* An old scope ends when systemd has seen its last process go: no event is ours to wait for. */
	while (((r = try_scope(&bus, scope, &job, &why)) == -EEXIST || r == -EAGAIN) && bus_left_us(&bus) > 0 &&
	       !is_inside(scope)) {
		why = (struct err){0};
		(void)poll(NULL, 0, AGAIN_MS);
	}
	if ((r == -EEXIST || r == -EAGAIN) && is_inside(scope))
		r = 0; /* a try had made it, and its answer was lost */
	bus.lib.sd_bus_slot_unref(slot);
	if (r == -EEXIST)
		(void)err_hint(&why, "something still runs in it: systemctl status %s", scope->unit);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* One try; -EAGAIN while systemd is away. */
static int try_set(struct bus *bus, const char *unit, const char *property, uint64_t value, struct err *err)
{
	sd_bus_error said = SD_BUS_ERROR_NULL;
	sd_bus_message *call = NULL;
	int r = bus->lib.sd_bus_message_new_method_call(bus->bus, &call, BUS_MANAGER, BUS_MANAGER_PATH, BUS_MANAGER_FACE,
							"SetUnitProperties");

	if (r >= 0)
		r = bus->lib.sd_bus_message_append(call, "sba(sv)", unit, 1, 1, property, "t", value);
	r = bus_call(bus, r, call, &said, NULL);
	if (r < 0 && is_away(&said))
		r = -EAGAIN;
	if (r < 0)
		(void)bus_err(err, r, &said, "have systemd set a property of", unit);
	bus->lib.sd_bus_error_free(&said);
	return r;
}

int systemd_unit_set(const char *unit, const char *property, uint64_t value, struct err *err)
{
	auto_bus struct bus bus = {0};
	struct err why = {0};
	int r = bus_open(&bus, JOB_MS, err);

	if (r < 0)
		return r;
	while ((r = try_set(&bus, unit, property, value, &why)) == -EAGAIN && bus_left_us(&bus) > 0) {
		why = (struct err){0};
		(void)poll(NULL, 0, AGAIN_MS);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Its ActiveState; caller frees. NULL: nobody answers. One that systemd does not know is loaded for this, and "inactive". */
static char *unit_state(const char *unit)
{
	auto_bus struct bus bus = {0};
	sd_bus_message *call = NULL, *reply = NULL;
	char *state = NULL;
	const char *path = NULL;

	if (bus_open(&bus, ANSWER_MS, NULL) < 0)
		return NULL;
	int r = bus.lib.sd_bus_message_new_method_call(bus.bus, &call, BUS_MANAGER, BUS_MANAGER_PATH, BUS_MANAGER_FACE, "LoadUnit");

	if (r >= 0)
		r = bus.lib.sd_bus_message_append(call, "s", unit);
	r = bus_call(&bus, r, call, NULL, &reply);
	if (r >= 0 && bus.lib.sd_bus_message_read(reply, "o", &path) > 0)
		(void)bus.lib.sd_bus_get_property_string(bus.bus, BUS_MANAGER, path, BUS_MANAGER ".Unit", "ActiveState", NULL,
							 &state); /* NULL: it has just gone */
	bus.lib.sd_bus_message_unref(reply);
	return state;
}

bool systemd_unit_ends(const char *unit)
{
	auto_free char *state = unit_state(unit);

	return state && strcmp(state, "deactivating") == 0;
}

bool systemd_unit_rests(const char *unit)
{
	auto_free char *state = unit_state(unit);

	return state && (strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0);
}

#else

int systemd_scope_start(const struct systemd_scope *scope, struct err *err)
{
	(void)err_num(err, EOPNOTSUPP, "ask systemd for %s: isle was built without libsystemd", scope->unit);
	(void)err_hint(err, "apt-get install libsystemd-dev, then configure and build isle anew");
	return -EOPNOTSUPP;
}

int systemd_unit_set(const char *unit, const char *property, uint64_t value, struct err *err)
{
	(void)err_num(err, EOPNOTSUPP, "have systemd set %s of %s: isle was built without libsystemd", property, unit);
	return -EOPNOTSUPP;
}

bool systemd_unit_ends(const char *unit)
{
	return false;
}

bool systemd_unit_rests(const char *unit)
{
	return false;
}

#endif
