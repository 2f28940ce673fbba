/* The network rows: addresses are leased before the clone, interfaces made after it. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../guest/network_guard.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "restore.h"
#include "steps.h"

static bool is_loopback(const char *address)
{
	return str_starts(address, "127.") || strcmp(address, "::1") == 0;
}

/* The host's resolvers that a guest can reach too: those on its loopback are not. */
static char *resolvers_of(const char *file)
{
	auto_free char *text = NULL;
	auto_buf struct buf out = {0};

	if (file_read(AT_FDCWD, file, 65536, &text, NULL) < 0)
		return NULL;
	char *rest = text;
	size_t servers = 0;

	for (char *line; (line = strsep(&rest, "\n"));) {
		char *word = line + strspn(line, " \t");

		if (str_starts(word, "nameserver")) {
			char *address = word + strlen("nameserver");

			address += strspn(address, " \t");
			address[strcspn(address, " \t")] = '\0';
			if (is_loopback(address) || !str_printable(address))
				continue;
			buf_addf(&out, "nameserver %s\n", address);
			servers++;
		} else if ((str_starts(word, "search") || str_starts(word, "options")) && str_printable(word)) {
			buf_addf(&out, "%s\n", word);
		}
	}
	return servers && !out.failed ? buf_take(&out) : NULL;
}

static void record_link(struct record_link *link, const struct lease *lease, const struct spec_network *section)
{
	char text[INET6_ADDRSTRLEN];

	link->guarded = section->spoofing != SPOOFING_ALLOW;
	link->roaming = section->spoofing == SPOOFING_ADDRESSES;
	link->isolated = section->isolated;
	(void)str_print(link->mac, sizeof(link->mac), "%02x:%02x:%02x:%02x:%02x:%02x", lease->mac[0], lease->mac[1], lease->mac[2],
			lease->mac[3], lease->mac[4], lease->mac[5]);
	if (lease->has4 && inet_ntop(AF_INET, &lease->address4, text, sizeof(text)))
		(void)str_print(link->address, sizeof(link->address), "%s/%u", text, lease->prefix4);
	if (lease->has6 && inet_ntop(AF_INET6, &lease->address6, text, sizeof(text)))
		(void)str_print(link->address6, sizeof(link->address6), "%s/%u", text, lease->prefix6);
}

/* As on an adopted bridge whose addresses come from elsewhere. */
static void tell_of_silence(const struct run *run, const struct spec_network *section, const struct lease *lease)
{
	bool wanted = section->address.mode != ADDRESS_NONE || section->address6.mode != ADDRESS_NONE;

	if (section->spoofing == SPOOFING_DENY && wanted && !lease->has4 && !lease->has6)
		log_warn("%s: isle knows no address of %s, so the guest can send nothing there: set network.%s.address, or "
			 "network.%s.spoofing to addresses",
			 run->guest->name, section->name, section->name, section->name);
}

int step_addresses(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	const struct store *store = run->guest->store;

	run->record.link_count = 0;
	for (size_t i = 0; i < spec->network_count; i++) {
		const struct spec_network *section = &spec->networks[i];

		if (section->type == NETWORK_NONE)
			continue;
		int r = network_open(store, section->link, &run->networks[i], err);
		if (r == 0)
			r = network_up(store, &run->networks[i], err);
		if (r == 0)
			r = network_lease(store, &run->networks[i], spec->guest.id, section, &run->leases[i], err);
		if (r < 0) /* a fault in the network's own file is named by that */
			return err->where[0] ? r : err_where(err, spec->file, section->line);
		struct record_link *link = &run->record.links[run->record.link_count++];

		*link = (struct record_link){0};
		(void)str_copy(link->inside, sizeof(link->inside), section->name);
		run_link_name(store, run->guest->name, i, link->host);
		record_link(link, &run->leases[i], section);
		tell_of_silence(run, section, &run->leases[i]);
	}
	run->resolv_conf = resolvers_of("/etc/resolv.conf");
	if (!run->resolv_conf)
		run->resolv_conf = resolvers_of("/run/systemd/resolve/resolv.conf");
	/* What is about to be made is on record before it is. */
	return record_save(store, run->guest->name, &run->record, err);
}

static struct netlink_port port_of(const struct spec_network *section, const struct lease *lease)
{
	return (struct netlink_port){
		.mac = section->spoofing != SPOOFING_ALLOW ? lease->mac : NULL,
		.isolated = section->isolated,
	};
}

/* What is configured inside, with the gateways that it points to. */
struct inside {
	struct netlink_inside setup;
	struct in_addr gateway4;
	struct in6_addr gateway6;
};

static void describe_inside(const struct run *run, size_t n, struct inside *ret)
{
	const struct spec_network *section = &run->spec->networks[n];
	const struct network *network = &run->networks[n];
	const struct lease *lease = &run->leases[n];

	*ret = (struct inside){
		.setup =
			{
				.link = section->name,
				.mtu = section->mtu != SPEC_UNSET ? (unsigned)section->mtu : network->mtu,
				.has4 = lease->has4,
				.has6 = lease->has6,
				.address4 = lease->address4,
				.prefix4 = lease->prefix4,
				.address6 = lease->address6,
				.prefix6 = lease->prefix6,
			},
		.gateway4 = network->gateway4,
		.gateway6 = network->gateway6,
	};
	if (section->gateway.set)
		memcpy(&ret->gateway4, section->gateway.byte, sizeof(ret->gateway4));
	if (section->gateway6.set)
		memcpy(&ret->gateway6, section->gateway6.byte, sizeof(ret->gateway6));
	if (section->default_route && lease->has4 && (section->gateway.set || network->has4))
		ret->setup.gateway4 = &ret->gateway4;
	if (section->default_route && lease->has6 && (section->gateway6.set || network->has6))
		ret->setup.gateway6 = &ret->gateway6;
}

static int make_interface(struct run *run, size_t n, struct netlink *host, struct netlink *inside, int netns, struct err *err)
{
	const struct spec_network *section = &run->spec->networks[n];
	const struct netlink_port port = port_of(section, &run->leases[n]);
	struct inside within;
	char name[16];

	describe_inside(run, n, &within);
	run_link_name(run->guest->store, run->guest->name, n, name);
	struct netlink_veth veth = {
		.host = name,
		.inside = section->name,
		.inside_mac = run->leases[n].mac,
		.inside_netns_fd = netns,
		.bridge = run->networks[n].bridge,
		.mtu = within.setup.mtu,
		.port = &port,
	};
	int r = netlink_add_veth(host, &veth, err);

	return r < 0 ? r : netlink_setup_inside(inside, &within.setup, err);
}

static int readdress(const struct run *run, size_t n, const struct record_link *was, struct netlink *inside, struct err *err)
{
	char text4[sizeof(was->address)], text6[sizeof(was->address6)];
	struct in_addr old4;
	struct in6_addr old6;
	struct inside within;

	describe_inside(run, n, &within);
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

/* The guest had deleted its own. */
static int gone_before(const struct run *run, const char *inside, struct err *err)
{
	err_clear(err);
	run_log(run, "%s was gone before the checkpoint, and is", inside);
	return 0;
}

/* One link whose outer end criu made in the namespace of netns: to the host, onto its bridge. */
static int bring_home(struct run *run, size_t n, const char *name, struct netlink *theirs, struct netlink *host, int home,
		      struct err *err)
{
	const struct netlink_port port = port_of(&run->spec->networks[n], &run->leases[n]);
	const struct netlink_veth veth = {.host = name, .bridge = run->networks[n].bridge, .port = &port};
	struct netlink_link made;
	int r = netlink_get(theirs, name, &made, err);

	if (r == -ENODEV)
		return gone_before(run, run->spec->networks[n].name, err);
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
		const struct netlink_port port = port_of(&run->spec->networks[i], &run->leases[i]);
		const struct netlink_veth veth = {
			.host = run->record.links[n].host, .bridge = run->networks[i].bridge, .port = &port};

		if (run->spec->networks[i].type == NETWORK_NONE)
			continue;
		n++;
		r = netlink_get(host, veth.host, &link, err);
		if (r == 0)
			r = netlink_adopt_veth(host, &veth, err);
		else if (r == -ENODEV)
			r = gone_before(run, run->spec->networks[i].name, err);
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
		kept_take(run->guest, run->restore->checkpoint.id, run->record.ids, &run->kept);
	return 0;
}

void step_kept_undo(struct run *run)
{
	if (run->kept.netns < 0)
		return;
	kept_close(&run->kept);
	step_network_undo(run);
}

int step_network(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	struct netlink *host = NULL, *inside = NULL;
	size_t made = 0;

	auto_close int netns = ns_open(run->init_pid, "net", err);

	if (netns < 0)
		return netns;
	/* Before there is a link by which anything could come. */
	int r = network_guard(run->guest->store, &run->record, err);
	if (r == 0)
		r = netlink_open(-1, &host, err);
	if (r == 0)
		r = netlink_open(netns, &inside, err);
	for (size_t i = 0; r == 0 && i < spec->network_count; i++) {
		if (spec->networks[i].type == NETWORK_NONE)
			continue;
		r = make_interface(run, i, host, inside, netns, err);
		if (r < 0)
			(void)err_where(err, spec->file, spec->networks[i].line);
		made++;
	}
	struct netlink_inside only_lo = {0};

	if (r == 0 && made == 0)
		r = netlink_setup_inside(inside, &only_lo, err);
	netlink_free(inside);
	netlink_free(host);
	return r;
}

/* Nothing comes in or goes out while it sleeps, and it takes no bridge's port. */
static int rest(const struct run *run, struct netlink *host, struct err *err)
{
	struct netlink_link link;
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->record.link_count; i++) {
		r = netlink_get(host, run->record.links[i].host, &link, err);
		if (r == 0)
			r = netlink_rest(host, run->record.links[i].host, err);
		else if (r == -ENODEV)
			r = gone_before(run, run->record.links[i].inside, err);
	}
	return r;
}

static int end_links(const struct run *run, struct netlink *host, const char *const *names, struct err *err)
{
	struct err why = {0};

	if (run->asleep && rest(run, host, &why) == 0)
		return 0;
	if (run->asleep) {
		run_log(run, "its network is not kept: %s", why.what);
		kept_drop(run->guest->store, run->guest->name);
	}
	return netlink_delete_all(host, names, run->record.link_count, err);
}

void step_network_undo(struct run *run)
{
	const char *names[RECORD_LINKS_MAX];
	struct netlink *host = NULL;
	struct err err = {0};

	for (size_t i = 0; i < run->record.link_count; i++)
		names[i] = run->record.links[i].host;
	if (run->record.link_count == 0)
		return;
	/* The table lets go of them when they are gone. */
	if (netlink_open(-1, &host, &err) < 0 || end_links(run, host, names, &err) < 0 ||
	    network_unguard(run->guest->store, &run->record, &err) < 0) {
		run_log(run, "could not delete its interfaces: %s", err.what);
		run->undo_err = err;
	}
	netlink_free(host);
}
