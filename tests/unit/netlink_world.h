/* A host's and a guest's network namespace for tests of netlink. Included after cmocka.h. */
#pragma once

#include <net/if.h>
#include <string.h>

#include "../../src/kernel/netlink.h"
#include "netns.h"

#define BRIDGE_MAC ((const uint8_t[6]){0x1e, 1, 2, 3, 4, 5})
#define GUEST_MAC  ((const uint8_t[6]){0x1e, 6, 7, 8, 9, 10})

/* A host namespace, in which the test stands, with bridge br0, and a guest's. */
struct world {
	int guest_fd, host_fd;
	struct netlink *host, *guest;
};

static inline int no_error(int result, const struct err *err)
{
	if (result < 0)
		print_message("%s: %s\n", err->what, strerror(-result));
	return result;
}

static inline int make_world(void **state)
{
	static struct world world;
	const struct netlink_bridge bridge = {.name = "br0", .mac = BRIDGE_MAC};
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

static inline int end_world(void **state)
{
	struct world *w = *state;

	netlink_free(w->host);
	netlink_free(w->guest);
	close(w->guest_fd);
	close(w->host_fd);
	return 0;
}

/* 0: there is none. */
static inline int index_of(struct netlink *nl, const char *name)
{
	struct netlink_link link;
	int result = netlink_get(nl, name, &link, NULL);

	return result == 0 ? link.index : result == -ENODEV ? 0 : result;
}

static inline int add_pair(struct world *w, const char *host, const char *inside, const char *bridge, struct err *err)
{
	const struct netlink_veth veth = {.host = host,
					  .inside = inside,
					  .inside_mac = GUEST_MAC,
					  .inside_netns_fd = w->guest_fd,
					  .bridge = bridge,
					  .mtu = 1400};

	return netlink_add_veth(w->host, &veth, err);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, end_world)
