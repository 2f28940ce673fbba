/* Opening a named network; the default one is made at first need. */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/path.h"
#include "../base/str.h"
#include "../kernel/netlink.h"
#include "network.h"
#include "network_file.h"

#define FILE_MAX 65536
#define LOCK_MS  60000 /* after a boot the first guest may wait long for modules of the kernel, and all others for it */
/* 1,021 guests, as many as a bridge has ports for (1,023); a host that has no such room left gets the small one. */
#define PREFIX4_WANTED 22
#define PREFIX4_SMALL  24

/* Reads one file. -ENOENT, without text, when there is none. */
static int read_network(const struct store *store, int dir_fd, const char *name, struct network *ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t length;
	int result = file_read(dir_fd, name, FILE_MAX, &text, &length);

	if (result == -ENOENT)
		return result;
	if (result < 0)
		return err_num(err, result, "read %s/%s", store->networks, name);
	if (strlen(text) != length)
		return err_num(err, EINVAL, "read %s/%s: there is a NUL byte in it", store->networks, name);
	return network_parse(store, name, text, ret, err);
}

struct taken {
	struct network_prefix *list;
	size_t count, room;
	bool failed;
};

static void taken_clear(struct taken *t)
{
	free(t->list);
}
#define auto_taken __attribute__((cleanup(taken_clear)))

static void taken_add(void *arg, const void *address, uint8_t prefix)
{
	struct taken *t = arg;

	if (t->count == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		struct network_prefix *list = realloc(t->list, room * sizeof(*list));

		if (!list) {
			t->failed = true;
			return;
		}
		t->list = list;
		t->room = room;
	}
	memcpy(&t->list[t->count].address, address, sizeof(struct in_addr));
	t->list[t->count++].prefix = prefix;
}

/* Subnets of the other networks, whether their bridges are there or not. */
static int taken_by_files(const struct store *store, int dir_fd, struct taken *t, struct err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		err_sys(err, "list %s", store->networks);
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	while ((entry = readdir(dir))) {
		struct network network;

		if (entry->d_name[0] == '.')
			continue;
		if (read_network(store, dir_fd, entry->d_name, &network, NULL) < 0)
			log_warn("network %s cannot be read: its subnet may be taken for free", entry->d_name);
		else if (network.has4)
			taken_add(t, &network.subnet4, network.prefix4);
	}
	return 0;
}

static bool overlaps(uint32_t subnet, uint8_t length, const struct network_prefix *taken)
{
	unsigned shorter = taken->prefix < length ? taken->prefix : length;

	return taken->prefix >= 8 && ((subnet ^ ntohl(taken->address.s_addr)) >> (32 - shorter)) == 0;
}

int network_choose4(uint64_t seed, uint8_t prefix, const struct network_taken *taken, struct in_addr *ret)
{
	static const struct {
		uint32_t first, size;
	} ranges[] = {{0x0a100000, 224 << 16}, {0xac100000, 16 << 16}, {0xc0a80000, 1 << 16}};

	for (size_t range = 0; range < sizeof(ranges) / sizeof(ranges[0]); range++) {
		const uint32_t count = ranges[range].size >> (32 - prefix);

		for (uint32_t i = 0; i < count; i++) {
			/* 257 has no factor of the counts, so each subnet comes once, and neighbours come late. */
			uint32_t pick = (uint32_t)((seed % count + (uint64_t)i * 257) % count);
			uint32_t subnet = ranges[range].first + (pick << (32 - prefix));
			size_t k = 0;

			while (k < taken->count && !overlaps(subnet, prefix, &taken->list[k]))
				k++;
			if (k == taken->count) {
				ret->s_addr = htonl(subnet);
				return 0;
			}
		}
	}
	return -ENOSPC;
}

/* The same on every try on one machine, another on the next machine. */
static uint64_t seed_of(const struct store *store, const char *name)
{
	auto_free char *machine = NULL;
	uint64_t hash = str_hash(STR_HASH_SEED, name, strlen(name));

	hash = str_hash(hash, store->tag, strlen(store->tag));
	if (file_read(AT_FDCWD, "/etc/machine-id", 256, &machine, NULL) == 0)
		hash = str_hash(hash, machine, strlen(machine));
	return hash ^ hash >> 29;
}

static int choose_subnet4(const struct store *store, int dir_fd, struct netlink *nl, struct network *network, struct err *err)
{
	auto_taken struct taken taken = {0};
	int result = netlink_each_prefix(nl, AF_INET, taken_add, &taken, err);

	if (result == 0)
		result = taken_by_files(store, dir_fd, &taken, err);
	if (result < 0)
		return result;
	if (taken.failed)
		return err_num(err, ENOMEM, "list this host's routes");
	const struct network_taken all = {taken.list, taken.count};
	const uint64_t seed = seed_of(store, network->name);

	network->prefix4 = PREFIX4_WANTED;
	result = network_choose4(seed, network->prefix4, &all, &network->subnet4);
	if (result < 0) {
		network->prefix4 = PREFIX4_SMALL;
		result = network_choose4(seed, network->prefix4, &all, &network->subnet4);
	}
	if (result < 0) {
		err_num(err, EADDRNOTAVAIL, "find a private IPv4 subnet for network %s that no route of this host overlaps",
			network->name);
		(void)err_hint(err, "choose one yourself: put [network] and address4 = 10.A.B.1/24 into %s/%s", store->networks,
			       network->name);
		return -EADDRNOTAVAIL;
	}
	network->gateway4.s_addr = htonl(ntohl(network->subnet4.s_addr) | 1);
	network->has4 = true;
	return 0;
}

/* RFC 4193: 40 random bits below fd00::/8; the /64 is its first. */
static int choose_random(struct network *network, struct err *err)
{
	if (getrandom(&network->gateway6.s6_addr[1], 5, 0) != 5 || getrandom(&network->mac[1], 5, 0) != 5)
		return err_sys(err, "get random bytes for network %s", network->name);
	network->gateway6.s6_addr[0] = 0xfd;
	network->gateway6.s6_addr[15] = 1;
	network->prefix6 = 64;
	network->has6 = true;
	network->mac[0] = 0x1e;
	return 0;
}

/* A bridge that outlived its file (a new installation on a running host) is described as it is, so that it fits again. */
static bool describe_bridge(struct netlink *nl, struct network *network)
{
	auto_free struct netlink_address *list = NULL;
	struct netlink_link link;
	size_t count;

	if (netlink_get(nl, network->bridge, &link, NULL) < 0 || strcmp(link.kind, "bridge") != 0 ||
	    netlink_link_addresses(nl, link.index, &list, &count, NULL) < 0)
		return false;
	memcpy(network->mac, link.mac, sizeof(network->mac));
	for (size_t i = 0; i < count; i++) {
		if (list[i].family == AF_INET && !network->has4 && list[i].prefix >= 8 && list[i].prefix <= 30) {
			memcpy(&network->gateway4, list[i].byte, sizeof(network->gateway4));
			network->prefix4 = list[i].prefix;
			network->has4 = true;
		} else if (list[i].family == AF_INET6 && list[i].byte[0] == 0xfd && list[i].prefix == 64) {
			memcpy(&network->gateway6, list[i].byte, sizeof(network->gateway6));
			network->prefix6 = list[i].prefix;
			network->has6 = true;
		}
	}
	return network->has4;
}

static int write_network(const struct store *store, int dir_fd, const struct network *network, struct err *err)
{
	char gateway4[INET_ADDRSTRLEN] = "", gateway6[INET6_ADDRSTRLEN] = "";
	auto_buf struct buf text = {0};
	const uint8_t *mac = network->mac;

	inet_ntop(AF_INET, &network->gateway4, gateway4, sizeof(gateway4));
	inet_ntop(AF_INET6, &network->gateway6, gateway6, sizeof(gateway6));
	buf_add(&text, "# Made by isle at first need; yours to change while no guest runs on it.\n[network]\ntype = bridge\n");
	buf_addf(&text, "bridge = %s\n", network->bridge);
	buf_addf(&text, "mac = %02x:%02x:%02x:%02x:%02x:%02x\n", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	buf_addf(&text, "address4 = %s/%u\n", gateway4, network->prefix4);
	if (network->has6)
		buf_addf(&text, "address6 = %s/%u\n", gateway6, network->prefix6);
	buf_add(&text, "nat = yes\n");
	if (text.failed)
		return err_num(err, ENOMEM, "write %s/%s", store->networks, network->name);
	return file_replace(dir_fd, network->name, text.data, text.len, 0644, err);
}

static int make_default(const struct store *store, int dir_fd, struct err *err)
{
	struct network network = {.name = NETWORK_DEFAULT};
	struct netlink *nl;
	int result = netlink_open(-1, &nl, err);

	if (result < 0)
		return result;
	network_bridge_name(store, network.name, network.bridge);
	if (!describe_bridge(nl, &network)) {
		result = choose_random(&network, err);
		if (result == 0)
			result = choose_subnet4(store, dir_fd, nl, &network, err);
	}
	netlink_free(nl);
	return result < 0 ? result : write_network(store, dir_fd, &network, err);
}

/* Two first users meet at the lock: the second finds the first's file. */
static int open_default(const struct store *store, int dir_fd, struct network *ret, struct err *err)
{
	auto_close int lock_fd = -1;
	int result = file_lock(store->run_fd, ".networks.lock", LOCK_MS, &lock_fd, err);

	if (result < 0)
		return result;
	result = read_network(store, dir_fd, NETWORK_DEFAULT, ret, err);
	if (result != -ENOENT)
		return result;
	result = make_default(store, dir_fd, err);
	if (result < 0)
		return result;
	result = read_network(store, dir_fd, NETWORK_DEFAULT, ret, err);
	return result == -ENOENT ? err_num(err, result, "read %s/%s", store->networks, NETWORK_DEFAULT) : result;
}

static int no_such_network(const struct store *store, const char *name, struct err *err)
{
	auto_closedir DIR *dir = opendir(store->networks);
	struct dirent *entry;
	char best[IFNAMSIZ] = "";

	while (dir && (entry = readdir(dir))) {
		const char *pair[] = {best, entry->d_name};
		const char *near = str_near(name, pair, 2);

		if (entry->d_name[0] != '.' && near == entry->d_name && strlen(near) < sizeof(best))
			(void)str_copy(best, sizeof(best), near); /* was just seen to fit */
	}
	err_set(err, ERR_NOT_FOUND, "there is no network '%s'", name);
	if (best[0])
		(void)err_hint(err, "did you mean '%s'?", best);
	else
		(void)err_hint(err, "describe it in %s/%s", store->networks, name);
	return -ENOENT;
}

int network_open(const struct store *store, const char *name, struct network *ret, struct err *err)
{
	auto_close int dir_fd = -1;
	int result = path_make(store->networks, 0755, err);

	if (result < 0)
		return result;
	dir_fd = open(store->networks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_sys(err, "open %s", store->networks);
	if (!*name || *name == '.' || strchr(name, '/') || strlen(name) >= IFNAMSIZ) {
		err_set(err, ERR_USAGE, "'%s' cannot be the name of a network", name);
		(void)err_hint(err, "use at most 15 letters, digits, '_' and '-'");
		return -EINVAL;
	}
	result = read_network(store, dir_fd, name, ret, err);
	if (result != -ENOENT)
		return result;
	return strcmp(name, NETWORK_DEFAULT) == 0 ? open_default(store, dir_fd, ret, err) : no_such_network(store, name, err);
}
