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
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
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

static void show_lease(struct record_link *link, const struct lease *lease)
{
	char text[INET6_ADDRSTRLEN];

	(void)str_print(link->mac, sizeof(link->mac), "%02x:%02x:%02x:%02x:%02x:%02x", lease->mac[0], lease->mac[1], lease->mac[2],
			lease->mac[3], lease->mac[4], lease->mac[5]);
	if (lease->has4 && inet_ntop(AF_INET, &lease->address4, text, sizeof(text)))
		(void)str_print(link->address, sizeof(link->address), "%s/%u", text, lease->prefix4);
	if (lease->has6 && inet_ntop(AF_INET6, &lease->address6, text, sizeof(text)))
		(void)str_print(link->address6, sizeof(link->address6), "%s/%u", text, lease->prefix6);
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
		show_lease(link, &run->leases[i]);
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
	const struct network *network = &run->networks[n];
	const struct lease *lease = &run->leases[n];
	char name[16];

	run_link_name(run->guest->store, run->guest->name, n, name);
	struct netlink_veth veth = {
		.host = name,
		.inside = section->name,
		.inside_mac = lease->mac,
		.inside_netns_fd = netns,
		.bridge = network->bridge,
		.mtu = section->mtu != SPEC_UNSET ? (unsigned)section->mtu : network->mtu,
	};
	int r = netlink_add_veth(host, &veth, err);

	if (r < 0)
		return r;
	struct in_addr gateway4 = network->gateway4;
	struct in6_addr gateway6 = network->gateway6;
	struct netlink_inside setup = {
		.link = section->name,
		.mtu = veth.mtu,
		.has4 = lease->has4,
		.has6 = lease->has6,
		.address4 = lease->address4,
		.prefix4 = lease->prefix4,
		.address6 = lease->address6,
		.prefix6 = lease->prefix6,
	};

	if (section->gateway.set)
		memcpy(&gateway4, section->gateway.byte, sizeof(gateway4));
	if (section->gateway6.set)
		memcpy(&gateway6, section->gateway6.byte, sizeof(gateway6));
	if (section->default_route && lease->has4 && (section->gateway.set || network->has4))
		setup.gateway4 = &gateway4;
	if (section->default_route && lease->has6 && (section->gateway6.set || network->has6))
		setup.gateway6 = &gateway6;
	return netlink_setup_inside(inside, &setup, err);
}

int step_network(struct run *run, struct err *err)
{
	const struct spec *spec = run->spec;
	struct netlink *host = NULL, *inside = NULL;
	size_t made = 0;
	auto_close int netns = ns_open(run->init_pid, "net", err);

	if (netns < 0)
		return netns;
	int r = netlink_open(-1, &host, err);
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

void step_network_undo(struct run *run)
{
	const char *names[RECORD_LINKS_MAX];
	struct netlink *host = NULL;
	struct err err = {0};

	for (size_t i = 0; i < run->record.link_count; i++)
		names[i] = run->record.links[i].host;
	if (run->record.link_count == 0)
		return;
	if (netlink_open(-1, &host, &err) < 0 || netlink_delete_all(host, names, run->record.link_count, &err) < 0) {
		run_log(run, "could not delete its interfaces: %s", err.what);
		run->undo_err = err;
	}
	netlink_free(host);
}
