/* network: the choice of a subnet, the files, the making of the default network. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../src/kernel/netlink.h"
#include "network_fixture.h"

/* The choice of a subnet */

static struct network_prefix prefix_of(const char *address, uint8_t prefix)
{
	struct network_prefix p = {.prefix = prefix};

	assert_int_equal(inet_pton(AF_INET, address, &p.address), 1);
	return p;
}

static int choose(uint64_t seed, uint8_t prefix, const struct network_prefix *list, size_t count, struct in_addr *ret)
{
	const struct network_taken taken = {list, count};

	return network_choose4(seed, prefix, &taken, ret);
}

static void chooses_what_is_free(void **state)
{
	struct in_addr first, second;
	char text[INET_ADDRSTRLEN];

	(void)state;
	assert_int_equal(choose(0, 24, NULL, 0, &first), 0);
	assert_string_equal(inet_ntop(AF_INET, &first, text, sizeof(text)), "10.16.0.0");
	const struct network_prefix host = {.address = {first.s_addr | htonl(77)}, .prefix = 32}; /* a route to one host */
	assert_int_equal(choose(0, 24, &host, 1, &second), 0);
	assert_int_not_equal(first.s_addr, second.s_addr);
	assert_int_equal(choose(0, 22, &host, 1, &second), 0);
	assert_int_not_equal(first.s_addr, second.s_addr & htonl(0xfffffc00));
	assert_int_equal(ntohl(second.s_addr) & 0x3ff, 0);
	const struct network_prefix wide = prefix_of("10.16.0.0", 12);
	assert_int_equal(choose(0, 24, &wide, 1, &second), 0);
	assert_true(ntohl(second.s_addr) >= 0x0a200000);
}

static void leaves_ten_when_it_is_taken(void **state)
{
	struct in_addr subnet;
	const struct network_prefix ten = prefix_of("10.0.0.0", 8);
	const struct network_prefix most[] = {ten, prefix_of("172.16.0.0", 12)};
	const struct network_prefix all[] = {most[0], most[1], prefix_of("192.168.0.0", 16)};
	const struct network_prefix halves[] = {prefix_of("0.0.0.0", 1), prefix_of("128.0.0.0", 1), prefix_of("0.0.0.0", 0)};

	(void)state;
	for (uint8_t length = 22; length <= 24; length += 2) {
		assert_int_equal(choose(12345, length, &ten, 1, &subnet), 0);
		assert_int_equal(ntohl(subnet.s_addr) >> 20, 0xac1);
		assert_int_equal(choose(12345, length, most, 2, &subnet), 0);
		assert_int_equal(ntohl(subnet.s_addr) >> 16, 0xc0a8);
		assert_int_equal(choose(12345, length, all, 3, &subnet), -ENOSPC);
		/* A VPN's two halves of everything are its default route. */
		assert_int_equal(choose(12345, length, halves, 3, &subnet), 0);
		assert_int_equal(ntohl(subnet.s_addr) >> 24, 10);
	}
}

static void finds_the_last_free_one(void **state)
{
	struct network_prefix taken[257] = {prefix_of("10.0.0.0", 8), prefix_of("172.16.0.0", 12)};
	struct in_addr subnet;
	size_t count = 2;

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		if (i != 201)
			taken[count++] = (struct network_prefix){{htonl(0xc0a80000 | i << 8)}, 24};
	}
	assert_int_equal(choose(99, 22, taken, count, &subnet), -ENOSPC);
	assert_int_equal(choose(99, 24, taken, count, &subnet), 0);
	assert_int_equal(ntohl(subnet.s_addr), 0xc0a8c900);
}

/* MAC addresses */

static void macs_are_stable_and_apart(void **state)
{
	struct store one = {.tag = ""}, two = {.tag = "ab12"};
	uint8_t a[6], b[6];

	(void)state;
	network_mac(&one, "0123456789abcdef0123456789abcdef", "eth0", a);
	assert_int_equal(a[0] & 3, 2);
	/* Written down here: a guest's MAC must survive every later version. */
	const uint8_t known[6] = {0x1e, 0x20, 0x45, 0x4c, 0x40, 0x0c};
	assert_memory_equal(a, known, 6);
	network_mac(&two, "0123456789abcdef0123456789abcdef", "eth0", b);
	assert_memory_not_equal(a, b, 6);
	network_mac(&one, "0123456789abcdef0123456789abcdef", "eth1", b);
	assert_memory_not_equal(a, b, 6);
	network_mac(&one, "1123456789abcdef0123456789abcdef", "eth0", b);
	assert_memory_not_equal(a, b, 6);
}

/* Files */

static void reads_a_whole_file(void **state)
{
	struct network n;
	struct err err = {0};

	write_file(*state, "lab",
		   "# the lab\n\n[network]\n  type = bridge\nbridge=br-lab\naddress4 = 10.1.2.3/20\n"
		   "address6 = fd00:0:0:7::1/64\n; more\nnat = no\nmtu = 9000\nmac = 02:00:00:00:00:01");
	assert_int_equal(no_error(network_open(*state, "lab", &n, &err), &err), 0);
	assert_string_equal(n.name, "lab");
	assert_string_equal(n.bridge, "br-lab");
	assert_int_equal(ntohl(n.subnet4.s_addr), 0x0a010000);
	assert_int_equal(ntohl(n.gateway4.s_addr), 0x0a010203);
	assert_int_equal(n.prefix4, 20);
	assert_int_equal(n.prefix6, 64);
	assert_int_equal(n.gateway6.s6_addr[15], 1);
	assert_int_equal(n.subnet6.s6_addr[15], 0);
	assert_int_equal(n.mtu, 9000);
	assert_int_equal(n.mac[5], 1);
	assert_false(n.nat);
	assert_false(n.adopted);
	assert_true(n.has4);
}

static void defaults_of_a_short_file(void **state)
{
	struct store *s = *state;
	struct network n, again;
	struct err err = {0};

	write_file(s, "lab", "[network]\n");
	assert_int_equal(no_error(network_open(s, "lab", &n, &err), &err), 0);
	assert_string_equal(n.bridge, "lab");
	assert_true(n.nat);
	assert_false(n.has4 || n.has6);
	assert_int_equal(n.mtu, 0);
	assert_int_equal(network_open(s, "lab", &again, &err), 0);
	assert_memory_equal(n.mac, again.mac, 6);
	write_file(s, "own", "[network]\nadopted = yes\nbridge = br0\n");
	assert_int_equal(network_open(s, "own", &n, &err), 0);
	assert_true(n.adopted);
	assert_false(n.nat);
	/* Another instance's bridges have other names. */
	(void)str_copy(s->tag, sizeof(s->tag), "1a2b");
	assert_int_equal(network_open(s, "lab", &n, &err), 0);
	assert_string_equal(n.bridge, "lab1a2b");
	write_file(s, "fifteen-bytes-x", "[network]\n");
	assert_int_equal(network_open(s, "fifteen-bytes-x", &n, &err), 0);
	assert_string_equal(n.bridge, "fifteen-byt1a2b");
}

static void complains_with_file_and_line(void **state)
{
	static const struct {
		const char *text;
		int line;
		const char *word;
	} bad[] = {
		{"[network]\nadress4 = 10.0.0.1/24\n", 2, "adress4"},
		{"[network]\naddress4 = 10.0.0.1\n", 2, "address4"},
		{"[network]\naddress4 = 10.0.0.0/24\n", 2, "10.0.0.0"},
		{"[network]\naddress4 = 10.0.0.255/24\n", 2, "10.0.0.255"},
		{"[network]\naddress4 = 10.0.0.1/31\n", 2, "address4"},
		{"[network]\naddress4 = 10.0.0.300/24\n", 2, "10.0.0.300"},
		{"[network]\n\naddress4 = auto\n", 3, "address4"},
		{"[network]\naddress6 = fd00::/64\n", 2, "address6"},
		{"[network]\naddress6 = fe80::1/64\n", 2, "address6"},
		{"[network]\naddress6 = fd00::1/128\n", 2, "address6"},
		{"[network]\nmac = 01:00:00:00:00:01\n", 2, "mac"},
		{"[network]\nmtu = 12\n", 2, "mtu"},
		{"[network]\nnat = perhaps\n", 2, "nat"},
		{"[network]\ntype = token-ring\n", 2, "type"},
		{"[network]\nbridge = all\n", 2, "all"},
		{"[network]\nbridge = a-name-of-sixteen-\n", 2, "a-name-of"},
		{"[network]\nadopted = yes\nbridge = br0\nmtu = 1400\n", 4, "mtu"},
		{"[network]\nnat = yes\nnat = yes\n", 3, "twice"},
		{"[netwrok]\nnat = yes\n", 1, "netwrok"},
		{"[network]\n[guest]\n", 2, "guest"},
		{"nat = yes\n", 1, "nat"},
		{"[network]\nnat\n", 2, "neither"},
		{"[network]\nnat = yes ; really\n", 2, "';'"},
		{"[network]\r\nnat = yes\r\n", 1, "control"},
		{"[network]\nbridge = "
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
		 2, "190"},
	};
	struct store *s = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct network n = {.name = "untouched"};
		struct err err = {0};
		char where[96];

		write_file(s, "bad", bad[i].text);
		if (network_open(s, "bad", &n, &err) >= 0)
			fail_msg("accepted: %s", bad[i].text);
		assert_int_equal(str_print(where, sizeof(where), "%s/bad:%d", s->networks, bad[i].line), 0);
		assert_string_equal(err.where, where);
		if (!strstr(err.what, bad[i].word))
			fail_msg("'%s' lacks '%s'", err.what, bad[i].word);
		assert_string_equal(n.name, "untouched");
	}
}

static void near_names_are_offered(void **state)
{
	struct network n;
	struct err err = {0};

	write_file(*state, "office", "[network]\n");
	assert_int_equal(network_open(*state, "ofice", &n, &err), -ENOENT);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.hint, "'office'"));
	err_clear(&err);
	write_file(*state, "bad", "[network]\nadress4 = 10.0.0.1/24\n");
	assert_true(network_open(*state, "bad", &n, &err) < 0);
	assert_non_null(strstr(err.hint, "'address4'"));
	assert_true(network_open(*state, "../office", &n, NULL) < 0);
	assert_true(network_open(*state, "", &n, NULL) < 0);
	assert_true(network_open(*state, "a-name-of-sixteen", &n, NULL) < 0);
}

/* The default network */

static void default_avoids_routes_and_files(void **state)
{
	struct store *s = *state;
	struct network first, second, n;
	struct netlink *nl;
	struct err err = {0};
	const struct netlink_bridge uplink = {.name = "uplink"};
	char text[64], address[INET_ADDRSTRLEN];

	assert_int_equal(no_error(network_open(s, "isle0", &first, &err), &err), 0);
	assert_string_equal(first.bridge, "isle0");
	assert_true(first.has4 && first.nat && !first.adopted);
	assert_int_equal(first.prefix4, 22);
	assert_int_equal(first.gateway6.s6_addr[0], 0xfd);
	assert_int_equal(first.mac[0] & 3, 2);
	assert_int_equal(network_open(s, "isle0", &n, &err), 0);
	assert_memory_equal(&first, &n, sizeof(n));

	/* The same machine would choose the same: now an address of the host is in it. */
	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &uplink, &err), 0);
	assert_int_equal(netlink_add_address(nl, "uplink", AF_INET, &first.gateway4, 32, &err), 0);
	netlink_free(nl);
	assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	assert_int_equal(no_error(network_open(s, "isle0", &second, &err), &err), 0);
	assert_int_not_equal(first.subnet4.s_addr, second.subnet4.s_addr);
	assert_memory_not_equal(&first.gateway6, &second.gateway6, 16);

	/* And now another network's file has that too. */
	assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	assert_non_null(inet_ntop(AF_INET, &second.gateway4, address, sizeof(address)));
	assert_int_equal(str_print(text, sizeof(text), "[network]\naddress4 = %s/16\n", address), 0);
	write_file(s, "lab", text);
	assert_int_equal(no_error(network_open(s, "isle0", &n, &err), &err), 0);
	assert_int_not_equal(n.subnet4.s_addr & htonl(0xffff0000), second.subnet4.s_addr & htonl(0xffff0000));
}

static void race_open(const struct store *s, int number, struct slot *slot)
{
	(void)number;
	slot->result = network_open(s, "isle0", &slot->network, NULL);
}

static void first_users_agree(void **state)
{
	struct slot *slots = race(*state, RACERS, race_open);

	for (int i = 0; i < RACERS; i++) {
		assert_int_equal(slots[i].result, 0);
		assert_memory_equal(&slots[i].network, &slots[0].network, sizeof(slots[0].network));
	}
	munmap(slots, RACERS * sizeof(*slots));
}

static void tagged_instance_stands_apart(void **state)
{
	struct store *s = *state;
	struct network plain, tagged;
	struct err err = {0};

	assert_int_equal(network_open(s, "isle0", &plain, &err), 0);
	assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	(void)str_copy(s->tag, sizeof(s->tag), "1a2b");
	assert_int_equal(network_open(s, "isle0", &tagged, &err), 0);
	assert_string_equal(tagged.bridge, "isle1a2b");
	assert_int_not_equal(plain.subnet4.s_addr, tagged.subnet4.s_addr);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_what_is_free),
		cmocka_unit_test(leaves_ten_when_it_is_taken),
		cmocka_unit_test(finds_the_last_free_one),
		cmocka_unit_test(macs_are_stable_and_apart),
		IN_STORE(reads_a_whole_file),
		IN_STORE(defaults_of_a_short_file),
		IN_STORE(complains_with_file_and_line),
		IN_STORE(near_names_are_offered),
		IN_NETNS(default_avoids_routes_and_files),
		IN_NETNS(first_users_agree),
		IN_NETNS(tagged_instance_stands_apart),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_store_in_netns);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
