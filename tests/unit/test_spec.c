/* A guest's config: loading, refusing, editing, writing. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../../src/guest/spec.h"

static struct spec *read_good(const char *text)
{
	struct spec *spec = NULL;
	struct err err = {0};

	if (spec_parse(text, strlen(text), "web1/config", &spec, &err))
		fail_msg("%s %s", err.where, err.what);
	return spec;
}

static const char whole[] = "# Web server\n"
			    "\n"
			    "[guest]\n"
			    "hostname = web1\n"
			    "autostart=yes\n"
			    "start-order\t=\t10\n"
			    "; another comment\n"
			    "description = a ; b # c = d: e\n"
			    "[limits]\n"
			    "memory = 512M\n"
			    "swap = 0\n"
			    "cpus = 1.5\n"
			    "processes = 4096\n"
			    "[network eth0]\n"
			    "[network eth1]\n"
			    "link = lan\n"
			    "address = 10.0.3.7/24\n"
			    "gateway = 10.0.3.1\n"
			    "[ mount data ]\n"
			    "source = /srv/data\n"
			    "target = /data\n"
			    "options = ro,optional\n"
			    "[security]\n"
			    "nesting = no\n";

static void reads_a_whole_config(void **state)
{
	struct spec *spec = read_good(whole);

	assert_string_equal(spec->guest.hostname, "web1");
	assert_true(spec->guest.autostart);
	assert_int_equal(spec->guest.start_order, 10);
	assert_string_equal(spec->guest.description, "a ; b # c = d: e");
	assert_int_equal(spec->limits.memory, 512 << 20);
	assert_int_equal(spec->limits.swap, 0);
	assert_int_equal(spec->limits.cpus, 1500);
	assert_int_equal(spec->network_count, 2);
	assert_string_equal(spec->networks[0].name, "eth0");
	assert_string_equal(spec->networks[0].link, "isle0");
	assert_true(spec->networks[0].default_route);
	assert_int_equal(spec->networks[0].line, 14);
	assert_false(spec->networks[1].default_route);
	assert_int_equal(spec->networks[1].address.prefix, 24);
	assert_int_equal(spec->mount_count, 1);
	assert_string_equal(spec->mounts[0].name, "data");
	assert_string_equal(spec->mounts[0].options, "ro,optional");
	assert_int_equal(spec->mounts[0].line, 19);
	spec_free(spec);
}

static void defaults_of_an_empty_config(void **state)
{
	struct spec *spec = read_good("");

	assert_string_equal(spec->guest.init, "/sbin/init");
	assert_null(spec->guest.hostname);
	assert_false(spec->guest.autostart);
	assert_true(spec->guest.checkpoint_ready);
	assert_int_equal(spec->guest.stop_timeout, 60000);
	assert_int_equal(spec->guest.console_log, 1 << 20);
	assert_int_equal(spec->guest.stop_signal, 0);
	assert_true(spec->limits.memory == SPEC_UNSET && spec->limits.cpus == SPEC_UNSET && spec->limits.processes == SPEC_UNSET);
	assert_true(spec->security.ids == SPEC_UNSET);
	assert_string_equal(spec->security.seccomp, "default");
	assert_int_equal(spec->network_count, 0);
	spec_free(spec);
}

static void lines_up_to_4000_bytes_are_whole(void **state)
{
	auto_buf struct buf text = {0};
	static const char head[] = "environment = A=";

	buf_addf(&text, "[guest]\n%s", head);
	while (text.len < 8 + SPEC_LINE_MAX)
		buf_add(&text, "x");
	buf_add(&text, "\n");
	struct spec *spec = read_good(text.data);

	assert_int_equal(strlen(spec->guest.environment), SPEC_LINE_MAX - strlen(head) + 2);
	spec_free(spec);
}

/* Each fault: text, line, words of the complaint, words of the hint (NULL: none asked). */
static const struct {
	const char *text;
	int line;
	const char *what, *hint;
} faults[] = {
	{"[limits]\nmemroy = 1G\n", 2, "unknown key 'memroy'", "did you mean 'memory'"},
	{"[guest]\nmemory = 1G\n", 2, "unknown key 'memory'", "belongs in [limits]"},
	{"[guest]\naddress = auto\n", 2, "unknown key 'address'", "belongs in [network NAME]"},
	{"[guest]\nzzzzzz = 1\n", 2, "unknown key 'zzzzzz'", NULL},
	{"[limitz]\n", 1, "unknown section", "did you mean [limits]"},
	{"# x\n\n[nonsense here]\n", 3, "unknown section", NULL},
	{"[network]\n", 1, "lacks its name", "[network eth0]"},
	{"[limits a]\n", 1, "takes no name", NULL},
	{"[]\n", 1, "no name", NULL},
	{"[guest\n", 1, "not closed", NULL},
	{"[guest] # x\n", 1, "text behind", NULL},
	{"[network lo]\n", 1, "cannot be an interface's name", NULL},
	{"[network -eth0]\n", 1, "begins with", NULL},
	{"[network eth0123456789abc]\n", 1, "is the most", NULL},
	{"[mount a/b]\n", 1, "no letter", NULL},
	{"[mount aaaaaaaaaabbbbbbbbbbccccccccccdddddddddde]\n", 1, "is the most", NULL},
	{"memory = 1G\n[limits]\n", 1, "before any section", "[limits]"},
	{"[limits]\nmemory\n", 2, "neither KEY = VALUE", NULL},
	{"[limits]\nmemory: 1G\n", 2, "':'", NULL},
	{"[limits]\n= 1G\n", 2, "no key", NULL},
	{"[limits]\nmemory =\n", 2, "limits.memory", NULL},
	{"[limits]\nmemory = lots\n", 2, "limits.memory: 'lots' is not a size", NULL},
	{"[limits]\nmemory = max\n", 2, "nor the word unlimited", NULL},
	{"[limits]\nprocesses = max\n", 2, "nor the word unlimited", NULL},
	{"[limits]\ncpus = max\n", 2, "nor the word unlimited", NULL},
	{"[limits]\nmemory = 1M\n", 2, "less than 16M", NULL},
	{"[limits]\nmemory = 1G # enough\n", 2, "is not a size", "a line of its own"},
	{"[limits]\n memory = 1G\n", 2, "indented", NULL},
	{"[guest]\ndescription = a\n  b\n", 3, "indented", NULL},
	{"[guest]\n\t# no\n", 2, "indented", NULL},
	{"[limits]\nmemory = 1G\n# x\nmemory = 2G\n", 4, "lines 2 and 4", NULL},
	{"[limits]\n[guest]\n[limits]\n", 3, "lines 1 and 3", NULL},
	{"[network a]\n[network b]\n[network  a]\n", 3, "lines 1 and 3", NULL},
	{"[guest]\r\nautostart = yes\r\n", 1, "carriage return", "sed"},
	{"[guest]\nautostart = yes", 2, "newline", NULL},
	{"[guest]\nautostart = y\x1b[31mes\n", 2, "control character", NULL},
	{"[guest]\ndescription = \xff\n", 2, "not UTF-8", NULL},
	{"\xef\xbb\xbf[guest]\n", 1, "neither KEY = VALUE", NULL},
	{"[mount a]\nsource = /x\n", 1, "no target", "target"},
	{"[guest]\n[mount a]\ntarget = /x\n", 2, "no source", NULL},
	{"[mount a]\nsource = x\ntarget = /x\n", 1, "not an absolute path", NULL},
	{"[mount a]\nsource = /x/../y\ntarget = /x\n", 1, "'..'", NULL},
	{"[mount a]\nsource = /x\ntarget = /../y\n", 3, "'..'", NULL},
	{"[mount a]\nsource = /x\ntarget = //.\n", 1, "hide the guest", NULL},
	{"[device]\n", 1, "lacks its name", "[device gpu]"},
	{"[device a]\n", 1, "has no source", "source ="},
	{"[device a]\nsource = dev/x\n", 1, "not an absolute path", NULL},
	{"[device a]\nsource = /dev/../x\n", 1, "'..'", NULL},
	{"[device a]\nsource = /srv/x\n", 1, "not a plain path below /dev", "target ="},
	{"[device a]\nsource = /dev/x\ntarget = /dev/../etc/x\n", 1, "not a plain path below /dev", NULL},
	{"[device a]\nsource = /dev/x\ntarget = /dev/\n", 1, "not a plain path below /dev", NULL},
	{"[device a]\nsource = /dev/x\ntarget = /dev/a b\n", 1, "not a plain path below /dev", NULL},
	{"[device a]\nsource = /dev/x\ntarget = /dev/a//b\n", 1, "not a plain path below /dev", NULL},
	{"[device a]\nsource = /dev/null\n", 1, "isle's own", NULL},
	{"[device a]\nsource = /dev/x\ntarget = /dev/pts/3\n", 1, "isle's own", NULL},
	{"[device a]\nsource = /dev/x\ntarget = /dev/net\n", 1, "isle's own", NULL},
	{"[device a]\nsource = /dev/x\n[device b]\nsource = /dev/x/y\n", 3, "both have the target", NULL},
	{"[device a]\nsource = /dev/x\nmode = 1777\n", 3, "more than 0777", NULL},
	{"[device a]\nsource = /dev/x\naccess = rwx\n", 3, "letters r, w and m", NULL},
	{"[device a]\nsource = /dev/x\nuid = 65536\n", 3, "more than 65535", NULL},
	{"[device a]\ntype = nic\nsource = /dev/x\n", 1, "no letter", NULL},
	{"[device a]\ntype = nic\nsource = lo\n", 1, "cannot be given", NULL},
	{"[network eth0]\n[device a]\ntype = nic\nsource = eth1\ntarget = eth0\n", 2, "both are the interface eth0", NULL},
	{"[device a]\ntype = nic\nsource = eth1\n[device b]\ntype = nic\nsource = eth1\ntarget = x\n", 4, "both are eth1", NULL},
	{"[mount a]\nsource = /x\ntarget = /y\n[mount b]\nsource = /x\ntarget = //y/./\n", 4, "both have the target", NULL},
	{"[network a]\n[network b]\ndefault-route = yes\n", 2, "default route", "default-route = no"},
	{"[network a]\naddress = none\ngateway = 10.0.0.1\n", 1, "needs an address", NULL},
	{"[network a]\naddress = 10.0.0.1/24\ngateway = 10.0.0.1\n", 1, "own address", NULL},
	{"[network a]\nmtu = 1000\n", 1, "1280", "address6 = none"},
	{"[network a]\nmac = 02:00:00:00:00:01\n[network b]\nmac = 02:00:00:00:00:01\n", 3, "same mac", NULL},
	{"[network a]\ntype = bridgy\n", 2, "none of", "bridge"},
	{"[security]\nkeep-capabilities = sys_time\ndrop-capabilities = net_raw,sys_time\n", 0, "both in", NULL},
	{"[security]\ndrop-capabilities = sys_tiem\n", 2, "sys_tiem", NULL},
};

static void expect_fault(const char *text, size_t len, int line, const char *what, const char *hint)
{
	struct spec *untouched = (struct spec *)&faults, *spec = untouched;
	struct err err = {0};
	char where[64];

	if (!spec_parse(text, len, "web1/config", &spec, &err))
		fail_msg("accepted: %s", text);
	assert_ptr_equal(spec, untouched);
	assert_int_equal(err.code, ERR_FAILED);
	if (line) {
		(void)str_print(where, sizeof where, "web1/config:%d", line);
		if (strcmp(err.where, where))
			fail_msg("'%s' is at %s (%s), not at %s", text, err.where, err.what, where);
	}
	if (!strstr(err.what, what))
		fail_msg("'%s' says '%s', not '%s'", text, err.what, what);
	if (hint && !strstr(err.hint, hint))
		fail_msg("'%s' hints '%s', not '%s'", text, err.hint, hint);
	assert_true(spec_parse(text, len, "web1/config", &spec, NULL) < 0);
}

static void faults_are_named_with_their_line(void **state)
{
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
		expect_fault(faults[i].text, strlen(faults[i].text), faults[i].line, faults[i].what, faults[i].hint);
}

static void refuses_nul_bytes_and_excess(void **state)
{
	static const char nul[] = "[guest]\nhostname = a\0b\n";
	auto_buf struct buf text = {0};

	expect_fault(nul, sizeof nul - 1, 2, "NUL byte", NULL);
	buf_add(&text, "[guest]\n\ndescription = ");
	while (text.len < 9 + SPEC_LINE_MAX + 1)
		buf_add(&text, "x");
	buf_add(&text, "\n");
	expect_fault(text.data, text.len, 3, "4000 is the most", NULL);
	while (text.len <= SPEC_FILE_MAX)
		buf_add(&text, "# comment\n");
	expect_fault(text.data, text.len, 0, "is the most", NULL);
}

static void refuses_too_many_sections(void **state)
{
	auto_buf struct buf text = {0};

	for (int i = 0; i <= SPEC_NETWORKS_MAX; i++)
		buf_addf(&text, "[network eth%d]\n", i);
	expect_fault(text.data, text.len, SPEC_NETWORKS_MAX + 1, "more than 16", NULL);
}

/* Files */

static void loads_files_and_names_what_it_cannot_read(void **state)
{
	char folder[] = "/tmp/isle-test-XXXXXX";
	struct spec *untouched = (struct spec *)&faults, *spec = untouched;
	struct err err = {0};

	assert_non_null(mkdtemp(folder));
	int dir = open(folder, O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	assert_int_equal(spec_load(dir, "config", "web1/config", &spec, &err), -ENOENT);
	assert_non_null(strstr(err.what, "web1/config"));
	assert_int_equal(mkdirat(dir, "config", 0700), 0);
	memset(&err, 0, sizeof err);
	assert_true(spec_load(dir, "config", "web1/config", &spec, &err) < 0);
	assert_non_null(strstr(err.what, "web1/config"));
	assert_ptr_equal(spec, untouched);
	assert_int_equal(unlinkat(dir, "config", AT_REMOVEDIR), 0);

	int fd = openat(dir, "config", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, whole, sizeof whole - 1), sizeof whole - 1);
	assert_int_equal(spec_load(dir, "config", "web1/config", &spec, &err), 0);
	assert_string_equal(spec->file, "web1/config");
	spec_free(spec);
	assert_int_equal(ftruncate(fd, SPEC_FILE_MAX + 1), 0);
	spec = untouched;
	memset(&err, 0, sizeof err);
	assert_true(spec_load(dir, "config", "web1/config", &spec, &err) < 0);
	assert_non_null(strstr(err.what, "256 KiB"));
	close(fd);
	assert_int_equal(unlinkat(dir, "config", 0), 0);
	close(dir);
	assert_int_equal(rmdir(folder), 0);
}

/* Keys by name */

static void sets_and_gets_each_key(void **state)
{
	struct spec *spec = spec_new();
	struct err err = {0};

	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];
		const struct section_info *section = &section_table[key->section];
		char dotted[96];
		char *before, *now;

		if (!key->example)
			continue;
		assert_int_equal(str_print(dotted, sizeof dotted, "%s%s.%s", section->name, section->many ? ".x" : "", key->name),
				 0);
		if (!section->many)
			assert_int_equal(spec_get(spec, dotted, &before, &err), 0);
		assert_int_equal(spec_set(spec, dotted, key->example, &err), 0);
		assert_int_equal(spec_get(spec, dotted, &now, &err), 0);
		assert_true(*now);
		free(now);
		if (!section->many) {
			assert_int_equal(spec_set(spec, dotted, NULL, &err), 0);
			assert_int_equal(spec_get(spec, dotted, &now, &err), 0);
			assert_string_equal(now, before);
			free(now);
			free(before);
		}
	}
	assert_int_equal(spec->network_count, 1);
	assert_int_equal(spec_set(spec, "network.x", NULL, &err), 0);
	assert_int_equal(spec->network_count, 0);
	spec_free(spec);
}

static void bad_names_are_usage_errors(void **state)
{
	static const struct {
		const char *dotted, *value, *hint;
	} rows[] = {
		{"memory", "1G", "limits.memory"},
		{"limits.memroy", "1G", "memory"},
		{"limitz.memory", "1G", "[limits]"},
		{"guest.memory", "1G", "limits.memory"},
		{"limits", "1G", NULL},
		{"", "1G", NULL},
		{".", "1G", NULL},
		{"network.eth0", "x", NULL},
		{"network.eth0.", "x", NULL},
		{"network..type", "none", NULL},
		{"network.lo.type", "none", NULL},
		{"network.e/h.type", "none", NULL},
		{"limits.x.memory", "1G", NULL},
		{"limits.memory", "x", NULL},
		{"network.eth0.mtu", "x", NULL},
	};
	struct spec *spec = spec_new();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = {0};

		if (spec_set(spec, rows[i].dotted, rows[i].value, &err) >= 0)
			fail_msg("'%s' was accepted", rows[i].dotted);
		assert_int_equal(err.code, ERR_USAGE);
		if (rows[i].hint && !strstr(err.hint, rows[i].hint))
			fail_msg("'%s' hints '%s', not '%s'", rows[i].dotted, err.hint, rows[i].hint);
	}
	assert_int_equal(spec->network_count, 0);
	spec_free(spec);
}

static void interface_names_may_have_dots(void **state)
{
	struct spec *spec = spec_new();
	struct err err = {0};
	char *text;

	assert_int_equal(spec_set(spec, "network.eth0.5.mtu", "1400", &err), 0);
	assert_string_equal(spec->networks[0].name, "eth0.5");
	assert_int_equal(spec_get(spec, "network.eth0.5.mtu", &text, &err), 0);
	assert_string_equal(text, "1400");
	free(text);
	assert_int_equal(spec_set(spec, "network.eth0.5", NULL, &err), 0);
	assert_int_equal(spec->network_count, 0);
	spec_free(spec);
}

/* Writing */

static void format_reads_back_as_the_same(void **state)
{
	static const char more[] =
		"[guest]\ninit = /sbin/init splash \"a b\"\nstop-signal = 37\nstop-timeout = 1500ms\nid = "
		"0123456789abcdef0123456789abcdef\n"
		"storage = overlay\n[network eth0]\ndefault-route = no\naddress6 = none\n[network eth1]\ndefault-route = yes\n"
		"[security]\nids = 524288\n";
	static const char *const texts[] = {whole, more, ""};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct spec *first = read_good(texts[i]);
		auto_free char *text = spec_format(first);
		struct spec *second = read_good(text);
		auto_free char *again = spec_format(second);

		assert_string_equal(text, again);
		struct json_object *a = spec_json(first), *b = spec_json(second);

		assert_true(json_object_equal(a, b));
		json_object_put(a);
		json_object_put(b);
		spec_free(first);
		spec_free(second);
	}
}

static void json_is_plain_and_snake_case(void **state)
{
	struct spec *spec = read_good(whole);
	struct json_object *json = spec_json(spec), *part, *value;

	assert_true(json_object_object_get_ex(json, "limits", &part));
	assert_true(json_object_object_get_ex(part, "memory", &value));
	assert_int_equal(json_object_get_int64(value), 512 << 20);
	assert_true(json_object_object_get_ex(part, "cpu_weight", &value));
	assert_null(value);
	assert_true(json_object_object_get_ex(part, "cpus", &value));
	assert_string_equal(json_object_get_string(value), "1.5");
	assert_true(json_object_object_get_ex(json, "networks", &part));
	assert_int_equal(json_object_array_length(part), 2);
	assert_true(json_object_object_get_ex(json, "mounts", &part));
	assert_true(json_object_object_get_ex(json_object_array_get_idx(part, 0), "name", &value));
	assert_string_equal(json_object_get_string(value), "data");
	json_object_put(json);
	spec_free(spec);
}

/* Editing */

static void expect_edit(const char *text, const char *dotted, const char *value, const char *expected)
{
	char *edited = NULL;
	struct err err = {0};

	if (spec_edit(text, dotted, value, &edited, &err))
		fail_msg("edit %s: %s", dotted, err.what);
	assert_string_equal(edited, expected);
	free(edited);
}

static void edits_keep_comments_and_order(void **state)
{
	static const char text[] = "# top\n[guest]\n# name\nhostname = a\n\n# limits\n[limits]\n#memory = 1G\nmemory=512M\ncpus = "
				   "1\n\n# net\n[network eth0]\n\n# "
				   "data\n[mount data]\nsource = /a\ntarget = /b\n# end\n";

	expect_edit(text, "limits.memory", "1G",
		    "# top\n[guest]\n# name\nhostname = a\n\n# limits\n[limits]\n#memory = 1G\nmemory = 1G\ncpus = 1\n\n# "
		    "net\n[network eth0]\n\n# "
		    "data\n[mount data]\nsource = /a\ntarget = /b\n# end\n");
	expect_edit(
		text, "limits.memory", NULL,
		"# top\n[guest]\n# name\nhostname = a\n\n# limits\n[limits]\n#memory = 1G\ncpus = 1\n\n# net\n[network eth0]\n\n# "
		"data\n[mount data]\nsource = /a\ntarget = /b\n# end\n");
	expect_edit(text, "network.eth0.mtu", "1400",
		    "# top\n[guest]\n# name\nhostname = a\n\n# limits\n[limits]\n#memory = 1G\nmemory=512M\ncpus = 1\n\n# "
		    "net\n[network eth0]\nmtu = 1400\n\n# "
		    "data\n[mount data]\nsource = /a\ntarget = /b\n# end\n");
	expect_edit(text, "network.eth0", NULL,
		    "# top\n[guest]\n# name\nhostname = a\n\n# limits\n[limits]\n#memory = 1G\nmemory=512M\ncpus = 1\n\n# net\n# "
		    "data\n[mount data]\nsource = /a\ntarget = /b\n# end\n");
	expect_edit(text, "mount.data.options", "ro",
		    "# top\n[guest]\n# name\nhostname = a\n\n# limits\n[limits]\n#memory = 1G\nmemory=512M\ncpus = 1\n\n# "
		    "net\n[network eth0]\n\n# "
		    "data\n[mount data]\nsource = /a\ntarget = /b\noptions = ro\n# end\n");
}

static void edits_make_sections(void **state)
{
	expect_edit("", "limits.memory", "1G", "[limits]\nmemory = 1G\n");
	expect_edit("[guest]\n", "network.eth1.link", "lan", "[guest]\n\n[network eth1]\nlink = lan\n");
	expect_edit("[guest]", "guest.hostname", "a", "[guest]\nhostname = a\n");
	expect_edit("[limits]\n", "limits.memory", NULL, "[limits]\n");
	expect_edit("[network eth0]\nmtu = 1400\n", "network.eth1", NULL, "[network eth0]\nmtu = 1400\n");
	expect_edit("[guest]\n\n[network eth1]\nlink = lan\n# x\n", "network.eth1", NULL, "[guest]\n");
	expect_edit("[network eth1]\n", "network.eth1", NULL, "");
	/* A key of the same name in another section is not touched. */
	expect_edit("[network eth0]\nmtu = 1400\n[network eth1]\n", "network.eth1.mtu", "9000",
		    "[network eth0]\nmtu = 1400\n[network eth1]\nmtu = 9000\n");
	expect_edit("[network eth0]\naddress6 = none\n", "network.eth0.address", "none",
		    "[network eth0]\naddress6 = none\naddress = none\n");
}

static void edits_refuse_what_would_inject_lines(void **state)
{
	static const char *const values[] = {"a\nprivileged = yes", "\n", "", "  ", "a\rb", "\x1b"};
	char *edited = NULL;

	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
		struct err err = {0};

		assert_true(spec_edit("[guest]\n", "guest.description", values[i], &edited, &err) < 0);
		assert_null(edited);
		assert_int_equal(err.code, ERR_USAGE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_whole_config),
		cmocka_unit_test(defaults_of_an_empty_config),
		cmocka_unit_test(lines_up_to_4000_bytes_are_whole),
		cmocka_unit_test(faults_are_named_with_their_line),
		cmocka_unit_test(refuses_nul_bytes_and_excess),
		cmocka_unit_test(refuses_too_many_sections),
		cmocka_unit_test(loads_files_and_names_what_it_cannot_read),
		cmocka_unit_test(sets_and_gets_each_key),
		cmocka_unit_test(bad_names_are_usage_errors),
		cmocka_unit_test(interface_names_may_have_dots),
		cmocka_unit_test(format_reads_back_as_the_same),
		cmocka_unit_test(json_is_plain_and_snake_case),
		cmocka_unit_test(edits_keep_comments_and_order),
		cmocka_unit_test(edits_make_sections),
		cmocka_unit_test(edits_refuse_what_would_inject_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
