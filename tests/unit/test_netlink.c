/* netlink: in network namespaces of its own. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/str.h"
#include "../../src/kernel/netlink.h"
#include "netns.h"

static const uint8_t bridge_mac[6] = {0x1e, 1, 2, 3, 4, 5}, guest_mac[6] = {0x1e, 6, 7, 8, 9, 10};

/* A host namespace, in which the test stands, with bridge br0, and a guest's. */
struct world {
	int guest_fd, host_fd;
	struct netlink *host, *guest;
};

static int no_error(int result, const struct err *err)
{
	if (result < 0)
		print_message("%s: %s\n", err->what, strerror(-result));
	return result;
}

static int make_world(void **state)
{
	static struct world world;
	const struct netlink_bridge bridge = {.name = "br0", .mac = bridge_mac};
	struct err err = {0};

	world.guest_fd = netns_fresh();
	world.host_fd = netns_fresh();
	assert_int_equal(no_error(netlink_open(-1, &world.host, &err), &err), 0);
	assert_int_equal(no_error(netlink_open(world.guest_fd, &world.guest, &err), &err), 0);
	assert_int_equal(no_error(netlink_add_bridge(world.host, &bridge, &err), &err), 0);
	assert_int_equal(no_error(netlink_set_up(world.host, "br0", &err), &err), 0);
	*state = &world;
	return 0;
}

static int end_world(void **state)
{
	struct world *w = *state;

	netlink_free(w->host);
	netlink_free(w->guest);
	close(w->guest_fd);
	close(w->host_fd);
	return 0;
}

static int add_pair(struct world *w, const char *host, const char *inside, const char *bridge, struct err *err)
{
	const struct netlink_veth veth = {.host = host,
					  .inside = inside,
					  .inside_mac = guest_mac,
					  .inside_netns_fd = w->guest_fd,
					  .bridge = bridge,
					  .mtu = 1400};

	return netlink_add_veth(w->host, &veth, err);
}

/* Counts a namespace's addresses of a family on a link; *found says whether `wanted` is among them. */
static int count_addresses(struct netlink *nl, const char *link, int family, const char *wanted, bool *found)
{
	struct netlink_address *list;
	struct err err = {0};
	size_t count;
	int seen = 0;

	*found = false;
	assert_int_equal(no_error(netlink_addresses(nl, &list, &count, &err), &err), 0);
	for (size_t i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN + 4];

		if (strcmp(list[i].link, link) != 0 || list[i].family != family)
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
	assert_true(netlink_index(w->host, "br0") > 0);
	assert_int_equal(netlink_index(w->guest, "br0"), 0);
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

	assert_int_equal(netlink_index(w->host, "lo"), 1);
	assert_int_equal(netlink_index(w->host, "nothing"), 0);
	assert_int_equal(netlink_index(w->host, "a-name-of-sixteen"), 0);
	assert_int_equal(netlink_index(w->host, "fifteen-bytes-x"), 0);
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
	assert_memory_equal(link.mac, bridge_mac, 6);
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
	assert_int_equal(netlink_index(w->host, "eth0"), 0);

	assert_int_equal(netlink_get(w->guest, "eth0", &link, &err), 0);
	assert_memory_equal(link.mac, guest_mac, 6);
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
	assert_int_equal(netlink_index(w->guest, "eth1"), 0);
	assert_int_equal(add_pair(w, "web2", "eth0", "br0", NULL), -EEXIST);
	assert_int_equal(netlink_index(w->host, "web2"), 0);
	err_clear(&err);
	assert_int_equal(add_pair(w, "web3", "eth3", "nobridge", &err), -ENODEV);
	assert_non_null(strstr(err.what, "nobridge"));
	assert_int_equal(netlink_index(w->host, "web3"), 0);
	/* A master that takes no ports: the pair must not stay behind half made. */
	assert_true(add_pair(w, "web4", "eth4", "lo", NULL) < 0);
	assert_int_equal(netlink_index(w->host, "web4"), 0);
	assert_int_equal(netlink_index(w->guest, "eth4"), 0);
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
	assert_int_equal(no_error(netlink_add_default_route(w->guest, "eth0", AF_INET, &gateway4, &err), &err), 0);
	assert_int_equal(no_error(netlink_add_address(w->guest, "eth0", AF_INET, &setup.address4, 24, &err), &err), 0);
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

static void default_routes(void **state)
{
	struct world *w = *state;
	struct in_addr gateway;
	struct err err = {0};

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	assert_int_equal(netlink_set_up(w->guest, "eth0", &err), 0);
	inet_pton(AF_INET, "192.0.2.2", &gateway);
	assert_int_equal(netlink_add_address(w->guest, "eth0", AF_INET, &gateway, 32, &err), 0);
	inet_pton(AF_INET, "192.0.2.1", &gateway);
	assert_int_equal(no_error(netlink_add_default_route(w->guest, "eth0", AF_INET, &gateway, &err), &err), 0);
	assert_int_equal(netlink_add_default_route(w->guest, "eth7", AF_INET, &gateway, &err), -ENODEV);
	err_clear(&err);
	assert_int_equal(no_error(netlink_add_default_route(w->guest, "eth0", AF_INET6, NULL, &err), &err), 0);
}

static void kernel_says_why(void **state)
{
	struct world *w = *state;
	struct in_addr gateway;
	struct err err = {0};

	/* eth0 is down: no route can go through it, and the kernel has a sentence for that. */
	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	inet_pton(AF_INET, "192.0.2.1", &gateway);
	assert_true(netlink_add_default_route(w->guest, "eth0", AF_INET, &gateway, &err) < 0);
	assert_non_null(strstr(err.what, "192.0.2.1"));
	assert_non_null(strchr(err.what, '('));
	assert_true(err.sys != 0);
}

static void delete_takes_both_ends(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
	assert_int_equal(netlink_index(w->host, "web1"), 0);
	assert_int_equal(netlink_index(w->guest, "eth0"), 0);
	assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
	assert_true(netlink_delete(w->host, "lo", &err) < 0);
	assert_non_null(strstr(err.what, "lo"));
	/* The names are free at once. */
	assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
}

static void delete_many(void **state)
{
	struct world *w = *state;
	const char *names[20];
	char name[20][IFNAMSIZ], inside[IFNAMSIZ];
	struct err err = {0};

	for (int i = 0; i < 20; i++) {
		assert_int_equal(str_print(name[i], IFNAMSIZ, "web%d", i), 0);
		assert_int_equal(str_print(inside, IFNAMSIZ, "eth%d", i), 0);
		names[i] = name[i];
		if (i != 7) /* one that is gone already */
			assert_int_equal(add_pair(w, name[i], inside, "br0", &err), 0);
	}
	assert_int_equal(no_error(netlink_delete_all(w->host, names, 20, &err), &err), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(netlink_index(w->host, name[i]), 0);
	names[0] = "lo";
	names[1] = "br0";
	assert_true(netlink_delete_all(w->host, names, 2, &err) < 0);
	assert_int_equal(netlink_index(w->host, "br0"), 0);
}

/* A caller that ignores its children's ends cannot wait for them. */
static void delete_without_children(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_ptr_not_equal(signal(SIGCHLD, SIG_IGN), SIG_ERR);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
		assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
		assert_int_equal(netlink_index(w->host, "web1"), 0);
		assert_int_equal(netlink_index(w->guest, "eth0"), 0);
	}
	(void)signal(SIGCHLD, SIG_DFL);
}

/* More deletions than there is room for waiting children, each at once followed by the same name. */
static void delete_and_add_again(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	for (int i = 0; i < 40; i++) {
		assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
		assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
	}
	/* The socket still answers to the point: late answers to deletions are no one's. */
	assert_int_equal(netlink_index(w->host, "web1"), 0);
	assert_true(netlink_index(w->host, "br0") > 0);
}

static void delete_refused(void **state)
{
	struct world *w = *state;
	struct err *err = mmap(NULL, sizeof(*err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	assert_ptr_not_equal(err, MAP_FAILED);
	child = fork();
	if (child == 0) {
		struct netlink *nl;

		if (setuid(65534) < 0 || netlink_open(-1, &nl, err) < 0)
			_exit(1);
		_exit(netlink_delete(nl, "br0", err) == -EPERM ? 42 : 2);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_non_null(strstr(err->what, "br0"));
	assert_true(netlink_index(w->host, "br0") > 0);
	munmap(err, sizeof(*err));
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
	assert_int_equal(netlink_link_addresses(w->host, netlink_index(w->host, "br0"), &list, &count, &err), 0);
	assert_true(count >= 600);
	free(list);
	assert_int_equal(netlink_link_addresses(w->host, netlink_index(w->host, "lo"), &list, &count, &err), 0);
	assert_int_equal(count, 0);
	free(list);
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

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)

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
		IN_WORLD(gateway_beyond_the_prefix),
		IN_WORLD(link_local_gateway),
		IN_WORLD(only_loopback),
		IN_WORLD(default_routes),
		IN_WORLD(kernel_says_why),
		IN_WORLD(delete_takes_both_ends),
		IN_WORLD(delete_many),
		IN_WORLD(delete_without_children),
		IN_WORLD(delete_and_add_again),
		IN_WORLD(delete_refused),
		IN_WORLD(many_addresses),
		IN_WORLD(stats_are_told),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_world);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
