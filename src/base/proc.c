/* Programs: run from an argv array, with their output kept; facts about processes. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clean.h"
#include "file.h"
#include "proc.h"
#include "str.h"

#define OUTPUT_MAX (1u << 20)
#define TAIL_SIZE  1024 /* of stderr, enough for its last line */

/* The parent's ends and what came through them. */
struct job {
	int pidfd;
	int out;
	int err;
	int exec; /* errno of a failed exec, close-on-exec: EOF means that the program runs */
	struct buf output;
	char tail[TAIL_SIZE];
	size_t tail_len;
};

static void job_free(struct job *job)
{
	const int fds[] = {job->pidfd, job->out, job->err, job->exec};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	buf_free(&job->output);
}

/* The child's ends. */
struct ends {
	int in;
	int out;
	int err;
	int exec;
};

static void ends_close(struct ends *ends)
{
	clean_close(&ends->in);
	clean_close(&ends->out);
	clean_close(&ends->err);
	clean_close(&ends->exec);
	*ends = (struct ends){-1, -1, -1, -1};
}

/* A descriptor above 2, so that a caller with closed standard descriptors does not get them mixed. */
static int above_standard(int fd)
{
	int moved;

	if (fd < 0 || fd > 2)
		return fd;
	moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return moved;
}

static int make_pipe(int *ret_read, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	*ret_read = above_standard(fds[0]);
	*ret_write = above_standard(fds[1]);
	if (*ret_read < 0 || *ret_write < 0)
		return -1;
	return fcntl(*ret_read, F_SETFL, O_NONBLOCK);
}

/* The input as a file: it never blocks either side and raises no SIGPIPE. */
static int open_input(const char *input)
{
	int fd;

	if (!input)
		return above_standard(open("/dev/null", O_RDONLY | O_CLOEXEC));
	fd = above_standard(memfd_create("input", MFD_CLOEXEC));
	if (fd < 0)
		return fd;
	errno = -file_write_all(fd, input, strlen(input));
	if (errno || lseek(fd, 0, SEEK_SET) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int open_ends(const struct proc *proc, struct ends *ends, struct job *job)
{
	ends->in = open_input(proc->input);
	if (ends->in < 0 || make_pipe(&job->err, &ends->err) < 0 || make_pipe(&job->exec, &ends->exec) < 0)
		return -1;
	if (proc->ret_output)
		return make_pipe(&job->out, &ends->out);
	ends->out = above_standard(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return ends->out < 0 ? -1 : 0;
}

_Noreturn static void run_child(const struct proc *proc, const struct ends *ends, pid_t parent)
{
	char *const *env = proc->env ? (char *const *)proc->env : environ;
	sigset_t none;
	int num;

	(void)setpgid(0, 0); /* cannot fail for a new child */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(ends->in, 0) < 0 || dup2(ends->out, 1) < 0 || dup2(ends->err, 2) < 0)
		goto fail;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL); /* isle ignores it, programs rely on it */
	if (proc->in_child)
		proc->in_child(proc->in_child_arg);
	/* Again: a change of credentials in in_child clears it. A parent that died before sends no signal. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	/* Not closed at once, so that a failed exec can still be told. */
	if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		goto fail;
	execvpe(proc->argv[0], (char *const *)proc->argv, env);
fail:
	num = errno;
	(void)!write(ends->exec, &num, sizeof(num)); /* nobody left to tell when this fails */
	_exit(127);
}

static void keep_tail(struct job *job, const char *data, size_t len)
{
	if (len > TAIL_SIZE) {
		data += len - TAIL_SIZE;
		len = TAIL_SIZE;
	}
	if (job->tail_len + len > TAIL_SIZE) {
		size_t drop = job->tail_len + len - TAIL_SIZE;

		memmove(job->tail, job->tail + drop, job->tail_len - drop);
		job->tail_len -= drop;
	}
	memcpy(job->tail + job->tail_len, data, len);
	job->tail_len += len;
}

/* The last line of the tail that is not blank, cut to a length that leaves room for the rest of the message. */
static const char *last_line(struct job *job, char *line, size_t size)
{
	size_t end = job->tail_len, start;

	while (end && (unsigned char)job->tail[end - 1] <= ' ')
		end--;
	for (start = end; start && job->tail[start - 1] != '\n' && job->tail[start - 1] != '\r';)
		start--;
	(void)snprintf(line, size, "%.*s", (int)(end - start), job->tail + start);
	return line;
}

/* Takes what a pipe holds now. Closes it at EOF. 0, or -EFBIG when too much is to be kept. */
static int drain(struct job *job, int *fd)
{
	char chunk[16384];

	while (*fd >= 0) {
		ssize_t n = read(*fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n <= 0) {
			close(take_fd(fd));
			return 0;
		}
		if (fd == &job->err) {
			keep_tail(job, chunk, (size_t)n);
		} else {
			if (job->output.len + (size_t)n > OUTPUT_MAX)
				return -EFBIG;
			buf_add_bytes(&job->output, chunk, (size_t)n);
		}
		/* One look at a time, so that a program that floods one pipe cannot outlast the timeout. */
		if ((size_t)n == sizeof(chunk))
			return 0;
	}
	return 0;
}

/* Serves the pipes until the program ends. 0, -ETIMEDOUT, -EFBIG, or -errno of poll. */
static int serve(struct job *job, int timeout_ms)
{
	uint64_t end = timeout_ms > 0 ? proc_now_ms() + (uint64_t)timeout_ms : UINT64_MAX;

	for (;;) {
		struct pollfd fds[] = {{job->pidfd, POLLIN, 0}, {job->out, POLLIN, 0}, {job->err, POLLIN, 0}};
		uint64_t now = proc_now_ms();
		int r;

		if (now >= end)
			return -ETIMEDOUT;
		r = poll(fds, 3, timeout_ms > 0 ? (int)(end - now) : -1);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		r = fds[1].revents ? drain(job, &job->out) : 0;
		if (r == 0 && fds[2].revents)
			r = drain(job, &job->err);
		if (r < 0)
			return r;
		/* Left when the program ended, not at EOF: a daemon that it started may hold the pipes for ever. */
		if (fds[0].revents && !fds[1].revents && !fds[2].revents)
			return 0;
		if (fds[0].revents && job->out < 0 && job->err < 0)
			return 0;
	}
}

static int report(const struct proc *proc, struct job *job, const siginfo_t *info, struct err *err)
{
	const char *name = proc->argv[0];
	char line[160];
	int num = 0;

	if (read(job->exec, &num, sizeof(num)) == (ssize_t)sizeof(num))
		return err_num(err, num, "run %s", name);
	(void)last_line(job, line, sizeof(line));
	if (info->si_code == CLD_EXITED && info->si_status == 0)
		return 0;
	if (info->si_code == CLD_EXITED)
		return err_set(err, ERR_FAILED, "run %s: exit status %d%s%s", name, info->si_status, line[0] ? ": " : "", line);
	return err_set(err, ERR_FAILED, "run %s: killed by signal %d (%s)%s%s", name, info->si_status, strsignal(info->si_status),
		       line[0] ? ": " : "", line);
}

int proc_run(const struct proc *proc, struct err *err)
{
	__attribute__((cleanup(job_free))) struct job job = {.pidfd = -1, .out = -1, .err = -1, .exec = -1};
	__attribute__((cleanup(ends_close))) struct ends ends = {-1, -1, -1, -1};
	const char *name = proc->argv[0];
	siginfo_t info = {0};
	pid_t parent = getpid(), pid;
	int r;

	if (open_ends(proc, &ends, &job) < 0)
		return err_sys(err, "run %s", name);
	pid = fork();
	if (pid < 0)
		return err_sys(err, "run %s", name);
	if (pid == 0)
		run_child(proc, &ends, parent);
	ends_close(&ends);
	(void)setpgid(pid, pid); /* in both processes, so that neither can be too early; fails after exec */
	job.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	r = job.pidfd < 0 ? -errno : serve(&job, proc->timeout_ms);
	/* Until it is reaped the pid, and the group of that number, cannot be anybody else's. */
	if (r < 0) {
		(void)kill(-pid, SIGKILL);
		(void)kill(pid, SIGKILL); /* it may have left its group */
	}
	while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0)
		if (errno != EINTR)
			return err_sys(err, "run %s", name);
	if (r == -ETIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "run %s: not done after %d.%03d s", name, proc->timeout_ms / 1000,
			       proc->timeout_ms % 1000);
	if (r == -EFBIG)
		return err_num(err, EFBIG, "run %s: more than %u bytes of output", name, OUTPUT_MAX);
	if (r < 0)
		return err_num(err, r, "run %s", name);
	r = report(proc, &job, &info, err);
	if (r < 0 || !proc->ret_output)
		return r;
	if (proc->ret_output_len)
		*proc->ret_output_len = job.output.len;
	*proc->ret_output = buf_take(&job.output);
	return *proc->ret_output ? 0 : err_num(err, ENOMEM, "run %s", name);
}

uint64_t proc_start_time(pid_t pid)
{
	auto_free char *text = NULL;
	uint64_t start = 0;
	char path[64];
	char *at, *rest;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	at = strrchr(text, ')'); /* the name before it is the process's own choice, brackets and all */
	if (!at)
		return 0;
	/* Behind it stand " STATE PPID ...", fields 3 and on; the start time is field 22. */
	at++;
	for (int field = 3; at && field <= 22; field++)
		at = strchr(at + (field > 3), ' ');
	if (!at)
		return 0;
	rest = strchr(++at, ' ');
	if (rest)
		*rest = '\0';
	return str_to_u64(at, 0, UINT64_MAX, &start) < 0 ? 0 : start;
}

int proc_pidfd(pid_t pid, uint64_t start)
{
	auto_close int fd = -1;

	if (pid <= 0)
		return -ESRCH;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return errno == EINVAL ? -ESRCH : -errno; /* EINVAL: a thread that leads no process */
	/* Read after the pidfd holds the process: from here on the pid cannot be used again. */
	if (!start || proc_start_time(pid) != start)
		return -ESRCH;
	return take_fd(&fd);
}

int proc_signal(int pidfd, int sig)
{
	return syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int proc_wait_gone(int pidfd, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? UINT64_MAX : proc_now_ms() + (uint64_t)timeout_ms;

	for (;;) {
		struct pollfd fd = {.fd = pidfd, .events = POLLIN};
		uint64_t now = proc_now_ms();
		int r = poll(&fd, 1, timeout_ms < 0 ? -1 : now < end ? (int)(end - now) : 0);

		if (r > 0)
			return fd.revents & POLLNVAL ? -EBADF : 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (proc_now_ms() >= end)
			return -ETIMEDOUT;
	}
}

uint64_t proc_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* fails only for a clock that does not exist */
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int proc_boot_id(char out[37])
{
	auto_free char *text = NULL;
	int r = file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL);

	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return strlen(text) == 36 ? str_copy(out, 37, text) : -EIO;
}
