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
#include "links.h"
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

static int make_interface(struct run *run, size_t n, struct netlink *host, struct netlink *inside, int netns, struct err *err)
{
	const struct spec_network *section = &run->spec->networks[n];
	const struct netlink_port port = links_port(section, &run->leases[n]);
	struct links_inside within;
	char name[16];

	links_describe(run, n, &within);
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
			r = links_gone_before(run, run->record.links[i].inside, err);
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
