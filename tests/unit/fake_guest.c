/* A guest for the monitor's tests. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/file.h"
#include "../../src/base/proc.h"
#include "../../src/run/monitor.h"
#include "fake_guest.h"

static const char script[] = "#!/bin/sh\n"
			     "trap : TERM; cd \"${0%/*}\" || exit 9\n" /* one may wait, and dash clears the mask */
			     "[ \"$1\" != stop ] || { echo $$ >>stops; exit 1; }\n"
			     "for fd in /proc/$$/fd/*; do [ -e $fd ] && printf '%s ' \"${fd##*/}\"; done > fds\n"
			     "for fd in \"$9\" \"${11}\"; do readlink /proc/$$/fd/$fd; done > targets\n"
			     "cat /proc/self/oom_score_adj > oom\n"
			     "grep -E '^Sig(Blk|Ign)' /proc/self/status > signals\n"
			     "printf '%s\\n' \"$@\" > after.new && mv after.new after\n"
			     "[ ! -e hold ] || sleep 0.5\n";

/* Init. */

static void say(const char *text)
{
	(void)!write(1, text, strlen(text));
}

static void open_terminal(const char *slave)
{
	int fd = open(slave, O_RDWR);

	for (int i = 0; i < 3 && fd >= 0; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

static void close_terminal(void)
{
	for (int i = 0; i < 3; i++)
		close(i);
}

static void obey(char order, const char *slave)
{
	struct winsize size = {0};
	char text[200];
	ssize_t n;

	switch (order) {
	case ORDER_SAY:
		say("said\n");
		break;
	case ORDER_FLOOD:
		memset(text, 'f', 99);
		text[99] = '\n';
		for (;;)
			(void)!write(1, text, 100);
	case ORDER_MUCH:
		for (int i = 0; i < 2000; i++) {
			snprintf(text, sizeof(text), "%099d\n", i);
			say(text);
		}
		break;
	case ORDER_SIZE:
		(void)ioctl(0, TIOCGWINSZ, &size);
		snprintf(text, sizeof(text), "%dx%d\n", size.ws_row, size.ws_col);
		say(text);
		break;
	case ORDER_READ:
		while ((n = read(0, text, sizeof(text))) > 0) {
			say("[");
			(void)!write(1, text, n);
			say("]");
		}
		break;
	case ORDER_CLOSE:
		close_terminal();
		break;
	case ORDER_OPEN:
		open_terminal(slave);
		break;
	case ORDER_HANGUP:
		(void)ioctl(0, TIOCSCTTY, 1);
		(void)signal(SIGHUP, SIG_IGN);
		(void)vhangup();
		close_terminal();
		open_terminal(slave);
		break;
	case ORDER_REBOOT:
	case ORDER_POWEROFF:
		if (getpid() == 1) /* of the namespace */
			(void)reboot(order == ORDER_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
		for (;;)
			pause(); /* init cannot go on */
	case ORDER_EXIT:
		_exit(7);
	}
}

static void init_main(int orders, const char *slave)
{
	char order;

	(void)setsid();
	open_terminal(slave);
	say("hello\n");
	(void)!write(orders, "+", 1);
	while (read(orders, &order, 1) == 1) {
		obey(order, slave);
		(void)!write(orders, "+", 1);
	}
	_exit(0);
}

static pid_t spawn_init(int orders, const char *slave, int *ret_pidfd)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} args = {.flags = CLONE_NEWPID | CLONE_PIDFD, .pidfd = (uintptr_t)ret_pidfd, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		for (int fd = 3; fd < 64; fd++)
			if (fd != orders)
				close(fd);
		init_main(orders, slave);
	}
	return pid;
}

/* The rest. */

/* monitor_exec finds the program beside the test. */
static void link_program(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	assert_true(n > 0);
	path[n] = '\0';
	snprintf(strrchr(path, '/'), 32, "/isle-monitor");
	if (symlink("../../isle-monitor", path) < 0)
		assert_int_equal(errno, EEXIST);
	assert_int_equal(access(path, X_OK), 0);
}

static void write_script(struct fake_guest *g)
{
	int dir = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(dir >= 0);
	assert_int_equal(file_replace_quick(dir, "isle", script, strlen(script), 0755, NULL), 0);
	assert_int_equal(mkdirat(dir, "guest", 0700), 0);
	assert_int_equal(mkdirat(dir, "run", 0700), 0);
	g->guest_fd = openat(dir, "guest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g->run_fd = openat(dir, "run", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	close(dir);
	assert_true(g->guest_fd >= 0 && g->run_fd >= 0);
}

struct started {
	pid_t init;
};

/* The process that becomes the monitor. */
static void walker(struct fake_guest *g, const struct fake_options *options, int orders, int master, const char *slave, int report)
{
	char isle[128];
	struct started started = {.init = g->init};

	(void)setsid();
	if (!options->takes_over)
		started.init = spawn_init(orders, slave, &g->init_pidfd);
	if (started.init <= 0)
		_exit(99);
	(void)!write(report, &started, sizeof(started));
	snprintf(isle, sizeof(isle), "%s/isle", g->dir);

	struct monitor_args args = {
		.name = "fake",
		.store_root = g->dir,
		.isle = isle,
		.guest_fd = g->guest_fd,
		.run_fd = g->run_fd,
		.init_pidfd = g->init_pidfd,
		.init_pid = started.init,
		.console_fd = master,
		.control_fd = control_listen(g->run_fd, NULL),
		.log_max = options->log_max,
		.is_child = !options->takes_over,
	};
	struct err err = {0};

	monitor_hold_term();
	if (options->early_term)
		(void)raise(SIGTERM);
	(void)monitor_exec(&args, &err);
	err_print(&err, "cannot become the monitor");
	_exit(98);
}

bool fake_guest_start(struct fake_guest *g, const struct fake_options *options)
{
	struct started started;
	int orders[2], report[2];
	char slave[64], byte;

	*g = (struct fake_guest){.init_pidfd = -1, .monitor_pidfd = -1, .init_is_ours = options->takes_over};
	if (geteuid() != 0)
		return false;
	link_program();
	snprintf(g->dir, sizeof(g->dir), "/tmp/isle-monitor-XXXXXX");
	assert_non_null(mkdtemp(g->dir));
	write_script(g);
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, slave, sizeof(slave)), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, orders), 0);
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	g->orders = orders[0];
	if (options->takes_over) {
		g->init = spawn_init(orders[1], slave, &g->init_pidfd);
		assert_true(g->init > 0);
	}
	g->monitor = fork();
	assert_true(g->monitor >= 0);
	if (g->monitor == 0)
		walker(g, options, orders[1], master, slave, report[1]);
	close(report[1]);
	close(orders[1]);
	close(master);
	assert_int_equal(read(report[0], &started, sizeof(started)), sizeof(started));
	close(report[0]);
	g->init = started.init;
	if (!options->takes_over)
		g->init_pidfd = syscall(SYS_pidfd_open, g->init, 0);
	g->monitor_pidfd = syscall(SYS_pidfd_open, g->monitor, 0);
	assert_true(g->init_pidfd >= 0 && g->monitor_pidfd >= 0);
	assert_int_equal(read(g->orders, &byte, 1), 1);
	for (int i = 0; i < 500; i++) { /* until the monitor runs */
		char comm[64] = "";
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/comm", (int)g->monitor);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0 && strncmp(comm, "isle-monitor", 12) == 0)
			i = 500;
		close(fd);
		usleep(2000);
	}
	return true;
}

int fake_guest_wait(struct fake_guest *g, int timeout_ms)
{
	int status;

	if (proc_wait_gone(g->monitor_pidfd, timeout_ms) < 0)
		return -1;
	assert_int_equal(waitpid(g->monitor, &status, 0), g->monitor);
	g->reaped = true;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void fake_guest_stop(struct fake_guest *g)
{
	if (!g->monitor)
		return;
	if (!g->reaped) {
		(void)proc_signal(g->monitor_pidfd, SIGKILL);
		(void)waitpid(g->monitor, NULL, 0);
	}
	(void)proc_signal(g->init_pidfd, SIGKILL);
	if (g->init_is_ours)
		(void)waitpid(g->init, NULL, 0);
	else
		(void)proc_wait_gone(g->init_pidfd, 5000);
	close(g->init_pidfd);
	close(g->monitor_pidfd);
	close(g->guest_fd);
	close(g->run_fd);
	close(g->orders);
	assert_int_equal(file_remove_tree(AT_FDCWD, g->dir, NULL), 0);
	g->monitor = 0;
}

void fake_guest_order_only(struct fake_guest *g, enum fake_order order)
{
	char byte = order;

	assert_int_equal(write(g->orders, &byte, 1), 1);
}

void fake_guest_order(struct fake_guest *g, enum fake_order order)
{
	char byte;

	fake_guest_order_only(g, order);
	assert_int_equal(read(g->orders, &byte, 1), 1);
}

int fake_guest_attach(struct fake_guest *g, unsigned int rows, unsigned int cols)
{
	struct control_size size = {.rows = rows, .cols = cols};
	int fd = control_connect(g->run_fd, NULL);

	assert_true(fd >= 0);
	assert_int_equal(control_send(fd, CONTROL_ATTACH, &size, sizeof(size)), 0);
	return fd;
}

bool fake_guest_expect(int fd, const char *text, char *out, size_t size, int timeout_ms)
{
	static char data[CONTROL_DATA_MAX];
	uint64_t until = proc_now_ms() + timeout_ms;
	size_t len = 0;

	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		struct control_header header;
		uint64_t now = proc_now_ms();

		if (now >= until || poll(&ready, 1, until - now) != 1)
			return false;
		if (control_receive(fd, &header, data) < 0 || header.kind == CONTROL_END)
			return false;
		if (header.kind != CONTROL_OUTPUT)
			continue;
		size_t n = header.length;

		if (n > size - 1) { /* keep the end */
			memcpy(out, data + n - (size - 1), size - 1);
			len = size - 1;
		} else {
			if (len + n > size - 1) {
				size_t drop = len + n - (size - 1);

				memmove(out, out + drop, len - drop);
				len -= drop;
			}
			memcpy(out + len, data, n);
			len += n;
		}
		out[len] = '\0';
		if (memmem(out, len, text, strlen(text)))
			return true;
	}
}

char *fake_guest_file(struct fake_guest *g, const char *name)
{
	char path[200];
	char *text = NULL;

	snprintf(path, sizeof(path), "%s/%s", g->dir, name);
	return file_read(AT_FDCWD, path, 64 << 20, &text, NULL) == 0 ? text : NULL;
}

long fake_guest_cpu_ms(pid_t pid)
{
	char path[64];
	char *text = NULL;
	unsigned long user, system;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_int_equal(file_read(AT_FDCWD, path, 4096, &text, NULL), 0);
	assert_int_equal(sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	free(text);
	return (user + system) * 1000 / sysconf(_SC_CLK_TCK);
}
