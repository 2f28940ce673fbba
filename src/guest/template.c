/* Finds templates. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/file.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/self.h"
#include "../base/str.h"
#include "template.h"

#define LXC_TEMPLATES    "/usr/share/lxc/templates"
#define LABEL_TIMEOUT_MS 10000

/* The folders, in the order of the search. */
struct folders {
	char *text; /* cut at the colons */
	char *beside;
	const char *list[18];
	size_t count;
};

static void folders_end(struct folders *folders)
{
	free(folders->text);
	free(folders->beside);
}
#define auto_folders __attribute__((cleanup(folders_end)))

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int folders_find(struct folders *folders, struct err *err)
{
	const char *given = getenv("ISLE_TEMPLATES");
	char self[PATH_MAX];

	if (given && *given) {
		folders->text = strdup(given);
		if (!folders->text)
			return err_num(err, ENOMEM, "find templates");
		char *rest = folders->text;

		for (char *one; (one = strsep(&rest, ":")) && folders->count < 15;)
			if (*one == '/')
				folders->list[folders->count++] = one;
	}
	if (self_path(self, sizeof(self)) == 0) {
		char *slash = strrchr(self, '/');

		if (slash)
			*slash = '\0';
		folders->beside = path_join(self, "templates");
		if (folders->beside && is_folder(folders->beside))
			folders->list[folders->count++] = folders->beside;
	}
	folders->list[folders->count++] = ISLE_DATADIR "/templates";
	folders->list[folders->count++] = LXC_TEMPLATES;
	return 0;
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(char ***names, size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (!strcmp((*names)[i], name))
			return 0;
	char **more = realloc(*names, (*count + 2) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	*names = more;
	more[*count] = strdup(name);
	if (!more[*count])
		return -ENOMEM;
	more[++*count] = NULL;
	return 0;
}

static int add_folder(char ***names, size_t *count, const char *folder)
{
	auto_closedir DIR *dir = opendir(folder);

	if (!dir)
		return 0;
	for (const struct dirent *entry; (entry = readdir(dir));) {
		auto_free char *path = path_join(folder, entry->d_name);

		if (entry->d_name[0] == '.' || !path || !is_program(path))
			continue;
		if (add_name(names, count, entry->d_name) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Of all templates, sorted, without twins; NULL-ended, free with store_names_free. */
static int list_names(char ***ret, struct err *err)
{
	auto_folders struct folders folders = {0};
	char **names = calloc(1, sizeof(*names));
	size_t count = 0;
	int r = names ? folders_find(&folders, err) : err_num(err, ENOMEM, "list templates");

	for (size_t i = 0; r == 0 && i < folders.count; i++)
		if (add_folder(&names, &count, folders.list[i]) < 0)
			r = err_num(err, ENOMEM, "list templates");
	if (r < 0) {
		store_names_free(names);
		return r;
	}
	qsort(names, count, sizeof(*names), compare_names);
	*ret = names;
	return 0;
}

static int not_found(const char *name, struct err *err)
{
	auto_free char *shown = str_escape(name);
	char **names = NULL;
	size_t count = 0;
	int r = err_set(err, ERR_NOT_FOUND, "find the template %s", shown ? shown : "");

	if (list_names(&names, NULL) < 0)
		return r;
	while (names[count])
		count++;
	auto_free char *lxc = str_format("lxc-%s", name);
	const char *near = str_near(name, (const char *const *)names, count);

	for (size_t i = 0; lxc && i < count; i++)
		if (!strcmp(names[i], lxc))
			near = names[i];
	if (near)
		err_hint(err, "did you mean '%s'?", near);
	else if (str_starts(name, "lxc-"))
		err_hint(err, "install the package lxc-templates");
	else
		err_hint(err, "isle's own are debian, busybox and local; LXC's come with the package lxc-templates");
	store_names_free(names);
	return r;
}

int template_find(const char *name, char **ret, struct err *err)
{
	auto_folders struct folders folders = {0};

	if (name[0] == '/') {
		if (!is_program(name))
			return err_set(err, ERR_NOT_FOUND, "find the template %s: not an executable file", name);
		*ret = strdup(name);
		return *ret ? 0 : err_num(err, ENOMEM, "find the template %s", name);
	}
	if (!*name || name[0] == '.' || strchr(name, '/') || !str_printable(name))
		return not_found(name, err);
	int r = folders_find(&folders, err);

	for (size_t i = 0; r == 0 && i < folders.count; i++) {
		auto_free char *path = path_join(folders.list[i], name);

		if (!path)
			return err_num(err, ENOMEM, "find the template %s", name);
		if (is_program(path)) {
			*ret = take_ptr(&path);
			return 0;
		}
	}
	return r < 0 ? r : not_found(name, err);
}

char **template_environment(void)
{
	static const char *const fixed[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"LANG=C.UTF-8",
		"TERM=dumb",
		"SHELL=/bin/sh",
	};
	static const char *const kept[] = {
		"http_proxy",      "https_proxy", "ftp_proxy",       "all_proxy",        "no_proxy",
		"HTTP_PROXY",      "HTTPS_PROXY", "ALL_PROXY",       "NO_PROXY",         "MIRROR",
		"SECURITY_MIRROR", "KEYRING",     "LXC_CACHE_PATH",  "DOWNLOAD_KEYRING", "DEBOOTSTRAP_DIR",
		"TMPDIR",          "LXC_CACHE",   "DOWNLOAD_SERVER", "ISLE_UNPACK",
	};
	const size_t fixed_count = sizeof(fixed) / sizeof(fixed[0]), kept_count = sizeof(kept) / sizeof(kept[0]);
	char **env = calloc(fixed_count + kept_count + 1, sizeof(*env));
	size_t count = 0;

	for (size_t i = 0; env && i < fixed_count + kept_count; i++) {
		const char *value = i < fixed_count ? NULL : getenv(kept[i - fixed_count]);

		if (i >= fixed_count && !value)
			continue;
		env[count] = i < fixed_count ? strdup(fixed[i]) : str_format("%s=%s", kept[i - fixed_count], value);
		if (!env[count++]) {
			store_names_free(env);
			return NULL;
		}
	}
	return env;
}

/* "run PATH: exit status 2: debian: unknown option --x; ..." as the template means it. */
static int label_failure(const char *path, const struct err *told, struct err *err)
{
	const char *name = strrchr(path, '/') + 1;
	const char *text = strstr(told->what, ": exit status ");
	bool usage = text && str_starts(text, ": exit status 2: ");

	text = text ? strstr(text + 2, ": ") : NULL;
	if (!text) {
		if (err)
			*err = *told;
		return -EIO;
	}
	text += 2;
	if (str_starts(text, name) && str_starts(text + strlen(name), ": "))
		text += strlen(name) + 2;
	return err_set(err, usage ? ERR_USAGE : ERR_FAILED, "run the template %s: %s", name, text);
}

int template_check_args(const char *const *args, struct err *err)
{
	static const char *const own[] = {"--path", "--name", "--rootfs", "--mapped-uid", "--mapped-gid"};

	for (; args && *args && strcmp(*args, "--"); args++) {
		size_t len = strcspn(*args, "=");
		bool taken = !strncmp(*args, "-n", 2) || !strncmp(*args, "-p", 2);

		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && !taken; i++)
			taken = len > 2 && !strncmp(*args, own[i], len);
		if (!taken)
			continue;
		auto_free char *word = str_escape(*args);

		(void)err_set(err, ERR_USAGE, "give '%.60s' to the template: where it works is isle's to say", word ? word : "");
		return err_hint(err, "leave it out; 'isle create -t TEMPLATE -- --help' lists what a template takes");
	}
	return 0;
}

int template_label(const char *path, const char *const *args, char **ret, struct err *err)
{
	auto_free char *lib = NULL;
	const char *slash = strrchr(path, '/');
	struct err told = {0};
	size_t count = 0;

	*ret = NULL;
	/* isle's own lie beside what they share. */
	lib = str_format("%.*s/lib.sh", slash ? (int)(slash - path) : 0, path);
	if (!lib || access(lib, R_OK) < 0 || str_starts(path, LXC_TEMPLATES "/"))
		return 0;
	while (args && args[count])
		count++;
	auto_free const char **argv = calloc(count + 3, sizeof(*argv));
	char **env = template_environment();
	int r = argv && env ? 0 : err_num(err, ENOMEM, "run the template %s", path);

	if (r == 0) {
		argv[0] = path;
		argv[1] = "--label";
		for (size_t i = 0; i < count; i++)
			argv[2 + i] = args[i];
		struct proc proc = {
			.argv = argv, .env = (const char *const *)env, .timeout_ms = LABEL_TIMEOUT_MS, .ret_output = ret};

		r = proc_run(&proc, &told);
	}
	store_names_free(env);
	if (r < 0 && told.code)
		return label_failure(path, &told, err);
	return r;
}
