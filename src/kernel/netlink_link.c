/* Links by rtnetlink: bridges, veth pairs and what is known of a link. */
#include "config.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../base/str.h"
#include "netlink_batch.h"

static void add_link_request(struct batch *b, int type, int flags, const char *name, unsigned up)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_flags = up, .ifi_change = up};

	batch_add(b, type, flags, &header, sizeof(header));
	batch_put_string(b, IFLA_IFNAME, name);
}

struct link_answer {
	struct netlink_link *link;
	struct netlink_stats *stats;
	char *name; /* IFNAMSIZ bytes, NULL: not asked */
};

static void read_kind(struct nlattr *info, char *kind, size_t size)
{
	struct nlattr *attr = nla_find(nla_data(info), nla_len(info), IFLA_INFO_KIND);

	if (attr)
		(void)nla_strlcpy(kind, attr, size); /* a kind that is cut is none of isle's */
}

static void read_stats(struct nlattr *attr, struct netlink_stats *ret)
{
	struct rtnl_link_stats64 stats = {0};

	(void)nla_memcpy(&stats, attr, sizeof(stats)); /* an older kernel's structure is shorter */
	*ret = (struct netlink_stats){
		.rx_bytes = stats.rx_bytes,
		.tx_bytes = stats.tx_bytes,
		.rx_packets = stats.rx_packets,
		.tx_packets = stats.tx_packets,
		.rx_dropped = stats.rx_dropped,
		.tx_dropped = stats.tx_dropped,
	};
}

static void read_link(void *arg, struct nlmsghdr *header)
{
	struct link_answer *answer = arg;
	struct ifinfomsg *info = nlmsg_data(header);
	struct nlattr *tb[IFLA_MAX + 1];

	if (header->nlmsg_type != RTM_NEWLINK || nlmsg_parse(header, sizeof(*info), tb, IFLA_MAX, NULL) < 0)
		return;
	*answer->link = (struct netlink_link){.index = info->ifi_index, .up = info->ifi_flags & IFF_UP, .lower_namespace = -1};
	if (tb[IFLA_LINKINFO])
		read_kind(tb[IFLA_LINKINFO], answer->link->kind, sizeof(answer->link->kind));
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6)
		memcpy(answer->link->mac, nla_data(tb[IFLA_ADDRESS]), 6);
	if (tb[IFLA_MTU])
		answer->link->mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_MASTER])
		answer->link->master = (int)nla_get_u32(tb[IFLA_MASTER]);
	if (tb[IFLA_LINK])
		answer->link->lower = (int)nla_get_u32(tb[IFLA_LINK]);
	if (tb[IFLA_LINK_NETNSID])
		answer->link->lower_namespace = (int)nla_get_u32(tb[IFLA_LINK_NETNSID]);
	if (tb[IFLA_IFNAME] && answer->name)
		(void)nla_strlcpy(answer->name, tb[IFLA_IFNAME], IFNAMSIZ); /* the kernel has none that is longer */
	if (tb[IFLA_STATS64] && answer->stats)
		read_stats(tb[IFLA_STATS64], answer->stats);
}

static int get_link(struct netlink *nl, const char *name, struct netlink_link *ret, struct netlink_stats *stats, struct err *err)
{
	struct netlink_link link = {0};
	struct link_answer answer = {.link = &link, .stats = stats};
	struct batch b;
	int result;

	if (strlen(name) >= IFNAMSIZ)
		return err_num(err, ENODEV, "find link %s", name);
	batch_begin(&b, nl);
	add_link_request(&b, RTM_GETLINK, 0, name, 0);
	if (!stats)
		batch_put_u32(&b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	batch_say(&b, 0, "find link %s", name);
	result = batch_send(&b, read_link, &answer, err);
	if (result < 0)
		return result;
	if (link.index == 0)
		return err_num(err, EBADMSG, "find link %s", name);
	*ret = link;
	return 0;
}

int netlink_get(struct netlink *nl, const char *name, struct netlink_link *ret, struct err *err)
{
	return get_link(nl, name, ret, NULL, err);
}

int netlink_get_by_index(struct netlink *nl, int index, char name[IFNAMSIZ], struct netlink_link *ret, struct err *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct netlink_link link = {0};
	struct link_answer answer = {.link = &link, .name = name};
	struct batch b;

	batch_begin(&b, nl);
	batch_add(&b, RTM_GETLINK, 0, &header, sizeof(header));
	batch_put_u32(&b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	batch_say(&b, 0, "find link number %d", index);
	int r = batch_send(&b, read_link, &answer, err);

	if (r < 0)
		return r;
	if (link.index == 0)
		return err_num(err, EBADMSG, "find link number %d", index);
	*ret = link;
	return 0;
}

static void count_away(void *arg, struct nlmsghdr *header)
{
	struct netlink_link link = {.lower_namespace = -1};
	struct link_answer answer = {.link = &link};

	read_link(&answer, header);
	if (link.lower_namespace >= 0)
		++*(size_t *)arg;
}

int netlink_count_away(struct netlink *nl, size_t *ret, struct err *err)
{
	const struct ifinfomsg all = {.ifi_family = AF_UNSPEC};
	size_t count = 0;
	struct batch b;

	batch_begin(&b, nl);
	batch_add(&b, RTM_GETLINK, NLM_F_DUMP, &all, sizeof(all));
	batch_put_u32(&b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	batch_say(&b, 0, "list links");
	int r = batch_send(&b, count_away, &count, err);

	if (r == 0)
		*ret = count;
	return r;
}

int netlink_index(struct netlink *nl, const char *name)
{
	struct netlink_link link;
	int result = get_link(nl, name, &link, NULL, NULL);

	if (result == -ENODEV)
		return 0;
	return result < 0 ? result : link.index;
}

int netlink_link_stats(struct netlink *nl, const char *link, struct netlink_stats *ret, struct err *err)
{
	struct netlink_link ignored;
	struct netlink_stats stats = {0};
	int result = get_link(nl, link, &ignored, &stats, err);

	if (result == 0)
		*ret = stats;
	return result;
}

int netlink_add_bridge(struct netlink *nl, const struct netlink_bridge *bridge, struct err *err)
{
	struct nlattr *info, *data;
	struct batch b;

	batch_begin(&b, nl);
	add_link_request(&b, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, bridge->name, 0);
	if (bridge->mac)
		batch_put(&b, IFLA_ADDRESS, bridge->mac, 6);
	if (bridge->mtu)
		batch_put_u32(&b, IFLA_MTU, bridge->mtu);
	info = batch_nest(&b, IFLA_LINKINFO);
	batch_put_string(&b, IFLA_INFO_KIND, "bridge");
	data = batch_nest(&b, IFLA_INFO_DATA);
	batch_put_u32(&b, IFLA_BR_STP_STATE, 0);
	batch_put_u32(&b, IFLA_BR_FORWARD_DELAY, 0); /* a new port forwards at once */
	batch_nest_end(&b, data);
	batch_nest_end(&b, info);
	batch_say(&b, 0, "make bridge %s", bridge->name);
	return batch_send(&b, NULL, NULL, err);
}

/* By default the kernel gives each end two queues a CPU, each with files in sysfs, which a large host pays for at every start.
 * veth sends without locks, so one serves all CPUs. */
static void put_one_queue(struct batch *b)
{
	batch_put_u32(b, IFLA_NUM_TX_QUEUES, 1);
	batch_put_u32(b, IFLA_NUM_RX_QUEUES, 1);
}

static void put_peer(struct batch *b, const struct netlink_veth *veth, unsigned mtu)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC};
	struct nlattr *peer = batch_nest(b, VETH_INFO_PEER);

	if (b->failed || nlmsg_append(b->entry[b->count - 1].msg, &header, sizeof(header), NLMSG_ALIGNTO) < 0) {
		b->failed = true;
		return;
	}
	batch_put_string(b, IFLA_IFNAME, veth->inside);
	if (veth->inside_mac)
		batch_put(b, IFLA_ADDRESS, veth->inside_mac, 6);
	if (mtu)
		batch_put_u32(b, IFLA_MTU, mtu);
	put_one_queue(b);
	batch_put_u32(b, IFLA_NET_NS_FD, (uint32_t)veth->inside_netns_fd);
	batch_nest_end(b, peer);
}

static void put_u8(struct batch *b, int type, uint8_t value)
{
	batch_put(b, type, &value, sizeof(value));
}

/* What a bridge lets a port do, for a port whose one MAC is known: nothing is learned from it (a guest could fill the table, even
 * with frames that no rule sees), nothing that is for unknown addresses is sent to it, and frames of other senders are refused
 * where the kernel can (IFLA_BRPORT_LOCKED, Linux 5.18), whatever becomes of the packet filter. Older kernels pass over flags they
 * do not know. */
static void put_port(struct batch *b, const struct netlink_port *port)
{
	struct nlattr *info = batch_nest(b, IFLA_LINKINFO), *data;

	batch_put_string(b, IFLA_INFO_SLAVE_KIND, "bridge");
	data = batch_nest(b, IFLA_INFO_SLAVE_DATA);
	put_u8(b, IFLA_BRPORT_ISOLATED, port->isolated);
	if (port->mac) {
		put_u8(b, IFLA_BRPORT_LEARNING, 0);
		put_u8(b, IFLA_BRPORT_UNICAST_FLOOD, 0);
		put_u8(b, IFLA_BRPORT_LOCKED, 1);
		put_u8(b, IFLA_BRPORT_GUARD, 1);
		put_u8(b, IFLA_BRPORT_PROTECT, 1);
		put_u8(b, IFLA_BRPORT_MULTICAST_ROUTER, MDB_RTR_TYPE_DISABLED);
	}
	batch_nest_end(b, data);
	batch_nest_end(b, info);
}

/* The bridge's entry for the port's MAC: it stays without being learned. NUD_NOARP is what bridge(8) calls static; with
 * NUD_PERMANENT the address would be the host's. */
static void add_forwarding(struct batch *b, const char *name, const uint8_t mac[6])
{
	struct ifreq request = {0};
	struct ndmsg header = {.ndm_family = AF_BRIDGE, .ndm_state = NUD_NOARP, .ndm_flags = NTF_MASTER};

	(void)str_copy(request.ifr_name, sizeof(request.ifr_name), name); /* a link of this name was just made */
	if (ioctl(b->nl->fd, SIOCGIFINDEX, &request) == 0)
		header.ndm_ifindex = request.ifr_ifindex;
	batch_add(b, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header));
	batch_put(b, NDA_LLADDR, mac, 6);
	batch_say(b, 0, "tell the bridge the MAC behind %s", name);
}

/* What the kernel takes from a change only, not from the request that makes a link: IFLA_AF_SPEC and the port's flags. */
static int finish_host_end(struct netlink *nl, const struct netlink_veth *veth, struct err *err)
{
	const struct netlink_port *port = veth->bridge ? veth->port : NULL;
	struct nlattr *spec, *inet6;
	struct batch b;

	batch_begin(&b, nl);
	add_link_request(&b, RTM_SETLINK, NLM_F_ACK, veth->host, 0);
	spec = batch_nest(&b, IFLA_AF_SPEC);
	inet6 = batch_nest(&b, AF_INET6);
	put_u8(&b, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	batch_nest_end(&b, inet6);
	batch_nest_end(&b, spec);
	/* A kernel without IPv6 makes none. */
	batch_say(&b, EAFNOSUPPORT, "keep IPv6 link-local addresses off %s", veth->host);
	if (port) {
		add_link_request(&b, RTM_NEWLINK, NLM_F_ACK, veth->host, 0);
		put_port(&b, port);
		batch_say(&b, 0, "set the bridge's flags of %s", veth->host);
	}
	if (port && port->mac)
		add_forwarding(&b, veth->host, port->mac);
	return batch_send(&b, NULL, NULL, err);
}

int netlink_adopt_veth(struct netlink *nl, const struct netlink_veth *veth, struct err *err)
{
	struct netlink_link bridge = {0};
	struct batch b;
	int r = veth->bridge ? netlink_get(nl, veth->bridge, &bridge, err) : 0;

	if (r < 0)
		return r;
	if (veth->bridge) {
		batch_begin(&b, nl);
		add_link_request(&b, RTM_SETLINK, NLM_F_ACK, veth->host, 0);
		batch_put_u32(&b, IFLA_MASTER, (uint32_t)bridge.index);
		batch_say(&b, 0, "put link %s on bridge %s", veth->host, veth->bridge);
		r = batch_send(&b, NULL, NULL, err);
	}
	if (r == 0)
		r = finish_host_end(nl, veth, err);
	return r < 0 ? r : netlink_set_up(nl, veth->host, err);
}

int netlink_add_veth(struct netlink *nl, const struct netlink_veth *veth, struct err *err)
{
	struct nlattr *info, *data;
	struct batch b;
	struct netlink_link bridge = {0};
	int result = veth->bridge ? netlink_get(nl, veth->bridge, &bridge, err) : 0;
	const unsigned mtu = veth->mtu ? veth->mtu : bridge.mtu;

	if (result < 0)
		return result;
	batch_begin(&b, nl);
	add_link_request(&b, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, veth->host, IFF_UP);
	if (bridge.index)
		batch_put_u32(&b, IFLA_MASTER, (uint32_t)bridge.index);
	if (mtu)
		batch_put_u32(&b, IFLA_MTU, mtu);
	put_one_queue(&b);
	info = batch_nest(&b, IFLA_LINKINFO);
	batch_put_string(&b, IFLA_INFO_KIND, "veth");
	data = batch_nest(&b, IFLA_INFO_DATA);
	put_peer(&b, veth, mtu);
	batch_nest_end(&b, data);
	batch_nest_end(&b, info);
	batch_say(&b, 0, "add veth pair %s and guest's %s%s%s", veth->host, veth->inside, veth->bridge ? " to bridge " : "",
		  veth->bridge ? veth->bridge : "");
	result = batch_send(&b, NULL, NULL, err);
	if (result == -EXFULL)
		(void)err_hint(err, "a bridge holds 1023 links: put the guest on another network");
	if (result < 0)
		return result;

	/* No link-local address is there yet: the peer is down, so this end has no carrier. */
	result = finish_host_end(nl, veth, err);
	if (result < 0)
		(void)netlink_delete(nl, veth->host, NULL); /* the first failure is the one to tell */
	return result;
}

int netlink_move(struct netlink *here, int index, struct netlink *there, int there_netns_fd, const char *name, int *ret_index,
		 struct err *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_change = IFF_UP};
	int taken = netlink_index(there, name);
	struct batch b;

	if (taken)
		return err_num(err, taken < 0 ? taken : EEXIST, "move an interface: the name %s", name);
	batch_begin(&b, here);
	batch_add(&b, RTM_SETLINK, NLM_F_ACK, &header, sizeof(header)); /* one that is up cannot be renamed */
	batch_say(&b, 0, "set the interface for %s down", name);
	batch_add(&b, RTM_SETLINK, NLM_F_ACK, &header, sizeof(header));
	batch_put_u32(&b, IFLA_NET_NS_FD, (uint32_t)there_netns_fd);
	batch_put_string(&b, IFLA_IFNAME, name);
	batch_say(&b, 0, "move an interface to another network as %s", name);
	int r = batch_send(&b, NULL, NULL, err);

	if (r < 0)
		return r;
	int moved = netlink_index(there, name);

	if (moved <= 0)
		return err_num(err, moved < 0 ? moved : ENODEV, "find the interface %s that was moved", name);
	if (ret_index)
		*ret_index = moved;
	return 0;
}

int netlink_set_up(struct netlink *nl, const char *name, struct err *err)
{
	struct batch b;

	batch_begin(&b, nl);
	add_link_request(&b, RTM_SETLINK, NLM_F_ACK, name, IFF_UP);
	batch_say(&b, 0, "set link %s up", name);
	return batch_send(&b, NULL, NULL, err);
}

int netlink_rest(struct netlink *nl, const char *name, struct err *err)
{
	const struct ifinfomsg down = {.ifi_family = AF_UNSPEC, .ifi_change = IFF_UP};
	struct batch b;

	batch_begin(&b, nl);
	batch_add(&b, RTM_SETLINK, NLM_F_ACK, &down, sizeof(down));
	batch_put_string(&b, IFLA_IFNAME, name);
	batch_put_u32(&b, IFLA_MASTER, 0);
	batch_say(&b, 0, "set link %s down", name);
	return batch_send(&b, NULL, NULL, err);
}
