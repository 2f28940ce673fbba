/* One act on many guests: in parallel children, each with its own error record. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/log.h"
#include "report.h"

struct result {
	int rc;
	struct err err;
};

struct child {
	const char *name;
	pid_t pid;
	int pidfd;
	int socket; /* the result comes through here */
};

struct each {
	struct call *call;
	int (*fn)(struct call *call, const char *name, struct err *err);
	struct child *children;
	size_t running, jobs;
	sigset_t saved_mask;
	int signal_fd;
	int interrupted; /* the signal that ended it, 0: none */
	int worst;
};

static void child_main(struct each *each, const char *name, int socket)
{
	struct result result = {0};

	sigprocmask(SIG_SETMASK, &each->saved_mask, NULL);
	result.rc = each->fn(each->call, name, &result.err);
	fflush(NULL);
	/* A parent that is gone needs no result. */
	(void)send(socket, &result, sizeof(result), MSG_NOSIGNAL);
	_exit(result.rc == 0 ? 0 : result.rc > 0 ? result.rc & 0xff : report_status(&result.err));
}

static int spawn(struct each *each, const char *name, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	auto_close int ours = pair[0];
	auto_close int theirs = pair[1];

	fflush(NULL); /* else the child would print our buffered output again */
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "fork a process for guest '%s'", name);
	if (pid == 0)
		child_main(each, name, theirs);

	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (pidfd < 0) {
		int rc = err_sys(err, "open a pidfd of the process for guest '%s'", name);

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return rc;
	}
	each->children[each->running++] = (struct child){.name = name, .pid = pid, .pidfd = pidfd, .socket = take_fd(&ours)};
	return 0;
}

static void worse(struct each *each, int status)
{
	if (status > each->worst)
		each->worst = status;
}

static void finish(struct each *each, size_t at)
{
	struct child child = each->children[at];
	struct result result = {0};
	siginfo_t info = {0};
	ssize_t n = recv(child.socket, &result, sizeof(result), MSG_DONTWAIT);

	while (waitid(P_PID, (id_t)child.pid, &info, WEXITED) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(result)) {
		result = (struct result){.rc = -EIO};
		if (info.si_code == CLD_EXITED)
			err_set(&result.err, ERR_FAILED, "the process for guest '%s' exited with status %d before it was done",
				child.name, info.si_status);
		else
			err_set(&result.err, ERR_FAILED, "the process for guest '%s' was ended by signal %d", child.name,
				info.si_status);
		err_hint(&result.err, "what it left is repaired by the next command on this guest");
	}
	if (result.rc < 0) {
		report_error(each->call, &result.err, child.name);
		worse(each, report_status(&result.err));
	} else {
		worse(each, result.rc);
	}
	close(child.pidfd);
	close(child.socket);
	each->children[at] = each->children[--each->running];
}

/* First signal: handed on, so that each child ends its own way. Second: kill. */
static void interrupt(struct each *each)
{
	struct signalfd_siginfo info;

	if (read(each->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	int sig = each->interrupted ? SIGKILL : (int)info.ssi_signo;

	each->interrupted = (int)info.ssi_signo;
	for (size_t i = 0; i < each->running; i++)
		(void)syscall(SYS_pidfd_send_signal, each->children[i].pidfd, sig, NULL, 0); /* it may have ended already */
}

static int wait_some(struct each *each, struct pollfd *polls, struct err *err)
{
	for (size_t i = 0; i < each->running; i++)
		polls[i] = (struct pollfd){.fd = each->children[i].pidfd, .events = POLLIN};
	polls[each->running] = (struct pollfd){.fd = each->signal_fd, .events = POLLIN};

	if (poll(polls, each->running + 1, -1) < 0)
		return errno == EINTR ? 0 : err_sys(err, "wait for child processes");
	if (polls[each->running].revents)
		interrupt(each);
	for (size_t i = each->running; i-- > 0;) {
		if (polls[i].revents)
			finish(each, i);
	}
	return 0;
}

static int walk(struct each *each, char *const *names, struct err *err)
{
	auto_free struct pollfd *polls = calloc(each->jobs + 1, sizeof(*polls));
	int rc = polls ? 0 : err_num(err, ENOMEM, "prepare the work on many guests");
	size_t next = 0;

	while (rc == 0 && (each->running > 0 || (names[next] && !each->interrupted))) {
		while (rc == 0 && names[next] && !each->interrupted && each->running < each->jobs)
			rc = spawn(each, names[next++], err);
		if (rc == 0 && each->running > 0)
			rc = wait_some(each, polls, err);
	}
	/* Only after a failure of our own: what was begun is awaited, nothing more is begun. */
	while (polls && each->running > 0 && wait_some(each, polls, NULL) == 0)
		;
	if (rc == 0 && each->interrupted && names[next])
		log_warn("interrupted before guest '%s' and those after it", names[next]);
	return rc;
}

static int each_many(struct each *each, char *const *names, struct err *err)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	each->children = calloc(each->jobs, sizeof(*each->children));
	if (!each->children)
		return err_num(err, ENOMEM, "prepare the work on many guests");
	each->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (each->signal_fd < 0)
		return err_sys(err, "open a signalfd");
	sigprocmask(SIG_BLOCK, &mask, &each->saved_mask);
	int rc = walk(each, names, err);

	sigprocmask(SIG_SETMASK, &each->saved_mask, NULL);
	close(each->signal_fd);
	return rc;
}

int call_each(struct call *call, char *const *names, int (*fn)(struct call *call, const char *name, struct err *err),
	      struct err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned long jobs;
	size_t count = 0;

	int rc = call_number(call, "jobs", cpus > 0 ? 2 * (unsigned long)cpus : 4, 1, 1024, &jobs, err);

	if (rc < 0)
		return rc;
	while (names[count])
		count++;
	if (count == 0)
		return 0;
	if (count == 1)
		return fn(call, names[0], err);
	struct each each = {.call = call, .fn = fn, .jobs = jobs < count ? jobs : count};

	rc = each_many(&each, names, err);
	free(each.children);
	if (rc < 0)
		return rc;
	return each.interrupted ? 128 + each.interrupted : each.worst;
}
