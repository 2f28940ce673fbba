/* Types of values that name a place on a network: MAC addresses, IP addresses, prefixes. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>

#include "keys.h"

static struct json_object *json_of(const struct key *key, const void *field)
{
	auto_buf struct buf text = {0};

	key->type->format(key, field, &text);
	return text.len ? json_object_new_string(text.data) : NULL;
}

/* Hardware addresses */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int mac_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	struct mac_value mac = {.set = true};
	const char *p = text;
	uint8_t all = 0;

	for (int i = 0; i < 6; i++, p += 3) {
		int high = hex_value(p[0]), low = high < 0 ? -1 : hex_value(p[1]);

		if (low < 0 || p[2] != (i < 5 ? ':' : '\0'))
			return err_set(err, ERR_FAILED, "'%s' is not a MAC address (02:00:5e:10:00:01)", text);
		mac.byte[i] = (uint8_t)(high << 4 | low);
		all |= mac.byte[i];
	}
	if (mac.byte[0] & 1)
		return err_set(err, ERR_FAILED, "'%s' is a multicast address: the first byte must be even", text);
	if (!all)
		return err_set(err, ERR_FAILED, "'%s' is no address of an interface", text);
	*(struct mac_value *)field = mac;
	return 0;
}

static void mac_format(const struct key *key, const void *field, struct buf *out)
{
	const struct mac_value *mac = field;

	for (int i = 0; mac->set && i < 6; i++)
		buf_addf(out, "%s%02x", i ? ":" : "", mac->byte[i]);
}

static bool mac_is_set(const struct key *key, const void *field)
{
	return ((const struct mac_value *)field)->set;
}

static void mac_clear(const struct key *key, void *field)
{
	*(struct mac_value *)field = (struct mac_value){0};
}

const struct type type_mac = {"MAC address", "six bytes: 02:00:5e:10:00:01", mac_parse, mac_format, json_of, mac_is_set, mac_clear};

/* IP addresses */

static int family_of(const struct key *key)
{
	return key->max == 6 ? AF_INET6 : AF_INET;
}

/* Reads text as an address that one interface can have. */
static int host_address(const struct key *key, const char *text, uint8_t byte[16], struct err *err)
{
	uint8_t read[16] = {0};

	if (inet_pton(family_of(key), text, read) != 1)
		return err_set(err, ERR_FAILED, "'%s' is not an IPv%d address", text, (int)key->max);
	const struct in6_addr *in6 = (const struct in6_addr *)read;
	bool bad = key->max == 6 ? IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_LOOPBACK(in6) || IN6_IS_ADDR_MULTICAST(in6) ||
					   IN6_IS_ADDR_V4MAPPED(in6)
				 : read[0] == 0 || read[0] == 127 || read[0] >= 224;

	if (bad)
		return err_set(err, ERR_FAILED, "'%s' cannot be the address of an interface", text);
	memcpy(byte, read, sizeof read);
	return 0;
}

/* The network's own and its broadcast address are nobody's; /31 (RFC 3021) and /32 have none. */
static bool is_edge(const uint8_t byte[16], unsigned prefix)
{
	uint32_t address = (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
	uint32_t hosts = prefix < 31 ? UINT32_MAX >> prefix : 0;

	return hosts && ((address & hosts) == 0 || (address & hosts) == hosts);
}

static int address_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	struct address_value value = {.mode = ADDRESS_STATIC};
	const char *slash = strchr(text, '/');
	uint64_t prefix;
	int r;

	if (!strcmp(text, "auto") || !strcmp(text, "none")) {
		value.mode = *text == 'a' ? ADDRESS_AUTO : ADDRESS_NONE;
		*(struct address_value *)field = value;
		return 0;
	}
	if (!slash) {
		uint8_t plain[16];

		r = host_address(key, text, plain, err);
		if (r < 0) {
			(void)err_hint(err, "write auto, none or ADDRESS/LENGTH");
			return r;
		}
		r = err_set(err, ERR_FAILED, "'%s' lacks the length of its network", text);
		(void)err_hint(err, "write ADDRESS/LENGTH, such as %s/%s", text, key->max == 6 ? "64" : "24");
		return r;
	}
	if (str_to_u64(slash + 1, 1, key->max == 6 ? 128 : 32, &prefix) < 0)
		return err_set(err, ERR_FAILED, "'%s': the length behind the slash must be 1 to %d", text,
			       key->max == 6 ? 128 : 32);
	auto_free char *address = strndup(text, (size_t)(slash - text));

	if (!address)
		return err_num(err, ENOMEM, "read an address");
	r = host_address(key, address, value.byte, err);
	if (r < 0)
		return r;
	if (key->max == 4 && is_edge(value.byte, (unsigned)prefix))
		return err_set(err, ERR_FAILED, "'%s' is the first or last address of its network, which no interface can have",
			       text);
	value.prefix = (uint8_t)prefix;
	*(struct address_value *)field = value;
	return 0;
}

static void add_address(const struct key *key, const uint8_t byte[16], struct buf *out)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(family_of(key), byte, text, sizeof text))
		buf_add(out, text);
}

static void address_format(const struct key *key, const void *field, struct buf *out)
{
	const struct address_value *value = field;

	if (value->mode != ADDRESS_STATIC) {
		buf_add(out, value->mode == ADDRESS_AUTO ? "auto" : "none");
		return;
	}
	add_address(key, value->byte, out);
	buf_addf(out, "/%u", value->prefix);
}

static bool address_is_set(const struct key *key, const void *field)
{
	return true;
}

static void address_clear(const struct key *key, void *field)
{
	*(struct address_value *)field = (struct address_value){.mode = ADDRESS_AUTO};
}

const struct type type_address = {
	"address", "auto, none, or ADDRESS/LENGTH", address_parse, address_format, json_of, address_is_set, address_clear,
};

static int ip_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	struct ip_value value = {.set = true};
	int r = host_address(key, text, value.byte, err);

	if (r < 0)
		return r;
	*(struct ip_value *)field = value;
	return 0;
}

static void ip_format(const struct key *key, const void *field, struct buf *out)
{
	const struct ip_value *value = field;

	if (value->set)
		add_address(key, value->byte, out);
}

static bool ip_is_set(const struct key *key, const void *field)
{
	return ((const struct ip_value *)field)->set;
}

static void ip_clear(const struct key *key, void *field)
{
	*(struct ip_value *)field = (struct ip_value){0};
}

const struct type type_ip = {"IP address", "an address without a length", ip_parse, ip_format, json_of, ip_is_set, ip_clear};
