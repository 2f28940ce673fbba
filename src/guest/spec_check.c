/* Checks of a spec that need more than one key. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "spec_parts.h"

/* Names the section's line when it came from a file. */
static int at_line(const struct spec *spec, int line, int r, struct err *err)
{
	if (line)
		(void)err_where(err, spec->file ? spec->file : "config", line);
	return r;
}

/* Mounts */

static bool has_parent_part(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (!at[2] || at[2] == '/'))
			return true;
	return false;
}

/* True when a and b are one path but for repeated and last slashes and "." parts. */
static bool same_path(const char *a, const char *b)
{
	for (;;) {
		for (; *a == '/' || (*a == '.' && (!a[1] || a[1] == '/')); a++)
			;
		for (; *b == '/' || (*b == '.' && (!b[1] || b[1] == '/')); b++)
			;
		size_t len = strcspn(a, "/");

		if (len != strcspn(b, "/") || memcmp(a, b, len))
			return false;
		if (!len)
			return true;
		a += len;
		b += len;
	}
}

static int check_mount(const struct spec *spec, size_t index, struct err *err)
{
	const struct spec_mount *mount = &spec->mounts[index];

	if (!mount->target || (!mount->source && !mount->type)) {
		int r = err_set(err, ERR_FAILED, "[mount %s] has no %s", mount->name, mount->target ? "source" : "target");

		(void)err_hint(err, "a mount needs source = PATH and target = PATH");
		return r;
	}
	if (!mount->type && *mount->source != '/')
		return err_set(err, ERR_FAILED, "mount.%s.source: '%s' is not an absolute path, and no type is given", mount->name,
			       mount->source);
	if (!mount->type && has_parent_part(mount->source))
		return err_set(err, ERR_FAILED, "mount.%s.source: '%s' has '..' in it", mount->name, mount->source);
	if (same_path(mount->target, "/"))
		return err_set(err, ERR_FAILED, "mount.%s.target: a mount on / would hide the guest", mount->name);
	for (size_t i = 0; i < index; i++)
		if (same_path(spec->mounts[i].target, mount->target))
			return err_set(err, ERR_FAILED, "[mount %s] and [mount %s] both have the target %s", spec->mounts[i].name,
				       mount->name, mount->target);
	return 0;
}

/* Networks */

static int check_gateway(const struct spec_network *network, const struct address_value *address, const struct ip_value *gateway,
			 const char *six, struct err *err)
{
	if (!gateway->set)
		return 0;
	if (address->mode == ADDRESS_NONE)
		return err_set(err, ERR_FAILED, "network.%s.gateway%s needs an address, and address%s is none", network->name, six,
			       six);
	if (address->mode == ADDRESS_STATIC && !memcmp(address->byte, gateway->byte, sizeof gateway->byte))
		return err_set(err, ERR_FAILED, "network.%s.gateway%s is the guest's own address", network->name, six);
	return 0;
}

static bool same_address(const struct address_value *a, const struct address_value *b)
{
	return a->mode == ADDRESS_STATIC && b->mode == ADDRESS_STATIC && !memcmp(a->byte, b->byte, sizeof a->byte);
}

static int check_pair(const struct spec_network *a, const struct spec_network *b, struct err *err)
{
	if (a->mac.set && b->mac.set && !memcmp(a->mac.byte, b->mac.byte, sizeof a->mac.byte))
		return err_set(err, ERR_FAILED, "[network %s] and [network %s] have the same mac", a->name, b->name);
	if (same_address(&a->address, &b->address) || same_address(&a->address6, &b->address6))
		return err_set(err, ERR_FAILED, "[network %s] and [network %s] have the same address", a->name, b->name);
	bool both4 = a->address.mode != ADDRESS_NONE && b->address.mode != ADDRESS_NONE;
	bool both6 = a->address6.mode != ADDRESS_NONE && b->address6.mode != ADDRESS_NONE;

	if (a->default_route && b->default_route && (both4 || both6)) {
		int r = err_set(err, ERR_FAILED, "[network %s] and [network %s] both take the IPv%c default route", a->name,
				b->name, both4 ? '4' : '6');

		(void)err_hint(err, "give one of them default-route = no");
		return r;
	}
	return 0;
}

static int check_network(const struct spec *spec, size_t index, struct err *err)
{
	const struct spec_network *network = &spec->networks[index];

	if (network->type == NETWORK_NONE)
		return 0;
	int r = check_gateway(network, &network->address, &network->gateway, "", err);

	if (!r)
		r = check_gateway(network, &network->address6, &network->gateway6, "6", err);
	if (r < 0)
		return r;
	if (network->mtu < 1280 && network->address6.mode != ADDRESS_NONE) {
		r = err_set(err, ERR_FAILED, "network.%s.mtu: IPv6 needs an mtu of 1280", network->name);
		(void)err_hint(err, "raise it, or give the section address6 = none");
		return r;
	}
	if (network->isolated && network->spoofing == SPOOFING_ALLOW) {
		r = err_set(err, ERR_FAILED, "network.%s.isolated cannot be held with spoofing = allow", network->name);
		(void)err_hint(err, "say spoofing = deny or addresses, or isolated = no");
		return r;
	}
	for (size_t i = 0; !r && i < index; i++)
		if (spec->networks[i].type != NETWORK_NONE)
			r = check_pair(&spec->networks[i], network, err);
	return r;
}

/* Devices */

/* What isle itself puts into /dev. */
static const char *const own_nodes[] = {
	"null", "zero", "full",  "random", "urandom", "tty", "console", "ptmx", "fuse",   "net/tun",
	"fd",   "core", "stdin", "stdout", "stderr",  "log", "pts",     "shm",  "mqueue",
};

/* True when one path is the other or a folder on its way. */
static bool in_the_way(const char *a, const char *b)
{
	size_t len = strlen(a) < strlen(b) ? strlen(a) : strlen(b);

	return !strncmp(a, b, len) && (!a[len] || a[len] == '/') && (!b[len] || b[len] == '/');
}

/* A part of a node's path: a plain name. The length of it, 0 when it is none. */
static size_t plain_part(const char *at)
{
	size_t len = strcspn(at, "/");

	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:+@", at[i]))
			return 0;
	return *at == '.' ? 0 : len;
}

static int check_node_target(const struct spec_device *device, const char *target, struct err *err)
{
	const char *below = str_starts(target, "/dev/") ? target + strlen("/dev/") : "";

	for (const char *at = below;; at++) {
		size_t len = plain_part(at);

		if (!len) {
			int r = err_set(err, ERR_FAILED, "device.%s.target: '%s' is not a plain path below /dev", device->name,
					target);

			(void)err_hint(err, "such as target = /dev/dri/renderD128");
			return r;
		}
		at += len;
		if (!*at)
			break;
	}
	if (strlen(target) > 100)
		return err_set(err, ERR_FAILED, "device.%s.target: '%s' is longer than 100 bytes", device->name, target);
	for (size_t i = 0; i < sizeof own_nodes / sizeof own_nodes[0]; i++)
		if (in_the_way(below, own_nodes[i]))
			return err_set(err, ERR_FAILED, "device.%s.target: %s is isle's own to make", device->name, target);
	return 0;
}

static int check_nic(const struct spec *spec, const struct spec_device *device, struct err *err)
{
	const char *names[] = {device->source, spec_device_target(device)};

	for (size_t i = 0; i < 2; i++) {
		int r = types_check_name("the interface's name", names[i], 15, err);

		if (r < 0)
			return r;
		if (!strcmp(names[i], "lo") || !strcmp(names[i], "all") || !strcmp(names[i], "default"))
			return err_set(err, ERR_FAILED, "device.%s: '%s' cannot be given to a guest", device->name, names[i]);
	}
	for (size_t i = 0; i < spec->network_count; i++)
		if (spec->networks[i].type != NETWORK_NONE && !strcmp(spec->networks[i].name, names[1]))
			return err_set(err, ERR_FAILED, "[device %s] and [network %s] both are the interface %s", device->name,
				       spec->networks[i].name, names[1]);
	return 0;
}

static int check_device(const struct spec *spec, size_t index, struct err *err)
{
	const struct spec_device *device = &spec->devices[index];
	const bool nic = device->type == DEVICE_NIC;
	int r;

	if (!device->source) {
		r = err_set(err, ERR_FAILED, "[device %s] has no source", device->name);
		(void)err_hint(err, "a device needs source = /dev/..., or type = nic and source = INTERFACE");
		return r;
	}
	const char *target = spec_device_target(device);

	if (!nic && (*device->source != '/' || has_parent_part(device->source)))
		return err_set(err, ERR_FAILED, "device.%s.source: '%s' is not an absolute path without '..'", device->name,
			       device->source);
	r = nic ? check_nic(spec, device, err) : check_node_target(device, target, err);
	for (size_t i = 0; !r && i < index; i++) {
		const struct spec_device *other = &spec->devices[i];

		if (other->type != device->type)
			continue;
		if (nic ? !strcmp(spec_device_target(other), target) : in_the_way(spec_device_target(other), target))
			r = err_set(err, ERR_FAILED, "[device %s] and [device %s] both have the target %s", other->name,
				    device->name, target);
		else if (nic && !strcmp(other->source, device->source))
			r = err_set(err, ERR_FAILED, "[device %s] and [device %s] both are %s", other->name, device->name,
				    device->source);
	}
	return r;
}

/* Capabilities */

static size_t skip_prefix(const char **word, size_t len)
{
	if (len > 4 && !strncasecmp(*word, "cap_", 4)) {
		*word += 4;
		len -= 4;
	}
	return len;
}

static int check_caps(const char *keep, const char *drop, struct err *err)
{
	size_t keep_len, drop_len;

	for (const char *word; keep && (word = types_next_word(&keep, &keep_len));) {
		keep_len = skip_prefix(&word, keep_len);
		for (const char *at = drop, *other; at && (other = types_next_word(&at, &drop_len));) {
			drop_len = skip_prefix(&other, drop_len);
			if (keep_len == drop_len && !strncasecmp(word, other, keep_len))
				return err_set(err, ERR_FAILED,
					       "capability '%.*s' is both in keep-capabilities and in drop-capabilities",
					       (int)keep_len, word);
		}
	}
	return 0;
}

int spec_check(const struct spec *spec, struct err *err)
{
	int r = check_caps(spec->security.keep_caps, spec->security.drop_caps, err);

	for (size_t i = 0; !r && i < spec->network_count; i++) {
		r = check_network(spec, i, err);
		if (r < 0)
			return at_line(spec, spec->networks[i].line, r, err);
	}
	for (size_t i = 0; !r && i < spec->mount_count; i++) {
		r = check_mount(spec, i, err);
		if (r < 0)
			return at_line(spec, spec->mounts[i].line, r, err);
	}
	for (size_t i = 0; !r && i < spec->device_count; i++) {
		r = check_device(spec, i, err);
		if (r < 0)
			return at_line(spec, spec->devices[i].line, r, err);
	}
	return r;
}
