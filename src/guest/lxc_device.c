/* LXC's devices: bind mounts of nodes, and the rules of its device control group, put into [device] sections. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lxc_parts.h"

/* Rules for devices that every guest has; a denial of all is where isle begins. */
static const char *const own_devices[] = {
	"a",         "c *:* m",   "b *:* m",   "c 1:3 rwm",   "c 1:5 rwm",    "c 1:7 rwm",    "c 1:8 rwm", "c 1:9 rwm",
	"c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm", "c 10:229 rwm", "",
};

int lxc_device_rule(struct lxc *lxc, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof own_devices / sizeof own_devices[0]; i++)
		if (!strcmp(own_devices[i], value))
			return 0;
	const char *last = strrchr(key, '.');

	if (strcmp(last, ".allow") || lxc->rule_count == LXC_RULES_MAX) {
		lxc_tell(lxc, "%s = %s: rules for devices are not taken over", key, value);
		return 0;
	}
	struct lxc_rule *rule = &lxc->rules[lxc->rule_count];

	*rule = (struct lxc_rule){.text = strdup(value), .file = strdup(lxc->file), .line = lxc->line, .quiet = lxc->quiet};
	if (!rule->text || !rule->file)
		return err_num(lxc->err, ENOMEM, "read a rule for devices");
	lxc->rule_count++;
	return 0;
}

/* A name from the target: /dev/dri/card0 -> dri-card0. */
static int section_name(const struct spec *spec, const char *target, char out[SPEC_MEMBER_MAX + 1])
{
	char base[SPEC_MEMBER_MAX - 3] = "";
	size_t len = 0;

	for (const char *at = target + strlen("/dev/"); *at && len < sizeof base - 1; at++) {
		bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '_';

		if (plain || len)
			base[len++] = plain ? *at : '-';
	}
	for (int i = 1; i <= SPEC_DEVICES_MAX + 1; i++) {
		int r = i == 1 ? str_copy(out, SPEC_MEMBER_MAX + 1, len ? base : "device")
			       : str_print(out, SPEC_MEMBER_MAX + 1, "%s-%d", len ? base : "device", i);

		if (r < 0 || !spec_device(spec, out))
			return r;
	}
	return -ENOSPC;
}

static int set(struct lxc *lxc, const char *name, const char *key, const char *value)
{
	char dotted[80];

	if (str_print(dotted, sizeof dotted, "device.%s.%s", name, key) < 0)
		return lxc_fail(lxc, "the device's name is too long");
	return lxc_set(lxc, dotted, value);
}

bool lxc_device_is(struct lxc *lxc, const char *source, const char *target, bool makes_file)
{
	struct stat st;

	if (!str_starts(source, "/dev/") || !str_starts(target, "/dev/"))
		return false;
	if (stat(source, &st) < 0)
		return makes_file;
	if (S_ISDIR(st.st_mode))
		lxc_tell(lxc, "the devices in %s can be opened only when each has a [device] section", source);
	return S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
}

int lxc_device_entry(struct lxc *lxc, const char *source, const char *target, bool optional)
{
	char name[SPEC_MEMBER_MAX + 1];

	if (section_name(lxc->spec, target, name) < 0)
		return lxc_fail(lxc, "more than %d devices", SPEC_DEVICES_MAX);
	int r = set(lxc, name, "source", source);

	if (!r && strcmp(source, target))
		r = set(lxc, name, "target", target);
	if (!r && optional)
		r = set(lxc, name, "optional", "yes");
	return r;
}

/* True when text, such as "c 226:128" or "c 189:*", means the device. */
static bool means(const char *text, const struct stat *st)
{
	char exact[48], all[48];
	const char kind = S_ISBLK(st->st_mode) ? 'b' : 'c';
	size_t len = strcspn(text, " ");

	len += text[len] == ' ' ? 1 + strcspn(text + len + 1, " ") : 0;
	return str_print(exact, sizeof exact, "%c %u:%u", kind, major(st->st_rdev), minor(st->st_rdev)) == 0 &&
	       str_print(all, sizeof all, "%c %u:*", kind, major(st->st_rdev)) == 0 &&
	       ((strlen(exact) == len && !strncmp(exact, text, len)) || (strlen(all) == len && !strncmp(all, text, len)));
}

int lxc_device_finish(struct lxc *lxc)
{
	const char *file = lxc->file;
	int r = 0;

	for (size_t i = 0; !r && i < lxc->rule_count; i++) {
		const struct lxc_rule *rule = &lxc->rules[i];
		const char *access = strrchr(rule->text, ' ');
		bool used = false;

		lxc->file = rule->file;
		lxc->line = rule->line;
		for (size_t n = 0; !r && n < lxc->spec->device_count; n++) {
			struct stat st;

			if (stat(lxc->spec->devices[n].source, &st) < 0 || !means(rule->text, &st) || !access)
				continue;
			used = true;
			r = set(lxc, lxc->spec->devices[n].name, "access", access + 1);
		}
		if (!used && !rule->quiet)
			lxc_tell(lxc, "rule '%s' for a device is not taken over: give the device by a [device] section",
				 rule->text);
	}
	lxc->file = file;
	return r;
}
