/* isle-monitor beside a fake guest. */
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

static void test_output(void **state)
{
	char out[4096];

	(void)state;
	start();
	assert_true(await_file("guest/log/console", "hello"));
	fake_guest_order(&guest, ORDER_SAY);
	/* A late client gets all from the beginning, then what is new; a second one too. */
	int one = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(one, "hello\r\nsaid\r\n", out, sizeof(out), SOON));
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(one, "said\r\n", out, sizeof(out), SOON));
	int two = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(two, "hello\r\nsaid\r\nsaid\r\n", out, sizeof(out), SOON));
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(one, "said\r\n", out, sizeof(out), SOON));
	assert_true(fake_guest_expect(two, "said\r\n", out, sizeof(out), SOON));
	assert_true(await_file("guest/log/console", "hello\r\nsaid\r\nsaid\r\nsaid\r\n"));
	close(one);
	close(two);
}

static void test_ring_request(void **state)
{
	static char data[CONTROL_DATA_MAX], all[RING_SIZE + 1];
	struct control_header header;
	size_t len = 0;

	(void)state;
	start();
	fake_guest_order(&guest, ORDER_MUCH);
	assert_true(await_file("guest/log/console", "01999\r\n"));
	int fd = control_connect(guest.run_fd, NULL);

	assert_int_equal(control_send(fd, CONTROL_RING, NULL, 0), 0);
	while (control_receive(fd, &header, data) == 0 && header.kind == CONTROL_OUTPUT) {
		assert_true(len + header.length <= RING_SIZE);
		memcpy(all + len, data, header.length);
		len += header.length;
	}
	assert_int_equal(header.kind, CONTROL_END);
	assert_int_equal(len, RING_SIZE);
	for (int i = 1999; i > 1999 - 640; i--) { /* whole, and in order */
		char line[128];
		size_t at = len - (2000 - i) * 101;

		snprintf(line, sizeof(line), "%099d\r\n", i);
		assert_memory_equal(all + at, line, 101);
	}
	assert_int_equal(control_receive(fd, &header, data), -EPIPE);
	close(fd);
}

static void test_input(void **state)
{
	char out[4096];

	(void)state;
	start();
	int one = fake_guest_attach(&guest, 0, 0), two = fake_guest_attach(&guest, 0, 0);

	fake_guest_order_only(&guest, ORDER_READ);
	assert_int_equal(control_send(one, CONTROL_INPUT, "abc\n", 4), 0);
	assert_true(fake_guest_expect(one, "[abc\r\n]", out, sizeof(out), SOON));
	assert_true(fake_guest_expect(two, "[abc\r\n]", out, sizeof(out), SOON));
	assert_int_equal(control_send(two, CONTROL_INPUT, "d", 1), 0);
	assert_int_equal(control_send(two, CONTROL_INPUT, NULL, 0), 0);
	assert_int_equal(control_send(two, CONTROL_INPUT, "ef\n", 3), 0);
	assert_true(fake_guest_expect(one, "[def\r\n]", out, sizeof(out), SOON));
	/* Whoever types and leaves at once is heard. */
	close(two);
	two = control_connect(guest.run_fd, NULL);
	assert_int_equal(control_send(two, CONTROL_INPUT, "gone\n", 5), 0);
	close(two);
	assert_true(fake_guest_expect(one, "[gone\r\n]", out, sizeof(out), SOON));
	close(one);
}

static void test_size(void **state)
{
	struct control_size size = {.rows = 50, .cols = 132}, only_rows = {.rows = 7};
	char out[4096];

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 24, 80);

	fake_guest_expect(fd, "hello", out, sizeof(out), SOON);
	fake_guest_order(&guest, ORDER_SIZE);
	assert_true(fake_guest_expect(fd, "24x80\r\n", out, sizeof(out), SOON));
	assert_int_equal(control_send(fd, CONTROL_SIZE, &size, sizeof(size)), 0);
	assert_int_equal(control_send(fd, CONTROL_SIZE, &only_rows, sizeof(only_rows)), 0);
	for (int i = 0; !fake_guest_expect(fd, "7x132\r\n", out, sizeof(out), 50); i++) { /* until the monitor has read both */
		assert_true(i < SOON / 50);
		fake_guest_order(&guest, ORDER_SIZE);
	}
	close(fd);
}

/* Somebody else's packets end his connection and nothing more. */
static void test_malformed(void **state)
{
	static const struct control_header bad[] = {
		{.magic = 1, .kind = CONTROL_RELEASE},
		{.magic = CONTROL_MAGIC, .kind = 99},
		{.magic = CONTROL_MAGIC, .kind = CONTROL_ATTACH},               /* without its data */
		{.magic = CONTROL_MAGIC, .kind = CONTROL_OUTPUT},               /* not for the monitor */
		{.magic = CONTROL_MAGIC, .kind = CONTROL_RELEASE, .length = 9}, /* says more than there is */
	};
	static char data[CONTROL_DATA_MAX];
	struct control_header header;
	char out[256];

	(void)state;
	start();
	int good = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(good, "hello", out, sizeof(out), SOON));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int fd = control_connect(guest.run_fd, NULL);

		assert_int_equal(write(fd, &bad[i], sizeof(bad[i])), sizeof(bad[i]));
		assert_int_equal(control_receive(fd, &header, data), -EPIPE);
		close(fd);
	}
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(good, "said", out, sizeof(out), SOON));
	fake_guest_order_only(&guest, ORDER_EXIT);
	assert_true(await_file("after", "exit:7")); /* none of them released it */
	close(good);
}

/* A flood fills neither disk nor processor, and does not lock others out; a client that takes nothing is not waited for. */
static void test_flood(void **state)
{
	static char out[100000];
	struct stat st = {0};

	(void)state;
	start_with(&(struct fake_options){.log_max = 64 << 20});
	int stuck = fake_guest_attach(&guest, 0, 0), reader = fake_guest_attach(&guest, 0, 0);
	long before = fake_guest_cpu_ms(guest.monitor);
	uint64_t began = proc_now_ms();

	fake_guest_order_only(&guest, ORDER_FLOOD);
	(void)fake_guest_expect(reader, "never", out, sizeof(out), 3000);
	uint64_t took = proc_now_ms() - began;
	long cpu = fake_guest_cpu_ms(guest.monitor) - before;

	assert_true(strspn(out, "f\r\n") > 50000); /* the end of it arrives */
	assert_int_equal(fstatat(guest.guest_fd, "log/console", &st, 0), 0);
	print_message("flood: log %ld KiB, monitor's processor time %ld ms in %ld ms\n", (long)st.st_size / 1024, cpu, (long)took);
	assert_true(st.st_size <= (off_t)(CONLOG_BURST + (took / 1000 + 2) * CONLOG_RATE));
	assert_true(cpu < (long)took / 2);
	int stopper = release(); /* in between */
	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	close(stopper);
	char *log = fake_guest_file(&guest, "guest/log/console");

	assert_non_null(strstr(log, "bytes of console output dropped: too much at once]"));
	free(log);
	close(stuck);
	close(reader);
}

/* What a slow client missed it is told, and then it goes on. */
static void test_slow_client(void **state)
{
	static char out[RING_SIZE * 2];

	(void)state;
	start();
	int slow = fake_guest_attach(&guest, 0, 0);

	for (int i = 0; i < 10; i++)
		fake_guest_order(&guest, ORDER_MUCH); /* 2 MB: comes back although nobody reads */
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(slow, "bytes of output skipped]", out, sizeof(out), SOON));
	assert_true(fake_guest_expect(slow, "said\r\n", out, sizeof(out), SOON));
	close(slow);
}

static void test_killed_client(void **state)
{
	char out[256];

	(void)state;
	start();
	for (int i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			int fd = fake_guest_attach(&guest, 0, 0);

			fake_guest_expect(fd, "hello", out, sizeof(out), SOON);
			fake_guest_order(&guest, ORDER_SAY);
			raise(SIGKILL);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "said\r\nsaid\r\nsaid\r\nsaid\r\nsaid\r\n", out, sizeof(out), SOON));
	assert_true(is_alive());
	close(fd);
}

/* More connections than there are places: those that do nothing make room for one that does. */
static void test_many_connections(void **state)
{
	int fds[60];
	char out[256];

	(void)state;
	start();
	for (int i = 0; i < 60; i++)
		fds[i] = i % 2 ? fake_guest_attach(&guest, 0, 0) : control_connect(guest.run_fd, NULL);
	int answered = 0;

	for (int i = 1; i < 60; i += 2)
		answered += fake_guest_expect(fds[i], "hello", out, sizeof(out), 500);
	assert_int_equal(answered, 16);
	int stopper = release();

	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	close(stopper);
	for (int i = 0; i < 60; i++)
		close(fds[i]);
}

/* Input that the console does not take waits in its sender; others are served, and nothing of it is lost. */
static void test_stuck_input(void **state)
{
	static char block[CONTROL_DATA_MAX], out[256];
	int sent = 0;

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	memset(block, '\n', sizeof(block));
	for (int i = 0; i < 200; i++) {
		sent += control_send(fd, CONTROL_INPUT, block, sizeof(block)) == 0;
		usleep(1000);
	}
	assert_true(sent < 200);
	long before = fake_guest_cpu_ms(guest.monitor);

	usleep(500000);
	assert_true(fake_guest_cpu_ms(guest.monitor) - before <= 50); /* waits, does not spin */
	int other = fake_guest_attach(&guest, 0, 0);

	fake_guest_order_only(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(other, "\r\n", out, sizeof(out), SOON)); /* the echo */
	int stopper = release();

	close(fd);
	close(other);
	before = fake_guest_cpu_ms(guest.monitor);
	usleep(300000);
	assert_true(fake_guest_cpu_ms(guest.monitor) - before <= 50); /* nor for a client that is gone */
	assert_int_equal(proc_signal(guest.init_pidfd, SIGKILL), 0);
	assert_int_equal(fake_guest_wait(&guest, SOON), 0);
	close(stopper);
}

/* No process holds the slave: the master is hung up for as long. */
static void test_no_spin(void **state)
{
	char out[256];

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	fake_guest_order(&guest, ORDER_CLOSE);
	long before = fake_guest_cpu_ms(guest.monitor);

	assert_int_equal(control_send(fd, CONTROL_INPUT, "x", 1), 0);
	usleep(1000000);
	assert_true(fake_guest_cpu_ms(guest.monitor) - before <= 20);
	fake_guest_order(&guest, ORDER_OPEN);
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(fd, "said", out, sizeof(out), SOON));
	fake_guest_order(&guest, ORDER_HANGUP);
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(fake_guest_expect(fd, "said", out, sizeof(out), SOON));
	close(fd);
}

static void test_signals(void **state)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGCHLD};
	char out[256];

	(void)state;
	start();
	/* It answers: its preparations are over. */
	int early = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(early, "hello", out, sizeof(out), SOON));
	close(early);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		assert_int_equal(proc_signal(guest.monitor_pidfd, signals[i]), 0);
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	assert_true(is_alive());
	assert_true(getsid(guest.monitor) == guest.monitor);
	close(fd);
}

static void test_log_removed(void **state)
{
	(void)state;
	start();
	assert_true(await_file("guest/log/console", "hello"));
	assert_int_equal(unlinkat(guest.guest_fd, "log/console", 0), 0);
	assert_int_equal(unlinkat(guest.guest_fd, "log", AT_REMOVEDIR), 0);
	usleep(1100000);
	fake_guest_order(&guest, ORDER_SAY);
	assert_true(await_file("guest/log/console", "said"));
}

static void test_log_full(void **state)
{
	static char out[RING_SIZE * 2];
	char path[100];

	(void)state;
	start_with(&(struct fake_options){.log_max = 1 << 20});
	snprintf(path, sizeof(path), "%s/guest/log", guest.dir);
	assert_true(await_file("guest/log/console", "hello"));
	/* The monitor's mount namespace is ours: a small file system appears in its way. */
	if (mount("tmpfs", path, "tmpfs", 0, "size=64k") < 0)
		skip();
	char small[128];

	snprintf(small, sizeof(small), "%s/filler", path);
	assert_int_equal(unlinkat(guest.guest_fd, "log/console", 0), -1);
	int fd = fake_guest_attach(&guest, 0, 0);

	/* The file that is open lies below the mount: make the monitor reopen. */
	assert_int_equal(umount(path), 0);
	assert_int_equal(unlinkat(guest.guest_fd, "log/console", 0), 0);
	assert_int_equal(mount("tmpfs", path, "tmpfs", 0, "size=64k"), 0);
	usleep(1100000);
	fake_guest_order(&guest, ORDER_MUCH);
	fake_guest_order(&guest, ORDER_SAY);
	bool heard = fake_guest_expect(fd, "said\r\n", out, sizeof(out), SOON);
	char *log = fake_guest_file(&guest, "guest/log/console");
	size_t held = log ? strlen(log) : 0;

	free(log);
	assert_int_equal(truncate(strcat(path, "/console"), 0), 0); /* the administrator makes room */
	fake_guest_order(&guest, ORDER_SAY);
	bool told = await_file("guest/log/console", "bytes of console output dropped: no space left on device]");
	bool goes_on = await_file("guest/log/console", "said");

	*strrchr(path, '/') = '\0';
	assert_int_equal(proc_signal(guest.monitor_pidfd, SIGKILL), 0);
	assert_true(fake_guest_wait(&guest, SOON) > 128);
	assert_int_equal(umount(path), 0);
	assert_true(heard && told && goes_on);
	assert_true(held > 32768 && held <= 65536);
	close(fd);
}

/* Without CAP_SYS_RESOURCE, as in some sandboxes, even root may not. */
static bool may_spare(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

		_exit(write(fd, "-500", 4) != 4);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

#if defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer) /* clang links it in, so that no library tells of it */
#else
#define SANITIZED 0
#endif

static void test_frugal(void **state)
{
	char name[64], *text;
	char out[256];

	(void)state;
	start();
	int fd = fake_guest_attach(&guest, 0, 0);

	assert_true(fake_guest_expect(fd, "hello", out, sizeof(out), SOON));
	snprintf(name, sizeof(name), "/proc/%d/oom_score_adj", (int)guest.monitor);
	FILE *f = fopen(name, "re");

	assert_non_null(fgets(out, sizeof(out), f));
	fclose(f);
	assert_string_equal(out, may_spare() ? "-500\n" : "0\n");
	snprintf(name, sizeof(name), "/proc/%d/maps", (int)guest.monitor);
	f = fopen(name, "re");
	text = calloc(1, 65536);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	assert_null(strstr(text, "libnl"));
	assert_null(strstr(text, "json"));
	assert_null(strstr(text, "inih"));
	assert_null(strstr(text, "nft"));
	bool is_sanitized = strstr(text, "asan") || SANITIZED;

	free(text);
	long total = 0, value;

	snprintf(name, sizeof(name), "/proc/%d/smaps_rollup", (int)guest.monitor);
	f = fopen(name, "re");
	while (fgets(out, sizeof(out), f))
		if (sscanf(out, "Private_Clean: %ld", &value) == 1 || sscanf(out, "Private_Dirty: %ld", &value) == 1)
			total += value;
	fclose(f);
	print_message("monitor's private memory: %ld KiB\n", total);
	assert_true(is_sanitized || total < 400);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_output),           TEST(test_ring_request), TEST(test_input),       TEST(test_size),
		TEST(test_malformed),        TEST(test_flood),        TEST(test_slow_client), TEST(test_killed_client),
		TEST(test_many_connections), TEST(test_stuck_input),  TEST(test_no_spin),     TEST(test_signals),
		TEST(test_log_removed),      TEST(test_log_full),     TEST(test_frugal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
