/* Doctor: the host's limits that many guests share. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "../base/clean.h"
#include "doctor.h"
#include "sysctl.h"

#define BRIDGE_PORTS 1023 /* a port's number has ten bits, and 0 is none (linux/if_bridge.h, BR_PORT_BITS) */

static void check_bridge(struct doctor *d)
{
	char found[64], means[128];

	snprintf(found, sizeof(found), "%d guests a bridge", BRIDGE_PORTS);
	snprintf(means, sizeof(means), "%lu guests do not fit on one bridge: the kernel gives it no more ports", d->guests);
	doctor_add(d, &(struct doctor_note){
			      .topic = "limits",
			      .name = "bridge ports",
			      .level = d->guests > BRIDGE_PORTS ? HOST_WARN : HOST_GOOD,
			      .found = found,
			      .means = means,
			      .fix = "put the guests on several networks: isle-network(5)",
		      });
}

void doctor_limits(struct doctor *d)
{
	auto_free struct sysctl_change *changes = NULL;

	if (sysctl_look("/", d->guests ? d->guests : SYSCTL_GUESTS, &changes, NULL) < 0) {
		d->failed = true;
		return;
	}
	for (size_t i = 0; i < sysctl_count; i++) {
		const struct sysctl_change *change = &changes[i];
		char found[32], fix[96];

		if (change->result == SYSCTL_ABSENT)
			continue; /* a kernel without that facility */
		/* Who says how many guests there will be wants to be warned. */
		int level = d->guests || change->before < change->row->least ? HOST_WARN : HOST_INFO;

		snprintf(found, sizeof(found), "%llu", (unsigned long long)change->before);
		snprintf(fix, sizeof(fix), "isle doctor --fix, or sysctl -w %s=%llu", change->row->name,
			 (unsigned long long)change->wanted);
		doctor_add(d, &(struct doctor_note){
				      .topic = "limits",
				      .name = change->row->name,
				      .level = change->result == SYSCTL_KEPT ? HOST_GOOD : level,
				      .found = found,
				      .means = change->row->means,
				      .fix = fix,
			      });
	}
	check_bridge(d);
}
