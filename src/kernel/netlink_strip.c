/* What a link carries from one network to another that is of its former owner's choice, and who that may be. */
#include "config.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "netlink_batch.h"

#define ALTNAME_SIZE 128 /* ALTIFNAMSIZ */

struct names {
	struct buf list; /* each with its NUL */
	bool alias;
};

static void read_names(void *arg, struct nlmsghdr *header)
{
	struct names *names = arg;
	struct nlattr *tb[IFLA_MAX + 1], *attr;
	int left;

	if (header->nlmsg_type != RTM_NEWLINK || nlmsg_parse(header, sizeof(struct ifinfomsg), tb, IFLA_MAX, NULL) < 0)
		return;
	names->alias = tb[IFLA_IFALIAS] && nla_len(tb[IFLA_IFALIAS]) > 0;
	if (!tb[IFLA_PROP_LIST])
		return;
	nla_for_each_nested(attr, tb[IFLA_PROP_LIST], left)
	{
		char name[ALTNAME_SIZE];

		if (nla_type(attr) != IFLA_ALT_IFNAME || nla_strlcpy(name, attr, sizeof(name)) >= sizeof(name))
			continue;
		buf_add(&names->list, name);
		buf_add(&names->list, "/"); /* which no name of a link has */
	}
}

static void add_request(struct batch *b, int index, const char *altname)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};

	batch_add(b, altname ? RTM_DELLINKPROP : RTM_SETLINK, NLM_F_ACK, &header, sizeof(header));
	if (!altname) {
		batch_put(b, IFLA_IFALIAS, "", 0);
		batch_say(b, 0, "take its alias off link number %d", index);
		return;
	}
	struct nlattr *list = batch_nest(b, IFLA_PROP_LIST | NLA_F_NESTED);

	batch_put_string(b, IFLA_ALT_IFNAME, altname);
	batch_nest_end(b, list);
	batch_say(b, EINVAL, "take another name off link number %d", index); /* EINVAL: it has gone meanwhile */
}

int netlink_strip(struct netlink *nl, int index, struct err *err)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct names names = {0};
	struct batch b;

	batch_begin(&b, nl);
	batch_add(&b, RTM_GETLINK, 0, &header, sizeof(header));
	batch_say(&b, 0, "find link number %d", index);
	int r = batch_send(&b, read_names, &names, err);
	auto_free char *text = buf_take(&names.list);
	char *rest = text;

	if (r == 0 && names.alias) {
		batch_begin(&b, nl);
		add_request(&b, index, NULL);
		r = batch_send(&b, NULL, NULL, err);
	}
	for (char *name; r == 0 && (name = strsep(&rest, "/"));) {
		if (!name[0])
			continue;
		batch_begin(&b, nl);
		add_request(&b, index, name);
		r = batch_send(&b, NULL, NULL, err);
	}
	return r;
}

bool netlink_may_administer(struct netlink *nl, int namespace)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = 1};
	struct batch b;

	batch_begin(&b, nl);
	batch_add(&b, RTM_GETLINK, 0, &header, sizeof(header));
	batch_put_u32(&b, IFLA_TARGET_NETNSID, (uint32_t) namespace);
	batch_put_u32(&b, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	batch_say(&b, 0, "look into network number %d", namespace);
	return batch_send(&b, NULL, NULL, NULL) != -EACCES;
}
