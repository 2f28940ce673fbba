/* The key table and the types of its values. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "../../src/guest/keys.h"
#include "../../src/guest/spec.h"

union field {
	uint64_t number;
	int choice;
	bool yes;
	char *text;
	struct address_value address;
	struct ip_value ip;
	struct mac_value mac;
};

static const struct type *const all_types[] = {
	&type_bool,    &type_number, &type_count,   &type_size,        &type_duration,   &type_cpus,     &type_rate,
	&type_choice,  &type_signal, &type_string,  &type_name,        &type_path,       &type_profile,  &type_words,
	&type_cpuset,  &type_caps,   &type_command, &type_environment, &type_hostname,   &type_id,       &type_mac,
	&type_address, &type_ip,     &type_mode,    &type_access,      &type_disk_bytes, &type_disk_ops,
};

static const char *const colours[] = {"red", "green", "blue", NULL};

static struct key key_of(const struct type *type)
{
	struct key key = {.name = "test", .type = type, .choices = type == &type_choice ? colours : NULL};

	if (type == &type_address || type == &type_ip)
		key.max = 4;
	return key;
}

static int parse(const struct key *key, const char *text, union field *field, struct err *err)
{
	memset(err, 0, sizeof *err);
	return key->type->parse(key, text, field, err);
}

static char *format(const struct key *key, const union field *field)
{
	auto_buf struct buf out = {0};

	key->type->format(key, field, &out);
	return buf_take(&out);
}

/* Accepted text, and what format makes of it (NULL: the same). */
static const struct {
	const struct type *type;
	const char *text, *canonical;
} good[] = {
	{&type_bool, "yes", NULL},
	{&type_bool, "NO", "no"},
	{&type_bool, "true", "yes"},
	{&type_bool, "off", "no"},
	{&type_bool, "1", "yes"},
	{&type_number, "0", NULL},
	{&type_number, "18446744073709551614", NULL},
	{&type_number, "42", NULL},
	{&type_count, "unlimited", ""},
	{&type_count, "7", NULL},
	{&type_size, "0", NULL},
	{&type_size, "1", NULL},
	{&type_size, "512M", NULL},
	{&type_size, "1024", "1K"},
	{&type_size, "1.5G", "1536M"},
	{&type_size, "4096K", "4M"},
	{&type_size, "1125899906842625", NULL},
	{&type_size, "16383P", NULL},
	{&type_size, "unlimited", ""},
	{&type_size, "18446744073709551614", NULL},
	{&type_size, "1GiB", "1G"},
	{&type_size, "2T", NULL},
	{&type_duration, "60", "60s"},
	{&type_duration, "500ms", NULL},
	{&type_duration, "2m", "120s"},
	{&type_duration, "1h", "3600s"},
	{&type_duration, "0", "0s"},
	{&type_duration, "1500ms", NULL},
	{&type_cpus, "1", NULL},
	{&type_cpus, "1.5", NULL},
	{&type_cpus, "0.25", NULL},
	{&type_cpus, "0.125", NULL},
	{&type_cpus, "2.050", "2.05"},
	{&type_cpus, "3.005", NULL},
	{&type_cpus, "1.000", "1"},
	{&type_cpus, "unlimited", ""},
	{&type_cpus, "0.1000", "0.1"},
	{&type_rate, "100mbit", NULL},
	{&type_rate, "1.5gbit", "1500mbit"},
	{&type_rate, "1000kbit", "1mbit"},
	{&type_rate, "1bit", NULL},
	{&type_rate, "0bit", NULL},
	{&type_rate, "10Mbit", "10mbit"},
	{&type_rate, "unlimited", ""},
	{&type_mode, "0660", NULL},
	{&type_mode, "0", "0000"},
	{&type_mode, "777", "0777"},
	{&type_access, "rw", NULL},
	{&type_access, "mwr", NULL},
	{&type_choice, "red", NULL},
	{&type_choice, "blue", NULL},
	{&type_signal, "TERM", "SIGTERM"},
	{&type_signal, "15", "SIGTERM"},
	{&type_signal, "sigpwr", "SIGPWR"},
	{&type_signal, "SIGRTMIN+3", NULL},
	{&type_signal, "RTMIN", "SIGRTMIN"},
	{&type_signal, "37", "SIGRTMIN+3"},
	{&type_signal, "RTMAX", "SIGRTMIN+30"},
	{&type_signal, "POLL", "SIGIO"},
	{&type_signal, "RTMAX-30", "SIGRTMIN"},
	{&type_string, "a line ; with # all = of it", NULL},
	{&type_string, "  cut  ", "cut"},
	{&type_string, "gr\xc3\xbc\xc3\x9f", NULL},
	{&type_name, "isle0", NULL},
	{&type_name, "a.b_c-d", NULL},
	{&type_path, "/", NULL},
	{&type_path, "/a..b/..c/d..", NULL},
	{&type_path, "/srv/with blank", NULL},
	{&type_profile, "default", NULL},
	{&type_profile, "none", NULL},
	{&type_profile, "/etc/list", NULL},
	{&type_words, "ro, optional,create=dir", NULL},
	{&type_words, "one", NULL},
	{&type_cpuset, "0-3,8", NULL},
	{&type_cpuset, "0", NULL},
	{&type_cpuset, "7-7", "7"},
	{&type_cpuset, "3,1, 2 0", "0-3"},
	{&type_cpuset, "0,2,8191", NULL},
	{&type_cpuset, "1-5,3-9", "1-9"},
	{&type_cpuset, "auto:2", NULL},
	{&type_cpuset, " auto:16", "auto:16"},
	{&type_cpuset, "auto", NULL},
	{&type_cpuset, "all", NULL},
	{&type_disk_bytes, "10M", NULL},
	{&type_disk_bytes, "10485760", "10M"},
	{&type_disk_bytes, "10M,/dev/vdb:1.5G", "10M, /dev/vdb:1536M"},
	{&type_disk_bytes, "/dev/disk/by-path/pci-0000:00:04.0:4K", NULL},
	{&type_disk_bytes, "unlimited", ""},
	{&type_disk_ops, "500", NULL},
	{&type_disk_ops, "/dev/vda:5 /dev/vdb:6", "/dev/vda:5, /dev/vdb:6"},
	{&type_caps, "sys_time", NULL},
	{&type_caps, "net_raw, sys_nice", NULL},
	{&type_command, "/sbin/init", NULL},
	{&type_command, "/bin/sh -c \"a 'b' c\" \\\"", NULL},
	{&type_environment, "A=1 \"B=two words\" C=", NULL},
	{&type_hostname, "web1", NULL},
	{&type_hostname, "www.example.org", NULL},
	{&type_id, "0123456789abcdef0123456789abcdef", NULL},
	{&type_mac, "02:00:5e:10:00:01", NULL},
	{&type_mac, "02:AB:cd:EF:00:01", "02:ab:cd:ef:00:01"},
	{&type_address, "auto", NULL},
	{&type_address, "none", NULL},
	{&type_address, "10.0.3.20/24", NULL},
	{&type_address, "10.0.3.20/32", NULL},
	{&type_address, "10.0.3.20/31", NULL},
	{&type_ip, "10.0.3.1", NULL},
};

static void good_values_survive_a_round_trip(void **state)
{
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct key key = key_of(good[i].type);
		union field first = {0}, second = {0};
		struct err err;

		key.type->clear(&key, &first);
		key.type->clear(&key, &second);
		if (parse(&key, good[i].text, &first, &err))
			fail_msg("%s '%s': %s", key.type->name, good[i].text, err.what);
		auto_free char *text = format(&key, &first);
		assert_string_equal(text, good[i].canonical ? good[i].canonical : good[i].text);
		if (*text) {
			assert_true(key.type->is_set(&key, &first));
			if (parse(&key, text, &second, &err))
				fail_msg("%s '%s' does not read back: %s", key.type->name, text, err.what);
			auto_free char *again = format(&key, &second);
			assert_string_equal(again, text);
		}
		struct json_object *json = key.type->json(&key, &first);
		assert_true(!*text == !json);
		json_object_put(json);
		key.type->clear(&key, &first);
		key.type->clear(&key, &second);
	}
}

#define S10   "aaaaaaaaaa"
#define S50   S10 S10 S10 S10 S10
#define S250  S50 S50 S50 S50 S50
#define S260  S250 S10
#define S4160 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260 S260

static const struct {
	const struct type *type;
	const char *text;
} bad[] = {
	{&type_mode, "0668"},
	{&type_mode, "1777"},
	{&type_mode, "rw"},
	{&type_mode, "00666"},
	{&type_access, "rx"},
	{&type_access, "rr"},
	{&type_access, ""},
	{&type_bool, ""},
	{&type_bool, "maybe"},
	{&type_bool, "yes "},
	{&type_bool, "2"},
	{&type_number, ""},
	{&type_number, "-1"},
	{&type_number, "+1"},
	{&type_number, " 1"},
	{&type_number, "1 "},
	{&type_number, "0x10"},
	{&type_number, "18446744073709551615"},
	{&type_number, "99999999999999999999"},
	{&type_number, "unlimited"},
	{&type_number, "1.5"},
	{&type_size, "lots"},
	{&type_size, "-1"},
	{&type_size, "1X"},
	{&type_size, "16384P"},
	{&type_size, "M"},
	{&type_size, "1 M"},
	{&type_size, "18446744073709551615"},
	{&type_duration, "soon"},
	{&type_duration, "1d2"},
	{&type_duration, "-5s"},
	{&type_cpus, ".5"},
	{&type_cpus, "1."},
	{&type_cpus, "1.2345"},
	{&type_cpus, "1,5"},
	{&type_cpus, "99999999999999999999"},
	{&type_cpus, "nan"},
	{&type_rate, "100"},
	{&type_rate, "mbit"},
	{&type_rate, "1 mbit"},
	{&type_rate, "99999999999999999gbit"},
	{&type_rate, "1MB"},
	{&type_choice, "purple"},
	{&type_choice, "Red"},
	{&type_choice, ""},
	{&type_signal, "0"},
	{&type_signal, "32"},
	{&type_signal, "65"},
	{&type_signal, "NOPE"},
	{&type_signal, "RTMIN+31"},
	{&type_signal, "SIGRTMIN+"},
	{&type_signal, "RTMAX-31"},
	{&type_signal, "-9"},
	{&type_string, ""},
	{&type_string, "   "},
	{&type_string, "two\nlines"},
	{&type_string, "bell\a"},
	{&type_string, "\x7f"},
	{&type_string, "\xff"},
	{&type_string, "\xc0\xaf"},
	{&type_string, "\xed\xa0\x80"},
	{&type_string, "\xc2\x9b[31m"},
	{&type_string, S4160},
	{&type_string, "cut \xe2\x82"},
	{&type_string, "\xf4\x90\x80\x80"},
	{&type_name, "-rf"},
	{&type_name, ".hidden"},
	{&type_name, "a/b"},
	{&type_name, "a b"},
	{&type_name, S250},
	{&type_path, "relative"},
	{&type_path, "/a/../b"},
	{&type_path, "/.."},
	{&type_path, "/a/.."},
	{&type_path, "/" S260},
	{&type_path, ""},
	{&type_path, "/a\nb"},
	{&type_profile, "strict"},
	{&type_profile, "/a/../b"},
	{&type_words, " , ,"},
	{&type_words, ""},
	{&type_cpuset, "a"},
	{&type_cpuset, "3-1"},
	{&type_cpuset, "0-"},
	{&type_cpuset, "-1"},
	{&type_cpuset, "0-3-5"},
	{&type_cpuset, "9999"},
	{&type_cpuset, "autos"},
	{&type_cpuset, "auto:0"},
	{&type_cpuset, "auto:x"},
	{&type_cpuset, ","},
	{&type_disk_bytes, ""},
	{&type_disk_bytes, "fast"},
	{&type_disk_bytes, "vda:10M"},
	{&type_disk_bytes, "10M, 20M"},
	{&type_disk_bytes, "/dev/vda:10M /dev/vda:20M"},
	{&type_disk_bytes, "/dev/vda:"},
	{&type_disk_bytes, "1,2,3,4,5,6,7,8,9"},
	{&type_disk_bytes, "/dev/v\na:10M"},
	{&type_disk_ops, "1K"},
	{&type_disk_ops, "-1"},
	{&type_caps, "sys_tme"},
	{&type_caps, "all of them"},
	{&type_command, "init"},
	{&type_command, "/bin/sh \"open"},
	{&type_command, "/bin/sh \\"},
	{&type_command, "\"\""},
	{&type_command, "/../init"},
	{&type_environment, "A"},
	{&type_environment, "=1"},
	{&type_environment, "1A=2"},
	{&type_environment, "A=1 A=2"},
	{&type_environment, "A-B=1"},
	{&type_environment, "A='x"},
	{&type_hostname, "-web"},
	{&type_hostname, "web-"},
	{&type_hostname, "we_b"},
	{&type_hostname, "a..b"},
	{&type_hostname, ".a"},
	{&type_hostname, "a."},
	{&type_hostname, "a." S50 S10 "aaaa"},
	{&type_hostname, "w\xc3\xa4g"},
	{&type_id, "0123"},
	{&type_id, "0123456789ABCDEF0123456789ABCDEF"},
	{&type_mac, "01:00:5e:10:00:01"},
	{&type_mac, "00:00:00:00:00:00"},
	{&type_mac, "02:00:5e:10:00"},
	{&type_mac, "02:00:5e:10:00:01:02"},
	{&type_mac, "02-00-5e-10-00-01"},
	{&type_mac, ""},
	{&type_mac, "0200:5e:10:00:01"},
	{&type_mac, "02:00:5e:10:00:0"},
	{&type_address, "10.0.3.20"},
	{&type_address, "10.0.3.0/24"},
	{&type_address, "10.0.3.255/24"},
	{&type_address, "10.0.3.20/0"},
	{&type_address, "10.0.3.20/33"},
	{&type_address, "10.0.3.20/"},
	{&type_address, "/24"},
	{&type_address, "127.0.0.1/8"},
	{&type_address, "224.0.0.1/24"},
	{&type_address, "0.0.0.0/8"},
	{&type_address, "fd00::1/64"},
	{&type_address, "Auto"},
	{&type_address, "10.0.3.20/24 "},
	{&type_address, "10.0.3.020/24"},
	{&type_ip, "10.0.3.1/24"},
	{&type_ip, "auto"},
	{&type_ip, "1.2.3"},
};

static void bad_values_are_refused_and_change_nothing(void **state)
{
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct key key = key_of(bad[i].type);
		union field field, before;
		struct err err;

		memset(&field, 0, sizeof field);
		memset(&before, 0, sizeof before);
		if (!parse(&key, bad[i].text, &field, &err))
			fail_msg("%s '%.60s' was accepted", key.type->name, bad[i].text);
		assert_memory_equal(&field, &before, sizeof field);
		assert_int_not_equal(err.what[0], 0);
		assert_true(key.type->parse(&key, bad[i].text, &field, NULL) < 0);
	}
}

static void ipv6_values(void **state)
{
	static const char *const fine[] = {"fd00:10:3::20/64", "2001:db8::1/128", "auto", "none"};
	static const char *const wrong[] = {"::1/128",     "::/64",       "ff02::1/64", "::ffff:10.0.0.1/96",
					    "10.0.0.1/24", "fd00::1/129", "fd00::1"};
	struct key key = {.name = "test", .type = &type_address, .max = 6};
	union field field = {0};
	struct err err;

	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
		assert_int_equal(parse(&key, fine[i], &field, &err), 0);
		auto_free char *text = format(&key, &field);
		assert_string_equal(text, fine[i]);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_true(parse(&key, wrong[i], &field, &err) < 0);
}

static void bounds_are_named(void **state)
{
	struct key key = {.name = "memory", .type = &type_size, .min = 16 << 20, .max = 1 << 30};
	union field field = {.number = 5};
	struct err err;

	assert_true(parse(&key, "1M", &field, &err) < 0);
	assert_non_null(strstr(err.what, "less than 16M"));
	assert_true(parse(&key, "2G", &field, &err) < 0);
	assert_non_null(strstr(err.what, "more than 1G"));
	assert_int_equal(field.number, 5);
	assert_int_equal(parse(&key, "16M", &field, &err), 0);
	assert_int_equal(parse(&key, "1G", &field, &err), 0);
	key.fallback = "1M";
	assert_true(parse(&key, "unlimited", &field, &err) < 0);
}

static void near_matches_are_offered(void **state)
{
	struct key key = key_of(&type_choice);
	union field field = {0};
	struct err err;

	assert_true(parse(&key, "gren", &field, &err) < 0);
	assert_non_null(strstr(err.hint, "green"));
}

static void splits_words_as_a_shell_does(void **state)
{
	char **words;

	assert_int_equal(types_split(" /bin/x  \"a b\" 'c \\d' e\\ f \"\" g\"h\"i ", &words), 0);
	assert_string_equal(words[0], "/bin/x");
	assert_string_equal(words[1], "a b");
	assert_string_equal(words[2], "c \\d");
	assert_string_equal(words[3], "e f");
	assert_string_equal(words[4], "");
	assert_string_equal(words[5], "ghi");
	assert_null(words[6]);
	types_split_free(words);
	assert_int_equal(types_split("", &words), 0);
	assert_null(words[0]);
	types_split_free(words);
	assert_int_equal(types_split("'a", &words), -EINVAL);
}

/* The table */

static void rows_are_whole(void **state)
{
	for (size_t i = 0; i < key_count; i++) {
		const struct key *key = &key_table[i];
		bool known = false;

		assert_true(key->section < SECTION_COUNT);
		assert_ptr_equal(key_find(key->section, key->name), key); /* so no name is there twice */
		assert_int_equal(strspn(key->name, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(key->name));
		for (size_t t = 0; t < sizeof all_types / sizeof all_types[0]; t++)
			known |= key->type == all_types[t];
		assert_true(known);
		assert_non_null(key->doc);
		assert_int_equal(key->doc[strlen(key->doc) - 1], '.');
		if (!key->example && !key->internal)
			fail_msg("%s has no example", key->name);
	}
}

static void fields_do_not_overlap(void **state)
{
	for (size_t i = 0; i < key_count; i++)
		for (size_t j = 0; j < i; j++) {
			bool both_many = section_table[key_table[i].section].many == section_table[key_table[j].section].many;
			bool same = both_many &&
				    (!section_table[key_table[i].section].many || key_table[i].section == key_table[j].section);

			assert_false(same && key_table[i].offset == key_table[j].offset);
		}
}

static void defaults_and_examples_parse(void **state)
{
	for (size_t i = 0; i < key_count; i++) {
		const char *const texts[] = {key_table[i].fallback, key_table[i].example};

		for (size_t t = 0; t < 2; t++) {
			union field field = {0};
			struct err err;

			if (!texts[t])
				continue;
			if (parse(&key_table[i], texts[t], &field, &err))
				fail_msg("%s '%s': %s", key_table[i].name, texts[t], err.what);
			auto_free char *text = format(&key_table[i], &field);
			assert_int_equal(parse(&key_table[i], text, &field, &err), 0);
			key_table[i].type->clear(&key_table[i], &field);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_values_survive_a_round_trip),
		cmocka_unit_test(bad_values_are_refused_and_change_nothing),
		cmocka_unit_test(ipv6_values),
		cmocka_unit_test(bounds_are_named),
		cmocka_unit_test(near_matches_are_offered),
		cmocka_unit_test(splits_words_as_a_shell_does),
		cmocka_unit_test(rows_are_whole),
		cmocka_unit_test(fields_do_not_overlap),
		cmocka_unit_test(defaults_and_examples_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
