/* Named networks: their files. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ini.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/path.h"
#include "../base/str.h"
#include "network.h"
#include "network_file.h"
#include "types.h"
#include "keys.h"

#define LINE_BYTES 190 /* what an unpatched inih takes whole; no value of a network is near it */

struct fields {
	int type;
	char *bridge;
	struct address_value address4, address6;
	bool nat, routed;
	uint64_t mtu;
	struct mac_value mac;
	bool adopted;
};

enum { KEY_TYPE, KEY_BRIDGE, KEY_ADDRESS4, KEY_ADDRESS6, KEY_NAT, KEY_ROUTED, KEY_MTU, KEY_MAC, KEY_ADOPTED, KEY_COUNT };
static const char *const network_types[] = {"bridge", NULL};

/* Rows of their own beside the guests' key table: these files have one section, and no LXC key, live change or command line. */
static const struct key rows[KEY_COUNT] = {
	[KEY_TYPE] = {.name = "type", .type = &type_choice, .choices = network_types, .offset = offsetof(struct fields, type)},
	[KEY_BRIDGE] = {.name = "bridge", .type = &type_name, .offset = offsetof(struct fields, bridge)},
	[KEY_ADDRESS4] = {.name = "address4", .type = &type_address, .max = 4, .offset = offsetof(struct fields, address4)},
	[KEY_ADDRESS6] = {.name = "address6", .type = &type_address, .max = 6, .offset = offsetof(struct fields, address6)},
	[KEY_NAT] = {.name = "nat", .type = &type_bool, .offset = offsetof(struct fields, nat)},
	[KEY_ROUTED] = {.name = "routed", .type = &type_bool, .offset = offsetof(struct fields, routed)},
	[KEY_MTU] = {.name = "mtu", .type = &type_number, .min = 1280, .max = 65535, .offset = offsetof(struct fields, mtu)},
	[KEY_MAC] = {.name = "mac", .type = &type_mac, .offset = offsetof(struct fields, mac)},
	[KEY_ADOPTED] = {.name = "adopted", .type = &type_bool, .offset = offsetof(struct fields, adopted)},
};

struct reading {
	const char *shown;
	const char *rest; /* text not given to inih yet */
	int line;
	int lines[KEY_COUNT]; /* where each key was set, 0: not */
	struct fields fields;
	int result; /* the first complaint's number */
	struct err *err;
};

static int complain(struct reading *r, int line, const char *hint, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static int complain(struct reading *r, int line, const char *hint, const char *fmt, ...)
{
	char text[sizeof(r->err->what)];
	va_list args;

	if (r->result < 0)
		return r->result;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut when too long: it only describes */
	va_end(args);
	r->result = err_num(r->err, EINVAL, "%s", text);
	err_where(r->err, r->shown, line);
	if (hint)
		err_hint(r->err, "%s", hint);
	return r->result;
}

/* Gives inih one line at a time, as none of its build options can misread: without indentation, short, without a comment behind
 * a value. */
static char *next_line(char *out, int size, void *arg)
{
	struct reading *r = arg;
	const char *line = r->rest + strspn(r->rest, " \t");
	size_t length = strcspn(line, "\n");

	if (!*r->rest || r->result < 0)
		return NULL;
	r->line++;
	r->rest = line + length + (line[length] == '\n');
	if (*line == '#' || *line == ';')
		length = 0;
	if (length > LINE_BYTES || (int)length + 2 > size) {
		complain(r, r->line, NULL, "line of more than %d bytes", LINE_BYTES);
		return NULL;
	}
	for (size_t i = 0; i < length; i++) {
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f) {
			complain(r, r->line, line[i] == '\r' ? "write the file with Unix line ends" : NULL,
				 "control character in line");
			return NULL;
		}
		if (line[i] == ';') {
			complain(r, r->line, "write a comment on a line of its own", "';' behind a value");
			return NULL;
		}
	}
	while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		length--;
	if (*line == '[' && (length != strlen("[network]") || memcmp(line, "[network]", length) != 0)) {
		complain(r, r->line, "the only section is [network]", "unknown section '%.*s'", (int)length, line);
		return NULL;
	}
	memcpy(out, line, length);
	out[length] = '\n';
	out[length + 1] = '\0';
	return out;
}

static int take_key(struct reading *r, int index, const char *value)
{
	const struct key *row = &rows[index];
	struct err why = {0};

	if (r->lines[index])
		return complain(r, r->line, NULL, "'%s' is set twice, first in line %d", row->name, r->lines[index]);
	if (row->type->parse(row, value, (char *)&r->fields + row->offset, &why) < 0)
		return complain(r, r->line, why.hint[0] ? why.hint : NULL, "%s = %s: %s", row->name, value, why.what);
	r->lines[index] = r->line;
	return 0;
}

static int take_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;
	const char *names[KEY_COUNT], *near;
	char hint[64];

	if (r->result < 0)
		return 0;
	if (strcmp(section, "network") != 0) {
		complain(r, r->line, NULL, "'%s' stands before the line [network]", name);
		return 0;
	}
	for (int i = 0; i < KEY_COUNT; i++) {
		names[i] = rows[i].name;
		if (strcmp(name, rows[i].name) == 0)
			return take_key(r, i, value) == 0;
	}
	near = str_near(name, names, KEY_COUNT);
	if (near)
		(void)str_print(hint, sizeof(hint), "did you mean '%s'?", near);
	complain(r, r->line, near ? hint : NULL, "unknown key '%s'", name);
	return 0;
}

/* Names that are folders of their own below /proc/sys/net/ipv4/conf, or that the kernel refuses. */
static bool link_name_valid(const char *name)
{
	return *name && strlen(name) < IFNAMSIZ && *name != '.' && *name != '-' && !strpbrk(name, "/: \t%") &&
	       str_printable(name) && strcmp(name, "all") != 0 && strcmp(name, "default") != 0 && strcmp(name, "lo") != 0;
}

static int check_address4(struct reading *r, struct network *network)
{
	const struct address_value *value = &r->fields.address4;
	uint32_t address, hosts;

	if (!r->lines[KEY_ADDRESS4] || value->mode == ADDRESS_NONE)
		return 0;
	if (value->mode == ADDRESS_AUTO || value->prefix < 8 || value->prefix > 30)
		return complain(r, r->lines[KEY_ADDRESS4], "write for instance 10.20.30.1/24",
				"address4 must be the bridge's own address with a prefix length of 8 to 30");
	memcpy(&network->gateway4, value->byte, sizeof(network->gateway4));
	address = ntohl(network->gateway4.s_addr);
	hosts = ~0u >> value->prefix;
	if ((address & hosts) == 0 || (address & hosts) == hosts || address >> 24 == 127 || address >> 28 >= 14 ||
	    address >> 24 == 0)
		return complain(r, r->lines[KEY_ADDRESS4], NULL, "address4 cannot be an address of the bridge");
	network->subnet4.s_addr = htonl(address & ~hosts);
	network->prefix4 = value->prefix;
	network->has4 = true;
	return 0;
}

static int check_address6(struct reading *r, struct network *network)
{
	const struct address_value *value = &r->fields.address6;

	if (!r->lines[KEY_ADDRESS6] || value->mode == ADDRESS_NONE)
		return 0;
	if (value->mode == ADDRESS_AUTO || value->prefix < 16 || value->prefix > 120)
		return complain(r, r->lines[KEY_ADDRESS6], "write for instance fd12:3456:789a:1::1/64",
				"address6 must be the bridge's own address with a prefix length of 16 to 120");
	memcpy(&network->gateway6, value->byte, sizeof(network->gateway6));
	network_mask6(&network->gateway6, value->prefix, &network->subnet6);
	if (IN6_IS_ADDR_MULTICAST(&network->gateway6) || IN6_IS_ADDR_LINKLOCAL(&network->gateway6) ||
	    memcmp(&network->gateway6, &network->subnet6, sizeof(network->subnet6)) == 0)
		return complain(r, r->lines[KEY_ADDRESS6], NULL, "address6 cannot be an address of the bridge");
	network->prefix6 = value->prefix;
	network->has6 = access("/proc/sys/net/ipv6", F_OK) == 0;
	return 0;
}

void network_mask6(const struct in6_addr *address, unsigned prefix, struct in6_addr *ret)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned bits = prefix > 8 * i ? prefix - 8 * i : 0;

		ret->s6_addr[i] = address->s6_addr[i] & (bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits));
	}
}

void network_bridge_name(const struct store *store, const char *name, char ret[IFNAMSIZ])
{
	if (store->tag[0] && strcmp(name, NETWORK_DEFAULT) == 0)
		(void)str_print(ret, IFNAMSIZ, "isle%s", store->tag); /* at most 8 bytes */
	else
		(void)str_print(ret, IFNAMSIZ, "%.*s%s", (int)(IFNAMSIZ - 1 - strlen(store->tag)), name, store->tag);
}

static int check_bridge(struct reading *r, const struct store *store, struct network *network)
{
	const char *bridge = r->fields.bridge;

	if (!bridge)
		network_bridge_name(store, network->name, network->bridge);
	else if (!link_name_valid(bridge))
		return complain(r, r->lines[KEY_BRIDGE], NULL, "'%s' cannot be the name of a bridge (at most 15 bytes)", bridge);
	else
		(void)str_copy(network->bridge, sizeof(network->bridge), bridge); /* was just seen to fit */

	if (r->fields.adopted && (r->lines[KEY_MAC] || r->lines[KEY_MTU]))
		return complain(r, r->lines[r->lines[KEY_MAC] ? KEY_MAC : KEY_MTU],
				"set it where the bridge is made, or set adopted = no", "an adopted bridge keeps its own %s",
				r->lines[KEY_MAC] ? "mac" : "mtu");
	if (r->fields.mac.set) {
		memcpy(network->mac, r->fields.mac.byte, sizeof(network->mac));
		if (network->mac[0] & 1)
			return complain(r, r->lines[KEY_MAC], NULL, "mac is a group address");
	} else {
		network_mac(store, "network", network->name, network->mac);
	}
	return 0;
}

static int check(struct reading *r, const struct store *store, struct network *network)
{
	int result = check_bridge(r, store, network);

	if (result == 0)
		result = check_address4(r, network);
	if (result == 0)
		result = check_address6(r, network);
	network->adopted = r->fields.adopted;
	network->nat = r->lines[KEY_NAT] ? r->fields.nat : !r->fields.adopted;
	network->routed = r->lines[KEY_ROUTED] ? r->fields.routed : r->fields.adopted;
	network->mtu = r->lines[KEY_MTU] ? (unsigned)r->fields.mtu : 0;
	return result;
}

int network_parse(const struct store *store, const char *name, const char *text, struct network *ret, struct err *err)
{
	auto_free char *shown = path_join(store->networks, name);
	struct reading r = {.shown = shown, .rest = text, .fields.mtu = UINT64_MAX, .err = err};
	struct network network = {0};
	int line, result;

	if (!link_name_valid(name) || str_copy(network.name, sizeof(network.name), name) < 0) {
		err_set(err, ERR_USAGE, "'%s' cannot be the name of a network", name);
		(void)err_hint(err, "use at most 15 letters, digits, '_' and '-'");
		return -EINVAL;
	}
	if (!shown)
		return err_num(err, ENOMEM, "read network %s", name);
	line = ini_parse_stream(next_line, &r, take_pair, &r);
	if (line > 0)
		complain(&r, line, "write KEY = VALUE below [network]", "neither a section nor a key");
	else if (line < 0)
		complain(&r, r.line, NULL, "out of memory");
	result = r.result < 0 ? r.result : check(&r, store, &network);
	free(r.fields.bridge);
	if (result == 0)
		*ret = network;
	return result;
}
