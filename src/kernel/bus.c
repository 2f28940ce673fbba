/* One connection to the system's bus, for a few questions: libsystemd is loaded when it is made, and every wait has an end. */
#include "config.h"

#ifdef HAVE_LIBSYSTEMD
#include <dlfcn.h>
#include <errno.h>

#include "../base/proc.h"
#include "bus.h"

#define ANSWER_MS 3000 /* for what libsystemd asks by itself */

static int load(struct bus_library *lib, struct err *err)
{
	bool whole = true;

	lib->handle = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL);
	if (lib->handle) {
#define LOOK_UP(name) whole = whole && (lib->name = (__typeof__(lib->name))dlsym(lib->handle, #name));
		BUS_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	}
	if (lib->handle && whole)
		return 0;
	(void)err_num(err, EOPNOTSUPP, "load libsystemd.so.0, by which systemd is asked for the guest's scope");
	(void)err_hint(err, "apt-get install libsystemd0");
	return -EOPNOTSUPP;
}

uint64_t bus_left_us(const struct bus *bus)
{
	uint64_t now = proc_now_ms();

	return now < bus->deadline ? (bus->deadline - now) * 1000 : 0;
}

/* Not by a flush: all that was sent has been answered, and of a bus that hangs a flush waits once more. */
void bus_close(struct bus *bus)
{
	if (bus->bus)
		bus->lib.sd_bus_close_unref(bus->bus);
}

/* Until the bus has greeted: left to its first call, that has a patience of its own, of one and a half minutes. */
static int await_greeting(struct bus *bus)
{
	int r;

	while ((r = bus->lib.sd_bus_is_ready(bus->bus)) == 0) {
		r = bus->lib.sd_bus_process(bus->bus, NULL);
		if (r == 0 && bus_left_us(bus) == 0)
			return -ETIMEDOUT;
		if (r == 0)
			r = bus->lib.sd_bus_wait(bus->bus, bus_left_us(bus));
		if (r < 0)
			return r;
	}
	return r < 0 ? r : 0;
}

int bus_open(struct bus *bus, uint64_t patience_ms, struct err *err)
{
	int r = load(&bus->lib, err);

	if (r < 0)
		return r;
	bus->deadline = proc_now_ms() + patience_ms;
	r = bus->lib.sd_bus_open_system(&bus->bus);
	if (r >= 0)
		r = bus->lib.sd_bus_set_method_call_timeout(bus->bus, ANSWER_MS * 1000);
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

int bus_call(struct bus *bus, int r, sd_bus_message *call, sd_bus_error *said, sd_bus_message **ret_reply)
{
	sd_bus_message *reply = NULL;
	uint64_t left = bus_left_us(bus);

	if (r >= 0)
		r = left ? bus->lib.sd_bus_call(bus->bus, call, left, said, &reply) : -ETIMEDOUT;
	bus->lib.sd_bus_message_unref(call);
	if (r >= 0 && ret_reply)
		*ret_reply = reply;
	else
		bus->lib.sd_bus_message_unref(reply);
	return r < 0 ? r : 0;
}

int bus_err(struct err *err, int num, const sd_bus_error *said, const char *what, const char *object)
{
	if (num == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "%s %s: no answer", what, object);
	if (said && said->message)
		return err_num(err, num, "%s %s: %s", what, object, said->message);
	return err_num(err, num, "%s %s", what, object);
}

#endif
