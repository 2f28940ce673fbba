/* spoof: the table against spoofing and what records put into it, in a network namespace of its own. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/base/proc.h"
#include "../../src/guest/network_guard.h"
#include "../../src/kernel/netlink.h"
#include "../../src/kernel/nft.h"
#include "../../src/kernel/spoof.h"
#include "network_fixture.h"

static struct spoof_port port_of(const char *link, uint8_t number)
{
	struct spoof_port port = {.mac = {0x1e, 1, 2, 3, 4, number}, .has4 = true, .has6 = true};

	assert_int_equal(str_copy(port.link, sizeof(port.link), link), 0);
	port.address4.s_addr = htonl(0x0a000000u | number);
	inet_pton(AF_INET6, "fd00::1", &port.address6);
	port.address6.s6_addr[15] = number;
	return port;
}

/* How many sets have elements. */
static int filled_sets(void)
{
	FILE *f = popen("nft list table bridge isle | grep -c 'elements = '", "re");
	char text[16] = "";

	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	(void)pclose(f);
	return atoi(text);
}

static void ports_come_and_go(void **state)
{
	struct spoof_port ports[2] = {port_of("web1", 1), port_of("web2", 2)};
	struct err err = {0};

	(void)state;
	assert_int_equal(spoof_guards(&ports[0]), 0);
	assert_int_equal(spoof_guard(ports, 2), -ENOENT);
	assert_int_equal(spoof_release(ports, 2), 0); /* nothing there: nothing to do */
	assert_int_equal(no_error(nft_run(spoof_table, &err), &err), 0);
	ports[1].roaming = ports[1].isolated = true;
	assert_int_equal(spoof_guard(ports, 2), 0);
	assert_int_equal(spoof_guard(ports, 2), 0);
	assert_int_equal(spoof_guards(&ports[0]), 1);
	assert_int_equal(spoof_guards(&ports[1]), 1);
	assert_int_equal(filled_sets(), 10);
	/* The text again leaves them. */
	assert_int_equal(no_error(nft_run(spoof_table, &err), &err), 0);
	assert_int_equal(spoof_guards(&ports[1]), 1);

	assert_int_equal(spoof_release(&ports[0], 1), 0);
	assert_int_equal(spoof_guards(&ports[0]), 0);
	assert_int_equal(spoof_guards(&ports[1]), 1);
	/* One is gone already, as is an element of the other. */
	assert_int_equal(nft_run("delete element bridge isle ports { \"web2\" }\n", &err), 0);
	assert_int_equal(spoof_guards(&ports[1]), 0);
	assert_int_equal(spoof_release(ports, 2), 0);
	assert_int_equal(filled_sets(), 0);
}

static void another_mac_is_not_guarded(void **state)
{
	struct spoof_port port = port_of("web1", 1);
	struct err err = {0};

	(void)state;
	assert_int_equal(no_error(nft_run(spoof_table, &err), &err), 0);
	assert_int_equal(spoof_guard(&port, 1), 0);
	port.mac[5] = 9;
	assert_int_equal(spoof_guards(&port), 0);
}

static void notes_go_with_the_table(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(spoof_noted("isle"), 0);
	assert_int_equal(no_error(nft_run(spoof_table, &err), &err), 0);
	assert_int_equal(spoof_note("isle"), 0);
	assert_int_equal(spoof_noted("isle"), 1);
	assert_int_equal(spoof_noted("isle1a2b"), 0);
	assert_int_equal(nft_run("flush ruleset\n", &err), 0);
	assert_int_equal(spoof_noted("isle"), 0);
}

static struct record record_of(const char *link, const char *address)
{
	struct record record = {.phase = "running", .link_count = 1};

	assert_int_equal(proc_boot_id(record.boot_id), 0);
	(void)str_copy(record.links[0].inside, sizeof(record.links[0].inside), "eth0");
	(void)str_copy(record.links[0].host, sizeof(record.links[0].host), link);
	(void)str_copy(record.links[0].mac, sizeof(record.links[0].mac), "1e:01:02:03:04:05");
	(void)str_copy(record.links[0].address, sizeof(record.links[0].address), address);
	record.links[0].guarded = true;
	return record;
}

static void emptied_rules_are_made_again_for_all(void **state)
{
	struct store *s = *state;
	struct record one = record_of("web1", "10.0.0.1/24"), two = record_of("web2", "10.0.0.2/24"), seen;
	const struct netlink_bridge link1 = {.name = "web1"};
	struct netlink *nl;
	struct err err = {0};

	one.links[0].isolated = true;
	assert_int_equal(mkdirat(s->run_fd, "one", 0700), 0);
	assert_int_equal(no_error(record_save(s, "one", &one, &err), &err), 0);
	assert_int_equal(record_load(s, "one", &seen), 0);
	assert_true(seen.links[0].guarded && seen.links[0].isolated && !seen.links[0].roaming);
	assert_int_equal(no_error(network_guard(s, &one, &err), &err), 0);
	assert_int_equal(netlink_open(-1, &nl, &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &link1, &err), 0);
	assert_int_equal(network_guard_lacks(&one), 0);

	assert_int_equal(nft_run("flush ruleset\n", &err), 0);
	assert_int_equal(network_guard_lacks(&one), 1);
	assert_int_equal(no_error(network_guard(s, &two, &err), &err), 0);
	assert_int_equal(network_guard_lacks(&one), 0);

	/* One whose link is gone is not put back. */
	assert_int_equal(netlink_delete(nl, "web1", &err), 0);
	assert_int_equal(no_error(network_unguard(s, &one, &err), &err), 0);
	assert_int_equal(no_error(network_guard_restore(s, &err), &err), 0);
	assert_int_equal(netlink_add_bridge(nl, &link1, &err), 0);
	assert_int_equal(network_guard_lacks(&one), 1);
	netlink_free(nl);
}

static void a_guest_that_may_spoof_needs_no_table(void **state)
{
	struct store *s = *state;
	struct record record = record_of("web1", "10.0.0.1/24");
	struct err err = {0};

	record.links[0].guarded = false;
	assert_int_equal(no_error(network_guard(s, &record, &err), &err), 0);
	assert_int_equal(network_guard_lacks(&record), 0);
	assert_int_equal(no_error(network_unguard(s, &record, &err), &err), 0);
	assert_int_equal(nft_has_table("bridge", "isle"), 0);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		IN_NETNS(ports_come_and_go),
		IN_NETNS(another_mac_is_not_guarded),
		IN_NETNS(notes_go_with_the_table),
		IN_NETNS(emptied_rules_are_made_again_for_all),
		IN_NETNS(a_guest_that_may_spoof_needs_no_table),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_store_in_netns);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
