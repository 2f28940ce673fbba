/* What is read of a restored process before it runs: hostile images choose its name, ids, groups and powers. */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include "../../src/base/clean.h"
#include "../../src/base/status.h"
#include "../../src/base/str.h"
#include "../../src/run/restore_check.h"
#include "scratch.h"

#define IDS "524288"
#define TEXT(name, uid, gid, eff, bnd, seccomp)                                                                             \
	"Name:\t" name "\nState:\tt (tracing stop)\nUid:\t" uid "\t" uid "\t" uid "\t" uid "\nGid:\t" gid "\t" gid "\t" gid \
	"\t" gid "\nGroups:\t1 2 3 \nCapInh:\t0000000000000000\nCapPrm:\t" eff "\nCapEff:\t" eff "\nCapBnd:\t" bnd          \
	"\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t" seccomp "\nSeccomp_filters:\t1\n"
#define NONE "0000000000000000"
#define ITS  "00000000a80425fb"
#define ALL  "000001ffffffffff"

static const struct restore_policy policy = {.mapped = true, .ids = 524288, .capabilities = 0xa80425fb, .filtered = true};

static void good(const char *status)
{
	const char *wrong = restore_check_status(status, &policy);

	if (wrong)
		fail_msg("'%s' of %s", wrong, status);
}

static void bad(const char *status, const char *why)
{
	const char *wrong = restore_check_status(status, &policy);

	if (!wrong || !strstr(wrong, why))
		fail_msg("expected '%s', read '%s' of %s", why, wrong ? wrong : "", status);
}

static void test_policy(void **state)
{
	(void)state;
	good(TEXT("sh", IDS, "589823", ITS, ITS, "2"));
	good(TEXT("sh", IDS, IDS, NONE, NONE, "2"));
	bad(TEXT("sh", "0", IDS, NONE, ITS, "2"), "ids");
	bad(TEXT("sh", IDS, "589824", NONE, ITS, "2"), "ids");
	bad(TEXT("sh", IDS, IDS, NONE, ALL, "2"), "capabilities");
	bad(TEXT("sh", IDS, IDS, ALL, ITS, "2"), "capabilities");
	bad(TEXT("sh", IDS, IDS, ITS, ITS, "0"), "filter");
	bad(TEXT("sh", IDS, IDS, ITS, ITS, "1"), "filter");
	bad("Name:\tsh\n", "ids");
	bad("", "ids");
}

/* Its name is its own to choose. */
static void test_names(void **state)
{
	(void)state;
	good(TEXT("Uid:", IDS, IDS, ITS, ITS, "2"));
	good(TEXT("Seccomp:\t0", IDS, IDS, ITS, ITS, "2"));
	bad(TEXT("CapBnd:0", IDS, IDS, ITS, ALL, "2"), "capabilities");
	bad(TEXT("Seccomp:\t2", IDS, IDS, ITS, ITS, "0"), "filter");
	bad(TEXT("Seccomp:\t2\\n", IDS, IDS, ITS, ITS, "0"), "filter");
}

static void test_fields(void **state)
{
	const char *text = "Name:\tPPid:\t7\nPid:\t12\nPPid:\t1\nSigCgt:\t0000000000000200\n";

	(void)state;
	assert_int_equal(strncmp(status_field(text, "Name"), "PPid:\t7\n", 8), 0);
	assert_int_equal(strncmp(status_field(text, "PPid"), "1\n", 2), 0);
	assert_int_equal(strncmp(status_field(text, "Pid"), "12\n", 3), 0);
	assert_null(status_field(text, "pid"));
	assert_null(status_field(text, "Uid"));
	assert_int_equal(status_mask(text, "SigCgt"), 0x200);
	assert_int_equal(status_mask(text, "SigBlk"), UINT64_MAX);
}

/* A process of many groups has a long text, which must not spare it the look. */
static void test_read(void **state)
{
	gid_t groups[30000];
	auto_free char *text = NULL;

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < 30000; i++)
		groups[i] = (gid_t)(1000000 + i);
	assert_int_equal(setgroups(30000, groups), 0);
	assert_int_equal(status_read(getpid(), getpid(), &text), 0);
	assert_true(strlen(text) > 200000);
	assert_non_null(status_field(text, "CapBnd"));
	assert_int_equal(setgroups(0, NULL), 0);
	assert_int_equal(status_read(getpid(), 1, &text), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
