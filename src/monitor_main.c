/* isle-monitor: holds a guest's console, reaps its init, and becomes isle again to do what the end asks for; one runs beside
 * each guest, so it neither allocates nor uses stdio, nor anything of isle but the few files included here. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/ending.h"
#include "run/eventlog.h"
#include "run/oom.h"
#include "run/serve.h"

struct monitor {
	const char *name, *root, *isle;
	char *const *numbers; /* of guest, run, init, console, control as they were given */
	int guest, run, init, console, control;
	pid_t init_pid;
	bool is_child;
	bool init_ended;
	unsigned long log_max;
	char oom_before[16];
	int epoll;
	int term;      /* SIGTERM comes in here */
	pid_t stopper; /* the `isle stop` that it has run, 0: none, or one that failed */
	struct serve serve;
	struct oom oom;
};

/* Init's end. */

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text)); /* all uses are best effort */
	close(fd);
}

#define OOM_FILE "/proc/self/oom_score_adj"

/* The monitor is among the last that the kernel should kill; what it becomes, and a guest that that starts, are not. */
static void spare_from_oom(struct monitor *m)
{
	int fd = open(OOM_FILE, O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, m->oom_before, sizeof(m->oom_before) - 1);
	m->oom_before[n > 0 ? n : 0] = '\0';
	(void)!pwrite(fd, "-500", 4, 0); /* only root may */
	close(fd);
}

static void set_signals(void (*handler)(int))
{
	static const int kept[] = {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGCHLD, SIGTERM};
	struct sigaction action = {.sa_handler = handler};

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		size_t i = 0;

		while (i < sizeof(kept) / sizeof(*kept) && kept[i] != sig)
			i++;
		if (i == sizeof(kept) / sizeof(*kept))
			(void)sigaction(sig, &action, NULL); /* the C library keeps two for itself */
	}
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, it would reap init before we could */
	(void)signal(SIGTERM, SIG_DFL); /* blocked it does nothing, ignored it would not arrive, and be lost if it waits already */
}

/* As a program that is executed expects them; SIGTERM blocked or not. */
static void signals_back(bool hold_term)
{
	sigset_t set;

	sigemptyset(&set);
	if (hold_term)
		sigaddset(&set, SIGTERM);
	set_signals(SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
}

/* Whether an `isle stop` is at work, or has done it. One that failed, since another command kept the guest's lock, leaves things as
 * they were. */
static bool stop_goes_on(struct monitor *m)
{
	int status;

	if (m->stopper > 0 && waitpid(m->stopper, &status, WNOHANG) == m->stopper)
		m->stopper = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? -1 : 0;
	return m->stopper != 0;
}

static bool term_came(const struct monitor *m)
{
	struct signalfd_siginfo info;

	return read(m->term, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

/* SIGTERM comes from systemd, which ends the guest's scope (machinectl terminate, systemctl stop), or from an administrator: the
 * guest is stopped as `isle stop` does, by that very program, which then releases us. */
static void stop_guest(struct monitor *m)
{
	char *argv[8] = {(char *)m->isle, (char *)"stop"};
	int n = 2;

	if (!term_came(m) || stop_goes_on(m))
		return;
	eventlog_write(m->guest, "monitor", "SIGTERM: stopping the guest");
	if (*m->root) {
		argv[n++] = (char *)"--path";
		argv[n++] = (char *)m->root;
	}
	argv[n++] = (char *)m->name;
	pid_t child = fork();

	if (child != 0) {
		m->stopper = child > 0 ? child : 0; /* it outlives us, or fails */
		return;
	}
	put_file(OOM_FILE, m->oom_before);
	signals_back(false);
	(void)close_range(3, ~0U, 0);
	execv(m->isle, argv);
	_exit(127);
}

static int become_isle(struct monitor *m, const char *how)
{
	enum { GUEST, RUN, INIT, CONSOLE, CONTROL };
	char *argv[20] = {(char *)m->isle, (char *)"monitor-after", (char *)"--name", (char *)m->name};
	int n = 4;

	if (*m->root) {
		argv[n++] = (char *)"--path";
		argv[n++] = (char *)m->root;
	}
	argv[n++] = (char *)"--how";
	argv[n++] = (char *)how;
	argv[n++] = (char *)"--console";
	argv[n++] = m->numbers[CONSOLE];
	argv[n++] = (char *)"--control";
	argv[n++] = m->numbers[CONTROL];
	argv[n++] = (char *)"--guest";
	argv[n++] = m->numbers[GUEST];
	argv[n++] = (char *)"--run";
	argv[n++] = m->numbers[RUN];

	put_file(OOM_FILE, m->oom_before);
	signals_back(true); /* nobody else would clear up, or be the monitor of the guest that reboots */
	execv(m->isle, argv);

	char text[512] = "cannot run ";
	char number[EVENTLOG_NUMBER];

	eventlog_add(text, sizeof(text) - 40, m->isle);
	eventlog_add(text, sizeof(text), " after init's end: error ");
	eventlog_add(text, sizeof(text), eventlog_number(number, errno));
	eventlog_write(m->guest, "monitor", text);
	return 1; /* the next isle command finds the guest broken and clears up */
}

static int finish(struct monitor *m)
{
	char how[ENDING_SIZE];

	ending_of(m->init, m->init_pid, m->is_child, how);
	serve_drain(&m->serve);
	conlog_close(&m->serve.log);
	if (serve_released(&m->serve)) {
		serve_end(&m->serve);
		return 0;
	}

	char text[64] = "init ended: ";

	eventlog_add(text, sizeof(text), how);
	eventlog_write(m->guest, "monitor", text);
	/* systemd signals every process of a scope that it stops, and SIGTERM makes busybox's init reboot: not asked for. One that
	 * we have not read yet waits for what we become. */
	if (strcmp(how, "reboot") == 0 && stop_goes_on(m)) {
		how[0] = '\0';
		eventlog_add(how, sizeof(how), "poweroff");
	}
	if (strcmp(how, "reboot") != 0)
		serve_end(&m->serve);
	return become_isle(m, how);
}

/* The loop. */

#define TAG_INIT SERVE_FIRST_FREE
#define TAG_TERM (SERVE_FIRST_FREE + 1)
#define TAG_OOM  (SERVE_FIRST_FREE + 2)

static void turn(struct monitor *m, const struct epoll_event *events, int count)
{
	struct serve *s = &m->serve;
	bool connecting = false, term = false;

	for (int i = 0; i < count; i++) {
		uint64_t tag = events[i].data.u64;

		if (tag == TAG_INIT)
			m->init_ended = true;
		else if (tag == TAG_TERM)
			term = true;
		else if (tag == TAG_OOM)
			oom_event(&m->oom);
		else if (tag == SERVE_CONTROL)
			connecting = true;
		else if (tag == SERVE_CONSOLE)
			s->console_pending = true;
		else
			serve_event(s, tag, events[i].events);
	}
	if (m->init_ended)
		return;
	if (term)
		stop_guest(m);
	if (connecting)
		(void)serve_accept(s); /* a wrong one is none */
	if (s->input_len > 0)
		serve_input(s);
	if (s->console_pending)
		serve_console(s);
}

static int run(struct monitor *m)
{
	struct epoll_event events[8];

	while (!m->init_ended) {
		int console = serve_timeout(&m->serve), oom = oom_timeout(&m->oom);

		turn(m, events, epoll_wait(m->epoll, events, 8, console < 0 || (oom >= 0 && oom < console) ? oom : console));
		oom_look(&m->oom);
	}
	return finish(m);
}

static bool number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && errno == 0 && *ret <= max;
}

static bool parse(struct monitor *m, int argc, char **argv)
{
	int *const fds[] = {&m->guest, &m->run, &m->init, &m->console, &m->control};
	unsigned long value, pid;

	if ((argc != 12 && argc != 16) || argv[3][0] != '/' || !number(argv[4], INT_MAX, &pid) ||
	    !number(argv[6], ULONG_MAX, &value))
		return false;
	m->log_max = value;
	m->name = argv[1];
	m->root = argv[2];
	m->isle = argv[3];
	m->init_pid = pid;
	m->is_child = strcmp(argv[5], "child") == 0;
	m->numbers = argv + 7;
	for (int i = 0; i < 5; i++) {
		if (!number(argv[7 + i], INT_MAX, &value) || value < 3 || fcntl(value, F_GETFD) < 0)
			return false;
		*fds[i] = value;
	}
	m->oom = (struct oom){.watch = -1, .count = -1};
	if (argc == 16) {
		unsigned long watch, count;

		if (!number(argv[12], INT_MAX, &watch) || !number(argv[13], INT_MAX, &count) ||
		    !number(argv[14], ULONG_MAX, &value))
			return false;
		m->oom.watch = watch;
		m->oom.count = count;
		m->oom.ids = value;
		m->oom.cgroup = argv[15];
	}
	m->oom.guest = m->guest;
	m->oom.run = m->run;
	return true;
}

static void settle(struct monitor *m)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t term;

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		(void)dup2(null, fd); /* nobody is to be written to, nothing kept open */
	if (null > 2)
		close(null);
	(void)setsid();   /* the caller has done it, if it was no leader */
	(void)chdir("/"); /* the folder would only pin a mount */
	(void)umask(077);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM); /* isle has blocked it already, when the guest began to run: it may wait */
	(void)sigprocmask(SIG_SETMASK, &term, NULL);
	set_signals(SIG_IGN);
	spare_from_oom(m);
	(void)fcntl(m->init, F_SETFD, FD_CLOEXEC);
	oom_init(&m->oom, m->is_child);
}

static int watch(struct monitor *m)
{
	struct epoll_event init = {.events = EPOLLIN, .data.u64 = TAG_INIT};
	struct epoll_event term = {.events = EPOLLIN, .data.u64 = TAG_TERM};
	/* cgroup2's file has urgent news only, and an error beside them. */
	struct epoll_event oom = {.events = (m->oom.watch == m->oom.count ? EPOLLPRI : EPOLLIN) | EPOLLET, .data.u64 = TAG_OOM};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	m->term = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->term < 0 || m->epoll < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->init, &init) < 0 ||
	    epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->term, &term) < 0)
		return -errno;
	if (m->oom.watch >= 0)
		(void)epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->oom.watch, &oom); /* without it kills are counted but not told */
	return serve_init(&m->serve, &(struct serve_from){
					     .epoll = m->epoll,
					     .console = m->console,
					     .control = m->control,
					     .guest = m->guest,
					     .log_max = m->log_max,
				     });
}

int main(int argc, char **argv)
{
	static struct monitor monitor; /* static for its size */
	static const char usage[] = "isle-monitor is run by isle: it stays beside a running guest\n";

	if (!parse(&monitor, argc, argv)) {
		(void)!write(2, usage, sizeof(usage) - 1);
		return 2;
	}
	settle(&monitor);
	if (watch(&monitor) < 0) {
		eventlog_write(monitor.guest, "monitor", "cannot watch the guest");
		return 1;
	}
	return run(&monitor);
}
