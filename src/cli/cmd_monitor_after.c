/* isle monitor-after: what the monitor becomes when its guest's init has ended. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

#include "../base/log.h"
#include "../run/stop.h"
#include "verbs.h"

static int descriptor(struct call *call, const char *option, int *ret, struct err *err)
{
	unsigned long value;
	int r = call_number(call, option, 0, 3, INT_MAX, &value, err);

	if (r < 0)
		return r;
	if (fcntl((int)value, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(err, "take over descriptor %lu", value);
	*ret = (int)value;
	return 0;
}

static int run_after(struct call *call, struct err *err)
{
	const struct store *store;
	struct stop_after after = {.name = call_value(call, "name"), .how = call_value(call, "how")};
	int r = descriptor(call, "console", &after.console_fd, err);

	if (r == 0)
		r = descriptor(call, "control", &after.control_fd, err);
	if (r == 0)
		r = descriptor(call, "guest", &after.guest_fd, err);
	if (r == 0)
		r = descriptor(call, "run", &after.run_fd, err);
	if (r == 0 && (!after.name || !after.how))
		r = call_usage(call, err, "clear up after a guest: --name and --how are needed");
	if (r == 0)
		r = call_store(call, &store, err);
	if (r == 0)
		r = stop_after(store, &after, err);
	return r;
}

static const struct option_row after_options[] = {
	{.name = "name", .arg = "NAME", .doc = "The guest."},
	{.name = "how", .arg = "HOW", .doc = "How init ended."},
	{.name = "console", .arg = "FD", .doc = "The console's master."},
	{.name = "control", .arg = "FD", .doc = "The control socket."},
	{.name = "guest", .arg = "FD", .doc = "The guest's folder."},
	{.name = "run", .arg = "FD", .doc = "Its run folder."},
	{NULL},
};

const struct verb verb_monitor_after = {
	.name = "monitor-after",
	.group = GROUP_INTERNAL,
	.synopsis = "--name NAME --how HOW --console FD --control FD --guest FD --run FD",
	.summary = "Undo a start or start anew when a guest's init has ended (run by the monitor only).",
	.headline = "clear up after a guest",
	.options = after_options,
	.needs_root = true,
	.enters_guests = true,
	.run = run_after,
};
