/* LXC's mounts, which are lines of an fstab(5), put into [mount] sections. */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "lxc_parts.h"

/* Targets that isle fills itself. */
static const char *const own_targets[] = {
	"/proc",        "/proc/*",   "/sys",        "/sys/*",    "/dev/shm",    "/dev/mqueue",  "/dev/fuse",
	"/dev/net/tun", "/dev/null", "/dev/zero",   "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
	"/dev/ptmx",    "/dev/pts",  "/dev/.lxc/*", "/dev/.lxc", "/dev",        "/run",         "/dev/console",
};

/* What an fstab writes as \040 and the like, in place. */
static void unescape(char *text)
{
	char *out = text;

	for (char *in = text; *in; out++) {
		bool octal = in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' && in[2] <= '7' && in[3] >= '0' &&
			     in[3] <= '7';

		*out = octal ? (char)((in[1] - '0') << 6 | (in[2] - '0') << 3 | (in[3] - '0')) : *in;
		in += octal ? 4 : 1;
		if (octal && !*out)
			*out = '?';
	}
	*out = '\0';
}

static char *next_field(char **at)
{
	*at += strspn(*at, " \t");
	char *field = **at ? *at : NULL;

	*at += strcspn(*at, " \t");
	if (**at)
		*(*at)++ = '\0';
	if (field)
		unescape(field);
	return field;
}

/* The target as the guest sees it; NULL when it lies outside the guest. Caller frees. */
static char *guest_target(const struct lxc *lxc, const char *target)
{
	if (*target != '/')
		return str_format("/%s", target);
	size_t len = lxc->rootfs ? strlen(lxc->rootfs) : 0;

	while (len && lxc->rootfs[len - 1] == '/')
		len--;
	return len && !strncmp(target, lxc->rootfs, len) && target[len] == '/' ? strdup(target + len) : NULL;
}

/* A section's name from the target: /srv/data -> srv-data, made different from all others. */
static int section_name(const struct spec *spec, const char *target, char out[SPEC_MEMBER_MAX + 1])
{
	char base[SPEC_MEMBER_MAX - 3]; /* room for "-64" */
	size_t len = 0;

	for (; *target && len < sizeof base - 1; target++) {
		bool plain = (*target >= 'a' && *target <= 'z') || (*target >= 'A' && *target <= 'Z') ||
			     (*target >= '0' && *target <= '9') || *target == '_' || (len && *target == '.');

		if (plain)
			base[len++] = *target;
		else if (len && base[len - 1] != '-')
			base[len++] = '-';
	}
	while (len && base[len - 1] == '-')
		len--;
	base[len] = '\0';
	for (int i = 1; i <= SPEC_MOUNTS_MAX + 1; i++) {
		const char *name = len ? base : "mount";
		int r = i == 1 ? str_copy(out, SPEC_MEMBER_MAX + 1, name) : str_print(out, SPEC_MEMBER_MAX + 1, "%s-%d", name, i);

		if (r < 0 || !spec_element((struct spec *)spec, SECTION_MOUNT, out))
			return r;
	}
	return -ENOSPC;
}

struct wish {
	bool bind, recursive, relative, optional, makes_file;
	struct buf options; /* what stays */
};

static void read_options(char *options, struct wish *wish)
{
	for (char *word; options && (word = strsep(&options, ","));) {
		if (!strcmp(word, "bind") || !strcmp(word, "rbind")) {
			wish->bind = true;
			wish->recursive |= *word == 'r';
		} else if (!strcmp(word, "relative")) {
			wish->relative = true;
		} else if (*word && strcmp(word, "defaults")) {
			wish->optional |= !strcmp(word, "optional");
			wish->makes_file |= !strcmp(word, "create=file");
			buf_addf(&wish->options, "%s%s", wish->options.len ? "," : "", word);
		}
	}
	if (wish->recursive)
		buf_addf(&wish->options, "%srec", wish->options.len ? "," : "");
}

static int set(struct lxc *lxc, const char *name, const char *key, const char *value)
{
	char dotted[80];

	if (!value)
		return 0;
	if (str_print(dotted, sizeof dotted, "mount.%s.%s", name, key) < 0)
		return lxc_fail(lxc, "the mount's name is too long");
	return lxc_set(lxc, dotted, value);
}

static int add_mount(struct lxc *lxc, const char *source, const char *target, const char *type, const struct wish *wish)
{
	char name[SPEC_MEMBER_MAX + 1];

	if (section_name(lxc->spec, target, name) < 0)
		return lxc_fail(lxc, "more than %d mounts", SPEC_MOUNTS_MAX);
	int r = set(lxc, name, "source", source);

	if (!r)
		r = set(lxc, name, "target", target);
	if (!r)
		r = set(lxc, name, "type", wish->bind ? NULL : type);
	if (!r && wish->options.len)
		r = set(lxc, name, "options", wish->options.data);
	return r;
}

static bool is_own_target(const char *target)
{
	for (size_t i = 0; i < sizeof own_targets / sizeof own_targets[0]; i++)
		if (!fnmatch(own_targets[i], target, 0))
			return true;
	return false;
}

int lxc_mount_entry(struct lxc *lxc, const char *value)
{
	auto_free char *copy = strdup(value);
	struct wish wish = {0};

	if (!copy)
		return err_num(lxc->err, ENOMEM, "read a mount");
	char *at = copy, *source = next_field(&at), *target = next_field(&at), *type = next_field(&at), *options = next_field(&at);

	if (!type)
		return lxc_fail(lxc, "'%s' is not a mount: SOURCE TARGET TYPE OPTIONS", value);
	auto_free char *inside = guest_target(lxc, target);

	if (!inside) {
		lxc_tell(lxc, "the mount on %s lies outside the guest's root and is passed over", target);
		return 0;
	}
	if (is_own_target(inside))
		return 0;
	read_options(options, &wish);
	int r = 0;

	if (wish.options.failed)
		r = err_num(lxc->err, ENOMEM, "read a mount");
	else if (wish.relative)
		lxc_tell(lxc, "the mount on %s has a source inside the guest ('relative'), which has no counterpart here", target);
	else if (!wish.bind && !strcmp(type, "none"))
		lxc_tell(lxc, "the mount on %s has neither a type nor 'bind' and is passed over", target);
	else if (wish.bind && lxc_device_is(lxc, source, inside, wish.makes_file))
		r = lxc_device_entry(lxc, source, inside, wish.optional);
	else
		r = add_mount(lxc, source, inside, type, &wish);
	buf_free(&wish.options);
	return r;
}
