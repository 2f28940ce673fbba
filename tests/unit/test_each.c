/* Work on many guests: results, failures, deaths, signals, bounds. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../src/cli/options.h"

/* Shared with the children. */
struct shared {
	int done, at_once, most_at_once;
};
static struct shared *shared;

static const struct verb verb = {.name = "stop", .min = 1, .max = -1, .takes_all = true};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* What a guest's name makes of the work. */
static int work(struct call *call, const char *name, struct err *err)
{
	int now = __atomic_add_fetch(&shared->at_once, 1, __ATOMIC_SEQ_CST);

	if (now > shared->most_at_once)
		shared->most_at_once = now;
	if (!strncmp(name, "slow", 4))
		pause_ms(100);
	if (!strncmp(name, "sleep", 5))
		pause_ms(60000);
	if (!strcmp(name, "deaf")) {
		signal(SIGTERM, SIG_IGN);
		signal(SIGINT, SIG_IGN);
		pause_ms(60000);
	}
	if (!strcmp(name, "killed"))
		kill(getpid(), SIGKILL);
	if (!strcmp(name, "exits"))
		_exit(7);
	__atomic_sub_fetch(&shared->at_once, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&shared->done, 1, __ATOMIC_SEQ_CST);
	if (!strcmp(name, "missing"))
		return err_set(err, ERR_NOT_FOUND, "there is no guest '%s'", name);
	if (!strcmp(name, "fails"))
		return err_set(err, ERR_FAILED, "something broke in '%s'", name);
	if (!strcmp(name, "late"))
		return err_set(err, ERR_TIMEOUT, "waited in vain");
	if (!strcmp(name, "status"))
		return 9;
	return 0;
}

/* Runs call_each with stderr kept; options before the names, NULL-ended. */
static int each(const char *option, char **names, char *output, size_t size, struct err *err)
{
	char *argv[4] = {(char *)(option ? option : "--verbose"), (char *)"x"};
	struct call call = {0};
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(file);
	*err = (struct err){0};
	memset(shared, 0, sizeof(*shared));
	assert_int_equal(call_parse(&verb, false, 2, argv, &call, err), 0);
	dup2(fileno(file), STDERR_FILENO);
	int rc = call_each(&call, names, work, err);

	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	size_t n = fread(output, 1, size - 1, file);

	output[n] = '\0';
	fclose(file);
	call_free(&call);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
	return rc;
}

static void all_go_well(void **state)
{
	char *names[] = {(char *)"a", (char *)"b", (char *)"slow1", (char *)"slow2", (char *)"c", NULL};
	char out[4096];
	struct err err;

	assert_int_equal(each(NULL, names, out, sizeof(out), &err), 0);
	assert_int_equal(shared->done, 5);
	assert_string_equal(out, "");
}

static void a_single_one_stays_here(void **state)
{
	char *good[] = {(char *)"a", NULL}, *bad[] = {(char *)"missing", NULL}, *none[] = {NULL};
	char out[4096];
	struct err err;

	assert_int_equal(each(NULL, none, out, sizeof(out), &err), 0);
	assert_int_equal(each(NULL, good, out, sizeof(out), &err), 0);
	/* Its error is main's to print. */
	assert_int_equal(each(NULL, bad, out, sizeof(out), &err), -ENOENT);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_string_equal(out, "");
}

static void each_failure_is_told(void **state)
{
	char *names[] = {(char *)"missing", (char *)"a", (char *)"fails", (char *)"b", NULL};
	char out[4096];
	struct err err;

	assert_int_equal(each(NULL, names, out, sizeof(out), &err), ERR_NOT_FOUND);
	assert_int_equal(shared->done, 4);
	assert_non_null(strstr(out, "cannot stop guest 'missing'"));
	assert_non_null(strstr(out, "there is no guest 'missing'"));
	assert_non_null(strstr(out, "cannot stop guest 'fails'"));
	assert_null(strstr(out, "guest 'a'"));

	char *worse[] = {(char *)"fails", (char *)"late", (char *)"missing", NULL};

	assert_int_equal(each(NULL, worse, out, sizeof(out), &err), ERR_TIMEOUT);

	char *status[] = {(char *)"a", (char *)"status", NULL};

	assert_int_equal(each(NULL, status, out, sizeof(out), &err), 9);
	assert_string_equal(out, "");
}

static void failures_in_json(void **state)
{
	char *names[] = {(char *)"missing", (char *)"fails", NULL};
	char out[4096];
	struct err err;

	assert_int_equal(each("--json", names, out, sizeof(out), &err), ERR_NOT_FOUND);
	assert_non_null(strstr(out, "{\"error\":{\"code\":\"not_found\",\"exit_status\":3,"));
	assert_non_null(strstr(out, "\"guest\":\"fails\""));
}

static void a_child_that_dies_is_told(void **state)
{
	char *names[] = {(char *)"killed", (char *)"a", (char *)"exits", (char *)"b", NULL};
	char out[4096];
	struct err err;

	assert_int_equal(each(NULL, names, out, sizeof(out), &err), ERR_FAILED);
	assert_int_equal(shared->done, 2);
	assert_non_null(strstr(out, "the process for guest 'killed' was ended by signal 9"));
	assert_non_null(strstr(out, "the process for guest 'exits' exited with status 7"));
}

static void the_bound_is_kept(void **state)
{
	char *names[9] = {0};
	char text[8][8], out[4096];
	struct err err;

	for (int i = 0; i < 8; i++) {
		snprintf(text[i], sizeof(text[i]), "slow%d", i);
		names[i] = text[i];
	}
	assert_int_equal(each("--jobs=3", names, out, sizeof(out), &err), 0);
	assert_int_equal(shared->done, 8);
	assert_in_range(shared->most_at_once, 2, 3);
	assert_int_equal(each("--jobs=0", names, out, sizeof(out), &err), -EINVAL);
	assert_int_equal(each("--jobs=many", names, out, sizeof(out), &err), -EINVAL);
	assert_int_equal(shared->done, 0);
}

/* Signals the parent only, as kill(1) does. */
static void interrupt(int times, int sig, char **names, int expected)
{
	char out[4096];
	struct err err;
	uint64_t begin = (uint64_t)time(NULL);
	pid_t parent = getpid(), pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < times; i++) {
			pause_ms(200);
			kill(parent, sig);
		}
		_exit(0);
	}
	char *argv[] = {(char *)"x"};
	struct call call = {0};

	memset(shared, 0, sizeof(*shared));
	assert_int_equal(call_parse(&verb, false, 1, argv, &call, &err), 0);
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);

	dup2(fileno(file), STDERR_FILENO);
	int rc = call_each(&call, names, work, &err);

	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	out[fread(out, 1, sizeof(out) - 1, file)] = '\0';
	fclose(file);
	call_free(&call);
	waitpid(pid, NULL, 0);
	assert_int_equal(rc, expected);
	assert_true((uint64_t)time(NULL) - begin < 60);
	assert_non_null(strstr(out, "was ended by signal"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_signal_ends_all(void **state)
{
	char *names[] = {(char *)"sleep1", (char *)"sleep2", NULL};
	sigset_t before, after;

	sigprocmask(SIG_SETMASK, NULL, &before);
	interrupt(1, SIGINT, names, 128 + SIGINT);
	interrupt(1, SIGTERM, names, 128 + SIGTERM);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig < SIGRTMAX; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
}

static void a_second_signal_kills(void **state)
{
	char *names[] = {(char *)"deaf", (char *)"sleep1", NULL};

	interrupt(2, SIGINT, names, 128 + SIGINT);
}

int main(void)
{
	(void)signal(SIGINT, SIG_DFL); /* whoever runs tests behind his back ignores it, and so would the children */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_go_well),
		cmocka_unit_test(a_single_one_stays_here),
		cmocka_unit_test(each_failure_is_told),
		cmocka_unit_test(failures_in_json),
		cmocka_unit_test(a_child_that_dies_is_told),
		cmocka_unit_test(the_bound_is_kept),
		cmocka_unit_test(a_signal_ends_all),
		cmocka_unit_test(a_second_signal_kills),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
