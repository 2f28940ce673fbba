/* Capability sets and rlimits, each tried in a child that may lose them. */
#include "config.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/str.h"
#include "../../src/kernel/privs.h"

#define NO_LIMITS                                                          \
	{                                                                  \
		UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX \
	}

#define BIT(cap) (UINT64_C(1) << (cap))

/* Runs fn in a child; what it returns is the child's exit status, 0 for good. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void test_default_mask(void **state)
{
	static const unsigned lost[] = {
		CAP_SYS_MODULE, CAP_SYS_RAWIO,     CAP_SYS_TIME,           CAP_SYS_PACCT,    CAP_SYSLOG,
		CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, CAP_MAC_ADMIN,          CAP_MAC_OVERRIDE, CAP_AUDIT_READ,
		CAP_PERFMON,    CAP_BPF,           CAP_CHECKPOINT_RESTORE,
	};
	uint64_t mask = 0, nesting = 0, expected = BIT(CAP_LAST_CAP + 1) - 1;
	struct err err = {0};

	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		expected &= ~BIT(lost[i]);
	assert_int_equal(privs_keep_mask(NULL, NULL, false, &mask, &err), 0);
	assert_int_equal(mask, expected);
	assert_int_equal(privs_keep_mask("", " \t", true, &nesting, &err), 0);
	assert_int_equal(nesting, expected);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		assert_non_null(privs_cap_name(cap));
		assert_int_equal(privs_cap_lost(cap) == NULL, (mask & BIT(cap)) != 0);
	}
	assert_null(privs_cap_name(CAP_LAST_CAP + 1));
	assert_null(privs_cap_name(4096));
}

static void test_words(void **state)
{
	uint64_t mask = 0, base = 0;
	struct err err = {0};

	assert_int_equal(privs_keep_mask(NULL, NULL, false, &base, &err), 0);
	assert_int_equal(privs_keep_mask("sys_time  CAP_SYSLOG,", "net_raw Mknod", false, &mask, &err), 0);
	assert_int_equal(mask, (base | BIT(CAP_SYS_TIME) | BIT(CAP_SYSLOG)) & ~(BIT(CAP_NET_RAW) | BIT(CAP_MKNOD)));
}

static void test_bad_words(void **state)
{
	struct err err = {0};
	uint64_t mask = 77;

	assert_int_equal(privs_keep_mask("sys_tim", NULL, false, &mask, &err), -EINVAL);
	assert_non_null(strstr(err.what, "sys_tim"));
	assert_non_null(strstr(err.hint, "sys_time"));
	err_clear(&err);
	assert_int_equal(privs_keep_mask(NULL, "zzzzzzzzzzzzzzzzzz", false, &mask, &err), -EINVAL);
	assert_non_null(strstr(err.hint, "capabilities(7)"));
	err_clear(&err);
	assert_int_equal(privs_keep_mask("net_raw", "net_raw", false, &mask, &err), -EINVAL);
	assert_non_null(strstr(err.what, "net_raw"));
	err_clear(&err);

	char many[4096];

	memset(many, 'a', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	assert_int_equal(privs_keep_mask(many, NULL, false, &mask, &err), -EINVAL);
	assert_int_equal(privs_keep_mask("cap_", NULL, false, &mask, &err), -EINVAL);
	assert_int_equal(mask, 77);
}

static uint64_t status_caps(const char *name)
{
	auto_fclose FILE *file = fopen("/proc/thread-self/status", "re");
	char line[256];
	unsigned long long value = ~0ull;
	size_t len = strlen(name);

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			value = strtoull(line + len + 1, NULL, 16);
	return value;
}

static int apply_child(void)
{
	uint64_t mask, had = status_caps("CapPrm");
	struct err err = {0};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	/* what a careless caller may leave: inheritable and ambient sets, keep-caps */
	if (syscall(SYS_capget, &header, data) < 0)
		return 1;
	data[0].inheritable = data[0].permitted;
	data[1].inheritable = data[1].permitted;
	if (syscall(SYS_capset, &header, data) < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) < 0 ||
	    prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
		return 2;
	if (privs_keep_mask(NULL, "mknod", false, &mask, &err) < 0 || privs_apply(mask, &err) < 0)
		return 3;
	if (status_caps("CapBnd") & ~mask || status_caps("CapPrm") != (had & mask) || status_caps("CapEff") != (had & mask))
		return 4;
	if (status_caps("CapInh") || status_caps("CapAmb") || prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) != SECUREBITS_DEFAULT)
		return 5;
	if (prctl(PR_CAPBSET_READ, CAP_SYS_MODULE, 0, 0, 0) != 0 || prctl(PR_CAPBSET_READ, CAP_MKNOD, 0, 0, 0) != 0 ||
	    prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 1)
		return 6;
	if (privs_apply(mask, &err) < 0) /* once more changes nothing */
		return 7;
	/* root's exec gets back what is in the bounding set and nothing else */
	execl("/bin/sh", "sh", "-c", "set -- $(grep CapPrm: /proc/self/status); echo $2 >&3", (char *)NULL);
	return 8;
}

static int read_exec_caps(void)
{
	uint64_t mask;
	int pipe_fd[2], status;
	char text[64] = "";

	if (pipe(pipe_fd) < 0)
		return 1;

	pid_t pid = fork();

	if (pid == 0) {
		dup2(pipe_fd[1], 3);
		_exit(apply_child());
	}
	close(pipe_fd[1]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
		return 10 + (WIFEXITED(status) ? WEXITSTATUS(status) : 90);
	if (read(pipe_fd[0], text, sizeof(text) - 1) <= 0 || privs_keep_mask(NULL, "mknod", false, &mask, NULL) < 0)
		return 2;
	return strtoull(text, NULL, 16) & ~mask ? 3 : 0;
}

static void test_apply(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(read_exec_caps), 0);
}

static int raise_child(void)
{
	struct err err = {0};
	uint64_t permitted = status_caps("CapPrm");

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || syscall(SYS_setresuid, -1, 65534, -1) < 0)
		return 1;
	if (status_caps("CapEff") != 0) /* seteuid away from 0 clears it */
		return 2;
	if (privs_raise(&err) < 0)
		return 3;
	return status_caps("CapEff") == permitted ? 0 : 4;
}

static void test_raise(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(raise_child), 0);
}

static int limits_child(void)
{
	struct rlimit limit;
	struct err err = {0};

	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max == 0)
		return 1;   /* nothing that is worth testing in */
	limit.rlim_cur = 0; /* as many shells have it */
	if (status_caps("CapEff") & BIT(CAP_SYS_RESOURCE))
		limit.rlim_max = 0;
	if (setrlimit(RLIMIT_CORE, &limit) < 0)
		return 1;
	if (privs_rlimits(&(struct privs_limits){NO_LIMITS}, &err) < 0)
		return 2;
	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_cur != 1 || limit.rlim_max != 1)
		return 3;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != 1024 || limit.rlim_max > 524288 || limit.rlim_max < 1024)
		return 4;
	if (getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur != 8 << 20 || limit.rlim_max != RLIM_INFINITY)
		return 5;
	if (privs_rlimits(&(struct privs_limits){{100, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}}, &err) < 0 ||
	    getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != 100 || limit.rlim_max != 100)
		return 6;
	if (privs_rlimits(&(struct privs_limits){{UINT64_C(1) << 60, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}}, &err) !=
		    -EIO ||
	    !strstr(err.hint, "fs.nr_open"))
		return 7;
	return 0;
}

static int limits_restored_child(void)
{
	struct privs_rlimits own;
	struct rlimit files = {77, 5000}, stack = {1 << 20, RLIM_INFINITY}, now;
	struct err err = {0};

	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_STACK, &stack) < 0)
		return 1;
	privs_limits_save(&own);
	if (privs_rlimits(&(struct privs_limits){{5000, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}}, &err) < 0)
		return 2;
	privs_limits_restore(&own);
	if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur != 77 || now.rlim_max != 5000)
		return 3;
	return getrlimit(RLIMIT_STACK, &now) < 0 || now.rlim_cur != 1 << 20 || now.rlim_max != RLIM_INFINITY ? 4 : 0;
}

static int limits_unprivileged_child(void)
{
	struct rlimit limit = {500, 600};
	struct rlimit core = {4096, 4096};
	struct err err = {0};

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
	    syscall(SYS_setresuid, 65534, 65534, 65534) < 0)
		return 1;
	if (privs_rlimits(&(struct privs_limits){NO_LIMITS}, &err) < 0)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur != 600 || limit.rlim_max != 600)
		return 3;
	return getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_cur != 1 || core.rlim_max != 1 ? 4 : 0;
}

static void test_limits(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(limits_child), 0);
	assert_int_equal(in_child(limits_unprivileged_child), 0);
	assert_int_equal(in_child(limits_restored_child), 0);
}

static int signals_child(void)
{
	struct sigaction action;
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGRTMIN + 3, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	umask(077);
	privs_reset_signals();
	for (int number = 1; number <= SIGRTMAX; number++)
		if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			return 1;
	if (sigprocmask(SIG_SETMASK, NULL, &set) < 0)
		return 2;
	for (int number = 1; number <= SIGRTMAX; number++)
		if (sigismember(&set, number) == 1)
			return 3;
	return umask(0) == 022 ? 0 : 4;
}

static void test_signals(void **state)
{
	assert_int_equal(in_child(signals_child), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_mask), cmocka_unit_test(test_words), cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_apply),        cmocka_unit_test(test_raise), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_signals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
