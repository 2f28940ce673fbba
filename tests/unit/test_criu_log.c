/* What criu's log says, in words that help; mounts that it could not make again. */
#include "config.h"

#include <errno.h>
#include <sys/stat.h>

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/run/criu_log.h"
#include "../../src/run/preflight_mounts.h"
#include "scratch.h"

#define LINE(text) "(00.123456) Error (criu/x.c:12): " text "\n"

/* A line as criu writes it, and what must be said of it. */
static const struct known {
	const char *line, *cause, *remedy;
} known_table[] = {
	{"Can't dump nested uts namespace for 71", "namespace of its own", "checkpoint-ready"},
	{"Can't dump nested pid namespace for 71", "namespace of its own", "containers"},
	{"Unknown shit 600 (anon_inode:[io_uring])", "io_uring", "configuration"},
	{"Unknown shit 600 (anon_inode:bpf-prog)", "BPF program", "checkpoint-ready"},
	{"Unknown shit 600 (anon_inode:[landlock-ruleset])", "something open", NULL},
	{"Control messages in queue, not supported", "between two processes", "try again"},
	{"fsnotify: \tCan't dump that handle", "watched (inotify)", "restart the service"},
	{"Can't get rlimit 0", "CAP_SYS_RESOURCE", "full powers"},
	{"vdso: Unexpected rt vDSO area bounds", "older than the kernel", "install-criu"},
	{"Can't setns 16/mnt: Invalid argument", "a service has for itself", "install-criu"},
	{"sockets: Can't get 1:16 opt", "older than the kernel", "install-criu"},
	{"File usr/bin/bash has bad size 1 (expect 2)", "not the one that ran", "root file system"},
	{"File usr/bin/bash has bad mode 0100755 (expect 0100644)", "other permissions", NULL},
	{"Can't open file root/gone on restore: No such file or directory", "is gone", NULL},
	{"mnt-v2: Can't copy sharing from 1[/systemd/propagate/a] to 2[/systemd/propagate/b]", "share", "start the guest anew"},
	{"Can't write image: No space left on device", "disk is full", "free some space"},
	{"Unable to freeze cgroup x (-16)", "could not be stopped", "state D"},
	{"Timeout reached. Try to interrupt: 0", "could not be stopped", "state D"},
	{"The task 71 is traced by 70", "traced", "strace"},

	{"sk unix: Can't dump half of in-flight stream unix connection.", "being made", "try again"},
	{"Can't lookup mount=24 for fd=10 path=/x", "another mount namespace", "nsenter"},
	{"parse_fdinfo_pid_s: error parsing [inotify wd:15 ino:36bf74 sdev:26 mask:2 ignored_mask:0 ] for 8", "went at this moment",
	 "try again"},
	{"netlink: The socket has data to read", "netlink", "try again"},
	{"mqueue isn't empty", "message queue", "rm /dev/mqueue"},
	{"mnt-v2: Can't bind remount 0x200001 at /tmp/x: Operation not permitted", "nodev", "nodev"},
	{"AIO: evlist unpack: AIO 5 events", "asynchronous", "try again"},
	{"Unsupported proto for socket 40", NULL, NULL},
	{"sk unix: BUG unsupported socket 38", NULL, NULL},
};

static void test_known_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known_table) / sizeof(known_table[0]); i++) {
		const struct known *known = &known_table[i];
		const struct criu_meaning *meaning = criu_log_meaning(known->line);

		if (!known->cause) {
			assert_null(meaning);
			continue;
		}
		if (!meaning || !strstr(meaning->cause, known->cause))
			fail_msg("'%s' is explained as '%s'", known->line, meaning ? meaning->cause : "nothing");
		if (known->remedy && !strstr(meaning->remedy, known->remedy))
			fail_msg("for '%s' the remedy is '%s'", known->line, meaning->remedy);
	}
}

static void test_what_is_an_error(void **state)
{
	const char *text = NULL;

	(void)state;
	assert_true(criu_log_is_error("(00.1) Error (criu/cr-dump.c:100): Dumping FAILED.", &text));
	assert_string_equal(text, "Dumping FAILED.");
	assert_false(criu_log_is_error("(00.1) Warn  (criu/x.c:1): nothing", &text));
	assert_false(criu_log_is_error("(00.1) Error without a place", &text));
	assert_false(criu_log_is_error("", &text));
	assert_false(criu_log_is_error("(00.1) Error (criu/net.c:1): RTNETLINK answers: File exists", &text));
	assert_false(criu_log_is_error("(00.1) Error (criu/cgroup.c:1): cgroupd: recv req error: File exists", &text));
	assert_false(criu_log_is_error("(00.1) Error (criu/util.c:1): exited, status=1: iptables", &text));
}

static struct err explain(const struct scratch *scratch, const char *log, bool restore, const char *own)
{
	struct err err = {0};

	if (log)
		assert_int_equal(file_replace_quick(scratch->fd, "log", log, strlen(log), 0600, NULL), 0);
	assert_true(criu_log_explain(scratch->fd, "log", restore, own, &err) < 0);
	return err;
}

static void test_the_meaning_wins(void **state)
{
	struct err err =
		explain(*state, LINE("Dump mappings (pid: 71) failed") LINE("Unknown shit 600 (anon_inode:[io_uring])"), false, "");

	assert_non_null(strstr(err.what, "dump its processes: a process uses io_uring"));
	assert_non_null(strstr(err.what, "[io_uring]"));
	assert_true(err.hint[0]);
	err_clear(&err);
}

static void test_what_passes(void **state)
{
	const struct scratch *scratch = *state;
	const char log[] = LINE("Control messages in queue, not supported");

	assert_int_equal(file_replace_quick(scratch->fd, "log", log, strlen(log), 0600, NULL), 0);
	assert_int_equal(criu_log_explain(scratch->fd, "log", false, "", NULL), -EAGAIN);
	assert_true(criu_log_explain(scratch->fd, "none", false, "", NULL) == -EIO);
}

static void test_the_first_error_else(void **state)
{
	struct err err = explain(*state, LINE("RTNETLINK answers: File exists") LINE("the first") LINE("the second"), true, "");

	assert_string_equal(err.what, "restore its processes: criu says: the first");
	err_clear(&err);
}

static void test_no_log(void **state)
{
	struct err err = explain(*state, NULL, false, "");

	assert_string_equal(err.what, "dump its processes: criu ended without a word");
	err = explain(*state, "", false, "(00.1) Error (criu/x.c:1): told by itself");
	assert_non_null(strstr(err.what, "told by itself"));
	err_clear(&err);
}

/* The guest names its files, and criu's log repeats them. */
static void test_hostile_text(void **state)
{
	char line[1024], name[600];

	memset(name, 'A', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(line, sizeof(line), LINE("Odd file \033[2J%s"), name);
	struct err err = explain(*state, line, false, "");

	assert_null(strchr(err.what, '\033'));
	assert_true(strlen(err.what) < sizeof(err.what));
	err_clear(&err);
}

static bool bare(const char *text, const char *device, char point[40])
{
	char copy[512];

	(void)snprintf(copy, sizeof(copy), "%s", text);
	return preflight_mounts_bare(copy, device, point, 40);
}

#define ROOT  "30 20 0:51 / / rw,nodev,relatime - overlay isle rw\n"
#define OTHER "31 30 0:60 / /run rw,relatime - tmpfs none rw\n"

static void test_mounts_without_nodev(void **state)
{
	char copy[] = OTHER ROOT, open[] = "30 20 0:51 / / rw,relatime - overlay isle rw\n", device[24], point[40];

	(void)state;
	preflight_mounts_root(copy, device, sizeof(device));
	assert_string_equal(device, "0:51");
	preflight_mounts_root(open, device, sizeof(device));
	assert_string_equal(device, "");
	assert_false(bare(ROOT OTHER, "0:51", point));
	assert_false(bare("", "0:51", point));
	assert_false(bare("30 20 0:51\n\n", "0:51", point));
	assert_true(bare(ROOT OTHER "32 30 0:51 /etc /srv/\033x ro,relatime - overlay isle rw\n", "0:51", point));
	assert_true(strncmp(point, "/srv/", 5) == 0);
	assert_null(strchr(point, '\033'));
}

static void test_parts_of_mounts(void **state)
{
	const char *part = "40 30 0:70 /var-tmp /var/t\033 rw shared:9 - tmpfs tmpfs rw\n";
	auto_free char *whole = str_format("%s41 30 0:70 / /tmp rw - tmpfs tmpfs rw\n", part);
	char point[40];

	(void)state;
	assert_true(preflight_mounts_part(part, ROOT OTHER, point, sizeof(point)));
	assert_true(strncmp(point, "/var/t", 6) == 0);
	assert_null(strchr(point, '\033'));
	assert_false(preflight_mounts_part(whole, ROOT OTHER, point, sizeof(point)));
	assert_false(preflight_mounts_part(part, part, point, sizeof(point))); /* init has it too: it is the host's */
	assert_false(preflight_mounts_part("42 30 0:51 /etc /srv rw - overlay isle rw\n", OTHER, point, sizeof(point)));
	assert_false(preflight_mounts_part(ROOT OTHER "43 30 0:70 /x\n\n", OTHER, point, sizeof(point)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_lines),      cmocka_unit_test(test_mounts_without_nodev),
		cmocka_unit_test(test_parts_of_mounts),  cmocka_unit_test(test_what_is_an_error),
		scratch_test(test_the_meaning_wins),     scratch_test(test_what_passes),
		scratch_test(test_the_first_error_else), scratch_test(test_no_log),
		scratch_test(test_hostile_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
