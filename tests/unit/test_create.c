/* Tests of what a new guest's config is made of, and of clearing away what was made or destroyed by halves. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/clean.h"
#include "../../src/base/str.h"
#include "../../src/guest/workdir.h"
#include "../../src/run/create.h"
#include "../../src/run/create_spec.h"
#include "scratch.h"

#define ID_A "0123456789abcdef0123456789abcdef"
#define ID_B "1123456789abcdef0123456789abcdef"

struct bench {
	struct scratch *scratch;
	struct store *store;
	int image_fd;
};

static int bench_open(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	if (!bench || scratch_open((void **)&bench->scratch) < 0)
		return -1;
	auto_free char *path = str_format("%s/store", bench->scratch->path);

	*state = bench;
	bench->image_fd = -1;
	if (geteuid() != 0)
		return 0;
	if (store_open(path, true, &bench->store, NULL) < 0 || mkdirat(bench->scratch->fd, "store/images/img", 0700) < 0)
		return -1;
	bench->image_fd = openat(bench->scratch->fd, "store/images/img", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return bench->image_fd < 0 ? -1 : 0;
}

static int bench_close(void **state)
{
	struct bench *bench = *state;

	clean_close(&bench->image_fd);
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

static void put(const struct bench *bench, const char *name, const char *text)
{
	assert_int_equal(file_replace(bench->scratch->fd, name, text, strlen(text), 0600, NULL), 0);
}

static char *spec_of(const struct bench *bench, const struct create_request *wish, struct err *err)
{
	struct create_request request = *wish;
	auto_spec struct spec *spec = NULL;

	request.name = "web1";
	request.template_name = "debian";
	request.image_key = "img";
	request.image_fd = bench->image_fd;
	request.storage = &storage_overlay;
	if (create_spec(bench->store, &request, &spec, err) < 0)
		return NULL;
	return spec_format(spec);
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no '%s' in:\n%s", line, text);
}

static void has_not(const char *text, const char *line)
{
	if (strstr(text, line))
		fail_msg("'%s' in:\n%s", line, text);
}

/* What is one guest's own in the template's config does not become every guest's. */
static void from_the_image(void **state)
{
	struct bench *bench = begin(state);

	put(bench, "store/images/img/config",
	    "lxc.net.0.type = veth\nlxc.net.0.link = isle0\nlxc.net.0.hwaddr = 00:16:3e:82:fb:c3\nlxc.net.0.flags = up\n"
	    "lxc.uts.name = isle\nlxc.signal.halt = SIGUSR1\nlxc.rootfs.path = dir:/x/rootfs\n");
	auto_free char *text = spec_of(bench, &(struct create_request){0}, NULL);

	assert_non_null(text);
	has(text, "[network eth0]\n");
	has(text, "stop-signal = SIGUSR1\n");
	has(text, "storage = overlay\n");
	has(text, "image = img\n");
	has(text, "template = debian\n");
	has_not(text, "00:16:3e");
	has_not(text, "hostname");
	has_not(text, "rootfs");
}

static void the_administrators_word_wins(void **state)
{
	struct bench *bench = begin(state);
	const char *const settings[] = {"limits.memory=1G", "network.lan1.link=lan"};
	auto_free char *config = str_format("%s/config", bench->scratch->path);

	put(bench, "store/images/img/config", "lxc.net.0.type = veth\nlxc.net.0.link = isle0\nlxc.signal.halt = SIGUSR1\n");
	put(bench, "config",
	    "[guest]\nid = " ID_B "\nstop-signal = SIGTERM\n[limits]\nmemory = 256M\nprocesses = 99\n[network lan0]\nlink = lan\n"
	    "[security]\nids = 655360\n");
	auto_free char *text = spec_of(
		bench, &(struct create_request){.config = config, .settings = settings, .setting_count = 2, .hostname = "named"},
		NULL);

	assert_non_null(text);
	has(text, "memory = 1G\n");
	has(text, "processes = 99\n");
	has(text, "stop-signal = SIGTERM\n");
	has(text, "[network lan0]\n");
	has(text, "[network lan1]\n");
	has_not(text, "[network eth0]");
	has(text, "hostname = named\n");
	/* Another guest's identity does not come along. */
	has_not(text, ID_B);
	has_not(text, "655360");

	put(bench, "config", "# LXC's\nlxc.net.0.type = veth\nlxc.net.0.link = br7\nlxc.cgroup2.memory.max = 128M\n");
	auto_free char *lxc = spec_of(bench, &(struct create_request){.config = config}, NULL);

	assert_non_null(lxc);
	has(lxc, "memory = 128M\n");
	has(lxc, "link = br7\n");
}

static void no_network(void **state)
{
	struct bench *bench = begin(state);

	put(bench, "store/images/img/config", "lxc.net.0.type = veth\nlxc.net.0.link = isle0\n");
	auto_free char *none = spec_of(bench, &(struct create_request){.no_network = true}, NULL);

	has_not(none, "[network");
	put(bench, "store/images/img/config", "# a template that says nothing of networks\n");
	auto_free char *one = spec_of(bench, &(struct create_request){0}, NULL);

	has(one, "[network eth0]\n");
}

static void wrong_settings(void **state)
{
	struct bench *bench = begin(state);
	static const char *const bad[] = {
		"limits.memory",    "=1", "limits.memroy=1G", "limits.memory=lots", ("guest.id=" ID_A), "security.ids=655360",
		"guest.storage=dir"};

	put(bench, "store/images/img/config", "");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err err = {0};

		assert_null(spec_of(bench, &(struct create_request){.settings = &bad[i], .setting_count = 1}, &err));
		assert_true(err.what[0]);
	}
	auto_free char *config = str_format("%s/config", bench->scratch->path);
	struct err err = {0};

	put(bench, "config", "[limits]\nmemory = lots\n");
	assert_null(spec_of(bench, &(struct create_request){.config = config}, &err));
	has(err.where, ":2");
}

static bool exists(const struct bench *bench, const char *name)
{
	struct stat st;

	return fstatat(bench->scratch->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A create and a destroy that were killed: the folder, the ids and the addresses go, those of others stay. */
static void swept(void **state)
{
	struct bench *bench = begin(state);
	auto_close int live = -1;

	assert_int_equal(mkdirat(bench->scratch->fd, "store/guests/.new-" ID_A, 0700), 0);
	assert_int_equal(mkdirat(bench->scratch->fd, "store/guests/.new-" ID_A "/upper", 0700), 0);
	assert_int_equal(mkdirat(bench->scratch->fd, "store/guests/.old-web2", 0700), 0);
	assert_int_equal(mkdirat(bench->scratch->fd, "store/guests/other", 0700), 0);
	assert_int_equal(symlinkat(ID_A, bench->scratch->fd, "store/ids/655360"), 0);
	assert_int_equal(symlinkat(ID_A, bench->scratch->fd, "store/ids/720896"), 0);
	assert_int_equal(symlinkat("22222222222222222222222222222222", bench->scratch->fd, "store/ids/786432"), 0);
	assert_int_equal(mkdirat(bench->scratch->fd, "store/leases/isle0", 0700), 0);
	assert_int_equal(symlinkat(ID_A "/eth0", bench->scratch->fd, "store/leases/isle0/10.0.0.2"), 0);
	assert_int_equal(symlinkat(ID_B "/eth0", bench->scratch->fd, "store/leases/isle0/10.0.0.3"), 0);
	assert_int_equal(symlinkat(ID_B, bench->scratch->fd, "store/ids/851968"), 0);
	assert_int_equal(workdir_make(bench->store->guests_fd, ".new-" ID_B, &live, NULL, NULL), 0);

	assert_int_equal(create_sweep(bench->store, NULL), 0);
	assert_false(exists(bench, "store/guests/.new-" ID_A));
	assert_false(exists(bench, "store/guests/.old-web2"));
	assert_true(exists(bench, "store/guests/other"));
	assert_false(exists(bench, "store/ids/655360"));
	assert_false(exists(bench, "store/ids/720896"));
	assert_true(exists(bench, "store/ids/786432"));
	assert_false(exists(bench, "store/leases/isle0/10.0.0.2"));
	/* One that is being made keeps all that is its own. */
	assert_true(exists(bench, "store/guests/.new-" ID_B));
	assert_true(exists(bench, "store/ids/851968"));
	assert_true(exists(bench, "store/leases/isle0/10.0.0.3"));
}

static void discarded(void **state)
{
	struct bench *bench = begin(state);
	struct guest *guest = NULL;

	assert_int_equal(mkdirat(bench->scratch->fd, "store/guests/web1", 0700), 0);
	put(bench, "store/guests/web1/config", "[guest]\nid = " ID_A "\n[security]\nids = 655360\n");
	assert_int_equal(symlinkat(ID_A, bench->scratch->fd, "store/ids/655360"), 0);
	assert_int_equal(guest_open(bench->store, "web1", &guest, NULL), 0);
	assert_int_equal(create_discard(guest, NULL), 0);
	guest_free(guest);
	assert_false(exists(bench, "store/guests/web1"));
	assert_false(exists(bench, "store/guests/.old-" ID_A));
	assert_false(exists(bench, "store/ids/655360"));
}

/* A clone that fails leaves neither folder nor ids. */
static void failed(void **state)
{
	struct bench *bench = begin(state);
	struct err err = {0};
	const struct create_request request = {
		.name = "web1", .template_name = "t", .image_key = "img", .image_fd = bench->image_fd, .storage = &storage_dir};

	/* No rootfs in the image. */
	put(bench, "store/images/img/config", "");
	assert_true(create_guest(bench->store, &request, &err) < 0);
	has(err.what, "root");
	char **names = NULL;

	assert_int_equal(store_names(bench->store, &names, NULL), 0);
	assert_null(names[0]);
	store_names_free(names);
	for (size_t i = 0; i < 2; i++) {
		auto_free char *path = str_format("%s/store/%s", bench->scratch->path, i ? "ids" : "guests");
		auto_closedir DIR *dir = opendir(path);
		int count = 0;

		while (readdir(dir))
			count++;
		assert_int_equal(count, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(from_the_image), bench_test(the_administrators_word_wins),
		bench_test(no_network),     bench_test(wrong_settings),
		bench_test(swept),          bench_test(discarded),
		bench_test(failed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
