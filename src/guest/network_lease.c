/* Leases: which guest's interface has which address, one symbolic link each, whose making is the allocation. */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "network.h"
#include "network_file.h"

#define OWNER_MAX 96
#define TRIES6    4096 /* in 2^64 addresses the second try is already a wonder; small prefixes are searched whole */

struct place {
	const struct store *store;
	const struct network *network;
	int dir_fd;            /* leases/NETWORK */
	char owner[OWNER_MAX]; /* GUESTID/IFNAME */
	uint64_t hash;         /* of owner: where the search begins */
	uint32_t host4;        /* host part of the IPv4 lease, 0: none; IPv6 follows it */
};

/* An address of either family. */
struct ip {
	int family;
	uint8_t byte[16];
};

static const char *ip_text(const struct ip *ip, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(ip->family, ip->byte, text, INET6_ADDRSTRLEN) ? text : "?";
}

void network_mac(const struct store *store, const char *guest_id, const char *ifname, uint8_t ret[6])
{
	uint64_t hash = str_hash(STR_HASH_SEED, store->tag, strlen(store->tag) + 1);

	hash = str_hash(hash, guest_id, strlen(guest_id) + 1);
	hash = str_hash(hash, ifname, strlen(ifname));
	hash ^= hash >> 32;
	ret[0] = 0x1e; /* locally administered, unicast */
	for (int i = 1; i < 6; i++)
		ret[i] = (uint8_t)(hash >> (8 * i - 8));
}

static int open_place(const struct store *store, const struct network *network, struct place *place, struct err *err)
{
	auto_close int leases = -1;

	if (mkdir(store->leases, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make folder %s", store->leases);
	leases = open(store->leases, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (leases < 0)
		return err_sys(err, "open %s", store->leases);
	if (mkdirat(leases, network->name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make folder %s/%s", store->leases, network->name);
	place->dir_fd = openat(leases, network->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (place->dir_fd < 0)
		return err_sys(err, "open %s/%s", store->leases, network->name);
	place->store = store;
	place->network = network;
	return 0;
}

/* Who has a name; "" when nobody does or it is no lease. */
static void read_owner(int dir_fd, const char *name, char owner[OWNER_MAX])
{
	ssize_t length = readlinkat(dir_fd, name, owner, OWNER_MAX - 1);

	owner[length > 0 ? length : 0] = '\0';
}

static bool is_mine(const struct place *place, const struct ip *ip)
{
	char text[INET6_ADDRSTRLEN], owner[OWNER_MAX];

	read_owner(place->dir_fd, ip_text(ip, text), owner);
	return strcmp(owner, place->owner) == 0;
}

/* The host part that the network itself needs, or that is not in it. */
static bool usable(const struct network *network, const struct ip *ip)
{
	if (ip->family == AF_INET) {
		uint32_t hosts = ~0u >> network->prefix4, address;

		memcpy(&address, ip->byte, sizeof(address));
		address = ntohl(address);
		return network->has4 && (address & ~hosts) == ntohl(network->subnet4.s_addr) && (address & hosts) != 0 &&
		       (address & hosts) != hosts && address != ntohl(network->gateway4.s_addr);
	}
	struct in6_addr address, subnet;

	memcpy(&address, ip->byte, sizeof(address));
	network_mask6(&address, network->prefix6, &subnet);
	return network->has6 && memcmp(&subnet, &network->subnet6, sizeof(subnet)) == 0 &&
	       memcmp(&address, &network->subnet6, sizeof(address)) != 0 &&
	       memcmp(&address, &network->gateway6, sizeof(address)) != 0;
}

/* How many candidates a search has. */
static uint64_t candidates(const struct network *network, int family)
{
	unsigned bits = family == AF_INET ? 32u - network->prefix4 : 128u - network->prefix6;

	if (family == AF_INET)
		return (1ull << bits) - 2;
	return bits < 12 ? 1ull << bits : TRIES6;
}

/* The i-th address to try: begins at a place of the guest's own, so that it mostly finds the same again. */
static struct ip candidate(const struct place *place, int family, uint64_t i)
{
	const struct network *network = place->network;
	struct ip ip = {.family = family};
	uint64_t host;

	if (family == AF_INET) {
		uint32_t address = ntohl(network->subnet4.s_addr) + 1 + (uint32_t)((place->hash + i) % candidates(network, family));

		address = htonl(address);
		memcpy(ip.byte, &address, sizeof(address));
		return ip;
	}
	/* ::2a beside 10.1.2.42; after that, anywhere in the low 32 bits. */
	host = i == 0 && place->host4 ? place->host4 : (uint32_t)(place->hash >> 16) + i;
	if (network->prefix6 > 96)
		host &= (1ull << (128 - network->prefix6)) - 1;
	memcpy(ip.byte, &network->subnet6, 16);
	for (int k = 0; k < 4; k++)
		ip.byte[15 - k] |= (uint8_t)(host >> (8 * k));
	return ip;
}

/* Looks through this owner's leases of a family: found (may be NULL) gets one that fits the network, and 1 is returned;
 * all but keep (may be NULL) are dropped. */
static int scan(const struct place *place, int family, const struct ip *keep, struct ip *found, struct err *err)
{
	int fd = openat(place->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		int result = err_sys(err, "list leases of network %s", place->network->name);

		if (fd >= 0)
			close(fd);
		return result;
	}
	while ((entry = readdir(dir))) {
		struct ip ip = {.family = family};

		if (inet_pton(family, entry->d_name, ip.byte) != 1 || !is_mine(place, &ip))
			continue;
		if (found && usable(place->network, &ip)) {
			*found = ip;
			return 1;
		}
		if (keep && memcmp(keep->byte, ip.byte, sizeof(ip.byte)) != 0 && unlinkat(place->dir_fd, entry->d_name, 0) < 0 &&
		    errno != ENOENT)
			return err_sys(err, "drop lease %s of network %s", entry->d_name, place->network->name);
	}
	return 0;
}

/* 0: it is this owner's now. -EADDRINUSE: another's. */
static int claim(const struct place *place, const struct ip *ip, struct err *err)
{
	char text[INET6_ADDRSTRLEN];

	if (symlinkat(place->owner, place->dir_fd, ip_text(ip, text)) == 0)
		return 0;
	if (errno != EEXIST)
		return err_sys(err, "lease %s on network %s", text, place->network->name);
	return is_mine(place, ip) ? 0 : -EADDRINUSE;
}

static int lease_auto(const struct place *place, int family, struct ip *ret, struct err *err)
{
	const struct network *network = place->network;
	const uint64_t count = candidates(network, family);
	struct ip ip = candidate(place, family, 0);
	int result;

	if (usable(network, &ip) && is_mine(place, &ip)) {
		*ret = ip;
		return 0;
	}
	result = scan(place, family, NULL, ret, err);
	if (result != 0)
		return result < 0 ? result : 0;
	for (uint64_t i = 0; i < count; i++) {
		ip = candidate(place, family, i);
		result = usable(network, &ip) ? claim(place, &ip, err) : -EADDRINUSE;
		if (result == -EADDRINUSE)
			continue;
		if (result == 0) {
			result = scan(place, family, &ip, NULL, err); /* one it had elsewhere */
			*ret = ip;
		}
		return result;
	}
	err_num(err, EADDRNOTAVAIL, "find a free IPv%c address on network %s", family == AF_INET ? '4' : '6', network->name);
	(void)err_hint(err, "destroy guests that are no longer needed, or give the network a larger subnet");
	return -EADDRNOTAVAIL;
}

/* Of a guest that has a lease; its id where no config tells the name. */
static void name_of(const struct store *store, const char *owner, char ret[STORE_NAME_MAX + 1])
{
	size_t length = strcspn(owner, "/");
	char **names = NULL;

	(void)str_print(ret, STORE_NAME_MAX + 1, "%.*s", (int)length, owner);
	if (store_names(store, &names, NULL) < 0)
		return;
	for (size_t i = 0; names[i]; i++) {
		struct guest *guest = NULL;
		const char *id = guest_open_any(store, names[i], &guest, NULL) == 0 ? guest->spec->guest.id : NULL;

		if (id && strlen(id) == length && memcmp(id, owner, length) == 0)
			(void)str_copy(ret, STORE_NAME_MAX + 1, names[i]);
		guest_free(guest);
	}
	store_names_free(names);
}

static bool static_valid4(const struct network *network, const struct address_value *wish)
{
	uint32_t hosts = wish->prefix < 32 ? ~0u >> wish->prefix : 0, address;
	struct ip ip = {.family = AF_INET};

	memcpy(&address, wish->byte, sizeof(address));
	memcpy(ip.byte, wish->byte, sizeof(address));
	address = ntohl(address);
	if (address >> 24 == 0 || address >> 24 == 127 || address >> 28 >= 14)
		return false;
	if (wish->prefix < 31 && ((address & hosts) == 0 || (address & hosts) == hosts))
		return false;
	/* In the network's subnet its own rules hold, whatever prefix the guest is given. */
	return !network->has4 || usable(network, &ip);
}

static bool static_valid6(const struct network *network, const struct address_value *wish)
{
	struct in6_addr address, subnet;

	memcpy(&address, wish->byte, sizeof(address));
	if (IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_MULTICAST(&address) ||
	    (network->has6 && memcmp(&address, &network->gateway6, sizeof(address)) == 0))
		return false;
	network_mask6(&address, wish->prefix, &subnet);
	return wish->prefix >= 127 || memcmp(&address, &subnet, sizeof(address)) != 0;
}

/* A network that has no subnet of the family takes any address. */
static bool outside(const struct network *network, int family, const struct address_value *wish)
{
	struct in6_addr address6, subnet6;
	uint32_t address4;

	if (family == AF_INET) {
		memcpy(&address4, wish->byte, sizeof(address4));
		return network->has4 && (ntohl(address4) & ~(~0u >> network->prefix4)) != ntohl(network->subnet4.s_addr);
	}
	memcpy(&address6, wish->byte, sizeof(address6));
	network_mask6(&address6, network->prefix6, &subnet6);
	return network->has6 && !IN6_IS_ADDR_LINKLOCAL(&address6) && memcmp(&subnet6, &network->subnet6, sizeof(subnet6)) != 0;
}

static int refuse_outside(const struct network *network, int family, const char *address, struct err *err)
{
	const bool four = family == AF_INET;
	char subnet[INET6_ADDRSTRLEN] = "?";

	(void)inet_ntop(family, four ? (const void *)&network->subnet4 : &network->subnet6, subnet, sizeof(subnet));
	err_num(err, EADDRNOTAVAIL, "give address %s on network %s to a guest: it is outside the network's subnet %s/%u", address,
		network->name, subnet, four ? network->prefix4 : network->prefix6);
	(void)err_hint(err, "choose one inside, say address%s = auto, or name another network", four ? "" : "6");
	return -EADDRNOTAVAIL;
}

static int lease_static(const struct place *place, int family, const struct address_value *wish, struct ip *ret, struct err *err)
{
	const struct network *network = place->network;
	struct ip ip = {.family = family};
	char text[INET6_ADDRSTRLEN], owner[OWNER_MAX], name[STORE_NAME_MAX + 1];
	int result;

	memcpy(ip.byte, wish->byte, family == AF_INET ? 4 : 16);
	ip_text(&ip, text);
	if (outside(network, family, wish))
		return refuse_outside(network, family, text, err);
	if (family == AF_INET ? !static_valid4(network, wish) : !static_valid6(network, wish)) {
		err_num(err, EADDRNOTAVAIL, "give address %s/%u on network %s to a guest", text, wish->prefix, network->name);
		(void)err_hint(err,
			       "choose one that is not the gateway's, the network's or the broadcast address, or address = auto");
		return -EADDRNOTAVAIL;
	}
	*ret = ip;
	if (is_mine(place, &ip))
		return 0;
	result = claim(place, &ip, err);
	if (result == 0)
		return scan(place, family, &ip, NULL, err);
	if (result != -EADDRINUSE)
		return result;
	read_owner(place->dir_fd, text, owner);
	name_of(place->store, owner, name);
	err_num(err, EADDRINUSE, "give address %s on network %s to a guest: guest %s has it", text, network->name, name);
	(void)err_hint(err, "choose another address, or destroy the guest that has it");
	return -EADDRINUSE;
}

/* 1: leased; 0: none wanted, or the network has none of this family. */
static int lease_one(const struct place *place, int family, const struct address_value *wish, struct ip *ret, struct err *err)
{
	bool has = family == AF_INET ? place->network->has4 : place->network->has6;
	int result;

	if (wish->mode == ADDRESS_NONE || (wish->mode == ADDRESS_AUTO && !has))
		return 0;
	if (wish->mode == ADDRESS_STATIC)
		result = lease_static(place, family, wish, ret, err);
	else
		result = lease_auto(place, family, ret, err);
	return result < 0 ? result : 1;
}

static int lease_both(struct place *place, const struct spec_network *spec, struct lease *lease, struct err *err)
{
	const struct network *network = place->network;
	struct ip ip;
	int result = lease_one(place, AF_INET, &spec->address, &ip, err);

	if (result < 0)
		return result;
	if (result > 0) {
		memcpy(&lease->address4, ip.byte, sizeof(lease->address4));
		lease->prefix4 = spec->address.mode == ADDRESS_STATIC ? spec->address.prefix : network->prefix4;
		lease->has4 = true;
		if (usable(network, &ip))
			place->host4 = ntohl(lease->address4.s_addr) & (~0u >> network->prefix4);
	}
	result = lease_one(place, AF_INET6, &spec->address6, &ip, err);
	if (result < 0)
		return result;
	if (result > 0) {
		memcpy(&lease->address6, ip.byte, sizeof(lease->address6));
		lease->prefix6 = spec->address6.mode == ADDRESS_STATIC ? spec->address6.prefix : network->prefix6;
		lease->has6 = true;
	}
	return 0;
}

int network_lease(const struct store *store, const struct network *network, const char *guest_id, const struct spec_network *spec,
		  struct lease *ret, struct err *err)
{
	struct place place = {.dir_fd = -1};
	struct lease lease = {0};
	int result;

	if (!*guest_id || strchr(guest_id, '/') || str_print(place.owner, sizeof(place.owner), "%s/%s", guest_id, spec->name) < 0)
		return err_num(err, EINVAL, "lease an address for guest %s", guest_id);
	place.hash = str_hash(STR_HASH_SEED, place.owner, strlen(place.owner));
	place.hash ^= place.hash >> 32;
	result = open_place(store, network, &place, err);
	if (result < 0)
		return result;
	result = lease_both(&place, spec, &lease, err);
	close(place.dir_fd);
	if (result < 0)
		return result;
	if (spec->mac.set)
		memcpy(lease.mac, spec->mac.byte, sizeof(lease.mac));
	else
		network_mac(store, guest_id, spec->name, lease.mac);
	*ret = lease;
	return 0;
}

/* Drops a guest's leases in one network's folder. */
static int release_in(int leases_fd, const char *network, const char *guest_id, struct err *err)
{
	int fd = openat(leases_fd, network, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	size_t length = strlen(guest_id);
	struct dirent *entry;

	if (!dir) {
		int result = err_sys(err, "list leases of network %s", network);

		if (fd >= 0)
			close(fd);
		return result;
	}
	while ((entry = readdir(dir))) {
		char owner[OWNER_MAX];

		read_owner(fd, entry->d_name, owner);
		if (strncmp(owner, guest_id, length) != 0 || owner[length] != '/')
			continue;
		if (unlinkat(fd, entry->d_name, 0) < 0 && errno != ENOENT)
			return err_sys(err, "drop lease %s of network %s", entry->d_name, network);
	}
	return 0;
}

int network_release(const struct store *store, const char *guest_id, struct err *err)
{
	auto_closedir DIR *dir = opendir(store->leases);
	struct dirent *entry;

	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_sys(err, "list %s", store->leases);
	while ((entry = readdir(dir))) {
		int result = 0;

		if (entry->d_name[0] != '.')
			result = release_in(dirfd(dir), entry->d_name, guest_id, err);
		if (result < 0)
			return result;
	}
	return 0;
}
