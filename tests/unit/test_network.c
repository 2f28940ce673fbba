/* network: files, the choice of a subnet, leases, and the bridge in a network namespace of its own. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/str.h"
#include "../../src/guest/network.h"
#include "../../src/kernel/netlink.h"
#include "../../src/kernel/nft.h"
#include "netns.h"

#define RACERS 12

/* A store in a folder of its own. */
static int make_store(void **state)
{
	struct store *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->root = strdup("/tmp/isle-test-network-XXXXXX");
	assert_non_null(s->root);
	assert_non_null(mkdtemp(s->root));
	s->networks = str_format("%s/networks", s->root);
	s->leases = str_format("%s/leases", s->root);
	s->run = str_format("%s/run", s->root);
	assert_int_equal(mkdir(s->run, 0700), 0);
	s->run_fd = open(s->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->run_fd >= 0);
	*state = s;
	return 0;
}

static int end_store(void **state)
{
	struct store *s = *state;

	close(s->run_fd);
	assert_int_equal(file_remove_tree(AT_FDCWD, s->root, NULL), 0);
	free(s->root);
	free(s->networks);
	free(s->leases);
	free(s->run);
	free(s);
	return 0;
}

static int make_store_in_netns(void **state)
{
	close(netns_fresh());
	return make_store(state);
}

static int no_error(int result, const struct err *err)
{
	if (result < 0)
		print_message("%s: %s\n", err->what, strerror(-result));
	return result;
}

static void write_file(const struct store *s, const char *name, const char *text)
{
	int fd;

	(void)mkdir(s->networks, 0755); /* a test's second file finds it made */
	fd = open(s->networks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_replace(fd, name, text, strlen(text), 0644, NULL), 0);
	close(fd);
}

/* Runs body in `count` processes at once; each has its number and a slot of shared memory. */
struct slot { int result; struct network network; struct lease lease; };
static struct slot *race(const struct store *s, int count, void (*body)(const struct store *s, int number, struct slot *slot))
{
	struct slot *slots = mmap(NULL, (size_t)count * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[64];
	int gate[2], status;

	assert_ptr_not_equal(slots, MAP_FAILED);
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < count; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			char byte;

			close(gate[1]);
			(void)!read(gate[0], &byte, 1); /* ends for all at once, when the parent closes its side */
			body(s, i, &slots[i]);
			_exit(0);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	return slots;
}

/* The choice of a subnet */

static struct network_prefix prefix_of(const char *address, uint8_t prefix)
{
	struct network_prefix p = {.prefix = prefix};

	assert_int_equal(inet_pton(AF_INET, address, &p.address), 1);
	return p;
}

static void chooses_what_is_free(void **state)
{
	struct in_addr first, second;
	char text[INET_ADDRSTRLEN];

	(void)state;
	assert_int_equal(network_choose4(0, NULL, 0, &first), 0);
	assert_string_equal(inet_ntop(AF_INET, &first, text, sizeof(text)), "10.16.0.0");
	const struct network_prefix host = {.address = {first.s_addr | htonl(77)}, .prefix = 32}; /* a route to one host */
	assert_int_equal(network_choose4(0, &host, 1, &second), 0);
	assert_int_not_equal(first.s_addr, second.s_addr);
	const struct network_prefix wide = prefix_of("10.16.0.0", 12);
	assert_int_equal(network_choose4(0, &wide, 1, &second), 0);
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
	assert_int_equal(network_choose4(12345, &ten, 1, &subnet), 0);
	assert_int_equal(ntohl(subnet.s_addr) >> 20, 0xac1);
	assert_int_equal(network_choose4(12345, most, 2, &subnet), 0);
	assert_int_equal(ntohl(subnet.s_addr) >> 16, 0xc0a8);
	assert_int_equal(network_choose4(12345, all, 3, &subnet), -ENOSPC);
	/* A VPN's two halves of everything are its default route. */
	assert_int_equal(network_choose4(12345, halves, 3, &subnet), 0);
	assert_int_equal(ntohl(subnet.s_addr) >> 24, 10);
}

static void finds_the_last_free_one(void **state)
{
	struct network_prefix *taken = calloc(256, sizeof(*taken));
	struct in_addr subnet;

	(void)state;
	assert_non_null(taken);
	taken[0] = prefix_of("10.0.0.0", 8);
	taken[1] = prefix_of("172.16.0.0", 12);
	for (unsigned i = 0, n = 2; i < 256; i++) {
		if (i != 201 && n < 256)
			taken[n++] = (struct network_prefix){{htonl(0xc0a80000 | i << 8)}, 24};
	}
	taken[255] = prefix_of("192.168.254.0", 23);
	assert_int_equal(network_choose4(99, taken, 256, &subnet), 0);
	assert_int_equal(ntohl(subnet.s_addr), 0xc0a8c900);
	free(taken);
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

	write_file(*state, "lab", "# the lab\n\n[network]\n  type = bridge\nbridge=br-lab\naddress4 = 10.1.2.3/20\n"
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
	static const struct { const char *text; int line; const char *word; } bad[] = {
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
		 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 2,
		 "190"},
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
	assert_int_equal(first.prefix4, 24);
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

/* Leases */

static struct network lab(const struct store *s, const char *addresses)
{
	struct network n;
	struct err err = {0};
	char text[128];

	assert_int_equal(str_print(text, sizeof(text), "[network]\n%s\n", addresses), 0);
	assert_int_equal(no_error(network_parse(s, "lab", text, "lab", &n, &err), &err), 0);
	return n;
}

static struct spec_network wish(const char *address4, int prefix4)
{
	struct spec_network spec = {.name = "eth0"};

	if (address4) {
		spec.address.mode = ADDRESS_STATIC;
		spec.address.prefix = (uint8_t)prefix4;
		assert_int_equal(inet_pton(AF_INET, address4, spec.address.byte), 1);
	}
	return spec;
}

static void a_lease_stays(void **state)
{
	struct store *s = *state;
	const struct network n = lab(s, "address4 = 10.1.2.1/24\naddress6 = fd00:1::1/64");
	struct spec_network spec = wish(NULL, 0);
	struct lease first, again;
	struct err err = {0};
	uint8_t mac[6];

	assert_int_equal(no_error(network_lease(s, &n, "guest-a", &spec, &first, &err), &err), 0);
	assert_true(first.has4 && first.has6);
	assert_int_equal(first.prefix4, 24);
	assert_int_equal(first.prefix6, 64);
	assert_int_equal(ntohl(first.address4.s_addr) >> 8, 0x0a0102);
	/* fd00:1::2a beside 10.1.2.42 */
	assert_int_equal(first.address6.s6_addr[15], ntohl(first.address4.s_addr) & 0xff);
	assert_int_equal(network_lease(s, &n, "guest-a", &spec, &again, &err), 0);
	assert_memory_equal(&first, &again, sizeof(first));
	network_mac(s, "guest-a", "eth0", mac);
	assert_memory_equal(first.mac, mac, 6);
	spec.mac = (struct mac_value){.byte = {2, 1, 2, 3, 4, 5}, .set = true};
	assert_int_equal(network_lease(s, &n, "guest-a", &spec, &again, &err), 0);
	assert_memory_equal(again.mac, spec.mac.byte, 6);
	spec.address.mode = ADDRESS_NONE;
	spec.address6.mode = ADDRESS_NONE;
	assert_int_equal(network_lease(s, &n, "guest-a", &spec, &again, &err), 0);
	assert_false(again.has4 || again.has6);
}

static void a_subnet_fills_up(void **state)
{
	struct store *s = *state;
	const struct network n = lab(s, "address4 = 10.1.2.5/28\naddress6 = fd00:1::1/120");
	const struct spec_network spec = wish(NULL, 0);
	struct lease lease, kept;
	struct err err = {0};
	unsigned seen = 0;
	char id[16];

	for (int i = 0; i < 13; i++) {
		assert_int_equal(str_print(id, sizeof(id), "guest-%d", i), 0);
		assert_int_equal(no_error(network_lease(s, &n, id, &spec, &lease, &err), &err), 0);
		seen |= 1u << (ntohl(lease.address4.s_addr) & 15);
		if (i == 7)
			kept = lease;
	}
	assert_int_equal(seen, 0x7fff & ~(1u << 5) & ~1u); /* all but network, gateway and broadcast */
	assert_int_equal(network_lease(s, &n, "guest-x", &spec, &lease, &err), -EADDRNOTAVAIL);
	assert_non_null(strstr(err.what, "lab"));
	assert_string_not_equal(err.hint, "");
	/* Those who have one keep it, and one that goes makes room. */
	assert_int_equal(network_lease(s, &n, "guest-7", &spec, &lease, &err), 0);
	assert_memory_equal(&lease, &kept, sizeof(lease));
	assert_int_equal(network_release(s, "guest-1", &err), 0);
	assert_int_equal(network_lease(s, &n, "guest-x", &spec, &lease, &err), 0);
	assert_int_equal(network_lease(s, &n, "guest-11", &spec, &lease, &err), 0); /* guest-1's release was not its */
	assert_true(network_lease(s, &n, "guest-1", &spec, &lease, NULL) < 0);
}

static void static_addresses(void **state)
{
	struct store *s = *state;
	const struct network n = lab(s, "address4 = 10.1.2.1/24");
	struct spec_network spec = wish("10.1.2.50", 24), automatic = wish(NULL, 0);
	struct lease lease;
	struct err err = {0};

	assert_int_equal(no_error(network_lease(s, &n, "guest-a", &spec, &lease, &err), &err), 0);
	assert_int_equal(ntohl(lease.address4.s_addr), 0x0a010232);
	assert_int_equal(network_lease(s, &n, "guest-b", &spec, &lease, &err), -EADDRINUSE);
	assert_int_equal(err.sys, EADDRINUSE);
	assert_non_null(strstr(err.what, "guest-a"));
	assert_non_null(strstr(err.what, "10.1.2.50"));
	/* Its second interface is not its first. */
	(void)str_copy(spec.name, sizeof(spec.name), "eth1");
	assert_int_equal(network_lease(s, &n, "guest-a", &spec, &lease, NULL), -EADDRINUSE);

	/* A change of mind gives the old one back. */
	spec = wish("10.1.2.51", 24);
	assert_int_equal(network_lease(s, &n, "guest-a", &spec, &lease, &err), 0);
	spec = wish("10.1.2.50", 24);
	assert_int_equal(network_lease(s, &n, "guest-b", &spec, &lease, &err), 0);

	/* Outside the subnet is the administrator's business; auto comes back inside. */
	spec = wish("192.0.2.7", 32);
	assert_int_equal(network_lease(s, &n, "guest-c", &spec, &lease, &err), 0);
	assert_int_equal(lease.prefix4, 32);
	assert_int_equal(network_lease(s, &n, "guest-c", &automatic, &lease, &err), 0);
	assert_int_equal(ntohl(lease.address4.s_addr) >> 8, 0x0a0102);
	assert_int_equal(lease.prefix4, 24);
	spec = wish("192.0.2.7", 32);
	assert_int_equal(network_lease(s, &n, "guest-d", &spec, &lease, &err), 0);
}

static void static_addresses_nobody_can_have(void **state)
{
	static const struct { const char *address; int prefix; } bad[] = {
		{"10.1.2.1", 24}, {"10.1.2.0", 24}, {"10.1.2.255", 24}, {"10.1.2.0", 32}, {"10.1.2.255", 16}, {"10.1.2.1", 32},
		{"127.0.0.5", 8}, {"224.0.0.5", 24}, {"0.0.0.0", 24}, {"192.0.2.0", 24}, {"192.0.2.255", 24},
	};
	struct store *s = *state;
	const struct network n = lab(s, "address4 = 10.1.2.1/24");

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct spec_network spec = wish(bad[i].address, bad[i].prefix);
		struct lease lease = {.prefix4 = 99};
		struct err err = {0};

		if (network_lease(s, &n, "guest-a", &spec, &lease, &err) >= 0)
			fail_msg("leased %s/%d", bad[i].address, bad[i].prefix);
		assert_non_null(strstr(err.what, bad[i].address));
		assert_int_equal(lease.prefix4, 99);
	}
}

static void static_addresses_of_six(void **state)
{
	struct store *s = *state;
	const struct network n = lab(s, "address6 = fd00:1::1/64");
	struct spec_network spec = {.name = "eth0", .address6 = {.mode = ADDRESS_STATIC, .prefix = 64}};
	struct lease lease;
	struct err err = {0};

	inet_pton(AF_INET6, "fd00:1::1", spec.address6.byte);
	assert_int_equal(network_lease(s, &n, "guest-a", &spec, &lease, &err), -EADDRNOTAVAIL);
	inet_pton(AF_INET6, "fd00:1::", spec.address6.byte);
	assert_true(network_lease(s, &n, "guest-a", &spec, &lease, NULL) < 0);
	inet_pton(AF_INET6, "fd00:1:0:0::99", spec.address6.byte);
	err_clear(&err);
	assert_int_equal(no_error(network_lease(s, &n, "guest-a", &spec, &lease, &err), &err), 0);
	assert_false(lease.has4);
	assert_int_equal(network_lease(s, &n, "guest-b", &spec, &lease, &err), -EADDRINUSE);
	spec.address6.mode = ADDRESS_AUTO;
	assert_int_equal(network_lease(s, &n, "guest-b", &spec, &lease, &err), 0);
	assert_true(lease.has6);
}

static void hostile_names_lease_nothing(void **state)
{
	struct store *s = *state;
	const struct network n = lab(s, "address4 = 10.1.2.1/24");
	const struct spec_network spec = wish(NULL, 0);
	struct lease lease;

	assert_true(network_lease(s, &n, "", &spec, &lease, NULL) < 0);
	assert_true(network_lease(s, &n, "a/b", &spec, &lease, NULL) < 0);
	assert_int_equal(network_release(s, "nobody", NULL), 0);
}

static void race_lease(const struct store *s, int number, struct slot *slot)
{
	const struct network n = lab(s, "address4 = 10.1.2.1/28\naddress6 = fd00:1::1/64");
	const struct spec_network spec = wish(NULL, 0);
	char id[16];

	if (str_print(id, sizeof(id), "guest-%d", number) == 0)
		slot->result = network_lease(s, &n, id, &spec, &slot->lease, NULL);
}

/* Thirteen addresses, sixteen who want one at the same moment. */
static void racers_get_different_addresses(void **state)
{
	struct slot *slots = race(*state, 16, race_lease);
	int served = 0;

	for (int i = 0; i < 16; i++) {
		if (slots[i].result == -EADDRNOTAVAIL)
			continue;
		assert_int_equal(slots[i].result, 0);
		served++;
		for (int k = 0; k < i; k++) {
			if (slots[k].result == 0) {
				assert_int_not_equal(slots[i].lease.address4.s_addr, slots[k].lease.address4.s_addr);
				assert_memory_not_equal(&slots[i].lease.address6, &slots[k].lease.address6, 16);
			}
		}
	}
	assert_int_equal(served, 13);
	munmap(slots, 16 * sizeof(*slots));
}

/* The kernel's side */

static bool bridge_has(const char *bridge, int family, const void *address)
{
	struct netlink_address *list;
	struct netlink *nl;
	size_t count, size = family == AF_INET ? 4 : 16;
	bool found = false;

	assert_int_equal(netlink_open(-1, &nl, NULL), 0);
	assert_int_equal(netlink_addresses(nl, &list, &count, NULL), 0);
	for (size_t i = 0; i < count; i++)
		found |= strcmp(list[i].link, bridge) == 0 && list[i].family == family && memcmp(list[i].byte, address, size) == 0;
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
	/* Somebody else's bridge without the address is what a killed first call leaves. */
	const struct netlink_bridge half = {.name = "isle0", .mac = n.mac};
	assert_int_equal(netlink_delete(nl, "isle0", &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &half, &err), 0);
	assert_int_equal(no_error(network_up(s, &n, &err), &err), 0);
	assert_true(bridge_has("isle0", AF_INET, &n.gateway4));
	netlink_free(nl);

	/* A file that is lost while the bridge stands is written again to fit it. */
	assert_int_equal(file_remove_tree(AT_FDCWD, s->networks, &err), 0);
	assert_int_equal(no_error(network_open(s, "isle0", &found, &err), &err), 0);
	assert_memory_equal(&found, &n, sizeof(n));
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
	                         "add set ip foreign nat4 { type ipv4_addr; }\nadd element ip foreign nat4 { 10.0.0.1 }\n", &err), 0);
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

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, make_store, end_store)
#define IN_NETNS(test) cmocka_unit_test_setup_teardown(test, make_store_in_netns, end_store)

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(chooses_what_is_free), cmocka_unit_test(leaves_ten_when_it_is_taken),
		cmocka_unit_test(finds_the_last_free_one), cmocka_unit_test(macs_are_stable_and_apart),
		IN_STORE(reads_a_whole_file), IN_STORE(defaults_of_a_short_file), IN_STORE(complains_with_file_and_line),
		IN_STORE(near_names_are_offered), IN_STORE(a_lease_stays), IN_STORE(a_subnet_fills_up), IN_STORE(static_addresses),
		IN_STORE(static_addresses_nobody_can_have), IN_STORE(static_addresses_of_six), IN_STORE(hostile_names_lease_nothing),
		IN_STORE(racers_get_different_addresses),
		IN_NETNS(default_avoids_routes_and_files), IN_NETNS(first_users_agree), IN_NETNS(tagged_instance_stands_apart),
		IN_NETNS(up_is_complete), IN_NETNS(up_repairs), IN_NETNS(foreign_rules_stay), IN_NETNS(instances_share_the_table),
		IN_NETNS(foreign_links_are_refused), IN_NETNS(two_at_once_are_fine), IN_NETNS(without_rights_it_says_so),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_store_in_netns);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
