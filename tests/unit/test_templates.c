/* Tests of isle's own templates: their options, their errors, and what they read of the host. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/clean.h"
#include "../../src/base/proc.h"
#include "../../src/base/str.h"
#include "../../src/guest/template.h"
#include "scratch.h"

static char *template_path(const char *name)
{
	const char *source = getenv("srcdir");

	return str_format("%s/templates/%s", source ? source : ".", name);
}

/* Runs templates/NAME with arguments (blank-separated); *ret_output may be NULL. */
static int run(const char *name, const char *arguments, char **ret_output, struct err *err)
{
	auto_free char *path = template_path(name);
	auto_free char *copy = strdup(arguments);
	const char *argv[16] = {path};
	char *rest = copy;
	size_t count = 1;

	for (char *word; (word = strsep(&rest, " ")) && count < 15;)
		if (*word)
			argv[count++] = word;
	const struct proc proc = {.argv = argv, .ret_output = ret_output, .timeout_ms = 30000};

	return proc_run(&proc, err);
}

static void told(const char *name, const char *arguments, const char *text)
{
	struct err err = {0};

	assert_true(run(name, arguments, NULL, &err) < 0);
	if (!strstr(err.what, text))
		fail_msg("%s %s says: %s", name, arguments, err.what);
}

static void wrong_options(void **state)
{
	(void)state;
	told("debian", "--relaese sid", "unknown option --relaese");
	told("debian", "--release", "--release needs a value");
	told("debian", "--release=../x --label", "release '../x' is not valid");
	told("debian", "--release Sid --label", "not valid");
	told("debian", "--mirror gopher://x --label", "mirror 'gopher://x' is not valid");
	told("debian", "--packages a,b;reboot --label", "not valid");
	told("debian", "--packages a, --label", "not valid");
	told("debian", "--variant huge --label", "variant 'huge'");
	told("debian", "--init openrc --label", "init 'openrc'");
	told("debian", "--upgrade=yes --label", "--upgrade takes no value");
	told("debian", "--locale $(id) --label", "not valid");
	told("debian", "stray", "what is 'stray'");
	told("debian", "--release bookworm", "--path is needed");
	told("debian", "--path /nowhere --release bookworm", "--name is needed");
	told("busybox", "--color", "unknown option --color");
	told("busybox", "--busybox /bin/sh --path /nowhere --name x --rootfs /nowhere/x", "needs shared libraries");
	told("busybox", "--busybox /nonexistent --label", "is no program");
	told("local", "--label", "--fstree is needed");
	told("local", "--fstree /nonexistent --label", "no file /nonexistent");
}

static void a_wrong_option_is_a_usage_error(void **state)
{
	auto_free char *path = template_path("debian");
	const char *const args[] = {"--relaese", "sid", NULL};
	char *label = NULL;
	struct err err = {0};

	(void)state;
	assert_true(template_label(path, args, &label, &err) < 0);
	assert_int_equal(err.code, ERR_USAGE);
	assert_null(label);
	assert_non_null(strstr(err.what, "unknown option --relaese"));
}

static void help(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		const char *names[] = {"debian", "busybox", "local"};
		auto_free char *text = NULL;

		assert_int_equal(run(names[i], "--help", &text, NULL), 0);
		assert_non_null(strstr(text, names[i]));
		assert_non_null(strstr(text, "--rootfs"));
	}
}

static void labels(void **state)
{
	auto_free char *given = NULL, *again = NULL, *other = NULL;

	(void)state;
	assert_int_equal(run("debian", "--label -r trixie --arch arm64 --mirror http://m.example/debian", &given, NULL), 0);
	assert_true(str_starts(given, "trixie-arm64\nhttp://m.example/debian\n"));
	assert_int_equal(run("debian", "--label -r trixie --arch arm64 --mirror=http://m.example/debian", &again, NULL), 0);
	assert_string_equal(given, again);
	assert_int_equal(run("debian", "--label -r trixie --arch arm64 --mirror http://n.example/debian", &other, NULL), 0);
	assert_string_not_equal(given, other);
}

/* Puts a host's configuration in place of this one's, in a mount namespace of its own, and prints the label. */
static char *label_on_host(const struct scratch *scratch, const char *list, const char *sources)
{
	static const char release[] = "ID=debian\nVERSION_CODENAME=bookworm\n";
	int out[2], status;
	char text[1024];

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = fork();

	if (pid == 0) {
		auto_free char *file = str_format("%s/os-release", scratch->path);
		char *label = NULL;

		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    file_replace_quick(scratch->fd, "os-release", release, strlen(release), 0644, NULL) < 0 ||
		    mount(file, "/etc/os-release", NULL, MS_BIND, NULL) < 0 || mount("none", "/etc/apt", "tmpfs", 0, NULL) < 0 ||
		    mkdir("/etc/apt/sources.list.d", 0755) < 0 ||
		    (list && file_replace_quick(AT_FDCWD, "/etc/apt/sources.list", list, strlen(list), 0644, NULL) < 0) ||
		    (sources && file_replace_quick(AT_FDCWD, "/etc/apt/sources.list.d/debian.sources", sources, strlen(sources),
						   0644, NULL) < 0) ||
		    run("debian", "--label --arch amd64", &label, NULL) < 0 || write(out[1], label, strlen(label)) < 0)
			_exit(1);
		_exit(0);
	}
	close(out[1]);
	ssize_t got = read(out[0], text, sizeof(text) - 1);

	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	text[got < 0 ? 0 : got] = '\0';
	return strdup(text);
}

static void the_hosts_mirror(void **state)
{
	struct scratch *scratch = *state;
	static const struct {
		const char *list, *sources, *mirror, *security;
	} rows[] = {
		{NULL, NULL, "", ""},
		{"deb http://a.example/debian bookworm main\n", NULL, "http://a.example/debian", ""},
		{"deb http://a.example/debian/ bookworm main # why\ndeb http://s.example/debian-security/ bookworm-security main\n",
		 NULL, "http://a.example/debian", "http://s.example/debian-security"},
		{"# deb http://old.example/debian bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] https://a.example/debian bookworm main contrib\n",
		 NULL, "https://a.example/debian", ""},
		{"deb-src http://src.example/debian bookworm main\ndeb cdrom:[Debian]/ bookworm main\n", NULL, "", ""},
		/* Others use the same suite names. */
		{"deb http://vendor.example/debian/12/prod bookworm main\ndeb http://a.example/debian bookworm main\n", NULL,
		 "http://a.example/debian", ""},
		{"deb http://docker.example/linux/debian bookworm stable\n", NULL, "", ""},
		{NULL,
		 "Types: deb deb-src\nURIs: http://a.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main non-free-firmware\n\n"
		 "Types: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\nComponents: main\n",
		 "http://a.example/debian", "http://s.example/debian-security"},
		{NULL, "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n", "", ""},
		{NULL,
		 "# a note\nTypes: deb\nURIs:\n http://one.example/debian\n http://two.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n"
		 " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz\n",
		 "http://one.example/debian", ""},
		{NULL, "Types: deb-src\nURIs: http://src.example/debian\nSuites: bookworm\nComponents: main\n", "", ""},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		auto_free char *label = label_on_host(scratch, rows[i].list, rows[i].sources);
		auto_free char *wanted = str_format("bookworm-amd64\n%s\n%s\n", rows[i].mirror, rows[i].security);

		if (strcmp(label, wanted))
			fail_msg("row %zu: %s", i, label);
	}
}

static void a_busybox_system(void **state)
{
	struct scratch *scratch = *state;
	auto_free char *arguments = str_format("--path=%s --name=b --rootfs=%s/rootfs", scratch->path, scratch->path);
	auto_free char *config = NULL;
	struct stat st;

	if (geteuid() != 0 || run("busybox", "--label", NULL, NULL) < 0) {
		print_message("needs root and a static busybox\n");
		skip();
	}
	assert_int_equal(run("busybox", arguments, NULL, NULL), 0);
	assert_int_equal(file_read(scratch->fd, "config", 4096, &config, NULL), 0);
	assert_non_null(strstr(config, "lxc.uts.name = b\n"));
	assert_non_null(strstr(config, "lxc.rootfs.path = dir:/"));
	assert_int_equal(fstatat(scratch->fd, "rootfs/sbin/init", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(scratch->fd, "rootfs/bin/ls", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(scratch->fd, "rootfs/tmp", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(fstatat(scratch->fd, "rootfs/etc/shadow", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

/* lxc-create leaves the root file system's place to the config. */
static void the_root_from_the_config(void **state)
{
	struct scratch *scratch = *state;
	auto_free char *arguments = str_format("--path=%s --name=b", scratch->path);
	auto_free char *config = str_format("lxc.rootfs.path = dir:%s/elsewhere\n", scratch->path);
	struct stat st;

	if (geteuid() != 0 || run("busybox", "--label", NULL, NULL) < 0) {
		print_message("needs root and a static busybox\n");
		skip();
	}
	assert_int_equal(file_replace(scratch->fd, "config", config, strlen(config), 0600, NULL), 0);
	assert_int_equal(run("busybox", arguments, NULL, NULL), 0);
	assert_int_equal(fstatat(scratch->fd, "elsewhere/sbin/init", &st, AT_SYMLINK_NOFOLLOW), 0);
	told("busybox", "--path=/tmp --name=b --rootfs=/", "refuses");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_options),
		cmocka_unit_test(a_wrong_option_is_a_usage_error),
		cmocka_unit_test(help),
		cmocka_unit_test(labels),
		scratch_test(the_hosts_mirror),
		scratch_test(a_busybox_system),
		scratch_test(the_root_from_the_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
