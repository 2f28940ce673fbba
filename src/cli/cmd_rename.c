/* isle rename. */
#include "config.h"

#include "../run/rename.h"
#include "verbs.h"

static int run_rename(struct call *call, struct err *err)
{
	const struct store *store;
	const char *to = call->argc > 1 ? call->argv[1] : call_value(call, "new-name");
	int r = call_store(call, &store, err);

	if (r < 0)
		return r;
	if (!to || (call->argc > 1 && call_has(call, "new-name")))
		return call_usage(call, err, "rename a guest: the new name is needed, once");
	return rename_guest(store, call->argv[0], to, err);
}

static const struct option_row rename_options[] = {
	{.name = "new-name", .arg = "NAME", .doc = "The new name, in LXC's manner.", .lxc = "-N --newname"},
	{NULL},
};

const struct verb verb_rename = {
	.name = "rename",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME NEW-NAME",
	.summary = "Give a stopped guest another name.",
	.headline = "rename guest %",
	.text = "Its host name follows unless the config sets guest.hostname. Ids, MAC addresses and IP addresses stay the same.",
	.examples = "isle rename web1 www\nisle-rename -n web1 -N www",
	.options = rename_options,
	.min = 1,
	.max = 2,
	.complete = COMPLETE_STOPPED,
	.args = "STOPPED NOTHING",
	.needs_root = true,
	.run = run_rename,
};
