/* Links, addresses and routes by netlink, in network namespaces of its own. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/str.h"
#include "netlink_world.h"

/* Counts a namespace's addresses of a family on a link; *found says whether `wanted` is among them. */
static int count_addresses(struct netlink *nl, const char *link, int family, const char *wanted, bool *found)
{
	struct netlink_address *list;
	struct err err = {0};
	size_t count;
	int seen = 0;

	*found = false;
	assert_int_equal(no_error(netlink_link_addresses(nl, index_of(nl, link), &list, &count, &err), &err), 0);
	for (size_t i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN + 4];

		if (list[i].family != family)
			continue;
		seen++;
		assert_non_null(inet_ntop(family, list[i].byte, text, sizeof(text)));
		assert_int_equal(str_print(text + strlen(text), 5, "/%u", list[i].prefix), 0);
		*found |= wanted && strcmp(text, wanted) == 0;
	}
	free(list);
	return seen;
}

static void opens_inside_and_comes_home(void **state)
{
	struct world *w = *state;
	struct stat before, after;

	(void)w;
	assert_int_equal(fstat(w->host_fd, &before), 0);
	assert_int_equal(stat("/proc/self/ns/net", &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_true(index_of(w->host, "br0") > 0);
	assert_int_equal(index_of(w->guest, "br0"), 0);
}

static void refuses_what_is_no_namespace(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct netlink *nl = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(netlink_open(fd, &nl, &err), -EINVAL);
	assert_null(nl);
	assert_string_not_equal(err.what, "");
	close(fd);
}

static void index_of_names(void **state)
{
	struct world *w = *state;

	assert_int_equal(index_of(w->host, "lo"), 1);
	assert_int_equal(index_of(w->host, "nothing"), 0);
	assert_int_equal(index_of(w->host, "a-name-of-sixteen"), 0);
	assert_int_equal(index_of(w->host, "fifteen-bytes-x"), 0);
}

static void bridge_is_as_asked(void **state)
{
	struct world *w = *state;
	const struct netlink_bridge again = {.name = "br0"}, other = {.name = "br1", .mtu = 9000};
	struct netlink_link link;
	struct err err = {0};
	char *text;

	assert_int_equal(no_error(netlink_get(w->host, "br0", &link, &err), &err), 0);
	assert_string_equal(link.kind, "bridge");
	assert_memory_equal(link.mac, BRIDGE_MAC, 6);
	assert_true(link.up);
	assert_int_equal(netlink_add_bridge(w->host, &again, &err), -EEXIST);
	assert_non_null(strstr(err.what, "br0"));
	assert_int_equal(netlink_add_bridge(w->host, &other, &err), 0);
	assert_int_equal(netlink_get(w->host, "br1", &link, &err), 0);
	assert_int_equal(link.mtu, 9000);
	assert_false(link.up);
	/* sysfs shows the namespace of its mount, /proc/net that of the reader. */
	assert_int_equal(file_read(AT_FDCWD, "/proc/net/dev", 65536, &text, NULL), 0);
	assert_non_null(strstr(text, "br1:"));
	free(text);
}

static void veth_is_one_pair(void **state)
{
	struct world *w = *state;
	struct netlink_link link, bridge;
	struct err err = {0};
	bool found;

	assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
	assert_int_equal(netlink_get(w->host, "br0", &bridge, &err), 0);
	assert_int_equal(netlink_get(w->host, "web1", &link, &err), 0);
	assert_string_equal(link.kind, "veth");
	assert_true(link.up);
	assert_int_equal(link.master, bridge.index);
	assert_int_equal(link.mtu, 1400);
	assert_int_equal(index_of(w->host, "eth0"), 0);

	assert_int_equal(netlink_get(w->guest, "eth0", &link, &err), 0);
	assert_memory_equal(link.mac, GUEST_MAC, 6);
	assert_int_equal(link.mtu, 1400);
	assert_false(link.up);

	/* With carrier an end without the setting gets its fe80:: as soon as the kernel's link watcher has run. */
	assert_int_equal(netlink_set_up(w->guest, "eth0", &err), 0);
	for (int i = 0; i < 300 && count_addresses(w->guest, "eth0", AF_INET6, NULL, &found) == 0; i++)
		usleep(10000);
	assert_int_equal(count_addresses(w->guest, "eth0", AF_INET6, NULL, &found), 1);
	assert_int_equal(count_addresses(w->host, "web1", AF_INET6, NULL, &found), 0);
}

static void veth_takes_the_bridges_mtu(void **state)
{
	struct world *w = *state;
	const struct netlink_bridge jumbo = {.name = "jumbo", .mtu = 9000};
	const struct netlink_veth veth = {.host = "web1", .inside = "eth0", .inside_netns_fd = w->guest_fd, .bridge = "jumbo"};
	struct netlink_link link;
	struct err err = {0};

	assert_int_equal(netlink_add_bridge(w->host, &jumbo, &err), 0);
	assert_int_equal(no_error(netlink_add_veth(w->host, &veth, &err), &err), 0);
	assert_int_equal(netlink_get(w->host, "web1", &link, &err), 0);
	assert_int_equal(link.mtu, 9000);
	assert_int_equal(netlink_get(w->guest, "eth0", &link, &err), 0);
	assert_int_equal(link.mtu, 9000);
}

static void veth_fails_whole(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	assert_int_equal(add_pair(w, "web1", "eth1", "br0", &err), -EEXIST);
	assert_non_null(strstr(err.what, "web1"));
	assert_int_equal(index_of(w->guest, "eth1"), 0);
	assert_int_equal(add_pair(w, "web2", "eth0", "br0", NULL), -EEXIST);
	assert_int_equal(index_of(w->host, "web2"), 0);
	err_clear(&err);
	assert_int_equal(add_pair(w, "web3", "eth3", "nobridge", &err), -ENODEV);
	assert_non_null(strstr(err.what, "nobridge"));
	assert_int_equal(index_of(w->host, "web3"), 0);
	/* A master that takes no ports: the pair must not stay behind half made. */
	assert_true(add_pair(w, "web4", "eth4", "lo", NULL) < 0);
	assert_int_equal(index_of(w->host, "web4"), 0);
	assert_int_equal(index_of(w->guest, "eth4"), 0);
}

static void taken_name_keeps_its_settings(void **state)
{
	struct world *w = *state;
	const struct netlink_bridge foreign = {.name = "foreign"};
	struct netlink_link link;

	assert_int_equal(netlink_add_bridge(w->host, &foreign, NULL), 0);
	assert_int_equal(add_pair(w, "foreign", "eth0", "br0", NULL), -EEXIST);
	assert_int_equal(netlink_get(w->host, "foreign", &link, NULL), 0);
	assert_string_equal(link.kind, "bridge");
	assert_false(link.up);
	assert_int_equal(link.master, 0);
}

static struct netlink_inside whole_setup(struct in_addr *gateway4, struct in6_addr *gateway6)
{
	struct netlink_inside setup = {.link = "eth0", .has4 = true, .has6 = true, .prefix4 = 24, .prefix6 = 64};

	inet_pton(AF_INET, "10.20.30.40", &setup.address4);
	inet_pton(AF_INET6, "fd00:1:2:3::40", &setup.address6);
	inet_pton(AF_INET, "10.20.30.1", gateway4);
	inet_pton(AF_INET6, "fd00:1:2:3::1", gateway6);
	setup.gateway4 = gateway4;
	setup.gateway6 = gateway6;
	return setup;
}

struct seen {
	const char *wanted;
	int family;
	int count;
};

static void see(void *arg, const void *address, uint8_t prefix)
{
	struct seen *seen = arg;
	char text[INET6_ADDRSTRLEN + 4];

	assert_non_null(inet_ntop(seen->family, address, text, sizeof(text)));
	assert_int_equal(str_print(text + strlen(text), 5, "/%u", prefix), 0);
	seen->count += strcmp(text, seen->wanted) == 0;
}

static void setup_inside_is_complete(void **state)
{
	struct world *w = *state;
	struct in_addr gateway4;
	struct in6_addr gateway6;
	struct netlink_inside setup = whole_setup(&gateway4, &gateway6);
	struct netlink_link link;
	struct seen seen4 = {"10.20.30.0/24", AF_INET, 0}, seen6 = {"fd00:1:2:3::/64", AF_INET6, 0};
	struct err err = {0};
	bool found;

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
	assert_int_equal(netlink_get(w->guest, "lo", &link, &err), 0);
	assert_true(link.up);
	assert_int_equal(netlink_get(w->guest, "eth0", &link, &err), 0);
	assert_true(link.up);
	assert_int_equal(count_addresses(w->guest, "eth0", AF_INET, "10.20.30.40/24", &found), 1);
	assert_true(found);
	(void)count_addresses(w->guest, "eth0", AF_INET6, "fd00:1:2:3::40/64", &found);
	assert_true(found);
	assert_int_equal(netlink_each_prefix(w->guest, AF_INET, see, &seen4, &err), 0);
	assert_int_equal(netlink_each_prefix(w->guest, AF_INET6, see, &seen6, &err), 0);
	assert_true(seen4.count > 0);
	assert_true(seen6.count > 0);
	/* Again, as after an attempt that was killed. */
	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
	assert_int_equal(no_error(netlink_add_address(w->guest, "eth0", AF_INET, &setup.address4, 24, &err), &err), 0);
}

/* As of a guest that was copied while it ran: the old addresses go, others of its own stay, and the new ones take their place. */
static void another_identity(void **state)
{
	static const uint8_t mac[6] = {0x1e, 1, 2, 3, 4, 5};
	struct world *w = *state;
	struct in_addr gateway4, old4;
	struct in6_addr gateway6, old6, own6;
	struct netlink_inside setup = whole_setup(&gateway4, &gateway6);
	struct netlink_link link;
	struct err err = {0};
	bool found;

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
	old4 = setup.address4;
	old6 = setup.address6;
	inet_pton(AF_INET6, "fe80::1234", &own6);
	assert_int_equal(no_error(netlink_add_address(w->guest, "eth0", AF_INET6, &own6, 64, &err), &err), 0);
	inet_pton(AF_INET6, "fd00:9::9", &own6);
	assert_int_equal(no_error(netlink_add_address(w->guest, "eth0", AF_INET6, &own6, 64, &err), &err), 0);
	assert_int_equal(no_error(netlink_change_identity(w->guest, "eth0", mac, &old4, &old6, &err), &err), 0);
	assert_int_equal(count_addresses(w->guest, "eth0", AF_INET, NULL, &found), 0);
	assert_int_equal(count_addresses(w->guest, "eth0", AF_INET6, "fe80::1c01:2ff:fe03:405/64", &found), 2);
	assert_true(found);
	(void)count_addresses(w->guest, "eth0", AF_INET6, "fd00:9::9/64", &found);
	assert_true(found);
	inet_pton(AF_INET, "10.20.30.77", &setup.address4);
	inet_pton(AF_INET6, "fd00:1:2:3::77", &setup.address6);
	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
	assert_int_equal(count_addresses(w->guest, "eth0", AF_INET, "10.20.30.77/24", &found), 1);
	assert_true(found);
	assert_int_equal(netlink_get(w->guest, "eth0", &link, &err), 0);
	assert_memory_equal(link.mac, mac, 6);
	/* Addresses that are not there are no hindrance. */
	assert_int_equal(no_error(netlink_change_identity(w->guest, "eth0", mac, &old4, NULL, &err), &err), 0);
}

static void gateway_beyond_the_prefix(void **state)
{
	struct world *w = *state;
	struct in_addr gateway4;
	struct in6_addr gateway6;
	struct netlink_inside setup = whole_setup(&gateway4, &gateway6);
	struct err err = {0};

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	inet_pton(AF_INET, "192.0.2.1", &gateway4);
	inet_pton(AF_INET6, "2001:db8::1", &gateway6);
	setup.prefix4 = 32;
	setup.prefix6 = 128;
	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
}

static void link_local_gateway(void **state)
{
	struct world *w = *state;
	struct in_addr gateway4;
	struct in6_addr gateway6;
	struct netlink_inside setup = whole_setup(&gateway4, &gateway6);
	struct err err = {0};

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	inet_pton(AF_INET6, "fe80::1", &gateway6);
	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
}

static void only_loopback(void **state)
{
	struct world *w = *state;
	const struct netlink_inside setup = {.link = NULL};
	struct netlink_link link;
	struct err err = {0};

	assert_int_equal(no_error(netlink_setup_inside(w->guest, &setup, &err), &err), 0);
	assert_int_equal(netlink_get(w->guest, "lo", &link, &err), 0);
	assert_true(link.up);
}

static void kernel_says_why(void **state)
{
	struct world *w = *state;
	struct in_addr gateway;
	struct netlink_inside setup = {.link = "eth0", .has4 = true, .prefix4 = 24, .gateway4 = &gateway};
	struct err err = {0};

	/* A group cannot be a gateway, and the kernel has a sentence for that. */
	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	inet_pton(AF_INET, "192.0.2.1", &setup.address4);
	inet_pton(AF_INET, "224.0.0.1", &gateway);
	assert_true(netlink_setup_inside(w->guest, &setup, &err) < 0);
	assert_non_null(strstr(err.what, "224.0.0.1"));
	assert_non_null(strchr(err.what, '('));
	assert_true(err.sys != 0);
}

/* Dumps longer than one packet, and names for the links that have addresses only. */
static void many_addresses(void **state)
{
	struct world *w = *state;
	struct netlink_address *list;
	struct err err = {0};
	size_t count;
	bool found;

	for (unsigned i = 0; i < 600; i++) {
		struct in_addr address = {.s_addr = htonl(0x0a000001 + i * 4)};

		assert_int_equal(netlink_add_address(w->host, "br0", AF_INET, &address, 30, &err), 0);
	}
	assert_int_equal(count_addresses(w->host, "br0", AF_INET, "10.0.9.93/30", &found), 600);
	assert_true(found);
	assert_int_equal(netlink_link_addresses(w->host, index_of(w->host, "br0"), &list, &count, &err), 0);
	assert_true(count >= 600);
	free(list);
	assert_int_equal(netlink_link_addresses(w->host, index_of(w->host, "lo"), &list, &count, &err), 0);
	assert_int_equal(count, 0);
	free(list);
}

static void links_move_and_come_back(void **state)
{
	struct world *w = *state;
	struct netlink_link link;
	struct err err = {0};
	char name[IFNAMSIZ];
	int inside = 0;

	assert_int_equal(add_pair(w, "eth5", "eth0", NULL, &err), 0);
	assert_int_equal(add_pair(w, "eth6", "taken", NULL, &err), 0);
	int index = netlink_index(w->host, "eth5");

	/* A name that is taken there: nothing has moved. */
	assert_int_equal(netlink_move(w->host, index, w->guest, w->guest_fd, "taken", NULL, &err), -EEXIST);
	assert_int_equal(netlink_index(w->host, "eth5"), index);
	/* It is up, and gets another name on the way. */
	assert_int_equal(no_error(netlink_move(w->host, index, w->guest, w->guest_fd, "lan0", &inside, &err), &err), 0);
	assert_int_equal(netlink_index(w->host, "eth5"), 0);
	assert_int_equal(netlink_index(w->guest, "lan0"), inside);
	assert_int_equal(no_error(netlink_get_by_index(w->guest, inside, name, &link, &err), &err), 0);
	assert_string_equal(name, "lan0");
	assert_string_equal(link.kind, "veth");
	assert_false(link.up);
	assert_int_equal(netlink_get_by_index(w->guest, 12345, name, &link, &err), -ENODEV);
	assert_int_equal(no_error(netlink_move(w->guest, inside, w->host, w->host_fd, "eth5", NULL, &err), &err), 0);
	assert_true(netlink_index(w->host, "eth5") > 0);
	assert_int_equal(netlink_index(w->guest, "lan0"), 0);
	/* Within one namespace it is a new name. */
	index = netlink_index(w->host, "eth5");
	assert_int_equal(no_error(netlink_move(w->host, index, w->host, w->host_fd, "eth7", NULL, &err), &err), 0);
	assert_int_equal(netlink_index(w->host, "eth7"), index);
}

static void links_to_elsewhere_are_counted(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	size_t count = 9;

	assert_int_equal(no_error(netlink_count_away(w->guest, &count, &err), &err), 0);
	assert_int_equal(count, 0);
	assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
	assert_int_equal(no_error(add_pair(w, "web2", "eth1", "br0", &err), &err), 0);
	assert_int_equal(no_error(netlink_count_away(w->guest, &count, &err), &err), 0);
	assert_int_equal(count, 2);
}

static void stats_are_told(void **state)
{
	struct world *w = *state;
	struct netlink_stats stats = {.rx_bytes = 1};
	struct err err = {0};

	assert_int_equal(no_error(netlink_link_stats(w->guest, "lo", &stats, &err), &err), 0);
	assert_int_equal(stats.rx_bytes, 0);
	assert_int_equal(netlink_link_stats(w->guest, "eth9", &stats, &err), -ENODEV);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		IN_WORLD(opens_inside_and_comes_home),
		IN_WORLD(refuses_what_is_no_namespace),
		IN_WORLD(index_of_names),
		IN_WORLD(bridge_is_as_asked),
		IN_WORLD(veth_is_one_pair),
		IN_WORLD(veth_takes_the_bridges_mtu),
		IN_WORLD(veth_fails_whole),
		IN_WORLD(taken_name_keeps_its_settings),
		IN_WORLD(setup_inside_is_complete),
		IN_WORLD(another_identity),
		IN_WORLD(gateway_beyond_the_prefix),
		IN_WORLD(link_local_gateway),
		IN_WORLD(only_loopback),
		IN_WORLD(kernel_says_why),
		IN_WORLD(many_addresses),
		IN_WORLD(links_move_and_come_back),
		IN_WORLD(links_to_elsewhere_are_counted),
		IN_WORLD(stats_are_told),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_world);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
