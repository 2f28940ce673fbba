/* Tells systemd-machined of guests. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "bus.h"
#include "machined.h"

#ifdef HAVE_LIBSYSTEMD

#define REGISTER_MS              10000
#define ANSWER_MS                3000
#define AGAIN_MS                 5
#define REGISTERS_ANEW           257 /* systemd 252 ends what is unregistered; this one was seen not to */
#define MACHINE_NAME             "org.freedesktop.machine1"
#define MACHINE_PATH             "/org/freedesktop/machine1"
#define MACHINE_MANAGER          "org.freedesktop.machine1.Manager"
#define MACHINED                 "/usr/lib/systemd/systemd-machined"
#define MACHINED_BEFORE_USRMERGE "/lib/systemd/systemd-machined"

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

void machined_await_gone(struct bus *bus, const char *name, const char *unit)
{
	uint64_t whole = bus->deadline;

	bus->deadline = proc_now_ms() + ANSWER_MS;
	while (bus_left_us(bus) > 0 && has_machine(bus, name, unit))
		(void)poll(NULL, 0, AGAIN_MS);
	bus->deadline = whole;
}

static void id_bytes(const char *text, uint8_t id[16])
{
	for (size_t i = 0; i < 16; i++) {
		char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};

		id[i] = (uint8_t)strtoul(pair, NULL, 16);
	}
}

static int try_register(struct bus *bus, const struct machine *machine, sd_bus_error *said)
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

	if (bus->lib.sd_bus_get_property_string(bus->bus, BUS_MANAGER, BUS_MANAGER_PATH, BUS_MANAGER_FACE, "Version", NULL, &text) <
	    0)
		return 0;
	return strtoul(text + strcspn(text, "0123456789"), NULL, 10);
}

/* A scope outlives a reboot from inside, and so does what machined knows, with an init that is gone. */
static bool drop_former(struct bus *bus, const struct machine *machine)
{
	return has_machine(bus, machine->name, machine->unit) && systemd_version(bus) >= REGISTERS_ANEW &&
	       ask_machined(bus, "UnregisterMachine", machine->name, NULL) == 0;
}

void machined_forget(const struct machine *machine)
{
	auto_bus struct bus bus = {0};

	if (bus_open(&bus, ANSWER_MS, NULL) == 0)
		(void)drop_former(&bus, machine);
}

int machined_register(const struct machine *machine, struct err *err)
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
		(void)bus_err(err, r, &said, "register with systemd-machined the guest", machine->name);
	bus.lib.sd_bus_error_free(&said);
	return r;
}

#else

int machined_register(const struct machine *machine, struct err *err)
{
	return 0;
}

void machined_forget(const struct machine *machine)
{
}

#endif
