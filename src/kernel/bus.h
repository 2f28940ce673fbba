/* One connection to the system's bus, for a few questions: libsystemd is loaded when it is made, and every wait has an end. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

#define BUS_MANAGER      "org.freedesktop.systemd1"
#define BUS_MANAGER_PATH "/org/freedesktop/systemd1"
#define BUS_MANAGER_FACE "org.freedesktop.systemd1.Manager"

struct bus;

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-bus.h>

/* The functions of libsystemd that are used, one a row: linking it would cost every start of isle 0.5 ms. */
#define BUS_FUNCTIONS(X)                  \
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

struct bus_library {
	void *handle;
#define BUS_MEMBER(name) __typeof__(name) *name;
	BUS_FUNCTIONS(BUS_MEMBER)
#undef BUS_MEMBER
};

/* A connection to the system's bus, and when its user gives up. */
struct bus {
	struct bus_library lib;
	sd_bus *bus;
	uint64_t deadline;
};

/* Connects, or gives up after patience_ms; the same time is then what is left for all that is asked. -EOPNOTSUPP when libsystemd is
 * missing (hint: the package), ERR_TIMEOUT when the bus does not answer. */
int bus_open(struct bus *bus, uint64_t patience_ms, struct err *err);
void bus_close(struct bus *bus);
#define auto_bus __attribute__((cleanup(bus_close)))

/* What is left of the patience. */
uint64_t bus_left_us(const struct bus *bus);

/* Sends the call, which it frees, unless r says that it could not be made. *ret_reply may be NULL. */
int bus_call(struct bus *bus, int r, sd_bus_message *call, sd_bus_error *said, sd_bus_message **ret_reply);

/* Tells of a call that failed with `num`, in the words of who was asked. */
int bus_err(struct err *err, int num, const sd_bus_error *said, const char *what, const char *object);
#endif
