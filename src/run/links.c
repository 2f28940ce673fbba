/* A guest's interfaces as its config and its leases have them. */
#include "config.h"

#include <string.h>

#include "links.h"

struct netlink_port links_port(const struct spec_network *section, const struct lease *lease)
{
	return (struct netlink_port){
		.mac = section->spoofing != SPOOFING_ALLOW ? lease->mac : NULL,
		.isolated = section->isolated,
	};
}

void links_describe(const struct run *run, size_t n, struct links_inside *ret)
{
	const struct spec_network *section = &run->spec->networks[n];
	const struct network *network = &run->networks[n];
	const struct lease *lease = &run->leases[n];

	*ret = (struct links_inside){
		.setup =
			{
				.link = section->name,
				.mtu = section->mtu != SPEC_UNSET ? (unsigned)section->mtu : network->mtu,
				.has4 = lease->has4,
				.has6 = lease->has6,
				.address4 = lease->address4,
				.prefix4 = lease->prefix4,
				.address6 = lease->address6,
				.prefix6 = lease->prefix6,
			},
		.gateway4 = network->gateway4,
		.gateway6 = network->gateway6,
	};
	if (section->gateway.set)
		memcpy(&ret->gateway4, section->gateway.byte, sizeof(ret->gateway4));
	if (section->gateway6.set)
		memcpy(&ret->gateway6, section->gateway6.byte, sizeof(ret->gateway6));
	if (section->default_route && lease->has4 && (section->gateway.set || network->has4))
		ret->setup.gateway4 = &ret->gateway4;
	if (section->default_route && lease->has6 && (section->gateway6.set || network->has6))
		ret->setup.gateway6 = &ret->gateway6;
}

int links_gone_before(const struct run *run, const char *inside, struct err *err)
{
	err_clear(err);
	run_log(run, "%s was gone before the checkpoint, and is", inside);
	return 0;
}
