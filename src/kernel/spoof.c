/* The nftables table of family bridge that drops what a guest's link may not send: addresses and roles that are not the guest's. */
#include "config.h"

#include <errno.h>
#include <net/ethernet.h>
#include <string.h>

#include "../base/str.h"
#include "nft.h"
#include "spoof.h"

#define FAMILY        "bridge"
#define TABLE         "isle"
#define PORTS_MAX     16
#define PORT_ELEMENTS 11
#define KEY_MAX       32

_Static_assert(PORTS_MAX *PORT_ELEMENTS <= NFT_ELEMENTS_MAX, "the ports of a guest fit one transaction");

#define ADD_CHAIN(name)        "add chain " FAMILY " " TABLE " " name "\n"
#define ADD_SET(name, type)    "add set " FAMILY " " TABLE " " name " { " type "; }\n"
#define BASE(name, hook)       "add chain " FAMILY " " TABLE " " name " { type filter hook " hook " priority -1000; policy accept; }\n"
#define FLUSH(name)            "flush chain " FAMILY " " TABLE " " name "\n"
#define RULE(chain, text)      "add rule " FAMILY " " TABLE " " chain " " text "\n"
#define DROP(chain, text, why) RULE(chain, text " counter drop comment \"" why "\"")

/* The rules are fixed; guests are elements of sets, which are hashed: a frame costs the same however many guests there are.
 *
 * Priority -1000 is ahead of all that nft names (dstnat, the first of family bridge, is -300), so nothing has been rewritten or
 * redirected before. A drop here is final: a verdict `accept` of another chain ends that chain only.
 *
 * Two hooks to drop in, since a bridge hands frames for 01:80:c2:00:00:0X to the host without asking prerouting.
 *
 * A guest can delete its interface, and the host's end goes with it, counters and all: so elements count too.
 *
 * In IPv6 a header chain may go on in a second fragment, where no rule sees it, while bytes behind the first one's end look like
 * the rest of it (RFC 7113). So behind a fragment header comes no further header: the ports or the ICMP type are then in the first
 * eight bytes, which every first fragment has. What is not a first fragment passes, since without a first one it is nothing.
 * Neighbour discovery is never in fragments (RFC 6980).
 * Protocols are numbers (17 is UDP, 58 ICMPv6): nft reads their names from /etc/protocols, which a small host lacks.
 * @nh,64,128 is the IPv6 source, @th,64,128 the target of a neighbour solicitation or advertisement: written so, both are of the
 * same type, which the older nft can put together with an interface's name. */
const char spoof_table[] = "add table " FAMILY " " TABLE "\n"
	/* clang-format off */
	ADD_SET("instances", "type ifname")
	ADD_SET("ports", "type ifname")
	ADD_SET("sent", "type ifname; counter")
	ADD_SET("received", "type ifname; counter")
	ADD_SET("macs", "type ifname . ether_addr")
	ADD_SET("addresses4", "type ifname . ipv4_addr")
	ADD_SET("addresses6", "typeof iifname . @th,64,128")
	ADD_SET("roaming", "type ifname")
	ADD_SET("isolated", "type ifname")
	ADD_SET("isolated4", "type ipv4_addr")
	ADD_SET("isolated6", "type ipv6_addr")
	ADD_CHAIN("nothing6") ADD_CHAIN("claim6") ADD_CHAIN("source6") ADD_CHAIN("ipv6")
	ADD_CHAIN("source4") ADD_CHAIN("ipv4") ADD_CHAIN("neighbours") ADD_CHAIN("guest")
	BASE("prerouting", "prerouting") BASE("input", "input") BASE("postrouting", "postrouting")
	FLUSH("prerouting") FLUSH("input") FLUSH("postrouting") FLUSH("guest") FLUSH("neighbours") FLUSH("ipv4") FLUSH("source4")
	FLUSH("ipv6") FLUSH("source6") FLUSH("claim6") FLUSH("nothing6")

	RULE("prerouting", "iifname @ports goto guest")
	DROP("input", "ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 iifname @ports", "for bridges only")

	RULE("postrouting", "oifname @received")

	RULE("guest", "iifname @sent")
	DROP("guest", "ether type != { ip, ip6, arp }", "VLAN tag, BPDU or another protocol")
	DROP("guest", "iifname . ether saddr != @macs", "MAC")
	RULE("guest", "ether type arp goto neighbours")
	RULE("guest", "ether type ip goto ipv4")
	RULE("guest", "goto ipv6")

	DROP("neighbours", "arp htype != 1", "ARP of another kind")
	DROP("neighbours", "arp ptype != 0x0800", "ARP of another kind")
	DROP("neighbours", "arp hlen != 6", "ARP of another kind")
	DROP("neighbours", "arp plen != 4", "ARP of another kind")
	DROP("neighbours", "iifname . arp saddr ether != @macs", "MAC in ARP")
	RULE("neighbours", "iifname @roaming return")
	RULE("neighbours", "iifname . arp saddr ip @addresses4 return")
	RULE("neighbours", "arp saddr ip 0.0.0.0 iifname . arp daddr ip @addresses4 return")
	DROP("neighbours", "", "address in ARP")

	DROP("ipv4", "udp sport 67", "DHCP server")
	DROP("ipv4", "udp dport 68", "DHCP server")
	DROP("ipv4", "icmp type { redirect, router-advertisement }", "router")
	DROP("ipv4", "igmp type membership-query", "router")
	RULE("ipv4", "ip frag-off & 0x1fff != 0 goto source4")
	RULE("ipv4", "udp dport != 68 goto source4")
	RULE("ipv4", "meta l4proto != 17 goto source4")
	DROP("ipv4", "", "ports in a later fragment")

	DROP("source4", "iifname @isolated ip daddr @isolated4", "isolated")
	RULE("source4", "iifname @roaming return")
	RULE("source4", "iifname . ip saddr @addresses4 return")
	RULE("source4", "ip saddr 0.0.0.0 udp sport 68 udp dport 67 return")
	DROP("source4", "", "IPv4 address")

	DROP("ipv6", "icmpv6 type { mld-listener-query, nd-router-advert, nd-redirect, router-renumbering }", "router")
	DROP("ipv6", "udp sport 547", "DHCP server")
	DROP("ipv6", "udp dport 546", "DHCP server")
	DROP("ipv6", "frag nexthdr { 0, 43, 44, 60, 135, 139, 140 }", "headers in a later fragment")
	DROP("ipv6", "icmpv6 type 133-137 exthdr frag exists", "neighbour discovery in fragments")
	RULE("ipv6", "frag frag-off != 0 goto source6")
	RULE("ipv6", "meta l4proto != { 17, 58 } goto source6")
	RULE("ipv6", "udp dport != 546 goto source6")
	RULE("ipv6", "icmpv6 type != nd-router-advert goto source6")
	DROP("ipv6", "", "headers in a later fragment")

	DROP("source6", "iifname @isolated ip6 daddr @isolated6", "isolated")
	RULE("source6", "iifname @roaming return")
	RULE("source6", "ip6 saddr :: goto nothing6")
	RULE("source6", "icmpv6 type nd-neighbor-advert goto claim6")
	RULE("source6", "iifname . @nh,64,128 @addresses6 return")
	RULE("source6", "ip6 saddr fe80::/10 icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report } return")
	DROP("source6", "", "IPv6 address")

	RULE("claim6", "iifname . @th,64,128 @addresses6 iifname . @nh,64,128 @addresses6 return")
	DROP("claim6", "", "neighbour advertisement")

	RULE("nothing6", "icmpv6 type nd-neighbor-solicit iifname . @th,64,128 @addresses6 return")
	RULE("nothing6", "icmpv6 type { mld-listener-report, mld-listener-done, mld2-listener-report, nd-router-solicit } return")
	DROP("nothing6", "", "IPv6 without an address")
	;
/* clang-format on */

/* Elements with room for their keys. */
struct elements {
	struct nft_element list[PORTS_MAX * PORT_ELEMENTS];
	uint8_t key[PORTS_MAX * PORT_ELEMENTS][KEY_MAX];
	size_t count;
};

/* link (may be NULL) and value (may be NULL) one behind the other, each filled up to four bytes, as the kernel compares them. */
static void add(struct elements *e, const char *set, const char *link, const void *value, size_t size)
{
	uint8_t *key = e->key[e->count];
	size_t at = 0;

	memset(key, 0, KEY_MAX);
	if (link) {
		(void)str_copy((char *)key, IFNAMSIZ, link); /* as long as a port's name at most */
		at = IFNAMSIZ;
	}
	if (value)
		memcpy(key + at, value, size);
	e->list[e->count++] = (struct nft_element){FAMILY, TABLE, set, key, (at + size + 3) / 4 * 4};
}

/* RFC 4291, appendix A. */
static struct in6_addr link_local(const uint8_t mac[6])
{
	struct in6_addr address = {.s6_addr = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}};

	return address;
}

static void add_port(struct elements *e, const struct spoof_port *port)
{
	const struct in6_addr local = link_local(port->mac);

	add(e, "ports", port->link, NULL, 0);
	add(e, "sent", port->link, NULL, 0);
	add(e, "received", port->link, NULL, 0);
	add(e, "macs", port->link, port->mac, sizeof(port->mac));
	if (port->has4)
		add(e, "addresses4", port->link, &port->address4, sizeof(port->address4));
	add(e, "addresses6", port->link, &local, sizeof(local));
	if (port->has6)
		add(e, "addresses6", port->link, &port->address6, sizeof(port->address6));
	if (port->roaming)
		add(e, "roaming", port->link, NULL, 0);
	if (port->isolated)
		add(e, "isolated", port->link, NULL, 0);
	if (port->isolated && port->has4)
		add(e, "isolated4", NULL, &port->address4, sizeof(port->address4));
	if (port->isolated && port->has6)
		add(e, "isolated6", NULL, &port->address6, sizeof(port->address6));
}

int spoof_guard(const struct spoof_port *ports, size_t count)
{
	struct elements e;

	if (count > PORTS_MAX)
		return -E2BIG;
	e.count = 0;
	for (size_t i = 0; i < count; i++)
		add_port(&e, &ports[i]);
	return nft_change_elements(true, e.list, e.count);
}

int spoof_release(const struct spoof_port *ports, size_t count)
{
	struct elements e;
	int first;

	if (count > PORTS_MAX)
		return -E2BIG;
	e.count = 0;
	for (size_t i = 0; i < count; i++)
		add_port(&e, &ports[i]);
	first = nft_change_elements(false, e.list, e.count);
	if (first != -ENOENT)
		return first == -EPROTONOSUPPORT ? 0 : first;
	/* Something of it was taken out by others: the rest goes one by one. */
	first = 0;
	for (size_t i = 0; i < e.count; i++) {
		int result = nft_change_elements(false, &e.list[i], 1);

		if (result < 0 && result != -ENOENT)
			first = first ? first : result;
	}
	return first;
}

int spoof_guards(const struct spoof_port *port)
{
	struct elements e;

	e.count = 0;
	add(&e, "ports", port->link, NULL, 0);
	add(&e, "macs", port->link, port->mac, sizeof(port->mac));
	int result = nft_has_element(&e.list[0]);

	return result == 1 ? nft_has_element(&e.list[1]) : result;
}

/* Rules see no Ethernet headers; the counters of links do. */
static int read_counter(const char *set, const char *link, uint64_t *ret_packets, uint64_t *ret_bytes)
{
	struct elements e;

	e.count = 0;
	add(&e, set, link, NULL, 0);
	int result = nft_read_counter(&e.list[0], ret_packets, ret_bytes);

	if (result == 0)
		*ret_bytes += *ret_packets * ETH_HLEN;
	return result;
}

int spoof_traffic(const char *link, struct netlink_stats *ret)
{
	struct netlink_stats stats = {0};
	int result = read_counter("sent", link, &stats.rx_packets, &stats.rx_bytes);

	if (result == 0)
		result = read_counter("received", link, &stats.tx_packets, &stats.tx_bytes);
	if (result == 0)
		*ret = stats;
	return result;
}

int spoof_note(const char *instance)
{
	struct elements e;

	e.count = 0;
	add(&e, "instances", instance, NULL, 0);
	return nft_change_elements(true, e.list, e.count);
}

int spoof_noted(const char *instance)
{
	struct elements e;

	e.count = 0;
	add(&e, "instances", instance, NULL, 0);
	return nft_has_element(&e.list[0]);
}
