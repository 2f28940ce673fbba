/* The network of a guest that wakes or is cloned: what criu made, or what was kept, as config and leases have it now. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../guest/network_guard.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "links.h"
#include "restore.h"
#include "steps.h"

static int readdress(const struct run *run, size_t n, const struct record_link *was, struct netlink *inside, struct err *err)
{
	char text4[sizeof(was->address)], text6[sizeof(was->address6)];
	struct in_addr old4;
	struct in6_addr old6;
	struct links_inside within;

	links_describe(run, n, &within);
	(void)str_copy(text4, sizeof(text4), was->address);
	(void)str_copy(text6, sizeof(text6), was->address6);
	text4[strcspn(text4, "/")] = text6[strcspn(text6, "/")] = '\0';
	int r = netlink_change_identity(inside, within.setup.link, run->leases[n].mac,
					inet_pton(AF_INET, text4, &old4) == 1 ? &old4 : NULL,
					inet_pton(AF_INET6, text6, &old6) == 1 ? &old6 : NULL, err);

	return r < 0 ? r : netlink_setup_inside(inside, &within.setup, err);
}

/* Of one that is not, routes and neighbours stay as they are. */
static bool is_another(const struct run *run, const struct record_link *was)
{
	for (size_t i = 0; i < run->record.link_count; i++) {
		const struct record_link *now = &run->record.links[i];

		if (strcmp(now->inside, was->inside) == 0)
			return strcmp(now->mac, was->mac) != 0 || strcmp(now->address, was->address) != 0 ||
			       strcmp(now->address6, was->address6) != 0;
	}
	return false;
}

int network_readdress(struct run *run, pid_t init, const struct record *was, struct err *err)
{
	struct netlink *inside = NULL;
	auto_close int netns = ns_open(init, "net", err);
	int r = netns < 0 ? netns : netlink_open(netns, &inside, err);

	for (size_t i = 0; r == 0 && i < run->spec->network_count; i++)
		for (size_t k = 0; r == 0 && run->spec->networks[i].type != NETWORK_NONE && k < was->link_count; k++)
			if (strcmp(was->links[k].inside, run->spec->networks[i].name) == 0 && is_another(run, &was->links[k]))
				r = readdress(run, i, &was->links[k], inside, err);
	netlink_free(inside);
	return r;
}

/* One link whose outer end criu made in the namespace of netns: to the host, onto its bridge. */
static int bring_home(struct run *run, size_t n, const char *name, struct netlink *theirs, struct netlink *host, int home,
		      struct err *err)
{
	const struct netlink_port port = links_port(&run->spec->networks[n], &run->leases[n]);
	const struct netlink_veth veth = {.host = name, .bridge = run->networks[n].bridge, .port = &port};
	struct netlink_link made;
	int r = netlink_get(theirs, name, &made, err);

	if (r == -ENODEV)
		return links_gone_before(run, run->spec->networks[n].name, err);
	if (r == 0)
		r = netlink_move(theirs, made.index, host, home, name, NULL, err);
	return r < 0 ? r : netlink_adopt_veth(host, &veth, err);
}

int network_bring_home(struct run *run, int netns_fd, struct err *err)
{
	struct netlink *theirs = NULL, *host = NULL;
	auto_close int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	size_t link = 0;
	int r = home < 0 ? err_sys(err, "open /proc/thread-self/ns/net") : network_guard(run->guest->store, &run->record, err);

	if (r == 0)
		r = netlink_open(netns_fd, &theirs, err);
	if (r == 0)
		r = netlink_open(-1, &host, err);
	for (size_t i = 0; r == 0 && i < run->spec->network_count; i++)
		if (run->spec->networks[i].type != NETWORK_NONE)
			r = bring_home(run, i, run->record.links[link++].host, theirs, host, home, err);
	netlink_free(host);
	netlink_free(theirs);
	return r;
}

int network_wake(struct run *run, struct err *err)
{
	struct netlink *host = NULL;
	struct netlink_link link;
	size_t n = 0;
	int r = network_guard(run->guest->store, &run->record, err);

	if (r == 0)
		r = netlink_open(-1, &host, err);
	for (size_t i = 0; r == 0 && i < run->spec->network_count; i++) {
		const struct netlink_port port = links_port(&run->spec->networks[i], &run->leases[i]);
		const struct netlink_veth veth = {
			.host = run->record.links[n].host, .bridge = run->networks[i].bridge, .port = &port};

		if (run->spec->networks[i].type == NETWORK_NONE)
			continue;
		n++;
		r = netlink_get(host, veth.host, &link, err);
		if (r == 0)
			r = netlink_adopt_veth(host, &veth, err);
		else if (r == -ENODEV)
			r = links_gone_before(run, run->spec->networks[i].name, err);
	}
	netlink_free(host);
	return r;
}

/* What is not of the checkpoint that it wakes from is of no use any more. */
int step_kept(struct run *run, struct err *err)
{
	(void)err;
	if (!run->restore || !run->restore->asleep)
		kept_drop(run->guest->store, run->guest->name);
	else
		kept_take(run->guest, run->restore->checkpoint.id, &run->record, &run->kept);
	return 0;
}

void step_kept_undo(struct run *run)
{
	/* The links of one that was not taken yet went as a walk back deletes all of the record. */
	if (run->kept.netns < 0 && run->mode == RUN_RESTORE)
		kept_drop(run->guest->store, run->guest->name);
	if (run->kept.netns < 0)
		return;
	kept_close(&run->kept);
	step_network_undo(run);
}
