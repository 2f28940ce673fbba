/* Guarding the interfaces of running guests against spoofing, by what their run records say. */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/nft.h"
#include "../kernel/spoof.h"
#include "network_guard.h"

#define LOCK_MS  60000
#define ATTEMPTS 3 /* an administrator may flush the rules between two looks */

/* "A.B.C.D/LEN" without its length. */
static bool read_address(int family, const char *text, void *ret)
{
	char plain[INET6_ADDRSTRLEN];
	size_t length = strcspn(text, "/");

	if (length == 0 || length >= sizeof(plain))
		return false;
	memcpy(plain, text, length);
	plain[length] = '\0';
	return inet_pton(family, plain, ret) == 1;
}

static bool read_port(const struct record_link *link, struct spoof_port *ret)
{
	struct spoof_port port = {.roaming = link->roaming, .isolated = link->isolated};
	uint8_t *mac = port.mac;

	if (!link->guarded || str_copy(port.link, sizeof(port.link), link->host) < 0 ||
	    sscanf(link->mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
		return false;
	port.has4 = read_address(AF_INET, link->address, &port.address4);
	port.has6 = read_address(AF_INET6, link->address6, &port.address6);
	*ret = port;
	return true;
}

static size_t read_ports(const struct record *record, struct spoof_port ports[RECORD_LINKS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < record->link_count; i++)
		count += read_port(&record->links[i], &ports[count]);
	return count;
}

static void instance_name(const struct store *store, char ret[IFNAMSIZ])
{
	(void)str_print(ret, IFNAMSIZ, "isle%s", store->tag); /* at most 8 bytes */
}

static int failed(int result, struct err *err)
{
	err_num(err, result, "guard the guest's interfaces against spoofing");
	if (result == -EPERM)
		(void)err_hint(err, "run as root: nftables needs CAP_NET_ADMIN in this network namespace");
	return result;
}

static int make_table(struct err *err)
{
	struct err why = {0};
	int result = nft_run(spoof_table, &why);

	if (result == -EOPNOTSUPP || result == -EAFNOSUPPORT) {
		err_num(err, EOPNOTSUPP,
			"guard the guest's interfaces against spoofing: this kernel has no nftables on bridges "
			"(CONFIG_NF_TABLES_BRIDGE)");
		(void)err_hint(err, "use a kernel that has it, or give the guest's [network] section spoofing = allow");
		return result;
	}
	if (result < 0 && err)
		*err = why;
	return result;
}

/* Only links that are there: those of a guest that is being stopped go before it takes them out of the table, and those of one that
 * is being started come after it put them in. */
static int guard_running(const struct store *store, const char *name)
{
	struct spoof_port ports[RECORD_LINKS_MAX];
	struct record record;
	size_t count = 0, all;

	if (record_load(store, name, &record) < 0)
		return 0;
	all = read_ports(&record, ports);
	for (size_t i = 0; i < all; i++) {
		if (if_nametoindex(ports[i].link))
			ports[count++] = ports[i];
	}
	return spoof_guard(ports, count);
}

static int restore(const struct store *store, struct err *err)
{
	int fd = openat(store->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;
	auto_closedir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char instance[IFNAMSIZ];
	struct dirent *entry;

	if (!dir) {
		result = err_sys(err, "list %s", store->run);
		if (fd >= 0)
			close(fd);
		return result;
	}
	result = make_table(err);
	if (result < 0)
		return result;
	while (result == 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			result = guard_running(store, entry->d_name);
	}
	instance_name(store, instance);
	if (result == 0)
		result = spoof_note(instance);
	return result < 0 ? failed(result, err) : 0;
}

int network_guard_restore(const struct store *store, struct err *err)
{
	auto_close int lock_fd = -1;
	int result = file_lock(store->run_fd, ".networks.lock", LOCK_MS, &lock_fd, err);

	return result < 0 ? result : restore(store, err);
}

int network_guard(const struct store *store, const struct record *record, struct err *err)
{
	struct spoof_port ports[RECORD_LINKS_MAX];
	size_t count = read_ports(record, ports);
	char instance[IFNAMSIZ];
	int result = -ENOENT;

	if (count == 0)
		return 0;
	instance_name(store, instance);
	for (int attempt = 0; result == -ENOENT && attempt < ATTEMPTS; attempt++) {
		if (spoof_noted(instance) != 1) {
			result = network_guard_restore(store, err);
			if (result < 0)
				return result;
		}
		result = spoof_guard(ports, count);
		if (result == -ENOENT) { /* the note is there, but something else of the table is not */
			int made = make_table(err);

			if (made < 0)
				return made;
		}
	}
	return result < 0 ? failed(result, err) : 0;
}

int network_unguard(const struct store *store, const struct record *record, struct err *err)
{
	struct spoof_port ports[RECORD_LINKS_MAX];
	size_t count = read_ports(record, ports);
	auto_close int lock_fd = -1;
	int result;

	if (count == 0)
		return 0;
	/* Not while another puts all running guests in. */
	result = file_lock(store->run_fd, ".networks.lock", LOCK_MS, &lock_fd, err);
	if (result < 0)
		return result;
	result = spoof_release(ports, count);
	return result < 0 ? err_num(err, result, "take the guest's interfaces out of the table against spoofing") : 0;
}

int network_guard_lacks(const struct record *record)
{
	struct spoof_port ports[RECORD_LINKS_MAX];
	size_t count = read_ports(record, ports);

	for (size_t i = 0; i < count; i++) {
		int result = if_nametoindex(ports[i].link) ? spoof_guards(&ports[i]) : 1;

		if (result != 1)
			return result < 0 ? result : 1;
	}
	return 0;
}
