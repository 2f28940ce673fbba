/* network: the bridge, its addresses and its NAT, in network namespaces of their own. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../src/kernel/netlink.h"
#include "../../src/kernel/nft.h"
#include "network_fixture.h"

static bool bridge_has(const char *bridge, int family, const void *address)
{
	struct netlink_address *list;
	struct netlink_link link;
	struct netlink *nl;
	size_t count, size = family == AF_INET ? 4 : 16;
	bool found = false;

	assert_int_equal(netlink_open(-1, &nl, NULL), 0);
	assert_int_equal(netlink_get(nl, bridge, &link, NULL), 0);
	assert_int_equal(netlink_link_addresses(nl, link.index, &list, &count, NULL), 0);
	for (size_t i = 0; i < count; i++)
		found |= list[i].family == family && memcmp(list[i].byte, address, size) == 0;
	free(list);
	netlink_free(nl);
	return found;
}

static int sysctl_of(const char *path)
{
	char *text;
	int value;

	assert_int_equal(file_read(AT_FDCWD, path, 64, &text, NULL), 0);
	value = text[0] - '0';
	free(text);
	return value;
}

static bool natted(const struct network *n)
{
	const struct nft_element four = {"inet", "isle", "nat4", &n->subnet4, 4}, six = {"inet", "isle", "nat6", &n->subnet6, 16};

	return nft_has_element(&four) == 1 && (!n->has6 || nft_has_element(&six) == 1);
}

static void up_is_complete(void **state)
{
	struct store *s = *state;
	struct network n;
	struct netlink *nl;
	struct netlink_link link;
	struct err err = {0};
	const struct netlink_bridge uplink = {.name = "uplink"};

	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &uplink, &err), 0); /* a link that believes router advertisements */
	assert_int_equal(no_error(network_open(s, "isle0", &n, &err), &err), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
		assert_int_equal(netlink_get(nl, "isle0", &link, &err), 0);
		assert_true(link.up);
		assert_memory_equal(link.mac, n.mac, 6);
		assert_true(bridge_has("isle0", AF_INET, &n.gateway4));
		assert_int_equal(sysctl_of("/proc/sys/net/ipv4/ip_forward"), 1);
		assert_true(natted(&n));
		if (n.has6) {
			assert_true(bridge_has("isle0", AF_INET6, &n.gateway6));
			assert_int_equal(sysctl_of("/proc/sys/net/ipv6/conf/all/forwarding"), 1);
			assert_int_equal(sysctl_of("/proc/sys/net/ipv6/conf/uplink/accept_ra"), 2);
			assert_int_equal(sysctl_of("/proc/sys/net/ipv6/conf/isle0/accept_ra"), 0);
		}
	}
	netlink_free(nl);
}

static void up_repairs(void **state)
{
	struct store *s = *state;
	struct network n, found;
	struct netlink *nl;
	struct err err = {0};

	assert_int_equal(no_error(network_open(s, "isle0", &n, &err), &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_int_equal(nft_run("flush ruleset\n", &err), 0);
	assert_false(natted(&n));
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_true(natted(&n));
	assert_int_equal(nft_run("flush set inet isle nat4\n", &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_true(natted(&n));

	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	assert_int_equal(netlink_delete(nl, "isle0", &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_true(bridge_has("isle0", AF_INET, &n.gateway4));
	/* Down and without the address is how a first call that was killed leaves it. */
	const struct netlink_bridge half = {.name = "isle0", .mac = n.mac};
	assert_int_equal(netlink_delete(nl, "isle0", &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &half, &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_true(bridge_has("isle0", AF_INET, &n.gateway4));
	/* Up, but an administrator took the address away. */
	assert_int_equal(netlink_delete(nl, "isle0", &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &half, &err), 0);
	assert_int_equal(netlink_set_up(nl, "isle0", &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_true(bridge_has("isle0", AF_INET, &n.gateway4));
	netlink_free(nl);

	/* A file that is lost while the bridge stands is written again to fit it. */
	assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	assert_int_equal(no_error(network_open(s, "isle0", &found, &err), &err), 0);
	assert_memory_equal(&found, &n, sizeof(n));
}

/* Killed at any moment of the first call, the next one makes it whole. */
static void up_survives_kills(void **state)
{
	struct store *s = *state;
	struct netlink *nl;
	struct err err = {0};

	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	for (unsigned pause = 0; pause < 6000; pause += 200) {
		struct network n;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			if (network_open(s, "isle0", &n, NULL) == 0)
				(void)network_up(s, &n, NULL);
			_exit(0);
		}
		usleep(pause);
		(void)kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_int_equal(no_error(network_open(s, "isle0", &n, &err), &err), 0);
		assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
		assert_true(natted(&n) && bridge_has("isle0", AF_INET, &n.gateway4));
		assert_true(!n.has6 || bridge_has("isle0", AF_INET6, &n.gateway6));
		assert_true(!n.has6 || sysctl_of("/proc/sys/net/ipv6/conf/isle0/accept_ra") == 0);
		assert_int_equal(netlink_delete(nl, "isle0", &err), 0);
		assert_int_equal(nft_run("delete table inet isle\n", &err), 0);
		assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	}
	netlink_free(nl);
}

static char *ruleset(void)
{
	char *text = NULL;
	size_t size = 65536, used = 0;
	FILE *f = popen("nft -s list table ip foreign", "re");

	assert_non_null(f);
	text = calloc(1, size);
	assert_non_null(text);
	used = fread(text, 1, size - 1, f);
	assert_int_equal(pclose(f), 0);
	assert_true(used > 0);
	return text;
}

static void foreign_rules_stay(void **state)
{
	struct store *s = *state;
	struct network n;
	struct err err = {0};
	char *before, *after;

	if (access("/usr/sbin/nft", X_OK) < 0)
		skip();
	assert_int_equal(nft_run("add table ip foreign\nadd chain ip foreign post { type nat hook postrouting priority 100; }\n"
				 "add rule ip foreign post ip saddr 172.17.0.0/16 masquerade\n"
				 "add set ip foreign nat4 { type ipv4_addr; }\nadd element ip foreign nat4 { 10.0.0.1 }\n",
				 &err),
			 0);
	before = ruleset();
	assert_int_equal(no_error(network_open(s, "isle0", &n, &err), &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	after = ruleset();
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void instances_share_the_table(void **state)
{
	struct store *s = *state;
	struct network one, two;
	struct err err = {0};

	assert_int_equal(network_open(s, "isle0", &one, &err), 0);
	assert_int_equal(no_error(network_up(s, &one, &err), &err), 0);
	assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	(void)str_copy(s->tag, sizeof(s->tag), "1a2b");
	assert_int_equal(network_open(s, "isle0", &two, &err), 0);
	assert_int_equal(no_error(network_up(s, &two, &err), &err), 0);
	assert_true(natted(&one) && natted(&two));
	assert_true(bridge_has("isle0", AF_INET, &one.gateway4));
	assert_true(bridge_has("isle1a2b", AF_INET, &two.gateway4));
}

static void foreign_links_are_refused(void **state)
{
	struct store *s = *state;
	const uint8_t mac[6] = {2, 9, 9, 9, 9, 9};
	const struct netlink_bridge bridge = {.name = "bridged", .mac = mac};
	struct network n;
	struct netlink *nl;
	struct err err = {0};
	int ns = netns_fresh();
	const struct netlink_veth veth = {.host = "wired", .inside = "other", .inside_netns_fd = ns};

	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	assert_int_equal(netlink_add_veth(nl, &veth, &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &bridge, &err), 0);
	write_file(s, "wired", "[network]\naddress4 = 10.1.2.1/24\n");
	write_file(s, "bridged", "[network]\naddress4 = 10.1.3.1/24\n");
	write_file(s, "adopted", "[network]\nbridge = bridged\nadopted = yes\naddress4 = 10.1.3.1/24\n");
	write_file(s, "missing", "[network]\nadopted = yes\n");

	assert_int_equal(network_open(s, "wired", &n, &err), 0);
	assert_int_equal(network_up(s, &n, &err), -EEXIST);
	assert_non_null(strstr(err.what, "veth"));
	err_clear(&err);
	assert_int_equal(network_open(s, "bridged", &n, &err), 0);
	assert_int_equal(network_up(s, &n, &err), -EEXIST);
	assert_non_null(strstr(err.what, "02:09:09:09:09:09"));
	assert_false(bridge_has("bridged", AF_INET, &n.gateway4));
	err_clear(&err);
	/* Adopted it is used as it is, untouched. */
	assert_int_equal(network_open(s, "adopted", &n, &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_false(bridge_has("bridged", AF_INET, &n.gateway4));
	assert_int_equal(nft_has_table("inet", "isle"), 0);
	assert_int_equal(network_open(s, "missing", &n, &err), 0);
	assert_int_equal(network_up(s, &n, &err), -ENODEV);
	assert_non_null(strstr(err.what, "missing"));
	netlink_free(nl);
	close(ns);
}

static void race_up(const struct store *s, int number, struct slot *slot)
{
	struct err err = {0};

	(void)number;
	slot->result = network_open(s, "isle0", &slot->network, &err);
	if (slot->result == 0)
		slot->result = network_up(s, &slot->network, &err);
	if (slot->result < 0)
		(void)fprintf(stderr, "%s: %s\n", err.what, strerror(-slot->result));
}

static void two_at_once_are_fine(void **state)
{
	struct slot *slots = race(*state, RACERS, race_up);

	for (int i = 0; i < RACERS; i++)
		assert_int_equal(slots[i].result, 0);
	assert_true(natted(&slots[0].network));
	assert_true(bridge_has("isle0", AF_INET, &slots[0].network.gateway4));
	/* One table, one set of rules. */
	FILE *f = popen("nft list table inet isle | grep -c masquerade", "re");
	char digit = 0;
	assert_non_null(f);
	assert_int_equal(fread(&digit, 1, 1, f), 1);
	(void)pclose(f);
	assert_int_equal(digit, '2');
	munmap(slots, RACERS * sizeof(*slots));
}

static int socket_in(int netns_fd, int home_fd, int family)
{
	int fd;

	assert_int_equal(setns(netns_fd, CLONE_NEWNET), 0);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(setns(home_fd, CLONE_NEWNET), 0);
	return fd;
}

static void address_of(struct sockaddr_storage *ret, int family, const char *text, in_port_t port)
{
	*ret = (struct sockaddr_storage){.ss_family = (sa_family_t)family};
	if (family == AF_INET) {
		((struct sockaddr_in *)ret)->sin_port = htons(port);
		assert_int_equal(inet_pton(family, text, &((struct sockaddr_in *)ret)->sin_addr), 1);
	} else {
		((struct sockaddr_in6 *)ret)->sin6_port = htons(port);
		assert_int_equal(inet_pton(family, text, &((struct sockaddr_in6 *)ret)->sin6_addr), 1);
	}
}

/* Sends a datagram from one namespace to an address of another, and tells whose address it came with. */
static void source_seen(const int fds[3], int family, const char *to, char ret[INET6_ADDRSTRLEN])
{
	const struct timeval limit = {.tv_sec = 5};
	struct sockaddr_storage there, from = {0};
	socklen_t size = sizeof(from);
	int listener = socket_in(fds[0], fds[2], family), sender = socket_in(fds[1], fds[2], family);
	char byte = 0;

	address_of(&there, family, to, 9999);
	assert_int_equal(bind(listener, (struct sockaddr *)&there, sizeof(there)), 0);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(sendto(sender, "x", 1, 0, (struct sockaddr *)&there, sizeof(there)), 1);
	assert_int_equal(recvfrom(listener, &byte, 1, 0, (struct sockaddr *)&from, &size), 1);
	assert_int_equal(byte, 'x');
	if (family == AF_INET)
		assert_non_null(inet_ntop(family, &((struct sockaddr_in *)&from)->sin_addr, ret, INET6_ADDRSTRLEN));
	else
		assert_non_null(inet_ntop(family, &((struct sockaddr_in6 *)&from)->sin6_addr, ret, INET6_ADDRSTRLEN));
	close(listener);
	close(sender);
}

static void setup_link(int netns_fd, const struct netlink_inside *setup)
{
	struct netlink *nl;
	struct err err = {0};

	assert_int_equal(netlink_open(netns_fd, &nl, &err), 0);
	assert_int_equal(no_error(netlink_setup_inside(nl, setup, &err), &err), 0);
	netlink_free(nl);
}

/* A guest, the host between, and an outside that knows the host's addresses only. */
static void guests_reach_out_masqueraded(void **state)
{
	struct store *s = *state;
	const int outside = netns_fresh(), guest = netns_fresh(), host = netns_fresh(), path[3] = {outside, guest, host};
	const struct netlink_veth uplink = {.host = "uplink", .inside = "out0", .inside_netns_fd = outside};
	const struct netlink_veth pair = {.host = "web1", .inside = "eth0", .inside_netns_fd = guest, .bridge = "isle0"};
	const struct spec_network spec = {.name = "eth0"};
	struct netlink_inside out = {.link = "out0", .has4 = true, .has6 = true, .prefix4 = 24, .prefix6 = 64};
	struct netlink_inside in = {.link = "eth0", .has4 = true};
	struct in_addr host4;
	struct in6_addr host6;
	struct network n;
	struct lease lease;
	struct netlink *nl;
	struct err err = {0};
	char source[INET6_ADDRSTRLEN];

	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	assert_int_equal(no_error(netlink_add_veth(nl, &uplink, &err), &err), 0);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.2", &out.address4), 1);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::2", &out.address6), 1);
	setup_link(outside, &out);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &host4), 1);
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &host6), 1);
	assert_int_equal(no_error(netlink_add_address(nl, "uplink", AF_INET, &host4, 24, &err), &err), 0);
	assert_int_equal(no_error(netlink_add_address(nl, "uplink", AF_INET6, &host6, 64, &err), &err), 0);

	assert_int_equal(no_error(network_open(s, "isle0", &n, &err), &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_int_equal(no_error(network_lease(s, &n, "guest-a", &spec, &lease, &err), &err), 0);
	assert_int_equal(no_error(netlink_add_veth(nl, &pair, &err), &err), 0);
	in.address4 = lease.address4;
	in.prefix4 = lease.prefix4;
	in.gateway4 = &n.gateway4;
	in.has6 = lease.has6;
	in.address6 = lease.address6;
	in.prefix6 = lease.prefix6;
	in.gateway6 = lease.has6 ? &n.gateway6 : NULL;
	setup_link(guest, &in);

	source_seen(path, AF_INET, "192.0.2.2", source);
	assert_string_equal(source, "192.0.2.1");
	if (lease.has6) {
		source_seen(path, AF_INET6, "2001:db8::2", source);
		assert_string_equal(source, "2001:db8::1");
	}
	netlink_free(nl);
	close(outside);
	close(guest);
	close(host);
}

static void without_rights_it_says_so(void **state)
{
	struct store *s = *state;
	struct network n = lab(s, "address4 = 10.1.2.1/24");
	struct slot *slot = mmap(NULL, sizeof(*slot), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct err *err;
	pid_t child;

	assert_ptr_not_equal(slot, MAP_FAILED);
	err = mmap(NULL, sizeof(*err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(err, MAP_FAILED);
	child = fork();
	if (child == 0) {
		if (setuid(65534) < 0)
			_exit(1);
		slot->result = network_up(s, &n, err);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(slot->result, -EPERM);
	assert_non_null(strstr(err->what, "bridge lab"));
	assert_non_null(strstr(err->hint, "root"));
	munmap(slot, sizeof(*slot));
	munmap(err, sizeof(*err));
}

int main(void)
{
	struct CMUnitTest tests[] = {
		IN_NETNS(up_is_complete),
		IN_NETNS(up_repairs),
		IN_NETNS(up_survives_kills),
		IN_NETNS(foreign_rules_stay),
		IN_NETNS(instances_share_the_table),
		IN_NETNS(foreign_links_are_refused),
		IN_NETNS(two_at_once_are_fine),
		IN_NETNS(guests_reach_out_masqueraded),
		IN_NETNS(without_rights_it_says_so),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_store_in_netns);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
