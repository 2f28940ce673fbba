/* Making a network stand in the kernel: bridge, addresses, forwarding, NAT, and the walls between networks. */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/netlink.h"
#include "../kernel/nft.h"
#include "network.h"
#include "network_file.h"

#define TABLE "inet isle"

/* One table for all instances in a network namespace. The text is complete whenever it is run, and leaves elements alone; those
 * come and go, each under its own bridge or subnet, so that no instance meets another's.
 *
 * bridges are isle's; apart those whose guests are kept from guests of the others; same has each bridge with itself, since a
 * packet may come back to where it came from. */
static const char table_text[] =
	"add table " TABLE "\n"
	"add set " TABLE " bridges { type ifname; }\n"
	"add set " TABLE " apart { type ifname; }\n"
	"add set " TABLE " same { type ifname . ifname; }\n"
	"add set " TABLE " nat4 { type ipv4_addr; flags interval; }\n"
	"add set " TABLE " nat6 { type ipv6_addr; flags interval; }\n"
	"add chain " TABLE " postrouting { type nat hook postrouting priority srcnat; policy accept; }\n"
	"add chain " TABLE " forward { type filter hook forward priority -10; policy accept; }\n"
	"flush chain " TABLE " postrouting\n"
	"flush chain " TABLE " forward\n"
	"add rule " TABLE " postrouting ip saddr @nat4 oifname != @bridges masquerade\n"
	"add rule " TABLE " postrouting ip6 saddr @nat6 oifname != @bridges masquerade\n"
	"add rule " TABLE " forward iifname . oifname @same return\n"
	"add rule " TABLE " forward iifname @apart oifname @bridges counter drop comment \"between networks\"\n"
	"add rule " TABLE " forward iifname @bridges oifname @apart counter drop comment \"between networks\"\n";

static int poke_sysctl(const char *value, struct err *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int poke_sysctl(const char *value, struct err *err, const char *fmt, ...)
{
	char path[128];
	va_list args;
	int result;

	va_start(args, fmt);
	result = vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	if (result < 0 || (size_t)result >= sizeof(path))
		return err_num(err, ENAMETOOLONG, "set a network option");
	result = file_poke(AT_FDCWD, path, value);
	return result < 0 ? err_num(err, result, "write %s to %s", value, path) : 0;
}

/* The digit in a sysctl file; -1 when there is none. */
static int peek_sysctl(const char *path)
{
	char digit;
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, &digit, 1) != 1 || digit < '0' || digit > '9')
		return -1;
	return digit - '0';
}

static int forward4(struct err *err)
{
	if (peek_sysctl("/proc/sys/net/ipv4/ip_forward") > 0)
		return 0;
	return poke_sysctl("1", err, "/proc/sys/net/ipv4/ip_forward");
}

/* A forwarding host no longer believes router advertisements unless accept_ra is 2: what took its IPv6 address and default
 * route from them would lose both (Documentation/networking/ip-sysctl.rst). */
static int keep_accepting_ra(struct err *err)
{
	auto_closedir DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	struct dirent *entry;

	if (!dir)
		return err_sys(err, "list /proc/sys/net/ipv6/conf");
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		char path[128];
		int result;

		if (name[0] == '.' || strcmp(name, "all") == 0 || strcmp(name, "default") == 0 || strcmp(name, "lo") == 0)
			continue;
		if (str_print(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", name) < 0 || peek_sysctl(path) != 1)
			continue;
		result = file_poke(AT_FDCWD, path, "2");
		if (result < 0 && access(path, F_OK) == 0) /* a link that went meanwhile needs nothing */
			return err_num(err, result, "write 2 to %s", path);
	}
	return 0;
}

static int forward6(struct err *err)
{
	int result;

	if (peek_sysctl("/proc/sys/net/ipv6/conf/all/forwarding") > 0)
		return 0;
	result = keep_accepting_ra(err);
	return result < 0 ? result : poke_sysctl("1", err, "/proc/sys/net/ipv6/conf/all/forwarding");
}

static int forwarding(const struct network *network, struct err *err)
{
	int result = network->has4 ? forward4(err) : 0;

	if (result == 0 && network->has6)
		result = forward6(err);
	if (result == -EROFS || result == -EACCES || result == -EPERM)
		err_hint(err, "run as root on the host itself, or switch forwarding on there");
	return result;
}

static int has_elements(const struct network *network)
{
	char pair[2][IFNAMSIZ] = {"", ""};
	const struct nft_element elements[] = {
		{"inet", "isle", "bridges", pair[0], sizeof(pair[0])},
		{"inet", "isle", "same", pair, sizeof(pair)},
		{"inet", "isle", "apart", pair[0], sizeof(pair[0])},
		{"inet", "isle", "nat4", &network->subnet4, sizeof(network->subnet4)},
		{"inet", "isle", "nat6", &network->subnet6, sizeof(network->subnet6)},
	};
	const bool wanted[] = {true, true, !network->routed, network->nat && network->has4, network->nat && network->has6};

	(void)str_copy(pair[0], sizeof(pair[0]), network->bridge); /* of the same size */
	(void)str_copy(pair[1], sizeof(pair[1]), network->bridge);
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		int result = wanted[i] ? nft_has_element(&elements[i]) : 1;

		if (result != 1)
			return result;
	}
	return 1;
}

static void add_elements(const struct network *network, struct buf *text)
{
	char address[INET6_ADDRSTRLEN];

	buf_addf(text, "add element " TABLE " bridges { \"%s\" }\n", network->bridge);
	buf_addf(text, "add element " TABLE " same { \"%s\" . \"%s\" }\n", network->bridge, network->bridge);
	if (!network->routed)
		buf_addf(text, "add element " TABLE " apart { \"%s\" }\n", network->bridge);
	if (network->nat && network->has4 && inet_ntop(AF_INET, &network->subnet4, address, sizeof(address)))
		buf_addf(text, "add element " TABLE " nat4 { %s/%u }\n", address, network->prefix4);
	if (network->nat && network->has6 && inet_ntop(AF_INET6, &network->subnet6, address, sizeof(address)))
		buf_addf(text, "add element " TABLE " nat6 { %s/%u }\n", address, network->prefix6);
}

/* A network that has become `routed` since its bridge was made. */
static int join(const struct network *network, struct err *err)
{
	char bridge[IFNAMSIZ] = "";
	const struct nft_element apart = {"inet", "isle", "apart", bridge, sizeof(bridge)};
	int result;

	(void)str_copy(bridge, sizeof(bridge), network->bridge); /* of the same size */
	result = network->routed && nft_has_element(&apart) == 1 ? nft_change_elements(false, &apart, 1) : 0;
	if (result < 0 && result != -ENOENT)
		return err_num(err, result, "let network %s and others reach each other", network->name);
	return 0;
}

static int rules(const struct network *network, struct err *err)
{
	int result = has_elements(network);

	if (result != 1) {
		auto_buf struct buf text = {0};

		buf_add(&text, table_text);
		add_elements(network, &text);
		if (text.failed)
			return err_num(err, ENOMEM, "make the rules of network %s", network->name);
		result = nft_run(text.data, err);
		if (result < 0)
			return result;
	}
	return join(network, err);
}

static int refuse_foreign(const struct network *network, const struct netlink_link *link, struct err *err)
{
	const uint8_t *mac = link->mac;

	if (strcmp(link->kind, "bridge") != 0) {
		err_num(err, EEXIST, "use link %s as bridge of network %s (it is %s%s)", network->bridge, network->name,
			link->kind[0] ? "of kind " : "no bridge", link->kind);
		(void)err_hint(err, "name another bridge in the network's file, or rename the link");
		return -EEXIST;
	}
	if (network->adopted || memcmp(link->mac, network->mac, sizeof(network->mac)) == 0)
		return 0;
	err_num(err, EEXIST, "use bridge %s for network %s (its MAC %02x:%02x:%02x:%02x:%02x:%02x is not the network's)",
		network->bridge, network->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	(void)err_hint(err, "set adopted = yes to use it as it is, or delete it: ip link delete %s", network->bridge);
	return -EEXIST;
}

static bool has_addresses(struct netlink *nl, const struct network *network, int index)
{
	auto_free struct netlink_address *list = NULL;
	bool missing4 = network->has4, missing6 = network->has6;
	size_t count;

	if (netlink_link_addresses(nl, index, &list, &count, NULL) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (list[i].family == AF_INET && list[i].prefix == network->prefix4 &&
		    memcmp(list[i].byte, &network->gateway4, 4) == 0)
			missing4 = false;
		if (list[i].family == AF_INET6 && list[i].prefix == network->prefix6 &&
		    memcmp(list[i].byte, &network->gateway6, 16) == 0)
			missing6 = false;
	}
	return !missing4 && !missing6;
}

/* Up comes last: a bridge that is up was made whole, whoever was killed on the way. */
static int complete_bridge(struct netlink *nl, const struct network *network, struct err *err)
{
	int result = 0;

	if (network->has6) {
		result = poke_sysctl("0", err, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", network->bridge);
		if (result == 0) /* no guest may advertise routes to the host */
			result = poke_sysctl("0", err, "/proc/sys/net/ipv6/conf/%s/accept_ra", network->bridge);
	}
	if (result == 0 && network->has4)
		result = netlink_add_address(nl, network->bridge, AF_INET, &network->gateway4, network->prefix4, err);
	if (result == 0 && network->has6)
		result = netlink_add_address(nl, network->bridge, AF_INET6, &network->gateway6, network->prefix6, err);
	return result < 0 ? result : netlink_set_up(nl, network->bridge, err);
}

static int bridge_up(struct netlink *nl, const struct network *network, struct err *err)
{
	const struct netlink_bridge bridge = {.name = network->bridge, .mac = network->mac, .mtu = network->mtu};
	struct netlink_link link;
	struct err why = {0};
	int result = netlink_get(nl, network->bridge, &link, &why);

	if (result == -ENODEV && !network->adopted) {
		result = netlink_add_bridge(nl, &bridge, err);
		if (result == -EPERM)
			err_hint(err, "run as root: making a bridge needs CAP_NET_ADMIN");
		if (result < 0 && result != -EEXIST) /* a second caller may have been first */
			return result;
		err_clear(err);
		result = netlink_get(nl, network->bridge, &link, &why);
	}
	if (result < 0) {
		err_num(err, result, "find bridge %s of network %s", network->bridge, network->name);
		if (network->adopted)
			(void)err_hint(err, "make the bridge, or set adopted = no in the network's file");
		return result;
	}
	result = refuse_foreign(network, &link, err);
	if (result < 0 || network->adopted || (link.up && has_addresses(nl, network, link.index)))
		return result;
	return complete_bridge(nl, network, err);
}

static bool wants_rules(const struct network *network)
{
	return network->nat || !network->adopted || !network->routed;
}

int network_up(const struct store *store, const struct network *network, struct err *err)
{
	struct netlink *nl;
	int result = netlink_open(-1, &nl, err);

	if (result < 0)
		return result;
	result = bridge_up(nl, network, err);
	netlink_free(nl);
	if (result == 0 && (network->nat || !network->adopted))
		result = forwarding(network, err);
	if (result == 0 && wants_rules(network))
		result = rules(network, err);
	return result;
}

/* Calls fn for the networks whose bridges stand in this network namespace, until it returns something. */
static int each_standing(const struct store *store, int (*fn)(const struct store *, const struct network *, struct err *),
			 char ret_name[IFNAMSIZ], struct err *err)
{
	auto_closedir DIR *dir = opendir(store->networks);
	struct dirent *entry;
	int result = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_sys(err, "list %s", store->networks);
	while (result == 0 && (entry = readdir(dir))) {
		struct network network;

		if (entry->d_name[0] == '.' || network_open(store, entry->d_name, &network, NULL) < 0 ||
		    !if_nametoindex(network.bridge))
			continue;
		(void)str_copy(ret_name, IFNAMSIZ, network.name); /* of the same size */
		result = fn(store, &network, err);
	}
	return result;
}

int network_restore(const struct store *store, struct err *err)
{
	char name[IFNAMSIZ];

	return each_standing(store, network_up, name, err);
}

static int lacks(const struct store *store, const struct network *network, struct err *err)
{
	(void)store;
	(void)err;
	return wants_rules(network) && has_elements(network) == 0;
}

int network_lacks_rules(const struct store *store, char ret_name[IFNAMSIZ])
{
	return each_standing(store, lacks, ret_name, NULL);
}
