/* All figures of one guest at one moment, for isle top and isle metrics. */
#pragma once

#include "../kernel/cgroup_figures.h"
#include "usage.h"

struct figures {
	char name[STORE_NAME_MAX + 1];
	enum state state;
	struct record record;
	bool up; /* it has processes, and the next two are known */
	struct cgroup_figures cgroup;
	struct netlink_stats links[RECORD_LINKS_MAX]; /* as the guest sees them */
	bool has_link[RECORD_LINKS_MAX];
	bool has_usage;
	struct usage usage; /* up to this moment */
};

/* nl: of the host's namespace; NULL: none, and no network. with_usage: reads the guest's account too. -ENOENT: no such guest any
 * more. */
int figures_load(const struct store *store, const char *name, struct netlink *nl, bool with_usage, struct figures *ret);

/* What went through the interface whose end on the host is `host`, as the guest sees it; false when it cannot be asked. */
bool figures_link(struct netlink *nl, const char *host, struct netlink_stats *ret);
