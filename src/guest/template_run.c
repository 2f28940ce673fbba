/* Runs a template in namespaces of its own, with its output shown and kept. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "template.h"

#define LINE_MAX_SHOWN 400
#define PLAIN_EVERY_MS 2000
#define CAUSE_LINES    4
#define SHOWN_SIZE     (4 * LINE_MAX_SHOWN + 1) /* of a line with every byte written as \xNN */

/* What came out of the template. */
struct output {
	int log_fd;
	enum template_output how;
	bool terminal;
	char line[LINE_MAX_SHOWN + 1]; /* the one that is coming in */
	size_t len;
	char raw[LINE_MAX_SHOWN + 1]; /* TEMPLATE_VERBOSE: as much of the one that is coming in as is not shown yet */
	size_t raw_len;
	char last[LINE_MAX_SHOWN + 1];  /* the last whole one that is not blank */
	char cause[LINE_MAX_SHOWN + 1]; /* the last that names a reason, "" when it was long ago */
	int cause_age;                  /* lines since */
	uint64_t next_ms;               /* when the next may be shown where there is no terminal */
};

struct task {
	pid_t pid;
	int pidfd, out_fd, signal_fd;
	struct output output;
};

static void task_end(struct task *task)
{
	if (task->pid > 0) {
		/* The namespace's init: all that the template started dies with it. */
		(void)kill(task->pid, SIGKILL);
		while (waitpid(task->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	clean_close(&task->pidfd);
	clean_close(&task->out_fd);
	clean_close(&task->signal_fd);
	clean_close(&task->output.log_fd);
}
#define auto_task __attribute__((cleanup(task_end)))

static void show_line(struct output *output)
{
	struct winsize size = {0};
	char shown[SHOWN_SIZE];

	if (output->how != TEMPLATE_PROGRESS)
		return;
	(void)str_escape_into(shown, sizeof(shown), output->last);
	if (!output->terminal) {
		/* Signs of life in a log, not the hundreds of lines that debootstrap has. */
		if (proc_now_ms() >= output->next_ms) {
			dprintf(STDERR_FILENO, "%s\n", shown);
			output->next_ms = proc_now_ms() + PLAIN_EVERY_MS;
		}
		return;
	}
	size_t width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;

	(void)str_escape_into(shown, width + 1 < sizeof(shown) ? width + 1 : sizeof(shown), output->last);
	dprintf(STDERR_FILENO, "\r\033[K%s", shown);
}

/* A script's last words are often that it failed; why stands a line or two above. */
static bool is_cause(const char *line)
{
	static const char *const words[] = {
		"command not found", ": not found",           "No space left on device", "Permission denied", "E: ",
		"dpkg: error",       "Read-only file system", "Could not resolve"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

static void end_line(struct output *output)
{
	while (output->len && output->line[output->len - 1] == ' ')
		output->len--;
	output->line[output->len] = '\0';
	if (output->len) {
		memcpy(output->last, output->line, output->len + 1);
		if (++output->cause_age > CAUSE_LINES)
			output->cause[0] = '\0';
		if (is_cause(output->line)) {
			memcpy(output->cause, output->line, output->len + 1);
			output->cause_age = 0;
		}
		show_line(output);
	}
	output->len = 0;
}

/* What came of a line, and how it ended: a newline, a carriage return, or, with 0, not yet. */
static void show_raw(struct output *output, char end)
{
	char shown[SHOWN_SIZE + 1];

	output->raw[output->raw_len] = '\0';
	output->raw_len = 0;
	size_t len = str_escape_into(shown, SHOWN_SIZE, output->raw);

	if (end)
		shown[len++] = end;
	(void)file_write_all(STDERR_FILENO, shown, len);
}

static void add_raw(struct output *output, char c)
{
	if (c == '\n' || c == '\r') {
		show_raw(output, c);
		return;
	}
	if (output->raw_len == LINE_MAX_SHOWN)
		show_raw(output, '\0');
	if (c)
		output->raw[output->raw_len++] = c == '\t' ? ' ' : c;
}

/* A template may print what an archive or a mirror told it: nothing of that reaches a terminal but text. */
static void take_output(struct output *output, const char *data, size_t len)
{
	if (output->log_fd >= 0)
		(void)file_write_all(output->log_fd, data, len); /* a full disk shows where it matters */
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];

		if (output->how == TEMPLATE_VERBOSE)
			add_raw(output, data[i]);
		if (c == '\n' || c == '\r') {
			end_line(output);
			continue;
		}
		if (c == '\t')
			c = ' ';
		if (c < 0x20 || c == 0x7f || output->len == LINE_MAX_SHOWN || (c == ' ' && !output->len))
			continue;
		output->line[output->len++] = (char)c;
	}
}

_Noreturn static void fail_child(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
	_exit(126);
}

/* pid 1 of the template's namespace: starts it, reaps what it leaves, ends with it. */
_Noreturn static void run_init(const struct template_run *run, char *const *argv, char *const *env, int out_fd, int go_fd)
{
	auto_close int null_fd = -1;
	sigset_t none;
	char go;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* EOF: isle died before that took effect. */
	if (read(go_fd, &go, 1) != 1)
		_exit(126);
	(void)setsid();
	null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(out_fd, 2) < 0)
		_exit(126);
	if (syscall(SYS_close_range, 3, ~0u, 0) < 0)
		fail_child("close files");
	/* What the host unmounts goes here too; what is mounted here stays here. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		fail_child("set up the template's mounts");
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	umask(022);
	pid_t pid = fork();

	if (pid < 0)
		fail_child("start the template");
	if (pid == 0) {
		/* In the caller's folder: its arguments may name files there. */
		execve(run->path, argv, env);
		fail_child(run->path);
	}
	for (;;) {
		int status;
		pid_t gone = waitpid(-1, &status, 0);

		if (gone == pid)
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
		if (gone < 0 && errno != EINTR)
			_exit(126);
	}
}

static void free_argv(char ***argv)
{
	store_names_free(*argv);
}

static char **make_argv(const struct template_run *run)
{
	size_t count = 0;

	while (run->args && run->args[count])
		count++;
	char **argv = calloc(count + 5, sizeof(*argv));

	if (!argv)
		return NULL;
	argv[0] = strdup(run->path);
	argv[1] = str_format("--path=%s", run->dir);
	argv[2] = str_format("--name=%s", run->name);
	argv[3] = str_format("--rootfs=%s/rootfs", run->dir);
	for (size_t i = 0; i < count; i++)
		argv[4 + i] = strdup(run->args[i]);
	for (size_t i = 0; i < count + 4; i++)
		if (!argv[i]) {
			/* NULL ends the list, so what stands behind the hole is freed here. */
			for (size_t j = i + 1; j < count + 4; j++)
				free(argv[j]);
			store_names_free(argv);
			return NULL;
		}
	return argv;
}

static int start(struct task *task, const struct template_run *run, struct err *err)
{
	int out[2], go[2];
	__attribute__((cleanup(free_argv))) char **argv = make_argv(run);
	__attribute__((cleanup(free_argv))) char **env = template_environment();

	if (!argv || !env)
		return err_num(err, ENOMEM, "start the template %s", run->path);
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	task->out_fd = out[0];
	auto_close int out_fd = out[1];

	if (pipe2(go, O_CLOEXEC) < 0)
		return err_sys(err, "make a pipe");
	auto_close int go_read = go[0], go_write = go[1];
	long pid = syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_PIDFD | SIGCHLD, 0, &task->pidfd, 0, 0);

	if (pid < 0)
		return err_sys(err, "make namespaces for the template %s", run->path);
	if (pid == 0) {
		close(go_write);
		run_init(run, argv, env, out_fd, go_read);
	}
	task->pid = (pid_t)pid;
	if (write(go_write, "", 1) != 1)
		return err_sys(err, "start the template %s", run->path);
	return 0;
}

/* Serves the output until the template has ended and all of it came. 0, -ETIMEDOUT, or -EINTR by a signal. */
static int serve(struct task *task, int timeout_ms)
{
	uint64_t end = timeout_ms > 0 ? proc_now_ms() + (uint64_t)timeout_ms : UINT64_MAX;
	char chunk[8192];

	for (;;) {
		struct pollfd fds[] = {{task->out_fd, POLLIN, 0}, {task->pidfd, POLLIN, 0}, {task->signal_fd, POLLIN, 0}};
		uint64_t now = proc_now_ms();

		if (now >= end)
			return -ETIMEDOUT;
		if (poll(fds, 3, timeout_ms > 0 ? (int)(end - now) : -1) < 0 && errno != EINTR)
			return -errno;
		if (fds[2].revents & POLLIN)
			return -EINTR;
		if (fds[0].revents) {
			ssize_t got = read(task->out_fd, chunk, sizeof(chunk));

			if (got > 0)
				take_output(&task->output, chunk, (size_t)got);
			else if (got == 0)
				clean_close(&task->out_fd), task->out_fd = -1;
			continue;
		}
		/* With its init the whole namespace is gone, and no writer is left. */
		if (fds[1].revents)
			return 0;
	}
}

/* "line 529: rsync: command not found" names the package to install, or nearly so. */
static int add_hint(const char *cause, struct err *err)
{
	const char *end = strstr(cause, ": command not found");

	if (!end)
		end = strstr(cause, ": not found");
	const char *begin = end;

	while (begin && begin > cause && begin[-1] != ' ')
		begin--;
	if (begin && begin < end)
		return err_hint(err, "install what has the program %.*s on this host", (int)(end - begin), begin);
	return 0;
}

static int reap(struct task *task, const struct template_run *run, struct err *err)
{
	const char *name = strrchr(run->path, '/') ? strrchr(run->path, '/') + 1 : run->path;
	const char *last = task->output.last;
	int status;

	while (waitpid(task->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "wait for the template %s", name);
	task->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	/* isle's own say their name themselves. */
	if (str_starts(last, name) && last[strlen(name)] == ':')
		last += strlen(name) + 1 + strspn(last + strlen(name) + 1, " ");
	const char *cause = strcmp(task->output.cause, task->output.last) ? task->output.cause : "";

	if (WIFEXITED(status)) {
		int r = err_set(err, WEXITSTATUS(status) == 2 ? ERR_USAGE : ERR_FAILED, "run the template %s: %s%.*s%s%.110s", name,
				*last ? "" : "it failed without a word", *cause ? 80 : 180, last, *cause ? ": " : "", cause);

		(void)add_hint(task->output.cause, err);
		return r;
	}
	return err_set(err, ERR_FAILED, "run the template %s: killed by signal %d (%s)", name, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
}

int template_run(const struct template_run *run, struct err *err)
{
	auto_task struct task task = {.pidfd = -1, .out_fd = -1, .signal_fd = -1, .output = {.log_fd = -1, .how = run->output}};
	auto_free char *log = str_format("%s/log", run->dir);
	sigset_t wanted, old;

	if (!log)
		return err_num(err, ENOMEM, "run the template %s", run->path);
	task.output.terminal = isatty(STDERR_FILENO);
	task.output.log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (task.output.log_fd < 0)
		return err_sys(err, "open %s", log);
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	sigaddset(&wanted, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &wanted, &old) < 0)
		return err_sys(err, "block signals");
	task.signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	int r = task.signal_fd < 0 ? err_sys(err, "watch signals") : start(&task, run, err);

	if (r == 0) {
		r = serve(&task, run->timeout_ms);
		end_line(&task.output);
		if (task.output.raw_len)
			show_raw(&task.output, '\n');
		if (task.output.how == TEMPLATE_PROGRESS && task.output.terminal)
			dprintf(STDERR_FILENO, "\r\033[K");
		if (r == -ETIMEDOUT)
			r = err_set(err, ERR_TIMEOUT, "run the template %s: not done after %d s", run->path,
				    run->timeout_ms / 1000);
		else if (r == -EINTR)
			r = err_num(err, EINTR, "run the template %s", run->path);
		else if (r < 0)
			r = err_num(err, r, "run the template %s", run->path);
		else
			r = reap(&task, run, err);
	}
	/* A signal that came is taken: the caller clears up and fails, which ends the command just as well. */
	struct signalfd_siginfo taken;

	while (task.signal_fd >= 0 && read(task.signal_fd, &taken, sizeof(taken)) == (ssize_t)sizeof(taken))
		;
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return r;
}
