/* What a guest made of its interfaces that criu could save but not put back: in a restore it makes each by the name that isle
 * knows. */
#include "config.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../kernel/netlink.h"
#include "../kernel/ns.h"
#include "preflight_links.h"

static int look_at(const char *guest, const struct record_link *given, struct netlink *host, struct netlink *inside,
		   struct err *err)
{
	struct netlink_link ours = {0}, theirs;
	char name[IFNAMSIZ] = "", shown[4 * IFNAMSIZ + 1];
	bool there = netlink_get(host, given->host, &ours, NULL) == 0 &&
		     netlink_get_by_index(inside, ours.lower, name, &theirs, NULL) == 0 && strcmp(theirs.kind, "veth") == 0 &&
		     theirs.lower == ours.index && theirs.lower_namespace >= 0;

	if (there && strcmp(name, given->inside) == 0)
		return 0;
	if (there) {
		(void)str_escape_into(shown, sizeof(shown), name);
		(void)err_set(err, ERR_FAILED, "checkpoint it: the guest calls its interface %s '%s'", given->inside, shown);
		return err_hint(err, "in the guest: ip link set '%s' down, then ip link set '%s' name %s, and up", shown, shown,
				given->inside);
	}
	if (netlink_get(inside, given->inside, &theirs, NULL) < 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "checkpoint it: its interface %s is not the one that isle made", given->inside);
	return err_hint(err, "in the guest: ip link delete %s; isle restart %s gives it a new one", given->inside, guest);
}

int preflight_links(const char *guest, const struct record *record, struct err *err)
{
	struct netlink *host = NULL, *inside = NULL;
	auto_close int netns = ns_open(record->init_pid, "net", err);
	int r = netns < 0 ? netns : netlink_open(-1, &host, err);

	if (r == 0)
		r = netlink_open(netns, &inside, err);
	for (size_t i = 0; r == 0 && i < record->link_count; i++)
		r = look_at(guest, &record->links[i], host, inside, err);
	netlink_free(inside);
	netlink_free(host);
	return r;
}
