/* LXC's config files, read into a spec. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/guest/lxc.h"

struct scene {
	char folder[32];
	int dir;
	struct spec *spec;
	struct err err;
	struct buf notes;
};

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof *scene);

	assert_non_null(scene);
	assert_int_equal(str_copy(scene->folder, sizeof scene->folder, "/tmp/isle-test-XXXXXX"), 0);
	assert_non_null(mkdtemp(scene->folder));
	scene->dir = open(scene->folder, O_DIRECTORY | O_CLOEXEC);
	scene->spec = spec_new();
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(file_remove_tree(AT_FDCWD, scene->folder, NULL), 0);
	close(scene->dir);
	spec_free(scene->spec);
	buf_free(&scene->notes);
	free(scene);
	return 0;
}

static void keep_note(void *arg, const char *file, int line, const char *text)
{
	buf_addf(arg, "%s:%d: %s\n", file, line, text);
}

static void write_file(struct scene *scene, const char *name, const char *text)
{
	int fd = openat(scene->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int read_text(struct scene *scene, const char *text)
{
	auto_free char *path = str_format("%s/config", scene->folder);

	write_file(scene, "config", text);
	memset(&scene->err, 0, sizeof scene->err);
	buf_free(&scene->notes);
	memset(&scene->notes, 0, sizeof scene->notes);
	return lxc_read(path, scene->spec, keep_note, &scene->notes, &scene->err);
}

static void read_good(struct scene *scene, const char *text)
{
	if (read_text(scene, text))
		fail_msg("%s %s", scene->err.where, scene->err.what);
}

static void expect(struct scene *scene, const char *dotted, const char *value)
{
	auto_free char *now = NULL;

	assert_int_equal(spec_get(scene->spec, dotted, &now, &scene->err), 0);
	if (strcmp(now, value))
		fail_msg("%s is '%s', not '%s'", dotted, now, value);
}

static void expect_no_notes(struct scene *scene)
{
	if (scene->notes.len)
		fail_msg("%s", scene->notes.data);
}

static void expect_note(struct scene *scene, const char *text)
{
	if (!scene->notes.data || !strstr(scene->notes.data, text))
		fail_msg("no note '%s' in: %s", text, scene->notes.data ? scene->notes.data : "");
}

/* What lxc-debian leaves, as lxc-create -t debian calls it with Debian's default.conf. */
static void reads_what_lxc_debian_writes(void **state)
{
	struct scene *scene = *state;

	read_good(scene, "# Template used to create this container: /usr/share/lxc/templates/lxc-debian\n"
			 "# Parameters passed to the template: -r bookworm\n"
			 "\n"
			 "# Uncomment the following line to support nesting containers:\n"
			 "#lxc.include = /usr/share/lxc/config/nesting.conf\n"
			 "lxc.net.0.type = veth\n"
			 "lxc.net.0.hwaddr = 00:16:3e:0a:0b:0c\n"
			 "lxc.net.0.link = lxcbr0\n"
			 "lxc.net.0.flags = up\n"
			 "lxc.apparmor.profile = generated\n"
			 "lxc.apparmor.allow_nesting = 1\n"
			 "lxc.rootfs.path = dir:/var/lib/lxc/d1/rootfs\n"
			 "\n"
			 "# Common configuration\n"
			 "lxc.include = /usr/share/lxc/config/debian.common.conf\n"
			 "\n"
			 "# Container specific configuration\n"
			 "lxc.tty.max = 4\n"
			 "lxc.uts.name = d1\n"
			 "lxc.arch = amd64\n"
			 "lxc.pty.max = 1024\n");
	expect_no_notes(scene);
	expect(scene, "guest.hostname", "d1");
	assert_int_equal(scene->spec->network_count, 1);
	expect(scene, "network.eth0.type", "bridge");
	expect(scene, "network.eth0.link", "isle0");
	expect(scene, "network.eth0.mac", "00:16:3e:0a:0b:0c");
	expect(scene, "network.eth0.address", "auto");
	expect(scene, "security.drop-capabilities", "");
	expect(scene, "security.nesting", "no");
	assert_int_equal(scene->spec->mount_count, 0);
}

static void reads_what_lxc_busybox_writes(void **state)
{
	struct scene *scene = *state;

	read_good(scene, "lxc.net.0.type = empty\n"
			 "lxc.rootfs.path = /var/lib/lxc/b1/rootfs\n"
			 "lxc.signal.halt = SIGUSR1\n"
			 "lxc.signal.reboot = SIGTERM\n"
			 "lxc.uts.name = \"b1\"\n"
			 "lxc.autodev = 1\n"
			 "lxc.tty.max = 5\n"
			 "lxc.pty.max = 1\n"
			 "lxc.cap.drop = sys_module mac_admin mac_override sys_time\n"
			 "\n"
			 "# When using LXC with apparmor, uncomment the next line to run unconfined:\n"
			 "#lxc.apparmor.profile = unconfined\n"
			 "\n"
			 "lxc.mount.auto = cgroup:mixed proc:mixed sys:ro\n"
			 "lxc.mount.entry = shm dev/shm tmpfs defaults,create=dir 0 0\n"
			 "lxc.mount.entry = mqueue dev/mqueue mqueue defaults,optional,create=dir 0 0\n"
			 "lxc.mount.entry = /lib lib none ro,bind 0 0\n"
			 "lxc.mount.entry = /usr/lib usr/lib none ro,bind 0 0\n"
			 "lxc.mount.entry = /sys/kernel/security sys/kernel/security none ro,bind,optional 0 0\n");
	expect_no_notes(scene);
	assert_int_equal(scene->spec->network_count, 0);
	assert_int_equal(scene->spec->guest.stop_signal, SIGUSR1);
	expect(scene, "guest.hostname", "b1");
	assert_int_equal(scene->spec->mount_count, 2);
	expect(scene, "mount.lib.source", "/lib");
	expect(scene, "mount.lib.target", "/lib");
	expect(scene, "mount.lib.type", "");
	expect(scene, "mount.lib.options", "ro");
	expect(scene, "mount.usr-lib.target", "/usr/lib");
}

static void reads_an_old_hand_made_guest(void **state)
{
	struct scene *scene = *state;

	write_file(scene, "fstab", "# mounts\n/srv/my\\040data srv/my\\040data none rbind,create=dir 0 0\n");
	auto_free char *text = str_format(
		"lxc.rootfs.path = /var/lib/lxc/w/rootfs\n"
		"lxc.net.0.type = veth\nlxc.net.0.name = lan\nlxc.net.0.link = br0\nlxc.net.0.mtu = 1400\n"
		"lxc.net.0.ipv4.address = 192.168.7.5/24 192.168.7.255\nlxc.net.0.ipv4.gateway = 192.168.7.1\n"
		"lxc.net.0.ipv6.address = fd00:7::5\nlxc.net.0.ipv6.gateway = auto\n"
		"lxc.net.1.type = veth\nlxc.net.1.link = br1\nlxc.net.1.hwaddr = 00:16:3e:xx:xx:xx\n"
		"lxc.net.2.type = macvlan\nlxc.net.2.link = eno1\n"
		"lxc.init.cmd = /sbin/init verbose\nlxc.start.auto = 1\nlxc.start.order = 20\nlxc.start.delay = 5\n"
		"lxc.environment = LANG=C.UTF-8\nlxc.environment = MOTTO=say \"when\"\n"
		"lxc.mount.entry = /srv/data srv/data none bind,optional,create=dir\n"
		"lxc.mount.entry = tmpfs tmp tmpfs size=64m,nosuid 0 0\n"
		"lxc.mount.entry = /etc/hosts /var/lib/lxc/w/rootfs/etc/hosts none bind,ro,create=file 0 0\n"
		"lxc.mount.entry = /x /elsewhere none bind 0 0\n"
		"lxc.mount.fstab = %s/fstab\n"
		"lxc.cgroup2.memory.max = 512M\nlxc.cgroup2.memory.swap.max = 0\nlxc.cgroup2.cpu.max = 150000 100000\n"
		"lxc.cgroup2.pids.max = 300\nlxc.cgroup2.cpuset.cpus = 0-1\nlxc.cgroup2.cpu.weight = "
		"50\nlxc.cgroup2.io.weight = 10\n"
		"lxc.prlimit.nofile = 1024:4096\nlxc.prlimit.memlock = 8388608:16777216\nlxc.prlimit.sigpending = unlimited\nlxc.cap.drop = net_raw sys_time\nlxc.cap.drop = syslog\n"
		"lxc.idmap = u 0 100000 65536\nlxc.hook.pre-start = /bin/x\nlxc.cgroup2.devices.allow = c 10:200 rwm\n"
		"lxc.cgroup2.devices.allow = c 1:11 r\nlxc.cgroup2.devices.allow = c 189:* rwm\nlxc.cgroup2.devices.deny = b 8:0 r\n"
		"lxc.mount.entry = /dev/kmsg dev/host/kmsg none bind,optional,create=file 0 0\n"
		"lxc.mount.entry = /dev/there-is-none dev/there-is-none none bind,optional,create=file 0 0\n"
		"lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file 0 0\n"
		"lxc.seccomp.profile = /usr/share/lxc/config/common.seccomp\nfoo.bar = 1\n",
		scene->folder);

	read_good(scene, text);
	expect(scene, "network.lan.link", "br0");
	expect(scene, "network.lan.mtu", "1400");
	expect(scene, "network.lan.address", "192.168.7.5/24");
	expect(scene, "network.lan.gateway", "192.168.7.1");
	expect(scene, "network.lan.address6", "fd00:7::5/64");
	expect(scene, "network.lan.gateway6", "");
	expect(scene, "network.lan.default-route", "yes");
	expect(scene, "network.eth1.link", "br1");
	expect(scene, "network.eth1.mac", "");
	assert_int_equal(scene->spec->network_count, 2);
	expect(scene, "guest.init", "/sbin/init verbose");
	expect(scene, "guest.autostart", "yes");
	expect(scene, "guest.start-order", "20");
	char **words;
	assert_int_equal(types_split(scene->spec->guest.environment, &words), 0);
	assert_string_equal(words[0], "LANG=C.UTF-8");
	assert_string_equal(words[1], "MOTTO=say \"when\"");
	types_split_free(words);
	expect(scene, "mount.srv-data.options", "optional,create=dir");
	expect(scene, "mount.tmp.type", "tmpfs");
	expect(scene, "mount.tmp.options", "size=64m,nosuid");
	expect(scene, "mount.etc-hosts.target", "/etc/hosts");
	expect(scene, "mount.srv-my-data.source", "/srv/my data");
	expect(scene, "mount.srv-my-data.options", "create=dir,rec");
	assert_int_equal(scene->spec->mount_count, 4);
	expect(scene, "limits.memory", "512M");
	expect(scene, "limits.swap", "0");
	expect(scene, "limits.cpus", "1.5");
	expect(scene, "limits.processes", "300");
	expect(scene, "limits.cpuset", "0-1");
	expect(scene, "limits.cpu-weight", "50");
	expect(scene, "limits.open-files", "4096");
	expect(scene, "limits.io-weight", "10");
	expect(scene, "limits.locked-memory", "16M");
	expect(scene, "limits.pending-signals", "");
	expect(scene, "security.drop-capabilities", "net_raw");
	expect(scene, "guest.start-delay", "5s");
	expect_note(scene, "lxc.net.2.type = macvlan");
	expect_note(scene, "/elsewhere");
	expect_note(scene, "lxc.hook.pre-start");
	expect_note(scene, "c 189:* rwm");
	expect_note(scene, "b 8:0 r");
	assert_int_equal(scene->spec->device_count, 2);
	expect(scene, "device.host-kmsg.source", "/dev/kmsg");
	expect(scene, "device.host-kmsg.target", "/dev/host/kmsg");
	expect(scene, "device.host-kmsg.access", "r");
	expect(scene, "device.host-kmsg.optional", "yes");
	expect(scene, "device.there-is-none.source", "/dev/there-is-none");
	expect(scene, "device.there-is-none.access", "rw");
	expect_note(scene, "foo.bar");
	/* The whole is a config that isle itself accepts. */
	auto_free char *config = spec_format(scene->spec);
	struct spec *again = NULL;

	assert_int_equal(spec_parse(config, strlen(config), "again", &again, &scene->err), 0);
	spec_free(again);
}

static void reads_cgroup_v1_limits(void **state)
{
	struct scene *scene = *state;

	read_good(scene, "lxc.cgroup.memory.limit_in_bytes = 256M\nlxc.cgroup.memory.memsw.limit_in_bytes = 384M\n"
			 "lxc.cgroup.cpu.cfs_quota_us = 25000\nlxc.cgroup.cpu.cfs_period_us = 50000\nlxc.cgroup.cpu.shares = 1024\n"
			 "lxc.cgroup.pids.max = 100\nlxc.cgroup.cpuset.cpus = 1\n");
	expect_no_notes(scene);
	expect(scene, "limits.memory", "256M");
	expect(scene, "limits.swap", "128M");
	expect(scene, "limits.cpus", "0.5");
	expect(scene, "limits.cpu-weight", "39");
	expect(scene, "limits.processes", "100");
	expect(scene, "limits.cpuset", "1");
	read_good(scene, "lxc.cgroup2.memory.max = max\nlxc.cgroup2.cpu.max = max 100000\nlxc.cgroup2.pids.max = max\n");
	expect(scene, "limits.memory", "");
	expect(scene, "limits.cpus", "");
	expect(scene, "limits.processes", "");
}

static void keeps_capabilities_by_dropping_the_rest(void **state)
{
	struct scene *scene = *state;

	read_good(scene, "lxc.cap.keep = chown setuid setgid sys_time\n");
	expect_note(scene, "sys_time");
	assert_non_null(strstr(scene->spec->security.drop_caps, "net_admin"));
	assert_null(strstr(scene->spec->security.drop_caps, "chown"));
	assert_null(strstr(scene->spec->security.drop_caps, "sys_module")); /* gone anyway */
	read_good(scene, "lxc.cap.drop = net_raw\nlxc.cap.drop =\nlxc.cap.drop = mknod nonsense\n");
	expect(scene, "security.drop-capabilities", "mknod");
	expect_note(scene, "nonsense");
}

static void follows_includes(void **state)
{
	struct scene *scene = *state;

	write_file(scene, "one", "lxc.start.order = 7\n");
	assert_int_equal(mkdirat(scene->dir, "d", 0700), 0);
	write_file(scene, "d/b.conf", "lxc.start.order = 9\n");
	write_file(scene, "d/a.conf", "lxc.start.order = 8\nlxc.start.auto = 1\n");
	write_file(scene, "d/ignored", "lxc.start.order = 1\n");
	auto_free char *file = str_format("lxc.include = %s/one\n", scene->folder);
	auto_free char *folder = str_format("lxc.include = %s/one\nlxc.include = %s/d\n", scene->folder, scene->folder);
	auto_free char *missing = str_format("lxc.include = %s/missing\n", scene->folder);

	read_good(scene, file);
	expect(scene, "guest.start-order", "7");
	read_good(scene, folder);
	expect(scene, "guest.start-order", "9");
	expect(scene, "guest.autostart", "yes");
	read_good(scene, missing);
	expect_note(scene, "missing");
	read_good(scene, "lxc.include = /usr/share/lxc/config/nesting.conf\n");
	expect(scene, "security.nesting", "yes");
}

static void includes_cannot_run_away(void **state)
{
	struct scene *scene = *state;
	auto_free char *self = str_format("lxc.include = %s/config\n", scene->folder);
	auto_free char *twice = str_format("%s%s", self, self);

	assert_true(read_text(scene, self) < 0);
	assert_non_null(strstr(scene->err.what, "inside one another"));
	assert_non_null(strstr(scene->err.where, "config:1"));
	assert_true(read_text(scene, twice) < 0);
}

static void faults_are_named_with_their_line(void **state)
{
	static const struct {
		const char *text, *where, *what;
	} rows[] = {
		{"# x\nlxc.tty.max\n", "config:2", "neither KEY = VALUE"},
		{"lxc.cgroup2.memory.max = lots\n", "config:1", "limits.memory"},
		{"\nlxc.start.auto = perhaps\n", "config:2", "guest.autostart"},
		{"lxc.init.cmd = init\n", "config:1", "absolute"},
		{"lxc.net.0.type = veth\nlxc.net.0.hwaddr = nonsense\n", "config:2", "MAC"},
		{"lxc.net.0.type = veth\nlxc.net.0.ipv4.address = nonsense\n", "config:2", "address"},
		{"lxc.net.x.type = veth\n", "config:1", "number of a network"},
		{"lxc.net.0 = 1\n", "config:1", "takes no value"},
		{"lxc.mount.entry = /only\n", "config:1", "not a mount"},
		{"lxc.mount.entry = /a/../b c none bind 0 0\n", "config", "'..'"},
		{"lxc.mount.entry = /a ../../etc none bind 0 0\n", "config:1", "'..'"},
		{"lxc.mount.fstab = /nonexistent/fstab\n", "config:1", "fstab"},
		{"lxc.include = relative\n", "config:1", "absolute"},
		{"lxc.cgroup2.cpu.max = much\n", "config:1", "CPU quota"},
		{"lxc.cgroup.cpu.cfs_quota_us = -2\n", "config:1", "CPU quota"},
		{"lxc.signal.halt = SIGNONE\n", "config:1", "not a signal"},
		{"lxc.uts.name = a\rb\n", "config:1", "control character"},
		{"lxc.environment = A B=1\n", "config:1", "variable's name"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene *scene = *state;

		spec_free(scene->spec);
		scene->spec = spec_new();
		if (!read_text(scene, rows[i].text))
			fail_msg("accepted: %s", rows[i].text);
		if (!strstr(scene->err.where, rows[i].where) || !strstr(scene->err.what, rows[i].what))
			fail_msg("'%s' says %s %s", rows[i].text, scene->err.where, scene->err.what);
	}
}

static void unreadable_files_are_named(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(lxc_read("/nonexistent/config", scene->spec, NULL, NULL, &scene->err), -ENOENT);
	assert_non_null(strstr(scene->err.what, "/nonexistent/config"));
	assert_true(lxc_read(scene->folder, scene->spec, NULL, NULL, &scene->err) < 0);
}

/* The files that the lxc package installs, each as if a guest included it. */
static void reads_the_real_files(void **state)
{
	struct scene *scene = *state;
	glob_t found;

	if (glob("/usr/share/lxc/config/*.conf", 0, NULL, &found) != 0) {
		print_message("skipped: /usr/share/lxc/config is not installed\n");
		skip();
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		auto_free char *text = str_format("lxc.include = %s\n", found.gl_pathv[i]);

		read_good(scene, text);
		expect_no_notes(scene);
		if (lxc_read(found.gl_pathv[i], scene->spec, NULL, NULL, &scene->err))
			fail_msg("%s: %s %s", found.gl_pathv[i], scene->err.where, scene->err.what);
	}
	globfree(&found);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_what_lxc_debian_writes),
		TEST(reads_what_lxc_busybox_writes),
		TEST(reads_an_old_hand_made_guest),
		TEST(reads_cgroup_v1_limits),
		TEST(keeps_capabilities_by_dropping_the_rest),
		TEST(follows_includes),
		TEST(includes_cannot_run_away),
		TEST(faults_are_named_with_their_line),
		TEST(unreadable_files_are_named),
		TEST(reads_the_real_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
