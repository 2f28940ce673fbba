/* network: leases, one at a time and many at once. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "network_fixture.h"

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

	/* Outside the subnet nobody would find it; the subnet is named. */
	spec = wish("192.0.2.7", 32);
	err_clear(&err);
	assert_int_equal(network_lease(s, &n, "guest-c", &spec, &lease, &err), -EADDRNOTAVAIL);
	assert_non_null(strstr(err.what, "192.0.2.7"));
	assert_non_null(strstr(err.what, "outside the network's subnet 10.1.2.0/24"));
	spec = wish("10.1.2.52", 32);
	assert_int_equal(network_lease(s, &n, "guest-c", &spec, &lease, &err), 0);
	assert_int_equal(lease.prefix4, 32);
	assert_int_equal(network_lease(s, &n, "guest-c", &automatic, &lease, &err), 0);
	assert_int_equal(lease.prefix4, 24);
	/* A network without a subnet takes any. */
	const struct network open = lab(s, "bridge = br0\nadopted = yes");
	spec = wish("192.0.2.7", 24);
	assert_int_equal(no_error(network_lease(s, &open, "guest-d", &spec, &lease, &err), &err), 0);
}

static void static_addresses_nobody_can_have(void **state)
{
	static const struct {
		const char *address;
		int prefix;
	} bad[] = {
		{"10.1.2.1", 24}, {"10.1.2.0", 24},  {"10.1.2.255", 24}, {"10.1.2.0", 32},  {"10.1.2.255", 16},  {"10.1.2.1", 32},
		{"127.0.0.5", 8}, {"224.0.0.5", 24}, {"0.0.0.0", 24},    {"192.0.2.0", 24}, {"192.0.2.255", 24},
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_STORE(a_lease_stays),
		IN_STORE(a_subnet_fills_up),
		IN_STORE(static_addresses),
		IN_STORE(static_addresses_nobody_can_have),
		IN_STORE(static_addresses_of_six),
		IN_STORE(hostile_names_lease_nothing),
		IN_STORE(racers_get_different_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
