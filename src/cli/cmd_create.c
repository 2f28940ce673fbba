/* isle create: makes guests from a template's image. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/str.h"
#include "../guest/image.h"
#include "../run/create.h"
#include "verbs.h"

#define KEY_FILE_MAX (64u << 10)
#define PASSWORD_MAX 512

/* What the command line says, the same for every name. */
struct creation {
	struct create_request request;
	char *ssh_keys;
	char *password;
	char *image_key;
	int image_fd;
};

static void creation_end(struct creation *creation)
{
	if (creation->password)
		explicit_bzero(creation->password, strlen(creation->password));
	free(creation->password);
	free(creation->ssh_keys);
	free(creation->image_key);
	clean_close(&creation->image_fd);
}
#define auto_creation __attribute__((cleanup(creation_end)))

static bool is_public_key(const char *line)
{
	/* Options may stand before the type. */
	return strstr(line, "ssh-ed25519 ") || strstr(line, "ssh-rsa ") || strstr(line, "ecdsa-sha2-") || strstr(line, "sk-ssh-") ||
	       strstr(line, "sk-ecdsa-") || strstr(line, "ssh-dss ");
}

static int read_keys(const struct call *call, struct creation *creation, struct err *err)
{
	const char *const *files;
	size_t count = call_values(call, "ssh-key", &files);
	auto_buf struct buf all = {0};

	for (size_t i = 0; i < count; i++) {
		auto_free char *text = NULL;
		size_t len;
		int r = file_read(AT_FDCWD, files[i], KEY_FILE_MAX, &text, &len);

		if (r < 0)
			return err_num(err, r, "read the SSH key %s", files[i]);
		if (strstr(text, "PRIVATE KEY")) {
			r = err_set(err, ERR_USAGE, "%s is a private key", files[i]);
			return err_hint(err, "give its public half, which is most often in %s.pub", files[i]), r;
		}
		if (strlen(text) != len || !is_public_key(text))
			return err_set(err, ERR_USAGE, "%s holds no SSH public key", files[i]);
		buf_add(&all, text);
		if (len && text[len - 1] != '\n')
			buf_add(&all, "\n");
	}
	if (count == 0)
		return 0;
	creation->ssh_keys = buf_take(&all);
	return creation->ssh_keys ? 0 : err_num(err, ENOMEM, "read the SSH keys");
}

static int read_password(const struct call *call, struct creation *creation, struct err *err)
{
	char line[PASSWORD_MAX + 2];

	if (!call_has(call, "root-password-stdin"))
		return 0;
	if (!fgets(line, sizeof(line), stdin))
		return err_set(err, ERR_USAGE, "--root-password-stdin: standard input is empty");
	size_t len = strcspn(line, "\n");

	if (len > PASSWORD_MAX)
		return err_set(err, ERR_USAGE, "--root-password-stdin: the password is longer than %d bytes", PASSWORD_MAX);
	line[len] = '\0';
	creation->password = strdup(line);
	explicit_bzero(line, sizeof(line));
	return creation->password ? 0 : err_num(err, ENOMEM, "read the root password");
}

static int no_such_storage(const struct call *call, const char *name, struct err *err)
{
	auto_buf struct buf list = {0};

	for (size_t i = 0; storage_table[i]; i++)
		buf_addf(&list, "%s%s", storage_table[i + 1] ? ", " : " or ", storage_table[i]->name);
	return call_usage(call, err, "there is no storage '%s': it is auto%s", name, list.failed || !list.data ? "" : list.data);
}

static int choose_storage(const struct call *call, const struct store *store, struct create_request *request, struct err *err)
{
	const char *name = call_value(call, "storage");

	/* LXC's `best` means what isle calls auto. */
	if (!name || !strcmp(name, "auto") || !strcmp(name, "best")) {
		request->storage = storage_best(store->guests_fd, store->cache);
		return 0;
	}
	request->storage = storage_find(name);
	if (!request->storage)
		return no_such_storage(call, name, err);
	return storage_try(request->storage, store->guests_fd, store->cache, err);
}

static int read_call(struct call *call, const struct store *store, struct creation *creation, struct err *err)
{
	struct create_request *request = &creation->request;

	request->template_name = call_value(call, "template");
	if (!request->template_name)
		return call_usage(call, err, "a template is needed: --template debian, busybox, local or one of LXC's");
	request->config = call_value(call, "config");
	request->setting_count = call_values(call, "set", &request->settings);
	request->plan = call_value(call, "plan");
	request->privileged = call_has(call, "privileged");
	request->no_network = call_has(call, "no-network");
	request->hostname = call_value(call, "hostname");
	request->timezone = call_value(call, "timezone");
	int r = read_keys(call, creation, err);

	if (r == 0)
		r = read_password(call, creation, err);
	if (r == 0)
		r = choose_storage(call, store, request, err);
	request->ssh_key_text = creation->ssh_keys;
	request->root_password = creation->password;
	return r;
}

static int find_image(struct call *call, const struct store *store, struct creation *creation, struct err *err)
{
	unsigned long timeout_ms;
	int r = call_duration(call, "timeout", 0, &timeout_ms, err);

	if (r < 0)
		return r;
	const struct image_request request = {
		.template_name = creation->request.template_name,
		.args = (const char *const *)call->rest,
		.refresh = call_has(call, "refresh"),
		.output = call->quiet || call->json ? TEMPLATE_QUIET
			  : call->verbose           ? TEMPLATE_VERBOSE
						    : TEMPLATE_PROGRESS,
		.timeout_ms = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms,
	};

	r = image_get(store, &request, &creation->image_key, &creation->image_fd, err);
	creation->request.image_key = creation->image_key;
	creation->request.image_fd = creation->image_fd;
	return r;
}

static int create_one(struct call *call, const char *name, struct err *err)
{
	const struct creation *creation = call->data;
	struct create_request request = creation->request;
	const struct store *store;
	int r = call_store(call, &store, err);

	request.name = name;
	if (r == 0)
		r = create_guest(store, &request, err);
	if (r < 0)
		return r;
	if (request.privileged)
		log_warn(
			"guest '%s' is privileged: its root is the host's root but for dropped capabilities and the filters around it",
			name);
	if (call->json) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "name", json_object_new_string(name));
		json_object_object_add(object, "image", json_object_new_string(request.image_key));
		json_object_object_add(object, "storage", json_object_new_string(request.storage->name));
		printf("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(object);
	} else if (!call->quiet) {
		printf("%s: created from %s on %s\n", name, request.image_key, request.storage->name);
	}
	return 0;
}

static bool wants_template_help(const struct call *call)
{
	for (int i = 0; i < call->rest_argc; i++)
		if (!strcmp(call->rest[i], "--help") || !strcmp(call->rest[i], "-h"))
			return true;
	return false;
}

/* Becomes the template, which prints its own options. */
static int show_template_help(const struct call *call, struct err *err)
{
	const char *name = call_value(call, "template");
	auto_free char *path = NULL;
	int r = name ? template_find(name, &path, err) : call_usage(call, err, "whose help? --template is needed");

	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_DFL);
	execl(path, path, "--help", (char *)NULL);
	return err_sys(err, "run %s", path);
}

static int run_create(struct call *call, struct err *err)
{
	auto_creation struct creation creation = {.image_fd = -1, .request.image_fd = -1};
	const struct store *store;
	char **names = NULL;

	if (wants_template_help(call))
		return show_template_help(call, err);
	int r = call_store(call, &store, err);

	if (r == 0)
		r = read_call(call, store, &creation, err);
	if (r == 0)
		r = call_names(call, CALL_ANY_STATE, &names, err);
	/* All that can be told before the template has run for a minute. */
	for (size_t i = 0; r == 0 && names[i]; i++) {
		creation.request.name = names[i];
		r = create_check(store, &creation.request, err);
	}
	if (r == 0)
		r = create_sweep(store, err);
	if (r == 0)
		r = find_image(call, store, &creation, err);
	if (r == 0) {
		call->data = &creation;
		r = call_each(call, names, create_one, err);
	}
	store_names_free(names);
	return r;
}

static const struct option_row create_options[] = {
	{"template", 't', "TEMPLATE",
	 "What the guest is made of: debian, busybox, local, one of LXC's (lxc-debian...), or the path of an executable.",
	 "-t --template", false, COMPLETE_TEMPLATE},
	{"storage", 'B', "STORAGE", "How its root file system is kept: dir, overlay, or auto (default: overlay where it works).",
	 "-B --bdev", false, COMPLETE_NOTHING},
	{"config", 'f', "FILE", "A config to begin with, isle's or LXC's.", "-f --config", false, COMPLETE_FILE},
	{"plan", 'p', "PLAN", "The plan it stands on: a file in /etc/isle/plans, see isle.conf(5).", NULL, false, COMPLETE_PLAN},
	{"set", 's', "KEY=VALUE", "Set a config key, such as limits.memory=512M; may be given several times.", NULL, true,
	 COMPLETE_KEY},
	{"ssh-key", 0, "FILE", "Let the owner of this SSH public key log in as root; may be given several times.", NULL, true,
	 COMPLETE_FILE},
	{"hostname", 0, "NAME", "The guest's host name (default: its name).", NULL, false, COMPLETE_NOTHING},
	{"timezone", 0, "ZONE", "The guest's time zone, such as Europe/Berlin (default: the image's).", NULL, false,
	 COMPLETE_NOTHING},
	{"root-password-stdin", 0, NULL, "Read root's password from standard input, one line (default: none; root stays locked).",
	 NULL, false, COMPLETE_NOTHING},
	{"no-network", 0, NULL, "No interface but lo.", NULL, false, COMPLETE_NOTHING},
	{"privileged", 0, NULL,
	 "No user namespace: the guest's root is the host's. Only for guests that are trusted like the host.", NULL, false,
	 COMPLETE_NOTHING},
	{"refresh", 0, NULL, "Make the template's image anew, even when there is one; guests keep the one they were made from.",
	 NULL, false, COMPLETE_NOTHING},
	{"timeout", 0, "TIME", "End a template that takes longer, such as 10m (default: no limit).", NULL, false, COMPLETE_NOTHING},
	{NULL},
};

const struct verb verb_create = {
	.name = "create",
	.group = GROUP_LIFE,
	.synopsis = "-t TEMPLATE [OPTIONS] NAME... [-- TEMPLATE-OPTIONS]",
	.summary = "Make guests from a template.",
	.headline = "create guest %",
	.text = "The template fills a root file system, which is kept as an image: the first guest of a kind waits for it, every further one is "
		"cloned from it in no time. Images are told apart by the template, its options, the architecture and the host's mirror.\n"
		"\n"
		"Each guest gets ids, a machine-id and SSH host keys of its own, made inside its own namespaces. Root has no password unless one is "
		"given: isle shell enters it, and --ssh-key lets in over SSH.\n"
		"\n"
		"What stands behind -- is the template's. 'isle create -t debian -- --help' shows what debian takes: --release, --packages, "
		"--variant, --mirror, --locale and more. LXC's templates run unchanged; what they write in LXC's syntax is read.\n"
		"\n"
		"A create that fails or is killed leaves no guest.",
	.examples = "isle create web1 -t debian -- --release bookworm\n"
		    "isle create web1 web2 web3 -t debian --ssh-key ~/.ssh/id_ed25519.pub --set limits.memory=512M\n"
		    "isle create vps7 -t debian --plan small\n"
		    "isle create old1 -t lxc-debian -- -r bullseye\n"
		    "isle create app -t local -- --fstree rootfs.tar.xz",
	.options = create_options,
	.min = 0, /* none with the template's help */
	.max = -1,
	.complete = COMPLETE_NOTHING,
	.rest = true,
	.needs_root = true,
	.enters_guests = true,
	.makes_guests = true,
	.makes_store = true,
	.run = run_create,
};
