/* LXC's lxc.net.N.* lines, gathered and put into [network] sections. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "lxc_parts.h"

static const char *const fields[LXC_NET_FIELDS] = {
	[LXC_NET_TYPE] = "type",
	[LXC_NET_LINK] = "link",
	[LXC_NET_NAME] = "name",
	[LXC_NET_MAC] = "hwaddr",
	[LXC_NET_MTU] = "mtu",
	[LXC_NET_IPV4] = "ipv4.address",
	[LXC_NET_IPV6] = "ipv6.address",
	[LXC_NET_GATEWAY4] = "ipv4.gateway",
	[LXC_NET_GATEWAY6] = "ipv6.gateway",
};

static void forget(struct lxc_net *net)
{
	for (int f = 0; f < LXC_NET_FIELDS; f++) {
		free(net->field[f]);
		net->field[f] = NULL;
	}
}

static int find_net(struct lxc *lxc, uint64_t index, struct lxc_net **ret)
{
	size_t i = 0;

	while (i < lxc->net_count && lxc->nets[i].index != index)
		i++;
	if (i == LXC_NETS_MAX)
		return lxc_fail(lxc, "more than %d networks", LXC_NETS_MAX);
	if (i == lxc->net_count) {
		lxc->nets[i] = (struct lxc_net){.index = index};
		lxc->net_count++;
	}
	lxc->nets[i].line = lxc->depth == 1 ? lxc->line : 0;
	*ret = &lxc->nets[i];
	return 0;
}

static int store(struct lxc *lxc, struct lxc_net *net, enum lxc_net_field field, const char *value)
{
	bool address = field == LXC_NET_IPV4 || field == LXC_NET_IPV6;

	if (address && *value && net->field[field]) {
		lxc_tell(lxc, "lxc.net.%" PRIu64 ".%s = %s: an interface has one address of each kind here; the first is taken",
			 net->index, fields[field], value);
		return 0;
	}
	char *copy = *value ? strdup(value) : NULL;

	if (*value && !copy)
		return err_num(lxc->err, ENOMEM, "read lxc.net");
	free(net->field[field]);
	net->field[field] = copy;
	return 0;
}

int lxc_net_value(struct lxc *lxc, const char *key, const char *value, bool *ret_known)
{
	struct lxc_net *net = NULL;
	uint64_t index;

	if (!strcmp(key, "lxc.net") && !*value) {
		for (size_t i = 0; i < lxc->net_count; i++)
			forget(&lxc->nets[i]);
		*ret_known = true;
		return 0;
	}
	if (!str_starts(key, "lxc.net."))
		return 0;
	const char *digits = key + strlen("lxc.net.");
	size_t len = strcspn(digits, ".");
	auto_free char *number = strndup(digits, len);

	if (!number)
		return err_num(lxc->err, ENOMEM, "read lxc.net");
	if (str_to_u64(number, 0, 100000, &index) < 0)
		return lxc_fail(lxc, "%s: '%s' is not the number of a network", key, number);
	int r = find_net(lxc, index, &net);

	if (r < 0)
		return r;
	if (!digits[len]) {
		*ret_known = true;
		if (*value)
			return lxc_fail(lxc, "%s takes no value", key);
		forget(net);
		return 0;
	}
	for (int f = 0; f < LXC_NET_FIELDS; f++)
		if (!strcmp(digits + len + 1, fields[f])) {
			*ret_known = true;
			return store(lxc, net, (enum lxc_net_field)f, value);
		}
	return 0;
}

/* "10.0.3.5/24 10.0.3.255" -> "10.0.3.5/24"; without a length, the one of the address's old class, as LXC does. */
static int plain_address(const char *value, bool six, char *out, size_t size)
{
	size_t len = strcspn(value, " \t");
	auto_free char *address = strndup(value, len);
	uint64_t first = 0;

	if (!address)
		return -ENOMEM;
	if (strchr(address, '/'))
		return str_copy(out, size, address);
	auto_free char *head = strndup(address, strcspn(address, "."));

	if (!six && head)
		(void)str_to_u64(head, 0, 255, &first); /* no number: the type refuses it */
	return str_print(out, size, "%s/%d", address, six ? 64 : first < 128 ? 8 : first < 192 ? 16 : 24);
}

/* Sets one key of the section from a field; the present line is the network's. */
static int set(struct lxc *lxc, const char *name, const char *key, const char *value)
{
	char dotted[64];

	if (!value)
		return 0;
	if (str_print(dotted, sizeof dotted, "network.%s.%s", name, key) < 0)
		return lxc_fail(lxc, "the interface's name is too long");
	return lxc_set(lxc, dotted, value);
}

static int set_address(struct lxc *lxc, const char *name, bool six, const char *address, const char *gateway)
{
	char plain[64];

	if (address) {
		if (plain_address(address, six, plain, sizeof plain) < 0)
			return lxc_fail(lxc, "'%s' is not an address", address);
		int r = set(lxc, name, six ? "address6" : "address", plain);

		if (r < 0)
			return r;
	}
	if (!gateway || !strcmp(gateway, "auto"))
		return 0;
	if (!strcmp(gateway, "dev")) {
		lxc_tell(lxc, "a gateway 'dev' has no counterpart here: the network's own is used");
		return 0;
	}
	return set(lxc, name, six ? "gateway6" : "gateway", gateway);
}

/* What LXC's bridge is called differs from host to host; isle0 is what stands in for it. */
static int set_link(struct lxc *lxc, const char *name, const char *link, bool fixed)
{
	if (!link || !strcmp(link, "lxcbr0")) {
		if (link && fixed)
			lxc_tell(lxc,
				 "[network %s]: lxcbr0 is replaced by isle0, whose addresses differ: see to address and gateway",
				 name);
		return 0;
	}
	return set(lxc, name, "link", link);
}

static int finish_one(struct lxc *lxc, const struct lxc_net *net, size_t *count)
{
	char *const *field = net->field;
	const char *type = field[LXC_NET_TYPE];
	char usual[16];

	if (!type) {
		for (int f = 0; f < LXC_NET_FIELDS; f++)
			if (field[f]) {
				lxc_tell(lxc, "lxc.net.%" PRIu64 " has no type and is passed over", net->index);
				break;
			}
		return 0;
	}
	if (!strcmp(type, "empty"))
		return 0;
	if (strcmp(type, "veth")) {
		lxc_tell(lxc, "lxc.net.%" PRIu64 ".type = %s has no counterpart here: the network is passed over", net->index,
			 type);
		return 0;
	}
	(void)str_print(usual, sizeof usual, "eth%zu", (*count)++); /* fits: at most LXC_NETS_MAX */
	const char *name = field[LXC_NET_NAME] ? field[LXC_NET_NAME] : usual;
	bool random_mac = field[LXC_NET_MAC] && strpbrk(field[LXC_NET_MAC], "xX");
	int r = set(lxc, name, "type", "bridge");

	if (!r)
		r = set_link(lxc, name, field[LXC_NET_LINK], field[LXC_NET_IPV4] || field[LXC_NET_IPV6]);
	if (!r)
		r = set(lxc, name, "mac", random_mac ? NULL : field[LXC_NET_MAC]);
	if (!r)
		r = set(lxc, name, "mtu", field[LXC_NET_MTU]);
	if (!r)
		r = set_address(lxc, name, false, field[LXC_NET_IPV4], field[LXC_NET_GATEWAY4]);
	if (!r)
		r = set_address(lxc, name, true, field[LXC_NET_IPV6], field[LXC_NET_GATEWAY6]);
	return r;
}

int lxc_net_finish(struct lxc *lxc)
{
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; !r && i < lxc->net_count; i++) {
		lxc->line = lxc->nets[i].line;
		r = finish_one(lxc, &lxc->nets[i], &count);
	}
	return r;
}
