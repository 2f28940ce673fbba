/* Lists and LXC profiles: what they mean, what is refused and where; the compiled program against a plain model of it. */
#include "config.h"

#include <errno.h>
#include <linux/audit.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/str.h"
#include "../../src/kernel/seccomp_rules.h"
#include "bpf_run.h"

#if defined(__x86_64__)
#define NATIVE         AUDIT_ARCH_X86_64
#define COMPAT         AUDIT_ARCH_I386
#define COMPAT_GETPPID 64
#elif defined(__aarch64__)
#define NATIVE         AUDIT_ARCH_AARCH64
#define COMPAT         AUDIT_ARCH_ARM
#define COMPAT_GETPPID 64
#endif

#define ALLOW  SECCOMP_RET_ALLOW
#define KILL   SECCOMP_RET_KILL_PROCESS
#define ERR(n) (SECCOMP_RET_ERRNO | (n))

static int parse(const char *text, struct seccomp_rules *rules, struct err *err)
{
	bool include;

	err_clear(err);
	return seccomp_lxc_is(text) ? seccomp_lxc_parse(text, "a.conf", rules, err)
				    : seccomp_list_parse(text, "a.list", rules, &include, err);
}

static void build(const char *text, struct seccomp_program *program)
{
	struct seccomp_rules rules = {0};
	struct err err = {0};

	if (parse(text, &rules, &err) < 0 || seccomp_compile(&rules, program, &err) < 0)
		fail_msg("%s %s", err.where, err.what);
	seccomp_rules_free(&rules);
}

static uint32_t ask(const struct seccomp_program *program, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct seccomp_data data = {.nr = (int)nr, .arch = NATIVE, .args = {a, b, c}};

	return bpf_run(program->filter, program->count, &data);
}

static void test_list_meaning(void **state)
{
	struct seccomp_program program;

	build("# a comment\n"
	      "default errno EINVAL # another\n"
	      "\tallow getpid   getppid\r\n"
	      "errno 13 getpid arg0 == 7\n"
	      "kill getpid arg0 >= 10 arg0 < 20\n"
	      "log getpid arg1 & 0x6\n"
	      "pretend getpid arg1 & 0x30 == 0x10\n"
	      "errno EPERM getpid arg2:64 == 0x100000001\n"
	      "errno ENOSYS getpid arg2:64 > 0xf000000000000000\n"
	      "allow no_such_call_anywhere\n"
	      "kill getuid",
	      &program);
	assert_int_equal(ask(&program, SYS_getgid, 0, 0, 0), ERR(EINVAL));
	assert_int_equal(ask(&program, SYS_getppid, 7, 2, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getuid, 7, 2, 0), KILL);
	assert_int_equal(ask(&program, SYS_getpid, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 7, 0, 0), ERR(EACCES));
	assert_int_equal(ask(&program, SYS_getpid, 0xabcd00000007, 0, 0), ERR(EACCES));
	assert_int_equal(ask(&program, SYS_getpid, 9, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 10, 0, 0), KILL);
	assert_int_equal(ask(&program, SYS_getpid, 19, 0, 0), KILL);
	assert_int_equal(ask(&program, SYS_getpid, 20, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 0, 4, 0), SECCOMP_RET_LOG);
	assert_int_equal(ask(&program, SYS_getpid, 0, 1, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 0, 0x10, 0), ERR(0));
	assert_int_equal(ask(&program, SYS_getpid, 0, 0x30, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 0, 0, 0x100000001), ERR(EPERM));
	assert_int_equal(ask(&program, SYS_getpid, 0, 0, 1), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 0, 0, 0xf000000000000000), ALLOW);
	assert_int_equal(ask(&program, SYS_getpid, 0, 0, 0xf000000000000001), ERR(ENOSYS));
	seccomp_free(&program);
}

/* The upper list decides first, and what it leaves open goes to the lower. */
static void test_layers(void **state)
{
	struct seccomp_rules rules = {0};
	struct seccomp_program program;
	struct err err = {0};

	assert_int_equal(parse("default kill\nallow getpid\nerrno 5 getuid arg0 == 1\nerrno 6 getuid\nerrno 7 getgid arg0 == 1",
			       &rules, &err),
			 0);
	rules.layer = 1;
	assert_int_equal(parse("errno 1 getpid arg0 == 1\nerrno 2 getuid arg0 & 1\nallow getgid", &rules, &err), 0);
	assert_int_equal(seccomp_compile(&rules, &program, &err), 0);
	assert_int_equal(ask(&program, SYS_getpid, 1, 0, 0), ERR(1));
	assert_int_equal(ask(&program, SYS_getpid, 2, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getuid, 1, 0, 0), ERR(2));
	assert_int_equal(ask(&program, SYS_getuid, 2, 0, 0), ERR(6));
	assert_int_equal(ask(&program, SYS_getgid, 1, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getppid, 1, 0, 0), KILL);
	seccomp_free(&program);
	seccomp_rules_free(&rules);
}

struct bad {
	const char *text, *where, *what;
};

static void check_bad(const struct bad *bad, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct seccomp_rules rules = {0};
		struct err err = {0};

		if (parse(bad[i].text, &rules, &err) != -EINVAL || strcmp(err.where, bad[i].where) != 0 ||
		    !strstr(err.what, bad[i].what))
			fail_msg("case %zu: '%s' '%s'", i, err.where, err.what);
		seccomp_rules_free(&rules);
	}
}

static void test_list_errors(void **state)
{
	static const struct bad bad[] = {
		{"permit read", "a.list:1", "permit"},
		{"\n\n  allow\n", "a.list:3", "name is missing"},
		{"errno", "a.list:1", "error name is missing"},
		{"errno EBLA read", "a.list:1", "EBLA"},
		{"errno 4096 read", "a.list:1", "4096"},
		{"errno 0 read", "a.list:1", "'0'"},
		{"errno -1 read", "a.list:1", "-1"},
		{"allow Read", "a.list:1", "Read"},
		{"allow read;", "a.list:1", "read;"},
		{"allow \x01x", "a.list:1", "\\x01x"},
		{"allow aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee", "a.list:1", "aaaa"},
		{"allow read\nerrno EPERM read", "a.list:2", "already said"},
		{"allow read arg6 == 1", "a.list:1", "arg6"},
		{"allow read arg1x == 1", "a.list:1", "arg1x"},
		{"allow read arg1:32 == 1", "a.list:1", "arg1:32"},
		{"allow read arg1", "a.list:1", "comparison is missing"},
		{"allow read arg1 ==", "a.list:1", "comparison is missing"},
		{"allow read arg1 & 3 ==", "a.list:1", "value is missing"},
		{"allow read arg1 = 1", "a.list:1", "unknown comparison"},
		{"allow read arg1 == 1x", "a.list:1", "1x"},
		{"allow read arg1 == 0x", "a.list:1", "0x"},
		{"allow read arg1 == 0x1ffffffffffffffff", "a.list:1", "0x1f"},
		{"allow read arg1 == 18446744073709551616", "a.list:1", "18446744073709551616"},
		{"allow read arg1 == AF_NONSENSE", "a.list:1", "AF_NONSENSE"},
		{"allow read arg1 == AF_INET|", "a.list:1", "unknown value"},
		{"allow read arg1 == 0x100000000", "a.list:1", "bits"},
		{"allow read arg1 & 0x100000000", "a.list:1", "mask"},
		{"allow read arg1 & 0", "a.list:1", "mask"},
		{"allow read arg1 & 2 == 1", "a.list:1", "bits"},
		{"allow read arg1 == 1 stray", "a.list:1", "stray"},
		{"allow read arg0 == 1 arg0 == 1 arg0 == 1 arg0 == 1 arg0 == 1 arg0 == 1 arg0 == 1", "a.list:1", "too many"},
		{"default", "a.list:1", "missing"},
		{"default perhaps", "a.list:1", "perhaps"},
		{"default allow read", "a.list:1", "read"},
		{"include /etc/passwd", "a.list:1", "/etc/passwd"},
		{"include", "a.list:1", "include"},
	};

	check_bad(bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_lxc_errors(void **state)
{
	static const struct bad bad[] = {
		{"2", "a.conf:1", "policy line is missing"},
		{"1\nallowlist\n3", "a.conf:1", "version 2"},
		{"2\ngreylist", "a.conf:2", "greylist"},
		{"2\ndenylist perhaps", "a.conf:2", "perhaps"},
		{"2\ndenylist errno", "a.conf:2", "errno"},
		{"2\ndenylist allow more", "a.conf:2", "more"},
		{"2\ndenylist\n[vax]", "a.conf:3", "[vax]"},
		{"2\ndenylist\nmknod errno x", "a.conf:3", "errno"},
		{"2\ndenylist\nmknod errno 5000", "a.conf:3", "errno"},
		{"2\ndenylist\n# c\nmknod notify", "a.conf:4", "notify"},
		{"2\ndenylist\nmknod explode", "a.conf:3", "explode"},
		{"2\ndenylist\nMknod kill", "a.conf:3", "Mknod"},
		{"2\ndenylist\nmknod errno 1 [0,1", "a.conf:3", "[0,1"},
		{"2\ndenylist\nmknod errno 1 [0,1]", "a.conf:3", "index,value,op"},
		{"2\ndenylist\nmknod errno 1 [6,1,==]", "a.conf:3", "0 to 5"},
		{"2\ndenylist\nmknod errno 1 [0,z,==]", "a.conf:3", "'z'"},
		{"2\ndenylist\nmknod errno 1 [0,99999999999999999999,==]", "a.conf:3", "too large"},
		{"2\ndenylist\nmknod errno 1 [0,1,~]", "a.conf:3", "~"},
		{"2\ndenylist\nmknod errno 1 [0,1,==,1,1]", "a.conf:3", "too many fields"},
		{"2\ndenylist\nmknod errno 1 [0,4,&=,3]", "a.conf:3", "mask"},
		{"2\ndenylist\nmknod errno 1 [0,1,==] x", "a.conf:3", "'x'"},
	};

	check_bad(bad, sizeof(bad) / sizeof(bad[0]));
}

static void test_lxc_meaning(void **state)
{
	struct seccomp_program program;

	build("# mine\n2\ndenylist\nreject_force_umount  # comment\n[all]\nmknod errno 0\ngetuid\nacct trap\nsyslog allow\n"
	      "ioctl errno 1 [1,0x5412,SCMP_CMP_MASKED_EQ,0xffffffff]\nsocket errno 97 [0,38,==][2,5,!=]\nkill errno 3 "
	      "[0,10,SCMP_CMP_GT]\n"
	      "no_such_call errno 1\n[x86_64]\n[arm64]\n[x86]\ngetppid errno 9\n[s390x]\nread kill\n",
	      &program);
	assert_int_equal(ask(&program, SYS_read, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_umount2, 0, 0xf00000003, 0), ERR(EACCES));
	assert_int_equal(ask(&program, SYS_umount2, 0, 2, 0), ALLOW);
#ifdef SYS_mknod
	assert_int_equal(ask(&program, SYS_mknod, 0, 0, 0), ERR(0));
#endif
	assert_int_equal(ask(&program, SYS_getuid, 0, 0, 0), KILL);
	assert_int_equal(ask(&program, SYS_acct, 0, 0, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask(&program, SYS_syslog, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_ioctl, 1, 0xabc00005412, 0), ERR(1));
	assert_int_equal(ask(&program, SYS_ioctl, 1, 0x5413, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_socket, 38, 0, 4), ERR(97));
	assert_int_equal(ask(&program, SYS_socket, 38, 0, 5), ALLOW);
	assert_int_equal(ask(&program, SYS_kill, 11, 0, 0), ERR(3));
	assert_int_equal(ask(&program, SYS_kill, 0x100000000, 0, 0), ERR(3)); /* LXC compares the whole register */
	assert_int_equal(ask(&program, SYS_kill, 10, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_getppid, 0, 0, 0), ALLOW);
#ifdef __x86_64__
	struct seccomp_data data = {.nr = COMPAT_GETPPID, .arch = COMPAT};

	assert_int_equal(bpf_run(program.filter, program.count, &data), ERR(9));
#endif
	seccomp_free(&program);

	build("2\nwhitelist errno 38\nread\nwrite errno 5", &program);
	assert_int_equal(ask(&program, SYS_read, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_write, 0, 0, 0), ERR(5));
	assert_int_equal(ask(&program, SYS_getpid, 0, 0, 0), ERR(38));
	seccomp_free(&program);
	build("2\nallowlist\nread", &program);
	assert_int_equal(ask(&program, SYS_write, 0, 0, 0), KILL);
	seccomp_free(&program);
}

static void test_files(void **state)
{
	static const char *const profiles[] = {"/usr/share/lxc/config/common.seccomp", "/usr/share/lxc/config/nesting.seccomp"};
	char file[] = "/tmp/isle-test-list-XXXXXX";
	int fd = mkstemp(file);
	struct seccomp_request request = {.list = file};
	struct seccomp_program program;
	struct err err = {0};

	for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
		struct seccomp_request lxc = {.list = profiles[i]};

		if (access(profiles[i], R_OK) == 0) {
			assert_int_equal(seccomp_prepare(&lxc, &program, &err), 0);
			assert_int_equal(ask(&program, SYS_read, 0, 0, 0), ALLOW);
			seccomp_free(&program);
		}
	}

	static const char own[] = "include default\nallow socket arg0 == AF_VSOCK\nerrno EPERM ptrace\n";

	assert_true(fd >= 0);
	assert_int_equal(write(fd, own, sizeof(own) - 1), sizeof(own) - 1);
	assert_int_equal(seccomp_prepare(&request, &program, &err), 0);
	assert_int_equal(ask(&program, SYS_socket, AF_VSOCK, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_socket, AF_ALG, 0, 0), ERR(EAFNOSUPPORT));
	assert_int_equal(ask(&program, SYS_socket, AF_INET, 0, 0), ALLOW);
	assert_int_equal(ask(&program, SYS_ptrace, 0, 0, 0), ERR(EPERM));
	assert_int_equal(ask(&program, 999, 0, 0, 0), ERR(ENOSYS));
	seccomp_free(&program);

	/* an own list without a default is a mistake, not a filter that kills */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, "allow read\n", 11, 0), 11);
	assert_int_equal(seccomp_prepare(&request, &program, &err), -EINVAL);
	assert_non_null(strstr(err.hint, "include default"));
	err_clear(&err);
	assert_int_equal(pwrite(fd, "allow read\nallow Bad\n", 21, 0), 21);
	assert_int_equal(seccomp_prepare(&request, &program, &err), -EINVAL);
	assert_non_null(strstr(err.where, ":2"));
	err_clear(&err);
	assert_int_equal(ftruncate(fd, SECCOMP_LIST_MAX + 1), 0);
	assert_true(seccomp_prepare(&request, &program, &err) < 0);
	close(fd);
	unlink(file);
	err_clear(&err);
	assert_int_equal(seccomp_prepare(&request, &program, &err), -ENOENT);
	assert_non_null(strstr(err.what, file));
}

/* --- The compiled program against a plain model, with rules and calls by chance. */
static uint64_t dice(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static uint64_t some_value(uint64_t *seed)
{
	static const uint64_t values[] = {0,           1,           2,           3,          0x80000000,        0xffffffff,
					  0x100000000, 0x100000001, 0x1ffffffff, UINT64_MAX, 0x8000000000000000};

	return values[dice(seed) % (sizeof(values) / sizeof(values[0]))];
}

static bool model_holds(const struct seccomp_cond *cond, const uint64_t *args)
{
	uint64_t a = args[cond->arg] & cond->mask;

	switch (cond->op) {
	case SECCOMP_EQ:
		return a == cond->value;
	case SECCOMP_NE:
		return a != cond->value;
	case SECCOMP_LT:
		return a < cond->value;
	case SECCOMP_LE:
		return a <= cond->value;
	case SECCOMP_GT:
		return a > cond->value;
	default:
		return a >= cond->value;
	}
}

static uint32_t model(const struct seccomp_rules *rules, const char *name, const uint64_t *args)
{
	for (int layer = SECCOMP_LAYERS_MAX; layer >= 0; layer--) {
		for (int pass = 0; pass < 2; pass++) {
			for (size_t i = 0; i < rules->count; i++) {
				const struct seccomp_rule *rule = &rules->list[i];
				bool holds = rule->layer == layer && (rule->cond_count == 0) == (pass == 1) &&
					     strcmp(rule->name, name) == 0;

				for (unsigned c = 0; c < rule->cond_count && holds; c++)
					holds = model_holds(&rule->conds[c], args);
				if (holds)
					return rule->action;
			}
		}
	}
	return rules->fallback;
}

static const struct call {
	const char *name;
	long nr;
} calls[] = {
#define CALL(name)                \
	{                         \
#name, SYS_##name \
	}
	CALL(read),   CALL(write),   CALL(close), CALL(getpid), CALL(getppid), CALL(getuid),  CALL(getgid),
	CALL(socket), CALL(bind),    CALL(ioctl), CALL(kill),   CALL(clone),   CALL(unshare), CALL(mount),
	CALL(bpf),    CALL(openat2), CALL(sync),  CALL(tgkill), CALL(setns),   CALL(acct),
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void random_rules(uint64_t *seed, struct seccomp_rules *rules)
{
	size_t count = dice(seed) % 150;

	rules->fallback = ERR(38);
	for (size_t i = 0; i < count; i++) {
		struct seccomp_rule rule = {.action = dice(seed) % 3 ? ERR(1 + dice(seed) % 200) : ALLOW,
					    .cond_count = (uint8_t)(dice(seed) % 4)};

		for (unsigned c = 0; c < rule.cond_count; c++)
			rule.conds[c] = (struct seccomp_cond){
				.arg = (uint8_t)(dice(seed) % 3),
				.op = (uint8_t)(dice(seed) % 6),
				.mask = dice(seed) % 2 ? UINT64_MAX : some_value(seed),
				.value = some_value(seed),
			};
		rules->layer = (uint8_t)(dice(seed) % SECCOMP_LAYERS_MAX);
		assert_int_equal(str_copy(rule.name, sizeof(rule.name), calls[dice(seed) % CALLS].name), 0);
		assert_int_equal(seccomp_rules_add(rules, &rule), 0);
	}
}

static void test_model(void **state)
{
	uint64_t seed = 42;

	for (int round = 0; round < 300; round++) {
		struct seccomp_rules rules = {0};
		struct seccomp_program program;
		struct err err = {0};

		random_rules(&seed, &rules);
		assert_int_equal(seccomp_compile(&rules, &program, &err), 0);
		for (int i = 0; i < 500; i++) {
			const struct call *call = &calls[dice(&seed) % CALLS];
			uint64_t args[3] = {some_value(&seed), some_value(&seed), some_value(&seed)};
			uint32_t has = ask(&program, call->nr, args[0], args[1], args[2]);

			if (has != model(&rules, call->name, args))
				fail_msg("round %d: %s(%llx,%llx,%llx) gives %x", round, call->name, (unsigned long long)args[0],
					 (unsigned long long)args[1], (unsigned long long)args[2], has);
		}
		for (long nr = 0; nr < 600; nr++) {
			bool named = false;

			for (size_t i = 0; i < CALLS; i++)
				named |= calls[i].nr == nr;
			if (!named)
				assert_int_equal(ask(&program, nr, 0, 0, 0), ERR(38));
		}
		seccomp_free(&program);
		seccomp_rules_free(&rules);
	}
}

/* More rules than a program can hold are refused, not cut. */
static void test_too_big(void **state)
{
	auto_buf struct buf text = {0};
	struct seccomp_rules rules = {0};
	struct seccomp_program program = {0};
	struct err err = {0};

	buf_add(&text, "default allow\n");
	for (int i = 0; i < 2000; i++)
		buf_addf(&text, "errno EPERM ioctl arg1:64 == %d\n", i);
	assert_int_equal(parse(text.data, &rules, &err), 0);
	assert_int_equal(seccomp_compile(&rules, &program, &err), -E2BIG);
	assert_null(program.filter);
	assert_non_null(strstr(err.hint, "4096"));
	seccomp_rules_free(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_meaning), cmocka_unit_test(test_layers),      cmocka_unit_test(test_list_errors),
		cmocka_unit_test(test_lxc_errors),   cmocka_unit_test(test_lxc_meaning), cmocka_unit_test(test_files),
		cmocka_unit_test(test_model),        cmocka_unit_test(test_too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
