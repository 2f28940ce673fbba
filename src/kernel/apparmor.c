/* AppArmor: a profile per guest, compiled once, loaded at start, entered when its init is executed. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/proc.h"
#include "../base/self.h"
#include "../base/str.h"
#include "apparmor.h"

#ifdef HAVE_LIBAPPARMOR
#include <sys/apparmor.h>

#define LIBRARY     "libapparmor.so.1"
#define PROFILES    "/sys/kernel/security/apparmor/profiles"
#define FEATURES    "/sys/kernel/security/apparmor/features"
#define PARSER      "/usr/sbin/apparmor_parser"
#define PARSER_CONF "/etc/apparmor/parser.conf"
#define ABI         "/etc/apparmor.d/abi/kernel-5.4-outoftree-network" /* which the profile names */
#define PARSER_MS   60000
#define POLICY_MAX  (4 << 20)

/* Beside the program in a build tree, else where it was installed. */
static char *read_template(struct err *err)
{
	static const char name[] = "apparmor/guest.profile";
	char self[PATH_MAX];
	char *text = NULL;

	if (self_path(self, sizeof(self)) < 0)
		self[0] = '\0';
	char *slash = strrchr(self, '/');
	auto_free char *beside = slash ? str_format("%.*s/config/%s", (int)(slash - self), self, name) : NULL;

	if (beside && file_read(AT_FDCWD, beside, 65536, &text, NULL) == 0)
		return text;
	int r = file_read(AT_FDCWD, ISLE_DATADIR "/apparmor/guest.profile", 65536, &text, NULL);
	if (r < 0)
		(void)err_num(err, r, "read the AppArmor profile of guests, %s/%s", ISLE_DATADIR, name);
	return text;
}

/* What stands for a mark in the template. */
struct mark {
	const char *mark, *value;
};

static char *fill_template(const char *template, const char *name, bool nesting)
{
	/* Rules behind @PLAIN@ are for guests that hold no guests: for the others they are comments. */
	const struct mark marks[] = {{"@NAME@", name}, {"@PLAIN@", nesting ? "# " : ""}};
	auto_buf struct buf out = {0};

	for (const char *at = template; *at;) {
		const struct mark *mark = NULL;
		size_t len = 1;

		for (size_t i = 0; !mark && i < sizeof(marks) / sizeof(marks[0]); i++)
			if (str_starts(at, marks[i].mark))
				mark = &marks[i];
		if (mark) {
			len = strlen(mark->mark);
			buf_add(&out, mark->value);
		} else {
			len += strcspn(at + 1, "@");
			buf_add_bytes(&out, at, len);
		}
		at += len;
	}
	return buf_take(&out);
}

/* Whether the kernel knows a profile of that name. One line a profile: NAME (MODE). */
static bool is_loaded(const char *name)
{
	auto_free char *text = NULL;
	auto_free char *wanted = str_format("%s (", name);

	if (!wanted || file_read(AT_FDCWD, PROFILES, 16 << 20, &text, NULL) < 0)
		return false;
	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (str_starts(at, wanted))
			return true;
		if (!*at)
			break;
	}
	return false;
}

static uint64_t hash_of_file(uint64_t hash, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return hash;
	hash = str_hash(hash, &st.st_mtim, sizeof(st.st_mtim));
	return str_hash(hash, &st.st_size, sizeof(st.st_size));
}

/* The compiled form depends on the profile's text, on what compiles it and on the kernel: a file of another one is never taken. */
static char *cache_name(const char *name, const char *text)
{
	struct stat st;
	uint64_t hash = str_hash(STR_HASH_SEED, text, strlen(text));
	struct utsname kernel;

	/* The version as well: Debian keeps a release's name over updates. */
	if (uname(&kernel) == 0) {
		hash = str_hash(hash, kernel.release, strlen(kernel.release));
		hash = str_hash(hash, kernel.version, strlen(kernel.version));
	}
	if (stat(FEATURES, &st) == 0)
		hash = str_hash(hash, &st.st_nlink, sizeof(st.st_nlink));
	hash = hash_of_file(hash, PARSER);
	hash = hash_of_file(hash, PARSER_CONF);
	hash = hash_of_file(hash, ABI);
	return str_format("apparmor-%s-%016llx", name, (unsigned long long)hash);
}

static int compile(const char *text, char **ret, size_t *ret_len, struct err *err)
{
	const char *const argv[] = {PARSER, "--quiet", "--skip-cache", "--skip-kernel-load", "--stdout", NULL};
	struct proc proc = {.argv = argv, .input = text, .timeout_ms = PARSER_MS, .ret_output = ret, .ret_output_len = ret_len};
	int r = proc_run(&proc, err);

	if (r == -ENOENT) {
		(void)err_num(err, EOPNOTSUPP, "compile the guest's AppArmor profile: there is no apparmor_parser");
		(void)err_hint(err, "apt-get install apparmor, or switch it off for this guest: security.apparmor = none");
		return -EOPNOTSUPP;
	}
	return r;
}

/* Loaded when a profile is, and not with each command: most neither load nor remove one. */
struct library {
	void *handle;
	aa_kernel_interface *kernel;
	__typeof__(aa_kernel_interface_new) *new;
	__typeof__(aa_kernel_interface_unref) *unref;
	__typeof__(aa_kernel_interface_replace_policy) *replace;
	__typeof__(aa_kernel_interface_remove_policy) *remove;
};

static void library_close(struct library *lib)
{
	if (lib->kernel)
		lib->unref(lib->kernel);
	if (lib->handle)
		dlclose(lib->handle);
}
#define auto_library __attribute__((cleanup(library_close)))

static int library_open(struct library *lib, struct err *err)
{
	lib->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (lib->handle) {
		lib->new = (__typeof__(lib->new))dlsym(lib->handle, "aa_kernel_interface_new");
		lib->unref = (__typeof__(lib->unref))dlsym(lib->handle, "aa_kernel_interface_unref");
		lib->replace = (__typeof__(lib->replace))dlsym(lib->handle, "aa_kernel_interface_replace_policy");
		lib->remove = (__typeof__(lib->remove))dlsym(lib->handle, "aa_kernel_interface_remove_policy");
	}
	if (!lib->handle || !lib->new || !lib->unref || !lib->replace || !lib->remove) {
		(void)err_num(err, EOPNOTSUPP, "load " LIBRARY);
		(void)err_hint(err, "install the library: apt-get install libapparmor1");
		return -EOPNOTSUPP;
	}
	return lib->new (&lib->kernel, NULL, NULL) < 0 ? err_sys(err, "reach the kernel's AppArmor") : 0;
}

static int load_policy(const char *policy, size_t len, const char *name, struct err *err)
{
	auto_library struct library lib = {0};
	int r = library_open(&lib, err);

	if (r < 0)
		return r;
	return lib.replace(lib.kernel, policy, len) < 0 ? err_sys(err, "load the AppArmor profile %s", name) : 0;
}

/* Compiled forms of the profile, for whichever kernel. */
static void forget_cached(const char *name, const char *cache)
{
	auto_free char *prefix = str_format("apparmor-%s-", name);
	auto_closedir DIR *dir = opendir(cache);

	for (struct dirent *entry; prefix && dir && (entry = readdir(dir));)
		if (str_starts(entry->d_name, prefix) && strlen(entry->d_name) == strlen(prefix) + 16)
			(void)unlinkat(dirfd(dir), entry->d_name, 0); /* a file that stays is only read for the same text */
}

int apparmor_load(const char *name, bool nesting, const char *cache, struct err *err)
{
	auto_free char *template = read_template(err);
	auto_free char *text = template ? fill_template(template, name, nesting) : NULL;
	auto_free char *file = text ? cache_name(name, text) : NULL;
	auto_free char *policy = NULL;
	auto_close int dir = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t len = 0;

	if (!template)
		return -ENOENT;
	if (!text || !file)
		return err_num(err, ENOMEM, "make the AppArmor profile %s", name);
	if (dir < 0)
		return err_sys(err, "open %s", cache);
	bool cached = file_read(dir, file, POLICY_MAX, &policy, &len) == 0;

	/* One that the kernel refuses is damaged: it is made anew. */
	if (cached && (is_loaded(name) || load_policy(policy, len, name, NULL) == 0))
		return 0;
	free(policy);
	policy = NULL;
	int r = compile(text, &policy, &len, err);

	/* In this order: where a process that is killed, or a load that fails, leaves a file, the kernel has what is in it. */
	forget_cached(name, cache);
	if (r == 0)
		r = load_policy(policy, len, name, err);
	if (r == 0)
		(void)file_replace(dir, file, policy, len, 0600, NULL); /* without it the next start compiles again */
	return r;
}

int apparmor_remove(const char *name, const char *cache, struct err *err)
{
	auto_library struct library lib = {0};

	forget_cached(name, cache);
	if (!is_loaded(name))
		return 0;
	int r = library_open(&lib, err);
	if (r < 0)
		return r;
	return lib.remove(lib.kernel, name) < 0 && errno != ENOENT ? err_sys(err, "remove the AppArmor profile %s", name) : 0;
}

#else

int apparmor_load(const char *name, bool nesting, const char *cache, struct err *err)
{
	(void)err_num(err, EOPNOTSUPP, "load the AppArmor profile %s: isle was built without libapparmor", name);
	(void)err_hint(err, "apt-get install libapparmor-dev, then configure and build isle anew");
	return -EOPNOTSUPP;
}

int apparmor_remove(const char *name, const char *cache, struct err *err)
{
	return 0;
}

#endif

/* By hand and not by aa_change_onexec(2): that names its thread by number, which is another process's where a new pid namespace
 * still looks at the host's /proc. */
int apparmor_on_exec(const char *name, struct err *err)
{
	auto_free char *order = str_format("exec %s", name);

	if (!order)
		return err_num(err, ENOMEM, "choose the AppArmor profile %s", name);
	int r = file_poke(AT_FDCWD, "/proc/thread-self/attr/apparmor/exec", order);
	if (r == -ENOENT)
		r = file_poke(AT_FDCWD, "/proc/thread-self/attr/exec", order); /* before Linux 5.8 */
	return r < 0 ? err_num(err, r, "choose the AppArmor profile %s", name) : 0;
}

char *apparmor_label(pid_t pid)
{
	static const char *const files[] = {"apparmor/current", "current"}; /* the latter before Linux 5.8 */
	char *text = NULL;

	for (size_t i = 0; !text && i < sizeof(files) / sizeof(files[0]); i++) {
		auto_free char *path = str_format("/proc/%d/attr/%s", (int)pid, files[i]);

		if (path)
			(void)file_read(AT_FDCWD, path, 4096, &text, NULL);
	}
	if (text)
		text[strcspn(text, "\n")] = '\0';
	return text;
}
