/* A new guest's config, from what its image, the administrator's file and the command line say. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../guest/image.h"
#include "../guest/lxc.h"
#include "../guest/plan.h"
#include "create_spec.h"

#define CONFIG_MAX (256u << 10)

static int put(struct spec *spec, const char *dotted, const char *value, struct err *err)
{
	return spec_set(spec, dotted, value, err);
}

/* Copies one key where `from` says something else than the default. */
static int merge_key(struct spec *to, const struct spec *from, const struct spec *fresh, const char *dotted, struct err *err)
{
	auto_free char *value = NULL, *plain = NULL;

	if (spec_get(from, dotted, &value, NULL) < 0 || !*value)
		return 0;
	if (fresh && spec_get(fresh, dotted, &plain, NULL) == 0 && !strcmp(value, plain))
		return 0;
	return put(to, dotted, value, err);
}

static int merge_member(struct spec *to, const struct spec *from, enum section section, const char *name, struct err *err)
{
	for (size_t i = 0; i < key_count; i++) {
		if (key_table[i].section != section || key_table[i].internal)
			continue;
		auto_free char *dotted = str_format("%s.%s.%s", section_table[section].name, name, key_table[i].name);
		int r = dotted ? merge_key(to, from, NULL, dotted, err) : err_num(err, ENOMEM, "merge configs");

		if (r < 0)
			return r;
	}
	return 0;
}

/* Lays `from` over `to`. Its networks, when it has any, replace all that there were. */
static int merge(struct spec *to, const struct spec *from, struct err *err)
{
	auto_spec struct spec *fresh = spec_new();
	int r = 0;

	if (!fresh)
		return err_num(err, ENOMEM, "merge configs");
	for (size_t i = 0; r == 0 && i < key_count; i++) {
		const struct section_info *section = &section_table[key_table[i].section];

		if (section->many || key_table[i].internal)
			continue;
		auto_free char *dotted = str_format("%s.%s", section->name, key_table[i].name);

		r = dotted ? merge_key(to, from, fresh, dotted, err) : err_num(err, ENOMEM, "merge configs");
	}
	while (r == 0 && from->network_count && to->network_count) {
		auto_free char *dotted = str_format("network.%s", to->networks[0].name);

		r = dotted ? put(to, dotted, NULL, err) : err_num(err, ENOMEM, "merge configs");
	}
	for (size_t i = 0; r == 0 && i < from->network_count; i++)
		r = merge_member(to, from, SECTION_NETWORK, from->networks[i].name, err);
	for (size_t i = 0; r == 0 && i < from->mount_count; i++)
		r = merge_member(to, from, SECTION_MOUNT, from->mounts[i].name, err);
	for (size_t i = 0; r == 0 && i < from->device_count; i++)
		r = merge_member(to, from, SECTION_DEVICE, from->devices[i].name, err);
	return r;
}

static void note_lxc(void *arg, const char *file, int line, const char *text)
{
	(void)arg;
	log_warn("%s:%d: %s", file, line, text);
}

/* What the template wrote, without what is one guest's own: the image is shared. */
static int read_image(const struct store *store, const struct create_request *request, struct spec *spec, struct err *err)
{
	auto_free char *folder = image_path(store, request->image_key);
	auto_free char *file = folder ? str_format("%s/config", folder) : NULL;

	if (!file)
		return err_num(err, ENOMEM, "read the config of the image %s", request->image_key);
	int r = lxc_read(file, spec, NULL, NULL, err);

	if (r < 0)
		return r;
	r = put(spec, "guest.hostname", NULL, err);
	for (size_t i = 0; r == 0 && i < spec->network_count; i++) {
		auto_free char *dotted = str_format("network.%s.mac", spec->networks[i].name);

		r = dotted ? put(spec, dotted, NULL, err) : err_num(err, ENOMEM, "read the config of an image");
	}
	return r;
}

/* LXC's lines begin with lxc., isle's first is a section. */
static bool is_lxc(const char *text)
{
	while (*text) {
		text += strspn(text, " \t\r\n");
		if (*text != '#' && *text != ';' && *text)
			return str_starts(text, "lxc.");
		text += strcspn(text, "\n");
	}
	return false;
}

static int read_config(const char *file, lxc_note *note, struct spec *spec, struct err *err)
{
	auto_spec struct spec *given = NULL;
	auto_free char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, file, CONFIG_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "read %s", file);
	if (is_lxc(text))
		return lxc_read(file, spec, note, NULL, err);
	r = spec_parse(text, len, file, &given, err);
	return r < 0 ? r : merge(spec, given, err);
}

static int apply_settings(const struct create_request *request, struct spec *spec, struct err *err)
{
	for (size_t i = 0; i < request->setting_count; i++) {
		const char *equals = strchr(request->settings[i], '=');

		if (!equals || equals == request->settings[i])
			return err_set(err, ERR_USAGE, "--set %s is not KEY=VALUE", request->settings[i]);
		auto_free char *dotted = strndup(request->settings[i], (size_t)(equals - request->settings[i]));
		struct spec_name name;
		int r = dotted ? spec_name_parse(dotted, &name, err) : err_num(err, ENOMEM, "apply --set");

		if (r < 0)
			return r;
		if (name.key && name.key->internal)
			return err_set(err, ERR_USAGE, "--set %s: isle sets that key itself", request->settings[i]);
		r = put(spec, dotted, equals[1] ? equals + 1 : NULL, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_networks(const struct create_request *request, struct spec *spec, struct err *err)
{
	int r = 0;

	while (r == 0 && request->no_network && spec->network_count) {
		auto_free char *dotted = str_format("network.%s", spec->networks[0].name);

		r = dotted ? put(spec, dotted, NULL, err) : err_num(err, ENOMEM, "leave out the network");
	}
	if (r < 0 || request->no_network || spec->network_count)
		return r;
	r = put(spec, "network.eth0.type", "bridge", err);
	if (r == 0)
		r = put(spec, "network.eth0.link", "isle0", err);
	return r < 0 ? r : put(spec, "network.eth0.address", "auto", err);
}

/* With what its plan and the host's defaults add. */
static int check_whole(const struct store *store, const struct spec *spec, struct err *err)
{
	auto_spec struct spec *whole = NULL;
	auto_free char *text = spec_format(spec);
	int r = text ? spec_check(spec, err) : err_num(err, ENOMEM, "make a config");

	return r < 0 ? r : plan_parse(store, text, strlen(text), "the new config", &whole, err);
}

int create_spec(const struct store *store, const struct create_request *request, struct spec **ret, struct err *err)
{
	auto_spec struct spec *spec = spec_new();
	int r = spec ? 0 : err_num(err, ENOMEM, "make a config");

	if (r == 0 && request->image_fd >= 0)
		r = read_image(store, request, spec, err);
	/* What is passed over is told once: by the check, which comes before the image. */
	if (r == 0 && request->config)
		r = read_config(request->config, request->image_fd < 0 ? note_lxc : NULL, spec, err);
	if (r == 0)
		r = set_networks(request, spec, err);
	if (r == 0 && request->privileged)
		r = put(spec, "security.privileged", "yes", err);
	if (r == 0 && request->plan)
		r = put(spec, "guest.plan", request->plan, err);
	if (r == 0 && request->hostname)
		r = put(spec, "guest.hostname", request->hostname, err);
	if (r == 0)
		r = put(spec, "guest.template", request->template_name, err);
	if (r == 0 && request->image_fd >= 0)
		r = put(spec, "guest.image", request->image_key, err);
	if (r == 0 && request->storage)
		r = put(spec, "guest.storage", request->storage->name, err);
	/* Last, so that they win. */
	if (r == 0)
		r = apply_settings(request, spec, err);
	if (r == 0)
		r = check_whole(store, spec, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&spec);
	return 0;
}
