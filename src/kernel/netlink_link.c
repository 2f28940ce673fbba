/* Links by rtnetlink: bridges, veth pairs and what is known of a link. */
#include "config.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

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
	*answer->link = (struct netlink_link){.index = info->ifi_index, .up = info->ifi_flags & IFF_UP};
	if (tb[IFLA_LINKINFO])
		read_kind(tb[IFLA_LINKINFO], answer->link->kind, sizeof(answer->link->kind));
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6)
		memcpy(answer->link->mac, nla_data(tb[IFLA_ADDRESS]), 6);
	if (tb[IFLA_MTU])
		answer->link->mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_MASTER])
		answer->link->master = (int)nla_get_u32(tb[IFLA_MASTER]);
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

/* The kernel takes IFLA_AF_SPEC from a change only, not from the request that makes a link. */
static int drop_link_local(struct netlink *nl, const char *name, struct err *err)
{
	const uint8_t none = IN6_ADDR_GEN_MODE_NONE;
	struct nlattr *spec, *inet6;
	struct batch b;

	batch_begin(&b, nl);
	add_link_request(&b, RTM_SETLINK, NLM_F_ACK, name, 0);
	spec = batch_nest(&b, IFLA_AF_SPEC);
	inet6 = batch_nest(&b, AF_INET6);
	batch_put(&b, IFLA_INET6_ADDR_GEN_MODE, &none, sizeof(none));
	batch_nest_end(&b, inet6);
	batch_nest_end(&b, spec);
	batch_say(&b, EAFNOSUPPORT, "keep IPv6 link-local addresses off %s", name); /* a kernel without IPv6 makes none */
	return batch_send(&b, NULL, NULL, err);
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
	result = drop_link_local(nl, veth->host, err);
	if (result < 0)
		(void)netlink_delete(nl, veth->host, NULL); /* the first failure is the one to tell */
	return result;
}

int netlink_set_up(struct netlink *nl, const char *name, struct err *err)
{
	struct batch b;

	batch_begin(&b, nl);
	add_link_request(&b, RTM_SETLINK, NLM_F_ACK, name, IFF_UP);
	batch_say(&b, 0, "set link %s up", name);
	return batch_send(&b, NULL, NULL, err);
}
