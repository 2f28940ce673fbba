/* Tests of the inside part of personalising a guest, in a chroot of its own with files that somebody hostile made. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/run/personalise.h"
#include "scratch.h"

#define ID "0123456789abcdef0123456789abcdef"

static int open_bench(void **state)
{
	if (scratch_open(state) < 0)
		return -1;
	struct scratch *scratch = *state;

	return mkdirat(scratch->fd, "g", 0755) < 0 || mkdirat(scratch->fd, "g/etc", 0755) < 0 ||
			       mkdirat(scratch->fd, "g/root", 0700) < 0 || mkdirat(scratch->fd, "g/dev", 0755) < 0
		       ? -1
		       : 0;
}

#define bench_test(f) cmocka_unit_test_setup_teardown(f, open_bench, scratch_close)

static void put(const struct scratch *scratch, const char *name, const char *text, mode_t mode)
{
	auto_close int fd = openat(scratch->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static void assert_text(const struct scratch *scratch, const char *name, const char *text)
{
	auto_free char *got = NULL;

	assert_int_equal(file_read(scratch->fd, name, 65536, &got, NULL), 0);
	assert_string_equal(got, text);
}

static struct stat look(const struct scratch *scratch, const char *name)
{
	struct stat st = {0};

	assert_int_equal(fstatat(scratch->fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

/* As the guest's root: chrooted, with /dev/null. Killed after 20 s, so that a fifo does not hang the suite. */
static int run(const struct scratch *scratch, const struct personalise *what, struct err *ret_err)
{
	auto_free char *root = str_format("%s/g", scratch->path);
	struct err err = {0};
	int out[2], status;

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid_t pid = fork();

	if (pid == 0) {
		alarm(20);
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || chdir(root) < 0 ||
		    mount("/dev", "dev", NULL, MS_BIND, NULL) < 0 || chroot(".") < 0)
			_exit(100);
		int r = personalise_inside(what, &err);

		_exit(write(out[1], &err, sizeof(err)) != (ssize_t)sizeof(err) ? 101 : r < 0);
	}
	close(out[1]);
	if (read(out[0], &err, sizeof(err)) == (ssize_t)sizeof(err) && ret_err)
		*ret_err = err;
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		fail_msg("the inside ended with status %x", status);
	return WEXITSTATUS(status);
}

static const struct personalise plain = {
	.hostname = "web1", .machine_id = ID, .make_ssh_keys = true, .fix_dhcp = true, .fix_terminals = true};

static void names_and_ids(void **state)
{
	struct scratch *scratch = *state;

	assert_int_equal(mkdirat(scratch->fd, "g/var", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/var/lib", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/var/lib/dbus", 0755), 0);
	put(scratch, "g/var/lib/dbus/machine-id", "ffffffffffffffffffffffffffffffff\n", 0644);
	put(scratch, "g/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\told.example old\n10.0.0.1 db\n# 127.0.1.1 note", 0644);
	assert_int_equal(run(scratch, &plain, NULL), 0);
	assert_text(scratch, "g/etc/hostname", "web1\n");
	assert_text(scratch, "g/etc/machine-id", ID "\n");
	assert_text(scratch, "g/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\tweb1\n10.0.0.1 db\n# 127.0.1.1 note\n");
	assert_true(S_ISLNK(look(scratch, "g/var/lib/dbus/machine-id").st_mode));
	/* Once more is the same. */
	assert_int_equal(run(scratch, &plain, NULL), 0);
	assert_text(scratch, "g/etc/hosts", "127.0.0.1 localhost\n127.0.1.1\tweb1\n10.0.0.1 db\n# 127.0.1.1 note\n");
	/* A rename tells the guest its name and nothing else. */
	assert_int_equal(run(scratch, &(struct personalise){.hostname = "web2"}, NULL), 0);
	assert_text(scratch, "g/etc/hostname", "web2\n");
	assert_text(scratch, "g/etc/machine-id", ID "\n");
}

static void nothing_there(void **state)
{
	struct scratch *scratch = *state;

	assert_int_equal(run(scratch, &plain, NULL), 0);
	assert_text(scratch, "g/etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tweb1\n::1\t\tlocalhost\n");
	assert_int_equal(file_remove_tree(scratch->fd, "g/etc", NULL), 0);
	struct err err = {0};

	assert_int_equal(run(scratch, &plain, &err), 1);
	assert_non_null(strstr(err.what, "/etc"));
}

/* Links, fifos and the like where files should be: replaced, never followed, never waited for. */
static void hostile_files(void **state)
{
	struct scratch *scratch = *state;

	put(scratch, "g/victim", "untouched\n", 0644);
	assert_int_equal(symlinkat("/victim", scratch->fd, "g/etc/hostname"), 0);
	assert_int_equal(symlinkat("/victim", scratch->fd, "g/etc/hosts"), 0);
	assert_int_equal(mkfifoat(scratch->fd, "g/etc/machine-id", 0666), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/etc/network", 0755), 0);
	assert_int_equal(mkfifoat(scratch->fd, "g/etc/network/interfaces", 0666), 0);
	assert_int_equal(symlinkat("/dev/zero", scratch->fd, "g/etc/inittab"), 0);
	assert_int_equal(run(scratch, &plain, NULL), 0);
	assert_text(scratch, "g/victim", "untouched\n");
	assert_text(scratch, "g/etc/hostname", "web1\n");
	assert_text(scratch, "g/etc/machine-id", ID "\n");
	assert_true(S_ISFIFO(look(scratch, "g/etc/network/interfaces").st_mode));

	/* A folder in a file's place is told. */
	struct err err = {0};

	assert_int_equal(unlinkat(scratch->fd, "g/etc/hostname", 0), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/etc/hostname", 0755), 0);
	assert_int_equal(run(scratch, &plain, &err), 1);
	assert_non_null(strstr(err.what, "/etc/hostname"));
	assert_int_equal(err.sys, EISDIR);
}

static void ssh_key(void **state)
{
	struct scratch *scratch = *state;
	struct personalise what = plain;

	what.ssh_key_text = "ssh-ed25519 AAAA me\n";
	assert_int_equal(run(scratch, &what, NULL), 0);
	assert_text(scratch, "g/root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n");
	assert_int_equal(look(scratch, "g/root/.ssh").st_mode & 07777, 0700);
	assert_int_equal(look(scratch, "g/root/.ssh/authorized_keys").st_mode & 07777, 0600);

	assert_int_equal(file_remove_tree(scratch->fd, "g/root/.ssh", NULL), 0);
	assert_int_equal(symlinkat("/etc", scratch->fd, "g/root/.ssh"), 0);
	assert_int_equal(run(scratch, &what, NULL), 1);
}

static void time_zone(void **state)
{
	struct scratch *scratch = *state;
	struct personalise what = plain;
	struct err err = {0};
	char target[64] = "";

	what.timezone = "Europe/Berlin";
	assert_int_equal(run(scratch, &what, &err), 1);
	assert_non_null(strstr(err.hint, "tzdata"));
	assert_int_equal(mkdirat(scratch->fd, "g/usr", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/usr/share", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/usr/share/zoneinfo", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/usr/share/zoneinfo/Europe", 0755), 0);
	put(scratch, "g/usr/share/zoneinfo/Europe/Berlin", "TZif2", 0644);
	put(scratch, "g/etc/localtime", "old", 0644);
	assert_int_equal(run(scratch, &what, NULL), 0);
	assert_true(readlinkat(scratch->fd, "g/etc/localtime", target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "/usr/share/zoneinfo/Europe/Berlin");
	assert_text(scratch, "g/etc/timezone", "Europe/Berlin\n");
}

/* A guest with a shell, so that it can have tools. */
static void add_shell(const struct scratch *scratch)
{
	auto_free char *shell = NULL;
	size_t len = 0;

	if (file_read(AT_FDCWD, "/bin/busybox", 16 << 20, &shell, &len) < 0 || memmem(shell, len, "/ld-linux", 9)) {
		print_message("needs a static busybox\n");
		skip();
	}
	assert_int_equal(mkdirat(scratch->fd, "g/bin", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/usr", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/usr/bin", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/usr/sbin", 0755), 0);
	auto_close int fd = openat(scratch->fd, "g/bin/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	assert_int_equal(write(fd, shell, len), len);
	assert_int_equal(symlinkat("busybox", scratch->fd, "g/bin/sh"), 0);
	assert_int_equal(symlinkat("busybox", scratch->fd, "g/bin/cat"), 0);
}

static void host_keys(void **state)
{
	struct scratch *scratch = *state;
	struct stat st;

	add_shell(scratch);
	assert_int_equal(mkdirat(scratch->fd, "g/etc/ssh", 0755), 0);
	put(scratch, "g/etc/ssh/ssh_host_rsa_key", "everybody's", 0600);
	put(scratch, "g/etc/ssh/ssh_host_rsa_key.pub", "everybody's", 0644);
	put(scratch, "g/etc/ssh/ssh_host_ed25519_key", "everybody's", 0600);
	put(scratch, "g/etc/ssh/sshd_config", "", 0644);
	put(scratch, "g/usr/bin/ssh-keygen",
	    "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in -t) t=$2;; -f) f=$2;; esac; shift; done\necho own-$t >$f\n", 0755);
	assert_int_equal(run(scratch, &plain, NULL), 0);
	assert_text(scratch, "g/etc/ssh/ssh_host_ed25519_key", "own-ed25519\n");
	assert_text(scratch, "g/etc/ssh/ssh_host_ecdsa_key", "own-ecdsa\n");
	assert_int_equal(fstatat(scratch->fd, "g/etc/ssh/ssh_host_rsa_key", &st, 0), -1);
	assert_int_equal(fstatat(scratch->fd, "g/etc/ssh/ssh_host_rsa_key.pub", &st, 0), -1);

	/* Its failure is told in its words. */
	struct err err = {0};

	put(scratch, "g/usr/bin/ssh-keygen", "#!/bin/sh\necho no entropy >&2\nexit 1\n", 0755);
	assert_int_equal(run(scratch, &plain, &err), 1);
	assert_non_null(strstr(err.what, "no entropy"));
}

static void password(void **state)
{
	struct scratch *scratch = *state;
	struct personalise what = plain;
	struct err err = {0};

	what.root_password = "s3cret: with'quotes\"";
	assert_int_equal(run(scratch, &what, &err), 1);
	assert_non_null(strstr(err.what, "chpasswd"));
	add_shell(scratch);
	put(scratch, "g/usr/sbin/chpasswd", "#!/bin/sh\ncat >/got\n", 0755);
	assert_int_equal(run(scratch, &what, NULL), 0);
	assert_text(scratch, "g/got", "root:s3cret: with'quotes\"\n");
}

static void edits(void **state)
{
	struct scratch *scratch = *state;

	assert_int_equal(mkdirat(scratch->fd, "g/etc/network", 0755), 0);
	assert_int_equal(mkdirat(scratch->fd, "g/etc/init.d", 0755), 0);
	put(scratch, "g/etc/network/interfaces", "auto eth0\n  iface  eth0 inet\tdhcp\niface eth1 inet dhcp\niface eth0 inet6 auto",
	    0640);
	put(scratch, "g/etc/init.d/rcS", "#!/bin/sh\n/bin/udhcpc\n/bin/mount -a\n", 0744);
	put(scratch, "g/etc/inittab",
	    "1:2345:respawn:/sbin/getty 38400 tty1\nco:2345:respawn:/sbin/getty console\ntty2::respawn:/bin/getty -L tty2 1 vt\n"
	    "ca:12345:ctrlaltdel:/sbin/shutdown\n",
	    0644);
	assert_int_equal(run(scratch, &plain, NULL), 0);
	assert_text(scratch, "g/etc/network/interfaces",
		    "auto eth0\n# isle sets the address before the guest boots.\niface eth0 inet manual\niface eth1 inet dhcp\n"
		    "iface eth0 inet6 auto");
	assert_int_equal(look(scratch, "g/etc/network/interfaces").st_mode & 07777, 0640);
	assert_text(scratch, "g/etc/init.d/rcS",
		    "#!/bin/sh\n# isle sets the address before the guest boots: /bin/udhcpc\n/bin/mount -a\n");
	assert_int_equal(look(scratch, "g/etc/init.d/rcS").st_mode & 07777, 0744);
	assert_text(scratch, "g/etc/inittab",
		    "# isle has no such terminal: 1:2345:respawn:/sbin/getty 38400 tty1\nco:2345:respawn:/sbin/getty console\n"
		    "# isle has no such terminal: tty2::respawn:/bin/getty -L tty2 1 vt\nca:12345:ctrlaltdel:/sbin/shutdown\n");
}

static void values_are_checked(void **state)
{
	static const char *const bad_names[] = {
		"",   "-x", "x-",  "a b", "a..b",
		".a", "a.", "a/b", "a\n", "0123456789012345678901234567890123456789012345678901234567890123"};
	static const char *const good_names[] = {"a", "web1", "web-1.example.org", "1"};
	static const char *const bad_zones[] = {"",     "/etc/passwd", "../x",          "Europe/../../x",
						"a//b", "Europe/",     "Europe Berlin", "1"};
	static const char *const good_zones[] = {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(*bad_names); i++)
		assert_true(personalise_check(&(struct personalise){.hostname = bad_names[i]}, NULL) < 0);
	for (size_t i = 0; i < sizeof(good_names) / sizeof(*good_names); i++)
		assert_int_equal(personalise_check(&(struct personalise){.hostname = good_names[i]}, NULL), 0);
	for (size_t i = 0; i < sizeof(bad_zones) / sizeof(*bad_zones); i++)
		assert_true(personalise_check(&(struct personalise){.hostname = "a", .timezone = bad_zones[i]}, NULL) < 0);
	for (size_t i = 0; i < sizeof(good_zones) / sizeof(*good_zones); i++)
		assert_int_equal(personalise_check(&(struct personalise){.hostname = "a", .timezone = good_zones[i]}, NULL), 0);
	assert_true(personalise_check(&(struct personalise){.hostname = "a", .root_password = ""}, NULL) < 0);
	assert_true(personalise_check(&(struct personalise){.hostname = "a", .root_password = "a\nroot2:b"}, NULL) < 0);
}

/* Whatever a guest may be called: a name that personalise_check takes. */
static void host_names(void **state)
{
	static const char *const names[][2] = {{"web1", "web1"}, {"a_b", "a-b"}, {"a__", "a"}, {"a.b-c", "a.b-c"}};
	char host[PERSONALISE_HOSTNAME], longest[PERSONALISE_HOSTNAME];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		personalise_hostname(names[i][0], host);
		assert_string_equal(host, names[i][1]);
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	personalise_hostname(longest, host);
	assert_string_equal(host, longest);
	assert_int_equal(personalise_check(&(struct personalise){.hostname = host}, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(names_and_ids),    bench_test(nothing_there), bench_test(hostile_files),
		bench_test(ssh_key),          bench_test(time_zone),     bench_test(host_keys),
		bench_test(password),         bench_test(edits),         cmocka_unit_test(values_are_checked),
		cmocka_unit_test(host_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
