/* isle-monitor at the end of a fake guest: released, rebooted, powered off, killed. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/proc.h"
#include "../../src/run/conlog.h"
#include "../../src/run/ring.h"
#include "monitor_fixture.h"

static void test_release(void **state)
{
	struct timespec begin, end;
	char out[256];

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	int stopper = release();

	assert_true(is_alive());
	fake_guest_order(&guest, ORDER_SAY);
	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	assert_int_equal(proc_wait_gone(guest.init_pidfd, SOON), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(proc_wait_gone(guest.monitor_pidfd, SOON), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	close(stopper);
	print_message("released: init's end to the monitor's %ld us\n",
		      (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
	/* The last word, then END rather than a mere hangup. */
	assert_false(fake_guest_expect(fd, "never", out, sizeof(out), SOON));
	assert_string_equal(out, "said\r\n");
	assert_null(fake_guest_file(&guest, "after"));
	close(fd);
}

/* A stop that was killed on the way has released nothing. */
static void test_release_withdrawn(void **state)
{
	(void)state;
	start();
	close(release());
	usleep(50000);
	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	assert_true(await_file("after", "signal:9"));
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
}

/* A RELEASE that lies in the socket when init ends has come in time. */
static void test_release_at_the_end(void **state)
{
	(void)state;
	start();
	int fd = control_connect(guest.run_fd, NULL);

	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGSTOP), 0);
	assert_int_equal(control_send(fd, CONTROL_RELEASE, NULL, 0), 0);
	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	assert_int_equal(proc_wait_gone(guest.init_pidfd, SOON), 0);
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGCONT), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	assert_null(fake_guest_file(&guest, "after"));
	close(fd);
}

static void check_after(const char *how)
{
	char expected[512], *after, *text;
	int console, control, guest_fd, run_fd;

	assert_true(await_file("after", "--how"));
	assert_int_equal(fake_guest_wait(&guest, SOON), 0); /* one pid throughout */
	after = fake_guest_file(&guest, "after");
	snprintf(expected, sizeof(expected), "monitor-after\n--name\nfake\n--path\n%s\n--how\n%s\n--console\n", guest.dir, how);
	assert_memory_equal(after, expected, strlen(expected));
	assert_int_equal(sscanf(after + strlen(expected), "%d\n--control\n%d\n--guest\n%d\n--run\n%d\n", &console, &control,
				&guest_fd, &run_fd),
			 4);
	free(after);

	/* Those are open, nothing else is but stdio and the script itself. */
	text = fake_guest_file(&guest, "fds");
	int count = 0, fd, at = 0, n;

	while (sscanf(text + at, "%d%n", &fd, &n) == 1) {
		at += n;
		count++;
		assert_true(fd <= 2 || fd == console || fd == control || fd == guest_fd || fd == run_fd || fd >= 10);
	}
	assert_true(count >= 7 && count <= 9);
	free(text);
	text = fake_guest_file(&guest, "targets");
	assert_memory_equal(text, "/dev/p", 6);
	assert_non_null(strstr(text, "socket:["));
	free(text);
	text = fake_guest_file(&guest, "signals");
	assert_non_null(strstr(text, "SigBlk:\t0000000000000000"));
	/* Signals 32 and 33 are the C library's: make(1) may hand them down ignored and no program can set them. */
	const char *ignored = strstr(text, "SigIgn:\t");

	assert_non_null(ignored);
	assert_int_equal(strtoull(ignored + 8, NULL, 16) & ~0x180000000ull, 0);
	free(text);
	text = fake_guest_file(&guest, "guest/log/isle");
	snprintf(expected, sizeof(expected), " monitor: init ended: %s\n", how);
	assert_non_null(strstr(text, expected));
	free(text);
}

static void test_exit(void **state)
{
	static char data[CONTROL_DATA_MAX];
	struct control_header header;
	char out[256];
	char *oom;

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	fake_guest_order(&guest, ORDER_SAY);
	fake_guest_order_only(&guest, ORDER_EXIT);
	check_after("exit:7");
	int kind = 0;

	while (control_receive(fd, &header, data) == 0)
		kind = header.kind;
	assert_int_equal(kind, CONTROL_END);
	oom = fake_guest_file(&guest, "oom");
	assert_string_equal(oom, "0\n"); /* what it becomes is not spared */
	free(oom);
	close(fd);
}

static void test_signal(void **state)
{
	(void)state;
	start();
	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	check_after("signal:9");
}

static void test_poweroff(void **state)
{
	(void)state;
	start();
	fake_guest_order_only(&guest, ORDER_POWEROFF);
	check_after("poweroff");
}

/* Clients are not told of an end, and one that connects anew while nobody serves the socket is not refused. */
static void test_reboot(void **state)
{
	static char data[CONTROL_DATA_MAX];
	struct control_header header;
	char hold[100];
	int kind = 0;

	(void)state;
	start();
	snprintf(hold, sizeof(hold), "%s/hold", guest.dir);
	close(open(hold, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	int fd = fake_guest_attach(&guest, 0, 0);

	fake_guest_order_only(&guest, ORDER_REBOOT);
	while (control_receive(fd, &header, data) == 0)
		kind = header.kind;
	assert_int_equal(kind, CONTROL_OUTPUT);
	close(fd);
	fd = fake_guest_attach(&guest, 0, 0);
	close(fd);
	check_after("reboot");
}

/* The last `isle stop` that the monitor has run is the nth, and has ended. */
static bool stop_failed(int nth)
{
	char *stops = fake_guest_file(&guest, "stops"), path[64], stat[256] = "";
	int count = 0, pid = 0, n;

	for (const char *at = stops; at && sscanf(at, "%d%n", &pid, &n) == 1; at += n)
		count++;
	free(stops);
	if (count != nth)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return true;
	(void)!read(fd, stat, sizeof(stat) - 1);
	close(fd);
	return strstr(stat, ") Z") != NULL;
}

static bool await_failed_stop(int nth)
{
	for (int i = 0; i < SOON / 10; i++) {
		if (stop_failed(nth))
			return true;
		usleep(10000);
	}
	return false;
}

/* A stop that failed is over: SIGTERM may ask for the next, and a reboot later on is one. */
static void test_stop_fails(void **state)
{
	char out[256];

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON)); /* it takes signals by now */
	close(fd);
	for (int nth = 1; nth <= 2; nth++) {
		assert_int_equal(proc_signal(guest.monitor_pidfd, SIGTERM), 0);
		assert_true(await_failed_stop(nth));
	}
	fake_guest_order_only(&guest, ORDER_REBOOT);
	check_after("reboot");
}

/* systemd may end the scope as soon as there is one: it waits until the monitor hears it. */
static void test_early_term(void **state)
{
	(void)state;
	start_with(&(struct fake_options){.log_max = 1 << 20, .early_term = true});
	assert_true(await_failed_stop(1));
	assert_true(is_alive());
}

/* machined sends it when init is gone: a reboot is one all the same. */
static void test_term_after_end(void **state)
{
	char out[256];

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	close(fd);
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGSTOP), 0);
	fake_guest_order_only(&guest, ORDER_REBOOT);
	assert_int_equal(proc_wait_gone(guest.init_pidfd, SOON), 0);
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGTERM), 0);
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGCONT), 0);
	check_after("reboot");
	assert_false(stop_failed(1));
}

/* A monitor that took over: init's parent, here the test, may reap it before the monitor has looked. */
static void take_over(enum fake_order order, bool at_once, const char *how)
{
	char out[256];

	start_with(&(struct fake_options){.log_max = 1 << 20, .takes_over = true});
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	fake_guest_order_only(&guest, order);
	if (at_once) {
		assert_int_equal(waitpid(guest.init, NULL, 0), guest.init);
		guest.init_is_ours = false;
	}
	assert_true(await_file("after", "--how"));
	char *after = fake_guest_file(&guest, "after");

	if (at_once && strstr(after, "\nunknown\n")) /* allowed; a wrong answer is not */
		print_message("reaped first: unknown\n");
	else
		assert_non_null(strstr(after, how));
	free(after);
	close(fd);
	fake_guest_stop(&guest);
}

static void test_taken_over(void **state)
{
	(void)state;
	take_over(ORDER_EXIT, false, "\nexit:7\n");
	take_over(ORDER_REBOOT, false, "\nreboot\n");
	take_over(ORDER_POWEROFF, false, "\npoweroff\n");
	take_over(ORDER_EXIT, true, "\nexit:7\n");
	take_over(ORDER_REBOOT, true, "\nreboot\n");
	take_over(ORDER_POWEROFF, true, "\npoweroff\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_release),
		TEST(test_release_withdrawn),
		TEST(test_release_at_the_end),
		TEST(test_exit),
		TEST(test_signal),
		TEST(test_poweroff),
		TEST(test_reboot),
		TEST(test_stop_fails),
		TEST(test_early_term),
		TEST(test_term_after_end),
		TEST(test_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
