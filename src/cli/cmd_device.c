/* isle device: gives devices of the host to a guest, and takes them back, while it runs too. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "../run/devices.h"
#include "config_change.h"

/* The keys of a section that have an option of the same name. */
static const char *const key_options[] = {"type", "source", "target", "mode", "uid", "gid", "access"};

/* As lxc-device(1) has it, a path names the device and is its source: /dev/ttyUSB0 is ttyUSB0. Caller frees. */
static char *name_of(const char *argument)
{
	const char *slash = *argument == '/' ? strrchr(argument, '/') : NULL;
	char *name = strdup(slash ? slash + 1 : argument);

	for (char *at = name; slash && at && *at; at++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *at))
			*at = '-';
	return name;
}

static const char *value_of(struct call *call, const char *option)
{
	const char *value = call_value(call, option);

	if (value || call->argv[2][0] != '/')
		return value;
	if (!strcmp(option, "source"))
		return call->argv[2];
	return !strcmp(option, "target") && call->argc > 3 ? call->argv[3] : NULL;
}

/* Changing */

static int edit_key(char **text, const char *device, const char *key, const char *value, struct err *err)
{
	auto_free char *dotted = str_format("device.%s%s%s", device, *key ? "." : "", key);
	char *edited;
	int r = dotted ? spec_edit(*text, dotted, value, &edited, err) : err_num(err, ENOMEM, "change device '%s'", device);

	if (r < 0)
		return r;
	free(*text);
	*text = edited;
	return 0;
}

/* A name whose last part begins with a digit, or that holds a dot, could be taken for a key's. */
static int check_name(const char *device, struct err *err)
{
	int r = types_check_name("the device's name", device, SPEC_MEMBER_MAX, err);

	if (r < 0 && err)
		err->code = ERR_USAGE;
	if (r == 0 && strchr(device, '.'))
		r = err_set(err, ERR_USAGE, "the device's name '%s' has a dot in it", device);
	return r;
}

static bool is_live(const struct guest *guest)
{
	enum state state = guest_state_locked(guest, NULL);

	return state == STATE_RUNNING || state == STATE_FROZEN;
}

/* The config file is what counts when this is killed: with the section in it the device stays, without it the next command takes it
 * away again. */
static int add_live(struct guest *guest, const struct spec *spec, const char *device, const char *text, struct err *err)
{
	int r = devices_live_add(guest, spec, device, err);

	if (r < 0)
		return r;
	r = guest_save(guest, text, err);
	if (r < 0)
		(void)devices_live_remove(guest, device, NULL); /* the first fault is the one to tell */
	return r < 0 ? r : devices_live_note(guest, device, '=', err);
}

static int add_keys(struct call *call, const char *device, char **text, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(key_options) / sizeof(key_options[0]); i++) {
		const char *value = value_of(call, key_options[i]);

		if (value)
			r = edit_key(text, device, key_options[i], value, err);
	}
	if (r == 0 && call_has(call, "optional"))
		r = edit_key(text, device, "optional", "yes", err);
	return r;
}

/* What is wrong with an option's value is told of the option, not of a line that is in no file. */
static int parse_new(const char *text, const char *guest, struct spec **ret, struct err *err)
{
	int r = spec_parse(text, strlen(text), guest, ret, err);

	if (r < 0 && err) {
		err->where[0] = '\0';
		err->code = ERR_USAGE;
	}
	return r;
}

static int add_to(struct call *call, struct config_change *change, const char *device, struct err *err)
{
	struct guest *guest = &change->guest;
	struct spec *spec = NULL;
	auto_free char *text = strdup(change->text);
	int r = 0;

	if (!guest->spec) /* its fault is told with its line */
		r = spec_parse(change->text, strlen(change->text), guest->name, &spec, err);
	else if (spec_device(guest->spec, device))
		r = err_set(err, ERR_STATE, "add device '%s': the guest has one of that name", device);
	if (r == -EBUSY)
		(void)err_hint(err, "isle device %s remove %s", guest->name, device);
	if (r == 0 && !text)
		r = err_num(err, ENOMEM, "add device '%s'", device);
	if (r == 0)
		r = add_keys(call, device, &text, err);
	if (r == 0)
		r = parse_new(text, guest->name, &spec, err);
	if (r == 0)
		r = is_live(guest) ? add_live(guest, spec, device, text, err) : guest_save(guest, text, err);
	spec_free(spec);
	return r;
}

static int run_add(struct call *call, const char *device, struct err *err)
{
	struct config_change change;
	int r = check_name(device, err);

	if (r < 0)
		return r;
	if (!value_of(call, "source"))
		return call_usage(call, err, "add needs --source: a node of the host, or with --type nic an interface");
	r = config_change_begin(call, call->argv[0], &change, err);
	if (r < 0)
		return r;
	r = add_to(call, &change, device, err);
	config_change_end(&change);
	return r;
}

static int no_device(const struct guest *guest, const char *device, struct err *err)
{
	const char *names[SPEC_DEVICES_MAX];
	int r = err_set(err, ERR_FAILED, "remove device '%s': the guest has none of that name", device);

	for (size_t i = 0; i < guest->spec->device_count; i++)
		names[i] = guest->spec->devices[i].name;
	const char *near = str_near(device, names, guest->spec->device_count);

	return near ? err_hint(err, "did you mean '%s'?", near) : r;
}

static int remove_from(struct config_change *change, const char *device, struct err *err)
{
	struct guest *guest = &change->guest;
	struct record record = {0};
	auto_free char *text = strdup(change->text);
	bool live = guest->spec && is_live(guest) && record_load(guest->store, guest->name, &record) == 0 &&
		    record_device(&record, device);
	bool configured = guest->spec && spec_device(guest->spec, device);
	struct spec *spec = NULL;
	int r = text ? 0 : err_num(err, ENOMEM, "remove device '%s'", device);

	if (r == 0 && !guest->spec)
		r = spec_parse(change->text, strlen(change->text), guest->name, &spec, err);
	else if (r == 0 && !live && !configured)
		r = no_device(guest, device, err);
	if (r == 0 && configured)
		r = edit_key(&text, device, "", NULL, err);
	/* On record first: a command that is killed from here on is finished by the next one, one way or the other. */
	if (r == 0 && live)
		r = devices_live_note(guest, device, '-', err);
	if (r == 0 && configured)
		r = guest_save(guest, text, err);
	if (r < 0 && live)
		(void)devices_live_note(guest, device, '=', NULL); /* the first fault is the one to tell */
	if (r == 0 && live) {
		r = devices_live_remove(guest, device, err);
		if (r < 0 && configured && guest_save(guest, change->text, NULL) == 0)
			(void)devices_live_note(guest, device, '=', NULL); /* as before */
	}
	spec_free(spec);
	return r;
}

static int run_remove(struct call *call, const char *device, struct err *err)
{
	struct config_change change;
	int r = config_change_begin(call, call->argv[0], &change, err);

	if (r < 0)
		return r;
	r = remove_from(&change, device, err);
	config_change_end(&change);
	return r;
}

/* Showing */

struct row {
	const struct spec_device *section; /* NULL: the config has it no more */
	const struct record_device *live;  /* NULL: the running guest has it not */
	bool running;
};

static void show_numbers(const struct row *row, char out[32])
{
	if (row->live && row->live->kind != 'n')
		(void)str_print(out, 32, "%c %llu:%llu", row->live->kind, (unsigned long long)row->live->major,
				(unsigned long long)row->live->minor);
	else
		(void)str_copy(out, 32, "-");
}

static void print_row(const struct row *row)
{
	const char *name = row->section ? row->section->name : row->live->name;
	const bool nic = row->section ? row->section->type == DEVICE_NIC : row->live->kind == 'n';
	const char *source = row->section ? row->section->source : nic ? row->live->host : "-";
	const char *state = !row->running ? "-" : !row->live ? "at the next start" : row->section ? "in use" : "until the stop";
	char numbers[32];

	show_numbers(row, numbers);
	printf("%-16s %-5s %-24s %-24s %-7s %-12s %s\n", name, nic ? "nic" : "node", source,
	       row->live ? row->live->inside : spec_device_target(row->section),
	       nic         ? "-"
	       : row->live ? row->live->access
			   : row->section->access,
	       numbers, state);
}

static void add_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, text && *text ? json_object_new_string(text) : NULL);
}

static struct json_object *row_json(const struct row *row)
{
	const struct record_device *live = row->live;
	const bool nic = row->section ? row->section->type == DEVICE_NIC : live->kind == 'n';
	struct json_object *o = json_object_new_object();
	char mode[8] = "";

	if (row->section && !nic)
		(void)str_print(mode, sizeof(mode), "%04o", (unsigned)row->section->mode);
	add_text(o, "name", row->section ? row->section->name : live->name);
	add_text(o, "type", nic ? "nic" : "node");
	add_text(o, "source", row->section ? row->section->source : live->host);
	add_text(o, "target", live ? live->inside : spec_device_target(row->section));
	add_text(o, "mode", mode);
	json_object_object_add(o, "uid", *mode ? json_object_new_uint64(row->section->uid) : NULL);
	json_object_object_add(o, "gid", *mode ? json_object_new_uint64(row->section->gid) : NULL);
	add_text(o, "access", nic ? NULL : live ? live->access : row->section->access);
	add_text(o, "kind", !live || nic ? NULL : live->kind == 'b' ? "block" : "char");
	json_object_object_add(o, "major", live && !nic ? json_object_new_uint64(live->major) : NULL);
	json_object_object_add(o, "minor", live && !nic ? json_object_new_uint64(live->minor) : NULL);
	json_object_object_add(o, "configured", json_object_new_boolean(row->section != NULL));
	json_object_object_add(o, "live", json_object_new_boolean(live != NULL));
	return o;
}

static void show(struct json_object *array, const struct row *row)
{
	if (array)
		json_object_array_add(array, row_json(row));
	else
		print_row(row);
}

static int run_list(struct call *call, struct err *err)
{
	const struct store *store;
	struct guest *guest = NULL;
	struct record record = {0};
	int r = call_store(call, &store, err);

	if (r == 0)
		r = guest_open(store, call->argv[0], &guest, err);
	if (r < 0)
		return r;
	enum state state = guest_state(store, guest->name, &record);
	const bool running = state == STATE_RUNNING || state == STATE_FROZEN;
	struct json_object *array = call->json ? json_object_new_array() : NULL;

	if (!running)
		record.device_count = 0;
	if (!array && !call->quiet && guest->spec->device_count + record.device_count > 0)
		printf("%-16s %-5s %-24s %-24s %-7s %-12s %s\n", "NAME", "TYPE", "SOURCE", "TARGET", "ACCESS", "NUMBERS", "STATE");
	for (size_t i = 0; i < guest->spec->device_count; i++) {
		const struct spec_device *section = &guest->spec->devices[i];

		show(array, &(struct row){section, record_device(&record, section->name), running});
	}
	for (size_t i = 0; i < record.device_count; i++)
		if (!spec_device(guest->spec, record.devices[i].name))
			show(array, &(struct row){NULL, &record.devices[i], running});
	if (array)
		puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
								   JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
	guest_free(guest);
	return 0;
}

/* The verb */

static int run_device(struct call *call, struct err *err)
{
	static const char *const actions[] = {"add", "remove", "list"};
	const char *action = call->argc > 1 ? call->argv[1] : "list";
	const bool add = !strcmp(action, "add"), remove = !strcmp(action, "remove") || !strcmp(action, "del");
	auto_free char *device = call->argc > 2 ? name_of(call->argv[2]) : NULL;

	if ((add || remove) && call->argc < 3)
		return call_usage(call, err, "%s needs the device's name", action);
	if (call->argc > 3 && (!add || call->argv[2][0] != '/'))
		return call_usage(call, err, "'%s' is one argument too many", call->argv[3]);
	if (call->argc > 2 && !device)
		return err_num(err, ENOMEM, "read the device's name");
	for (size_t i = 0; !add && i < sizeof(key_options) / sizeof(key_options[0]); i++)
		if (call_has(call, key_options[i]))
			return call_usage(call, err, "%s takes no --%s", action, key_options[i]);
	if (add)
		return run_add(call, device, err);
	if (remove)
		return run_remove(call, device, err);
	if (!strcmp(action, "list"))
		return call->argc > 2 ? call_usage(call, err, "list takes no device") : run_list(call, err);
	int r = call_usage(call, err, "unknown action '%s'", action);
	const char *near = str_near(action, actions, sizeof(actions) / sizeof(actions[0]));

	if (near)
		(void)err_hint(err, "did you mean '%s'?", near);
	return r;
}

static const struct option_row options[] = {
	{.name = "source",
	 .letter = 's',
	 .arg = "DEVICE",
	 .doc = "The device on the host: a node's path, or an interface's name.",
	 .complete = COMPLETE_FILE},
	{.name = "target",
	 .letter = 't',
	 .arg = "PATH",
	 .doc = "Where it is in the guest: below /dev, or the interface's name there."},
	{.name = "type", .arg = "TYPE", .doc = "node (as without it) or nic, a network interface."},
	{.name = "mode", .letter = 'm', .arg = "MODE", .doc = "The node's permissions in the guest, 0660 as without it."},
	{.name = "uid", .arg = "UID", .doc = "The node's owner in the guest, 0 as without it."},
	{.name = "gid", .arg = "GID", .doc = "The node's group in the guest, 0 as without it."},
	{.name = "access",
	 .letter = 'a',
	 .arg = "RWM",
	 .doc = "What may be done with it: r, w, m (make further nodes); rw as without it."},
	{.name = "optional", .doc = "Later starts go on without the device when the host has none."},
	{NULL},
};

const struct verb verb_device = {
	.name = "device",
	.group = GROUP_SETTINGS,
	.synopsis = "[OPTIONS] NAME [list | add DEVICE --source SOURCE | remove DEVICE]",
	.summary = "Give devices of the host to a guest, and take them back.",
	.headline = "work with the devices of guest %",
	.text = "add writes a [device DEVICE] section into the guest's config (see isle.conf(5)); a running guest has the device at once. "
		"remove takes the section away; in a running guest the node goes, and cannot be opened from then on, not by another node "
		"of the same device either. What the guest has open already stays open until it closes it: restart the guest to be "
		"sure. Both are done wholly or not at all.\n\n"
		"DEVICE is a name of your own. As with lxc-device(1), a path may stand in its place, \"add /dev/ttyUSB0 [TARGET]\", and its last "
		"part is then the name; \"del\" is another word for remove. list shows the sections and what the running guest has; --json makes it an array of "
		"objects with name, type, source, target, mode, uid, gid, access, kind (char or block), major, minor, configured and "
		"live.\n\n"
		"A guest's root is taken for an attacker, and a device is a piece of the host: its driver runs in the host's kernel with "
		"whatever the guest sends it, a block device is given with all data on it, and some devices (memory, ports, a disk that "
		"is mounted, a bus with direct memory access) are the whole host. Nothing is given that no section names.\n\n"
		"An interface (--type nic) leaves the host's network while the guest has it. It comes back, down and without addresses, "
		"when it is removed or the guest ends. A program in the guest must configure it.",
	.examples = "isle device web1 add gpu --source /dev/dri/renderD128 --gid 44\n"
		    "isle device web1 add data --source /dev/vdb\n"
		    "isle device web1 add lan --type nic --source eth1 --target eth1\nisle device web1 list --json\n"
		    "isle device web1 remove gpu\nisle-device -n web1 add /dev/ttyUSB0",
	.options = options,
	.min = 1,
	.max = 4,
	.complete = COMPLETE_GUEST,
	.args = "GUEST add|remove|list DEVICE NOTHING",
	.needs_root = true,
	.run = run_device,
};
