/* Tests of the image cache and of running templates, with small templates made on the spot. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "../../src/base/clean.h"
#include "../../src/base/proc.h"
#include "../../src/base/str.h"
#include "../../src/guest/image.h"
#include "../../src/guest/image_key.h"
#include "scratch.h"

/* The start of each: counts its runs in COUNT and makes the least that passes for a system. */
#define HEAD                                                                                                         \
	"#!/bin/sh\nset -e\nfor a; do case $a in --path=*) path=${a#*=};; --rootfs=*) rootfs=${a#*=};; esac; done\n" \
	"echo run >>\"$LXC_CACHE_PATH/count\"\nmkdir -p $rootfs/bin $rootfs/dev\necho >$rootfs/bin/sh\n"

struct bench {
	struct scratch *scratch;
	struct store *store;
};

static void write_template(const struct bench *bench, const char *name, const char *tail)
{
	auto_free char *path = str_format("%s/templates/%s", bench->scratch->path, name);
	auto_free char *text = str_format(HEAD "%s", tail);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int bench_open(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	auto_free char *templates = NULL, *store = NULL;

	if (!bench || scratch_open((void **)&bench->scratch) < 0)
		return -1;
	templates = str_format("%s/templates", bench->scratch->path);
	store = str_format("%s/store", bench->scratch->path);
	setenv("ISLE_TEMPLATES", templates, 1);
	setenv("LXC_CACHE_PATH", bench->scratch->path, 1);
	*state = bench;
	if (geteuid() == 0)
		return mkdir(templates, 0755) < 0 || store_open(store, true, &bench->store, NULL) < 0 ? -1 : 0;
	return 0;
}

static int bench_close(void **state)
{
	struct bench *bench = *state;

	store_free(bench->store);
	int r = scratch_close((void **)&bench->scratch);

	free(bench);
	return r;
}

#define bench_test(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

static struct bench *begin(void **state)
{
	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	return *state;
}

static int runs(const struct bench *bench)
{
	auto_free char *text = NULL;
	int count = 0;

	if (file_read(bench->scratch->fd, "count", 4096, &text, NULL) < 0)
		return 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

/* Entries of the images folder that match. */
static int count_images(const struct bench *bench, const char *pattern)
{
	auto_closedir DIR *dir = opendir(bench->store->images);
	int count = 0;

	assert_non_null(dir);
	for (const struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && fnmatch(pattern, entry->d_name, 0) == 0)
			count++;
	return count;
}

static int get(const struct bench *bench, const char *name, const char *const *args, bool refresh, char **ret_key, struct err *err)
{
	const struct image_request request = {.template_name = name, .args = args, .refresh = refresh, .timeout_ms = 20000};

	return image_get(bench->store, &request, ret_key, NULL, err);
}

static void built_once(void **state)
{
	struct bench *bench = begin(state);
	const char *const args[] = {"--release", "bookworm", "-a", "arm64", NULL};
	auto_free char *key = NULL, *again = NULL, *other = NULL, *changed = NULL;

	write_template(bench, "plain", "echo 'lxc.arch = amd64' >>$path/config\n");
	assert_int_equal(get(bench, "plain", NULL, false, &key, NULL), 0);
	assert_int_equal(get(bench, "plain", NULL, false, &again, NULL), 0);
	assert_string_equal(key, again);
	assert_int_equal(runs(bench), 1);
	assert_int_equal(get(bench, "plain", args, false, &other, NULL), 0);
	assert_true(str_starts(other, "plain-bookworm-arm64-"));
	assert_int_equal(runs(bench), 2);
	/* Another text of the template is another image. */
	write_template(bench, "plain", "echo >$rootfs/more\n");
	assert_int_equal(get(bench, "plain", NULL, false, &changed, NULL), 0);
	assert_string_not_equal(key, changed);
	assert_int_equal(count_images(bench, "*"), 3);

	auto_free char *path = image_path(bench->store, key);
	auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free char *config = NULL;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(fstatat(fd, "rootfs", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(file_read(fd, "config", 4096, &config, NULL), 0);
	assert_non_null(strstr(config, "lxc.net.0.type = veth\n"));
	assert_non_null(strstr(config, "lxc.arch = amd64\n"));
}

static void refreshed_beside_the_old(void **state)
{
	struct bench *bench = begin(state);
	auto_free char *key = NULL, *fresh = NULL, *now = NULL;

	write_template(bench, "plain", "");
	assert_int_equal(get(bench, "plain", NULL, false, &key, NULL), 0);
	assert_int_equal(get(bench, "plain", NULL, true, &fresh, NULL), 0);
	assert_string_not_equal(key, fresh);
	assert_int_equal(get(bench, "plain", NULL, false, &now, NULL), 0);
	assert_string_equal(now, fresh);
	assert_int_equal(runs(bench), 2);
	assert_int_equal(count_images(bench, "*"), 2);
}

static void a_failure_leaves_nothing(void **state)
{
	struct bench *bench = begin(state);
	char *key = NULL;
	struct err err = {0};

	write_template(bench, "bad", "echo fine\necho 'E: the mirror is on fire' >&2\nexit 1\n");
	assert_true(get(bench, "bad", NULL, false, &key, &err) < 0);
	assert_non_null(strstr(err.what, "E: the mirror is on fire"));
	assert_int_equal(count_images(bench, "*"), 0);
	assert_null(key);

	/* One that ends well but made nothing. */
	err_clear(&err);
	write_template(bench, "empty", "rm -rf $rootfs/*\n");
	assert_true(get(bench, "empty", NULL, false, &key, &err) < 0);
	assert_non_null(strstr(err.what, "neither an init nor a shell"));
	assert_int_equal(count_images(bench, "*"), 0);

	/* A root that is a link to the host's. */
	err_clear(&err);
	write_template(bench, "link", "rm -rf $rootfs\nln -s / $rootfs\n");
	assert_true(get(bench, "link", NULL, false, &key, &err) < 0);
	assert_int_equal(count_images(bench, "*"), 0);

	/* Control bytes do not reach the terminal. */
	err_clear(&err);
	write_template(bench, "bell", "printf 'oops \\033]0;pwned\\007\\n'\nexit 3\n");
	assert_true(get(bench, "bell", NULL, false, &key, &err) < 0);
	assert_true(str_printable(err.what));
	assert_non_null(strstr(err.what, "oops"));
}

static void unknown_templates(void **state)
{
	struct bench *bench = begin(state);
	char *key = NULL;
	struct err err = {0};

	write_template(bench, "archlinux", "");
	assert_int_equal(get(bench, "archlinx", NULL, false, &key, &err), -ENOENT);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.hint, "archlinux"));
	assert_int_equal(get(bench, "../archlinux", NULL, false, &key, NULL), -ENOENT);
	assert_int_equal(get(bench, "", NULL, false, &key, NULL), -ENOENT);
	assert_int_equal(get(bench, "/etc/passwd", NULL, false, &key, NULL), -ENOENT);
	assert_int_equal(get(bench, "/", NULL, false, &key, NULL), -ENOENT);
	assert_int_equal(runs(bench), 0);
}

/* Nothing that the template mounts or starts is left, nor was it ever seen outside. */
static void namespaces_of_its_own(void **state)
{
	struct bench *bench = begin(state);
	auto_free char *before = NULL, *after = NULL;
	auto_free char *key = NULL;

	write_template(bench, "busy",
		       "mkdir $rootfs/mnt\nmount -t tmpfs tmpfs $rootfs/mnt\n"
		       "[ \"$(cat /proc/1/comm)\" != init ] || exit 9\n"
		       "[ $$ -lt 100 ] || exit 8\n"
		       "sleep 98761 &\n(setsid sleep 98762 &)\n"
		       "read line && exit 7\nexit 0\n");
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &before, NULL), 0);
	assert_int_equal(get(bench, "busy", NULL, false, &key, NULL), 0);
	assert_int_equal(file_read(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &after, NULL), 0);
	assert_string_equal(before, after);
	const char *const argv[] = {"pgrep", "-x", "-f", "sleep 9876[12]", NULL};
	const struct proc proc = {.argv = argv};

	assert_true(proc_run(&proc, NULL) < 0);
}

static void too_slow(void **state)
{
	struct bench *bench = begin(state);
	const struct image_request request = {.template_name = "slow", .timeout_ms = 300};
	char *key = NULL;
	struct err err = {0};

	write_template(bench, "slow", "echo waiting\nsleep 98763\n");
	assert_int_equal(image_get(bench->store, &request, &key, NULL, &err), -ETIMEDOUT);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_int_equal(count_images(bench, "*"), 0);
}

/* What a template says was perhaps told it by an archive: it drives no terminal, asked for in full or not. */
static void words_drive_no_terminal(void **state)
{
	struct bench *bench = begin(state);

	write_template(bench, "loud", "printf 'a\\033[31mb\\302\\233c\\td\\nend'\n");
	for (enum template_output output = TEMPLATE_PROGRESS; output <= TEMPLATE_VERBOSE; output++) {
		const struct image_request request = {
			.template_name = "loud", .refresh = true, .output = output, .timeout_ms = 20000};
		auto_close int said = openat(bench->scratch->fd, "said", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		auto_free char *text = NULL, *key = NULL;
		int before = dup(STDERR_FILENO);

		assert_true(said >= 0 && before >= 0 && dup2(said, STDERR_FILENO) >= 0);
		int r = image_get(bench->store, &request, &key, NULL, NULL);

		dup2(before, STDERR_FILENO);
		close(before);
		assert_int_equal(r, 0);
		assert_int_equal(file_read(bench->scratch->fd, "said", 4096, &text, NULL), 0);
		assert_null(strpbrk(text, "\033\233"));
		assert_non_null(strstr(text, "\\xc2\\x9bc d\n"));
		assert_true(output != TEMPLATE_VERBOSE || strstr(text, "a\\x1b[31mb\\xc2\\x9bc d\nend\n"));
	}
}

static void wait_for(int (*question)(const struct bench *bench), const struct bench *bench)
{
	for (int i = 0; i < 500; i++) {
		if (question(bench))
			return;
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	fail_msg("waited in vain");
}

static int has_run(const struct bench *bench)
{
	return runs(bench) > 0;
}

static int none_sleeps(const struct bench *bench)
{
	const char *const argv[] = {"pgrep", "-x", "-f", "sleep 98764", NULL};
	const struct proc proc = {.argv = argv};

	(void)bench;
	return proc_run(&proc, NULL) < 0;
}

/* kill -9 of the builder: its template dies with it, and the next one starts afresh. */
static void killed_builder(void **state)
{
	struct bench *bench = begin(state);
	auto_free char *key = NULL;

	write_template(bench, "hangs", "[ -e $LXC_CACHE_PATH/go ] || sleep 98764\n");
	pid_t pid = fork();

	if (pid == 0)
		_exit(get(bench, "hangs", NULL, false, &key, NULL) < 0);
	wait_for(has_run, bench);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	wait_for(none_sleeps, bench);
	assert_int_equal(count_images(bench, ".new-*"), 1);
	assert_int_equal(mkdirat(bench->scratch->fd, "go", 0700), 0);
	assert_int_equal(get(bench, "hangs", NULL, false, &key, NULL), 0);
	assert_int_equal(count_images(bench, ".*"), 0);
	assert_int_equal(count_images(bench, "*"), 1);
}

/* Ctrl-C: the builder clears up itself. */
static void interrupted_builder(void **state)
{
	struct bench *bench = begin(state);
	int status;

	write_template(bench, "hangs", "sleep 98764\n");
	pid_t pid = fork();

	if (pid == 0) {
		char *key;
		struct err err = {0};

		_exit(get(bench, "hangs", NULL, false, &key, &err) == -EINTR ? 42 : 1);
	}
	wait_for(has_run, bench);
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_int_equal(count_images(bench, "*"), 0);
	wait_for(none_sleeps, bench);
}

static void two_at_once(void **state)
{
	struct bench *bench = begin(state);
	pid_t pids[6];

	write_template(bench, "slow", "sleep 0.3\n");
	for (size_t i = 0; i < 6; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			char *key = NULL;

			/* Waiting is told on stderr. */
			close(STDERR_FILENO);
			_exit(get(bench, "slow", NULL, false, &key, NULL) < 0 || !key);
		}
	}
	for (size_t i = 0; i < 6; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	assert_int_equal(runs(bench), 1);
	assert_int_equal(count_images(bench, "*"), 1);
}

static void write_guest(const struct bench *bench, const char *name, const char *text)
{
	auto_free char *folder = str_format("%s/%s", bench->store->guests, name);
	auto_free char *path = str_format("%s/config", folder);

	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void removed_only_when_free(void **state)
{
	struct bench *bench = begin(state);
	auto_free char *key = NULL;
	struct err err = {0};
	int fd = -1;

	write_template(bench, "plain", "");
	assert_int_equal(get(bench, "plain", NULL, false, &key, NULL), 0);
	assert_int_equal(image_open(bench->store, key, &fd, NULL), 0);
	assert_int_equal(image_remove(bench->store, key, &err), -EBUSY);
	assert_int_equal(err.code, ERR_STATE);
	close(fd);

	auto_free char *on = str_format(
		"[guest]\nid = 0123456789abcdef0123456789abcdef\nimage = %s\nstorage = overlay\n[security]\nids = 6553600\n", key);
	auto_free char *copy = str_format(
		"[guest]\nid = 1123456789abcdef0123456789abcdef\nimage = %s\nstorage = dir\n[security]\nids = 6619136\n", key);

	write_guest(bench, "stands", on);
	write_guest(bench, "copied", copy);
	err_clear(&err);
	assert_int_equal(image_remove(bench->store, key, &err), -EBUSY);
	assert_non_null(strstr(err.what, "'stands'"));

	struct image_info info;

	assert_int_equal(image_info(bench->store, key, &info, NULL), 0);
	assert_string_equal(info.guests[0], "copied");
	assert_string_equal(info.guests[1], "stands");
	assert_null(info.guests[2]);
	assert_true(info.bytes > 0);
	image_info_free(&info);

	/* One whose config cannot be read may stand on any image. */
	auto_free char *folder = str_format("%s/stands", bench->store->guests);

	assert_int_equal(file_remove_tree(AT_FDCWD, folder, NULL), 0);
	write_guest(bench, "broken", "[guest\n");
	assert_int_equal(image_remove(bench->store, key, NULL), -EBUSY);
	auto_free char *broken = str_format("%s/broken", bench->store->guests);

	assert_int_equal(file_remove_tree(AT_FDCWD, broken, NULL), 0);
	assert_int_equal(image_remove(bench->store, key, NULL), 0);
	assert_int_equal(image_remove(bench->store, key, NULL), -ENOENT);
	assert_int_equal(image_remove(bench->store, "../guests/copied", NULL), -ENOENT);
	assert_int_equal(count_images(bench, "*"), 0);
}

static void listed(void **state)
{
	struct bench *bench = begin(state);
	auto_free char *key = NULL;
	char **keys = NULL;

	assert_int_equal(image_list(bench->store, &keys, NULL), 0);
	assert_null(keys[0]);
	store_names_free(keys);
	write_template(bench, "plain", "");
	assert_int_equal(get(bench, "plain", NULL, false, &key, NULL), 0);
	/* What is no image is not shown. */
	auto_free char *stray = image_path(bench->store, "stray");

	assert_int_equal(mkdir(stray, 0700), 0);
	assert_int_equal(image_list(bench->store, &keys, NULL), 0);
	assert_string_equal(keys[0], key);
	assert_null(keys[1]);
	store_names_free(keys);
}

/* Which folder a template fills, isle says: in whatever way another is named. */
static void words_of_isles_own_are_refused(void **state)
{
	(void)state;
	static const char *const refused[] = {"--rootfs=/etc", "--rootfs", "--roo=/etc", "--r",           "--path=/",
					      "--name=x",      "-n",       "-p/etc",     "--mapped-uid=0"};
	static const char *const fine[] = {"--release=sid", "--packages", "-r", "sid", "--", "--rootfs=/after-the-end", NULL};
	struct err err = {0};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		const char *const args[] = {"--release", refused[i], NULL};

		assert_true(template_check_args(args, &err) < 0);
		assert_int_equal(err.code, ERR_USAGE);
	}
	assert_int_equal(template_check_args(fine, &err), 0);
	assert_int_equal(template_check_args(NULL, &err), 0);
}

static void a_key_file_that_is_none(void **state)
{
	(void)state;
	static const char *const texts[] = {"",
					    "{",
					    "7",
					    "[]",
					    "{}",
					    "{\"template\":\"a\"}",
					    "{\"template\":1,\"machine\":\"m\"}",
					    "{\"template\":\"a\",\"machine\":\"m\",\"args\":\"no list\"}",
					    "{\"template\":\"a\",\"machine\":\"m\",\"args\":[null]}"};
	struct image_info info = {0};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(image_inputs_parse(texts[i], &info), -EINVAL);
		image_info_free(&info);
	}
	assert_int_equal(image_inputs_parse("{\"template\":\"a\",\"machine\":\"m\",\"args\":[\"x\"]}", &info), 0);
	assert_string_equal(info.args[0], "x");
	image_info_free(&info);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(built_once),
		bench_test(refreshed_beside_the_old),
		bench_test(a_failure_leaves_nothing),
		bench_test(unknown_templates),
		bench_test(namespaces_of_its_own),
		bench_test(too_slow),
		bench_test(words_drive_no_terminal),
		bench_test(killed_builder),
		bench_test(interrupted_builder),
		bench_test(two_at_once),
		bench_test(removed_only_when_free),
		bench_test(listed),
		cmocka_unit_test(words_of_isles_own_are_refused),
		cmocka_unit_test(a_key_file_that_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
