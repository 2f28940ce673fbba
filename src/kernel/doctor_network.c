/* Doctor: links, bridges and packet filter, tried in a network namespace of their own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "doctor.h"
#include "netlink.h"
#include "nft.h"
#include "spoof.h"

static int open_own(struct netlink **ret)
{
	return unshare(CLONE_NEWNET) < 0 ? -errno : netlink_open(-1, ret, NULL);
}

static int try_bridge(void *arg)
{
	(void)arg;
	static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 1};
	struct netlink *nl = NULL;
	int rc = open_own(&nl);

	if (rc == 0)
		rc = netlink_add_bridge(nl, &(struct netlink_bridge){.name = "isledoctor0", .mac = mac}, NULL);
	netlink_free(nl);
	return rc;
}

static int try_veth(void *arg)
{
	(void)arg;
	static const uint8_t mac[6] = {0x02, 0, 0, 0, 0, 2};
	struct netlink *nl = NULL;
	int rc = open_own(&nl);
	auto_close int netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (rc == 0)
		rc = netlink_add_veth(
			nl,
			&(struct netlink_veth){
				.host = "isledoctor1", .inside = "isledoctor2", .inside_mac = mac, .inside_netns_fd = netns},
			NULL);
	netlink_free(nl);
	return rc;
}

static int try_nft(void *arg)
{
	return unshare(CLONE_NEWNET) < 0 ? -errno : nft_run(arg, NULL);
}

static void check_forwarding(struct doctor *d)
{
	long long number;

	if (doctor_number("/proc/sys/net/ipv4/ip_forward", &number) == 0)
		doctor_add(d, &(struct doctor_note){
				      .topic = "network",
				      .name = "forwarding",
				      .level = number ? HOST_GOOD : HOST_INFO,
				      .found = number ? "on" : "off",
				      .means = "guests reach the host only; isle turns it on when its first network is made",
				      .fix = "sysctl -w net.ipv4.ip_forward=1",
			      });
	if (doctor_number("/proc/sys/net/bridge/bridge-nf-call-iptables", &number) == 0 && number)
		doctor_add(
			d,
			&(struct doctor_note){
				.topic = "network",
				.name = "bridge-nf-call-iptables",
				.level = HOST_INFO,
				.found = "1",
				.means = "frames between guests pass the host's iptables rules, which may drop them (Docker's do)",
				.fix = "sysctl -w net.bridge.bridge-nf-call-iptables=0",
			});
}

void doctor_network(struct doctor *d)
{
	static const char filter[] =
		"add table inet isledoctor; add chain inet isledoctor c { type filter hook forward priority 0; };"
		"add set inet isledoctor s { type ipv4_addr; }; add rule inet isledoctor c ip saddr @s drop";
	static const char nat[] =
		"add table inet isledoctor; add chain inet isledoctor c { type nat hook postrouting priority 100; };"
		"add rule inet isledoctor c masquerade";
	const struct {
		const char *name;
		int level;
		int (*fn)(void *arg);
		const char *arg;
		const char *means, *fix;
	} probes[] = {
		{"bridge", HOST_WARN, try_bridge, NULL, "guests have no network but 'none'", "modprobe bridge"},
		{"veth", HOST_WARN, try_veth, NULL, "guests have no network but 'none'", "modprobe veth"},
		{"nftables", HOST_WARN, try_nft, filter, "guests' packets cannot be filtered",
		 "apt install libnftables1; modprobe nf_tables"},
		{"nftables NAT", HOST_WARN, try_nft, nat, "guests on a private network reach nothing beyond the host",
		 "modprobe nft_masq"},
		{"nftables on bridges", HOST_WARN, try_nft, spoof_table,
		 "guests on a network do not start, unless with spoofing = allow", "a kernel with CONFIG_NF_TABLES_BRIDGE"},
	};

	for (size_t i = 0; d->root && i < sizeof(probes) / sizeof(probes[0]); i++)
		doctor_result(d,
			      &(struct doctor_note){
				      .topic = "network",
				      .name = probes[i].name,
				      .level = probes[i].level,
				      .means = probes[i].means,
				      .fix = probes[i].fix,
			      },
			      doctor_try(probes[i].fn, (void *)probes[i].arg));
	check_forwarding(d);
}
