/* isle destroy. */
#include "config.h"

#include "../run/create.h"
#include "../run/destroy.h"
#include "verbs.h"

static int destroy_one(struct call *call, const char *name, struct err *err)
{
	const struct store *store;
	int r = call_store(call, &store, err);

	return r < 0 ? r : destroy_guest(store, name, call_has(call, "force"), err);
}

static int run_destroy(struct call *call, struct err *err)
{
	char **names = NULL;
	const struct store *store;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = create_sweep(store, err);
	if (r == 0)
		r = call_names(call, CALL_ANY_STATE, &names, err);
	if (r == 0)
		r = call_each(call, names, destroy_one, err);
	store_names_free(names);
	return r;
}

static const struct option_row destroy_options[] = {
	{.name = "force", .letter = 'f', .doc = "Kill the guest first when it runs.", .lxc = "-f --force"},
	{.name = "snapshots",
	 .letter = 's',
	 .doc = "Taken for LXC's sake: whatever belongs to the guest is always removed.",
	 .lxc = "-s --snapshots"},
	{NULL},
};

const struct verb verb_destroy = {
	.name = "destroy",
	.group = GROUP_LIFE,
	.synopsis = "[OPTIONS] NAME... | --all",
	.summary = "Remove guests and all their files.",
	.headline = "destroy guest %",
	.text = "The guest's root file system, config, logs, addresses and ids are given up. The image that it was made from stays; isle image remove removes it.",
	.examples = "isle destroy web1\nisle destroy --force web1 web2",
	.options = destroy_options,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.takes_all = true,
	.needs_root = true,
	.run = run_destroy,
};
