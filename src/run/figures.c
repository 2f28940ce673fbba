/* All figures of one guest at one moment. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "figures.h"

bool figures_link(struct netlink *nl, const char *host, struct netlink_stats *ret)
{
	struct netlink_stats stats;

	if (!host[0] || netlink_link_stats(nl, host, &stats, NULL) < 0)
		return false;
	/* The host's end receives what the guest sends. */
	*ret = (struct netlink_stats){
		.rx_bytes = stats.tx_bytes,
		.tx_bytes = stats.rx_bytes,
		.rx_packets = stats.tx_packets,
		.tx_packets = stats.rx_packets,
		.rx_dropped = stats.tx_dropped,
		.tx_dropped = stats.rx_dropped,
	};
	return true;
}

static void load_links(struct figures *ret, struct netlink *nl)
{
	for (size_t i = 0; i < ret->record.link_count; i++)
		ret->has_link[i] = figures_link(nl, ret->record.links[i].host, &ret->links[i]);
}

int figures_load(const struct store *store, const char *name, struct netlink *nl, bool with_usage, struct figures *ret)
{
	*ret = (struct figures){0};
	int r = str_copy(ret->name, sizeof(ret->name), name);
	auto_close int dir = r < 0 ? -1 : openat(store->guests_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (r < 0 || dir < 0)
		return r < 0 ? r : -errno;
	ret->state = guest_state(store, name, &ret->record);
	bool alive = ret->state == STATE_RUNNING || ret->state == STATE_FROZEN || ret->state == STATE_STOPPING;

	ret->up = alive && ret->record.init_pid > 0 && cgroup_figures(ret->record.cgroup, &ret->cgroup) == 0;
	if (ret->up && nl)
		load_links(ret, nl);
	ret->has_usage = with_usage && usage_now(store, name, dir, nl, &ret->usage, NULL) == 0;
	return 0;
}
