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
#include "cgroup.h"
#include "systemd.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-bus.h>

#define JOB_MS                   25000
#define REGISTER_MS              10000
#define MACHINED_MS              3000
#define REGISTERS_ANEW           257 /* systemd 252 ends what is unregistered; this one was seen not to */
#define AGAIN_MS                 5
#define SILENCE_US               500000
#define SYSTEMD_NAME             "org.freedesktop.systemd1"
#define SYSTEMD_PATH             "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER          "org.freedesktop.systemd1.Manager"
#define MACHINE_NAME             "org.freedesktop.machine1"
#define MACHINE_PATH             "/org/freedesktop/machine1"
#define MACHINE_MANAGER          "org.freedesktop.machine1.Manager"
#define MACHINED                 "/usr/lib/systemd/systemd-machined"
#define MACHINED_BEFORE_USRMERGE "/lib/systemd/systemd-machined"

/* The functions of libsystemd that are used, one a row: linking it would cost every start of isle 0.5 ms. */
#define FUNCTIONS(X)                      \
	X(sd_bus_open_system)             \
	X(sd_bus_is_ready)                \
	X(sd_bus_set_method_call_timeout) \
	X(sd_bus_close_unref)             \
	X(sd_bus_message_new_method_call) \
	X(sd_bus_message_set_auto_start)  \
	X(sd_bus_message_append)          \
	X(sd_bus_message_append_array)    \
	X(sd_bus_message_read)            \
	X(sd_bus_message_unref)           \
	X(sd_bus_match_signal)            \
	X(sd_bus_slot_unref)              \
	X(sd_bus_call)                    \
	X(sd_bus_get_property_string)     \
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

/* A connection to the system's bus, and when its user gives up. */
struct bus {
	struct library lib;
	sd_bus *bus;
	uint64_t deadline;
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

static uint64_t left_us(const struct bus *bus)
{
	uint64_t now = proc_now_ms();

	return now < bus->deadline ? (bus->deadline - now) * 1000 : 0;
}

/* Not by a flush: all that was sent has been answered, and of a bus that hangs a flush waits once more. */
static void bus_close(struct bus *bus)
{
	if (bus->bus)
		bus->lib.sd_bus_close_unref(bus->bus);
}
#define auto_bus __attribute__((cleanup(bus_close)))

/* Until the bus has greeted: left to its first call, that has a patience of its own, of one and a half minutes. */
static int await_greeting(struct bus *bus)
{
	int r;

	while ((r = bus->lib.sd_bus_is_ready(bus->bus)) == 0) {
		r = bus->lib.sd_bus_process(bus->bus, NULL);
		if (r == 0 && left_us(bus) == 0)
			return -ETIMEDOUT;
		if (r == 0)
			r = bus->lib.sd_bus_wait(bus->bus, left_us(bus));
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

static int bus_open(struct bus *bus, uint64_t patience_ms, struct err *err)
{
	int r = load(&bus->lib, err);

	if (r < 0)
		return r;
	bus->deadline = proc_now_ms() + patience_ms;
	r = bus->lib.sd_bus_open_system(&bus->bus);
	if (r >= 0)
		r = bus->lib.sd_bus_set_method_call_timeout(bus->bus, MACHINED_MS * 1000);
	if (r >= 0)
		r = await_greeting(bus);
	if (r >= 0)
		return 0;
	if (r == -ETIMEDOUT)
		r = err_set(err, ERR_TIMEOUT, "connect to D-Bus, by which systemd is asked: it does not answer");
	else
		r = err_num(err, r, "connect to D-Bus, by which systemd is asked");
	(void)err_hint(err, "is dbus running? systemctl status dbus, or apt-get install dbus");
	return r;
}

/* Sends the call, which it frees, unless r says that it could not be made. *ret_reply may be NULL. */
static int bus_call(struct bus *bus, int r, sd_bus_message *call, sd_bus_error *said, sd_bus_message **ret_reply)
{
	sd_bus_message *reply = NULL;
	uint64_t left = left_us(bus);

	if (r >= 0)
		r = left ? bus->lib.sd_bus_call(bus->bus, call, left, said, &reply) : -ETIMEDOUT;
	bus->lib.sd_bus_message_unref(call);
	if (r >= 0 && ret_reply)
		*ret_reply = reply;
	else
		bus->lib.sd_bus_message_unref(reply);
	return r < 0 ? r : 0;
}

static int err_bus(struct err *err, int num, const sd_bus_error *said, const char *what, const char *object)
{
	if (num == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "%s %s: no answer", what, object);
	if (said && said->message)
		return err_num(err, num, "%s %s: %s", what, object, said->message);
	return err_num(err, num, "%s %s", what, object);
}

/* A method of machined's that takes the machine's name. A machined that does not run knows of none. */
static int ask_machined(struct bus *bus, const char *method, const char *name, sd_bus_message **ret_reply)
{
	sd_bus_message *call = NULL;
	int r = bus->lib.sd_bus_message_new_method_call(bus->bus, &call, MACHINE_NAME, MACHINE_PATH, MACHINE_MANAGER, method);

	if (r >= 0)
		r = bus->lib.sd_bus_message_set_auto_start(call, false);
	if (r >= 0)
		r = bus->lib.sd_bus_message_append(call, "s", name);
	return bus_call(bus, r, call, NULL, ret_reply);
}

/* Whether machined has a machine of that name in that unit; one in another unit is somebody else's. */
static bool has_machine(struct bus *bus, const char *name, const char *unit)
{
	sd_bus_message *reply = NULL;
	const char *path = NULL;
	auto_free char *found = NULL;

	if (ask_machined(bus, "GetMachine", name, &reply) < 0)
		return false;
	if (bus->lib.sd_bus_message_read(reply, "o", &path) > 0)
		(void)bus->lib.sd_bus_get_property_string(bus->bus, MACHINE_NAME, path, MACHINE_NAME ".Machine", "Unit", NULL,
							  &found); /* NULL: it has just gone */
	bus->lib.sd_bus_message_unref(reply);
	return found && strcmp(found, unit) == 0;
}

/* machined stops the unit of a machine that it gives up. Until it has given up the one of the run before, which it does when it
 * hears that the scope has gone, a new scope of that name would be stopped as well. */
static void await_former(struct bus *bus, const struct systemd_scope *scope)
{
	uint64_t whole = bus->deadline;

	bus->deadline = proc_now_ms() + MACHINED_MS;
	while (left_us(bus) > 0 && has_machine(bus, scope->machine, scope->unit))
		(void)poll(NULL, 0, AGAIN_MS);
	bus->deadline = whole;
}

/* One job of systemd's, until its JobRemoved says how it ended. */
struct job {
	const struct library *lib;
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
		if (left_us(bus) == 0)
			return err_set(err, ERR_TIMEOUT, "wait for systemd to make %s", scope->unit);
		if (bus->lib.sd_bus_wait(bus->bus, left_us(bus) < SILENCE_US ? left_us(bus) : SILENCE_US) == 0 && is_inside(scope))
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
	int r = bus->lib.sd_bus_message_new_method_call(bus->bus, ret, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
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
	if (r < 0 && bus->lib.sd_bus_error_has_name(&said, SYSTEMD_NAME ".UnitExists"))
		r = -EEXIST;
	else if (r < 0 && is_away(&said))
		r = -EAGAIN;
	if (r >= 0)
		r = bus->lib.sd_bus_message_read(reply, "o", &job->path);
	if (r < 0)
		(void)err_bus(err, r, &said, "ask systemd for", scope->unit);
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
	r = bus.lib.sd_bus_match_signal(bus.bus, &slot, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "JobRemoved", on_job_removed,
					&job);
	if (r < 0)
		return err_num(err, r, "listen to systemd");
	await_former(&bus, scope);
	/* An old scope ends when systemd has seen its last process go: no event is ours to wait for. */
	while (((r = try_scope(&bus, scope, &job, &why)) == -EEXIST || r == -EAGAIN) && left_us(&bus) > 0 && !is_inside(scope)) {
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
	int r = bus->lib.sd_bus_message_new_method_call(bus->bus, &call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
							"SetUnitProperties");

	if (r >= 0)
		r = bus->lib.sd_bus_message_append(call, "sba(sv)", unit, 1, 1, property, "t", value);
	r = bus_call(bus, r, call, &said, NULL);
	if (r < 0 && is_away(&said))
		r = -EAGAIN;
	if (r < 0)
		(void)err_bus(err, r, &said, "have systemd set a property of", unit);
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
	while ((r = try_set(&bus, unit, property, value, &why)) == -EAGAIN && left_us(&bus) > 0) {
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

	if (bus_open(&bus, MACHINED_MS, NULL) < 0)
		return NULL;
	int r = bus.lib.sd_bus_message_new_method_call(bus.bus, &call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "LoadUnit");

	if (r >= 0)
		r = bus.lib.sd_bus_message_append(call, "s", unit);
	r = bus_call(&bus, r, call, NULL, &reply);
	if (r >= 0 && bus.lib.sd_bus_message_read(reply, "o", &path) > 0)
		(void)bus.lib.sd_bus_get_property_string(bus.bus, SYSTEMD_NAME, path, SYSTEMD_NAME ".Unit", "ActiveState", NULL,
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

static void id_bytes(const char *text, uint8_t id[16])
{
	for (size_t i = 0; i < 16; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

		id[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

static int try_register(struct bus *bus, const struct systemd_machine *machine, sd_bus_error *said)
{
	uint8_t id[16] = {0};
	sd_bus_message *call = NULL;
	int r = bus->lib.sd_bus_message_new_method_call(bus->bus, &call, MACHINE_NAME, MACHINE_PATH, MACHINE_MANAGER,
							"RegisterMachine");

	if (machine->id && strlen(machine->id) == 32)
		id_bytes(machine->id, id);
	if (r >= 0)
		r = bus->lib.sd_bus_message_append(call, "s", machine->name);
	if (r >= 0)
		r = bus->lib.sd_bus_message_append_array(call, 'y', id, 16);
	if (r >= 0)
		r = bus->lib.sd_bus_message_append(call, "ssus", "isle", "container", (uint32_t)machine->leader, "");
	return bus_call(bus, r, call, said, NULL);
}

static unsigned long systemd_version(struct bus *bus)
{
	auto_free char *text = NULL;

	if (bus->lib.sd_bus_get_property_string(bus->bus, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Version", NULL, &text) < 0)
		return 0;
	return strtoul(text + strcspn(text, "0123456789"), NULL, 10);
}

/* A scope outlives a reboot from inside, and so does what machined knows, with an init that is gone. */
static bool drop_former(struct bus *bus, const struct systemd_machine *machine)
{
	return has_machine(bus, machine->name, machine->unit) && systemd_version(bus) >= REGISTERS_ANEW &&
	       ask_machined(bus, "UnregisterMachine", machine->name, NULL) == 0;
}

void systemd_machine_forget(const struct systemd_machine *machine)
{
	auto_bus struct bus bus = {0};

	if (bus_open(&bus, MACHINED_MS, NULL) == 0)
		(void)drop_former(&bus, machine);
}

int systemd_machine_register(const struct systemd_machine *machine, struct err *err)
{
	auto_bus struct bus bus = {0};
	sd_bus_error said = SD_BUS_ERROR_NULL;

	if (access(MACHINED, X_OK) < 0 && access(MACHINED_BEFORE_USRMERGE, X_OK) < 0)
		return 0;
	int r = bus_open(&bus, REGISTER_MS, err);

	if (r < 0)
		return r;
	r = try_register(&bus, machine, &said);
	if (r < 0 && bus.lib.sd_bus_error_has_name(&said, MACHINE_NAME ".MachineExists") && drop_former(&bus, machine)) {
		bus.lib.sd_bus_error_free(&said);
		r = try_register(&bus, machine, &said);
	}
	if (r < 0)
		(void)err_bus(err, r, &said, "register with systemd-machined the guest", machine->name);
	bus.lib.sd_bus_error_free(&said);
	return r;
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
	(void)unit;
	return false;
}

bool systemd_unit_rests(const char *unit)
{
	(void)unit;
	return false;
}

int systemd_machine_register(const struct systemd_machine *machine, struct err *err)
{
	return 0;
}

void systemd_machine_forget(const struct systemd_machine *machine)
{
}

#endif
