/* Addresses and routes by rtnetlink. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "netlink_batch.h"

#define LOOPBACK_INDEX 1 /* in every network namespace */
#define DUMP_ATTEMPTS  5 /* a dump that changes disturbed is asked for again */

static size_t address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static const char *address_text(int family, const void *address, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(family, address, text, INET6_ADDRSTRLEN) ? text : "?";
}

struct place {
	const char *link;
	int index;
};

static void add_up(struct batch *b, struct place at, unsigned mtu)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = at.index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	batch_add(b, RTM_SETLINK, NLM_F_ACK, &header, sizeof(header));
	if (mtu)
		batch_put_u32(b, IFLA_MTU, mtu);
	batch_say(b, 0, "set link %s up", at.link);
}

static void add_address(struct batch *b, struct place at, int family, const void *address, uint8_t prefix)
{
	struct ifaddrmsg header = {
		.ifa_family = (uint8_t)family,
		.ifa_prefixlen = prefix,
		.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0,
		.ifa_scope = RT_SCOPE_UNIVERSE,
		.ifa_index = (unsigned)at.index,
	};
	size_t size = address_size(family);
	char text[INET6_ADDRSTRLEN];

	batch_add(b, RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	batch_put(b, IFA_LOCAL, address, size);
	batch_put(b, IFA_ADDRESS, address, size);
	if (family == AF_INET && prefix < 31) {
		struct in_addr broadcast;

		memcpy(&broadcast, address, sizeof(broadcast));
		broadcast.s_addr |= htonl(prefix ? ~0u >> prefix : ~0u);
		batch_put(b, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	}
	batch_say(b, EEXIST, "add address %s/%u to %s", address_text(family, address, text), prefix, at.link);
}

static void add_default_route(struct batch *b, struct place at, int family, const void *gateway, unsigned flags)
{
	struct rtmsg header = {
		.rtm_family = (uint8_t)family,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
		.rtm_flags = flags,
	};
	char text[INET6_ADDRSTRLEN];

	batch_add(b, RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header));
	if (gateway)
		batch_put(b, RTA_GATEWAY, gateway, address_size(family));
	batch_put_u32(b, RTA_OIF, (uint32_t)at.index);
	batch_say(b, EEXIST, "add default route by %s through %s", gateway ? address_text(family, gateway, text) : "link", at.link);
}

int netlink_add_address(struct netlink *nl, const char *link, int family, const void *address, uint8_t prefix, struct err *err)
{
	struct netlink_link found;
	struct batch b;
	int result = netlink_get(nl, link, &found, err);

	if (result < 0)
		return result;
	batch_begin(&b, nl);
	add_address(&b, (struct place){link, found.index}, family, address, prefix);
	return batch_send(&b, NULL, NULL, err);
}

static bool in_prefix(const void *a, const void *b, size_t size, unsigned prefix)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size && prefix > 0; i++) {
		unsigned bits = prefix < 8 ? prefix : 8;

		if ((x[i] ^ y[i]) & (0xff00 >> bits) & 0xff)
			return false;
		prefix -= bits;
	}
	return true;
}

/* A link-local gateway is on the link whatever the address is. */
static unsigned gateway6_flags(const struct netlink_inside *setup)
{
	if (IN6_IS_ADDR_LINKLOCAL(setup->gateway6))
		return 0;
	return setup->has6 && in_prefix(setup->gateway6, &setup->address6, 16, setup->prefix6) ? 0 : RTNH_F_ONLINK;
}

int netlink_setup_inside(struct netlink *inside, const struct netlink_inside *setup, struct err *err)
{
	struct netlink_link link = {0};
	struct place at = {.link = setup->link};
	struct batch b;
	int result;

	if (setup->link) {
		result = netlink_get(inside, setup->link, &link, err);
		if (result < 0)
			return result;
		at.index = link.index;
	}
	batch_begin(&b, inside);
	add_up(&b, (struct place){"lo", LOOPBACK_INDEX}, 0);
	if (setup->link)
		add_up(&b, at, setup->mtu);
	if (setup->link && setup->has4)
		add_address(&b, at, AF_INET, &setup->address4, setup->prefix4);
	if (setup->link && setup->has6)
		add_address(&b, at, AF_INET6, &setup->address6, setup->prefix6);
	if (setup->link && setup->gateway4) {
		bool near = setup->has4 && in_prefix(setup->gateway4, &setup->address4, 4, setup->prefix4);

		add_default_route(&b, at, AF_INET, setup->gateway4, near ? 0 : RTNH_F_ONLINK);
	}
	if (setup->link && setup->gateway6)
		add_default_route(&b, at, AF_INET6, setup->gateway6, gateway6_flags(setup));
	return batch_send(&b, NULL, NULL, err);
}

struct prefixes {
	int family;
	void (*fn)(void *arg, const void *address, uint8_t prefix);
	void *arg;
};

static void pass_prefix(void *arg, struct nlmsghdr *header)
{
	const struct prefixes *p = arg;
	struct nlattr *tb[RTA_MAX + 1], *attr = NULL;
	uint8_t prefix = 0;

	_Static_assert((int)IFA_MAX <= (int)RTA_MAX, "one table of attributes serves addresses and routes");
	if (header->nlmsg_type == RTM_NEWADDR && nlmsg_parse(header, sizeof(struct ifaddrmsg), tb, IFA_MAX, NULL) >= 0) {
		attr = tb[IFA_ADDRESS];
		prefix = ((struct ifaddrmsg *)nlmsg_data(header))->ifa_prefixlen;
	} else if (header->nlmsg_type == RTM_NEWROUTE && nlmsg_parse(header, sizeof(struct rtmsg), tb, RTA_MAX, NULL) >= 0) {
		attr = tb[RTA_DST]; /* a default route has none */
		prefix = ((struct rtmsg *)nlmsg_data(header))->rtm_dst_len;
	}
	if (attr && (size_t)nla_len(attr) == address_size(p->family))
		p->fn(p->arg, nla_data(attr), prefix);
}

int netlink_each_prefix(struct netlink *nl, int family, void (*fn)(void *arg, const void *address, uint8_t prefix), void *arg,
			struct err *err)
{
	struct prefixes prefixes = {.family = family, .fn = fn, .arg = arg};
	struct ifaddrmsg addresses = {.ifa_family = (uint8_t)family};
	struct rtmsg routes = {.rtm_family = (uint8_t)family};
	struct batch b;
	int result;

	for (int attempt = 1;; attempt++) {
		struct err *tell = attempt == DUMP_ATTEMPTS ? err : NULL;

		batch_begin(&b, nl);
		batch_add(&b, RTM_GETADDR, NLM_F_DUMP, &addresses, sizeof(addresses));
		batch_say(&b, 0, "list this host's addresses");
		result = batch_send(&b, pass_prefix, &prefixes, tell);
		if (result == 0) {
			batch_begin(&b, nl);
			batch_add(&b, RTM_GETROUTE, NLM_F_DUMP, &routes, sizeof(routes));
			batch_say(&b, 0, "list this host's routes");
			result = batch_send(&b, pass_prefix, &prefixes, tell);
		}
		if (result == 0 || attempt == DUMP_ATTEMPTS)
			return result;
	}
}

struct address_list {
	struct netlink_address *list;
	size_t count, room;
	bool failed;
};

static void address_list_clear(struct address_list *l)
{
	free(l->list);
	*l = (struct address_list){0};
}
#define auto_address_list __attribute__((cleanup(address_list_clear)))

static bool address_list_grow(struct address_list *l)
{
	size_t room = l->room ? 2 * l->room : 16;
	struct netlink_address *list = realloc(l->list, room * sizeof(*list));

	if (!list)
		return false;
	l->list = list;
	l->room = room;
	return true;
}

static void keep_address(void *arg, struct nlmsghdr *header)
{
	struct address_list *l = arg;
	struct ifaddrmsg *info = nlmsg_data(header);
	struct nlattr *tb[IFA_MAX + 1], *attr;

	if (header->nlmsg_type != RTM_NEWADDR || nlmsg_parse(header, sizeof(*info), tb, IFA_MAX, NULL) < 0)
		return;
	attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if ((info->ifa_family != AF_INET && info->ifa_family != AF_INET6) || !attr ||
	    (size_t)nla_len(attr) != address_size(info->ifa_family))
		return;
	if (l->count == l->room && !address_list_grow(l)) {
		l->failed = true;
		return;
	}
	l->list[l->count] =
		(struct netlink_address){.family = info->ifa_family, .prefix = info->ifa_prefixlen, .scope = info->ifa_scope};
	memcpy(l->list[l->count++].byte, nla_data(attr), address_size(info->ifa_family));
}

static int list_addresses(struct netlink *nl, int index, struct address_list *l, struct err *err)
{
	struct ifaddrmsg header = {.ifa_family = AF_UNSPEC, .ifa_index = (unsigned)index};
	struct batch b;
	int result;

	for (int attempt = 1;; attempt++) {
		address_list_clear(l);
		batch_begin(&b, nl);
		batch_add(&b, RTM_GETADDR, NLM_F_DUMP, &header, sizeof(header));
		batch_say(&b, 0, "list addresses");
		result = batch_send(&b, keep_address, l, attempt == DUMP_ATTEMPTS ? err : NULL);
		if (result == 0 && l->failed)
			return err_num(err, ENOMEM, "list addresses");
		if (result == 0 || attempt == DUMP_ATTEMPTS)
			return result;
	}
}

int netlink_link_addresses(struct netlink *nl, int index, struct netlink_address **ret, size_t *ret_count, struct err *err)
{
	auto_address_list struct address_list l = {0};
	int result = list_addresses(nl, index, &l, err);

	if (result < 0)
		return result;
	*ret = l.list;
	l.list = NULL;
	*ret_count = l.count;
	return 0;
}

static void delete_address(struct batch *b, struct place at, const struct netlink_address *address)
{
	struct ifaddrmsg header = {
		.ifa_family = (uint8_t)address->family,
		.ifa_prefixlen = address->prefix,
		.ifa_index = (unsigned)at.index,
	};
	char text[INET6_ADDRSTRLEN];

	batch_add(b, RTM_DELADDR, NLM_F_ACK, &header, sizeof(header));
	batch_put(b, IFA_LOCAL, address->byte, address_size(address->family));
	batch_say(b, EADDRNOTAVAIL, "take address %s from %s", address_text(address->family, address->byte, text), at.link);
}

/* RFC 4291, appendix A. */
static struct in6_addr link_local(const uint8_t mac[6])
{
	return (struct in6_addr){.s6_addr = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}};
}

int netlink_change_identity(struct netlink *inside, const char *link, const uint8_t mac[6], const struct in_addr *old4,
			    const struct in6_addr *old6, struct err *err)
{
	auto_address_list struct address_list l = {0};
	struct netlink_link found;
	struct batch b;
	bool local = false;
	int r = netlink_get(inside, link, &found, err);

	if (r == 0)
		r = list_addresses(inside, found.index, &l, err);
	if (r < 0)
		return r;
	struct place at = {.link = link, .index = found.index};
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = at.index};
	const struct in6_addr own = link_local(mac);

	batch_begin(&b, inside);
	batch_add(&b, RTM_SETLINK, NLM_F_ACK, &header, sizeof(header));
	batch_put(&b, IFLA_ADDRESS, mac, 6);
	batch_say(&b, 0, "give %s its MAC", link);
	r = batch_send(&b, NULL, NULL, err);
	for (size_t i = 0; r == 0 && i < l.count; i++) { /* as many as the guest's root likes: one at a time */
		const struct netlink_address *address = &l.list[i];
		bool by_mac = address->family == AF_INET6 && address->byte[0] == 0xfe && (address->byte[1] & 0xc0) == 0x80;
		const void *old = address->family == AF_INET ? (const void *)old4 : old6;

		local |= by_mac;
		if (!by_mac && (!old || memcmp(address->byte, old, address_size(address->family)) != 0))
			continue;
		batch_begin(&b, inside);
		delete_address(&b, at, address);
		r = batch_send(&b, NULL, NULL, err);
	}
	if (r < 0 || !local)
		return r;
	batch_begin(&b, inside);
	add_address(&b, at, AF_INET6, &own, 64);
	return batch_send(&b, NULL, NULL, err);
}
