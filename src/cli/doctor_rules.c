/* isle doctor: nftables rules that are missing under what runs, and putting them back. */
#include "config.h"

#include <stdio.h>

#include "../base/str.h"
#include "../guest/network.h"
#include "../guest/network_guard.h"
#include "../guest/record.h"
#include "doctor_rules.h"

/* How many running guests the table against spoofing lacks, and the first one's name. */
static size_t count_unguarded(const struct store *store, char first[STORE_NAME_MAX + 1])
{
	char **names = NULL;
	size_t count = 0;

	if (store_names(store, &names, NULL) < 0)
		return 0;
	for (size_t i = 0; names[i]; i++) {
		struct record record;

		if (record_load(store, names[i], &record) < 0 || network_guard_lacks(&record) != 1)
			continue;
		if (count++ == 0)
			(void)str_copy(first, STORE_NAME_MAX + 1, names[i]);
	}
	store_names_free(names);
	return count;
}

int doctor_find_rules(const struct store *store, struct host_finding *ret)
{
	struct host_finding finding = {.topic = "instance", .name = "nftables rules", .level = HOST_WARN};
	char first[STORE_NAME_MAX + 1] = "", network[IFNAMSIZ] = "";
	size_t count = count_unguarded(store, first);

	if (count == 1)
		(void)str_print(finding.found, sizeof(finding.found), "%s is not guarded", first);
	else if (count > 1)
		(void)str_print(finding.found, sizeof(finding.found), "%s is not guarded, nor are %zu others", first, count - 1);
	else if (network_lacks_rules(store, network) == 1)
		(void)str_print(finding.found, sizeof(finding.found), "network %s has none", network);
	else
		return 0;
	(void)str_print(
		finding.means, sizeof(finding.means), "%s",
		count ? "something emptied nftables' ruleset: roots of guests can use addresses of others"
		      : "something emptied nftables' ruleset: guests do not reach the outside, and networks are not kept apart");
	(void)str_print(finding.fix, sizeof(finding.fix), "isle doctor --rules%s",
			count ? " (the next start of any guest does it too)" : "");
	*ret = finding;
	return 1;
}

int doctor_restore_rules(struct call *call, struct err *err)
{
	const struct store *store;
	int rc = call_store(call, &store, err);

	if (rc == 0)
		rc = network_restore(store, err);
	if (rc == 0)
		rc = network_guard_restore(store, err);
	if (rc == 0 && !call->quiet && !call->json)
		puts("the rules of networks are there, and running guests are guarded");
	return rc;
}
