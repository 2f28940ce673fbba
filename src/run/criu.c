/* Drives criu: one request to `criu swrk` over a socket, and what it tells on the way. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <src/run/criu.pb-c.h> /* made by protoc-c in the build folder */

#include "../base/clean.h"
#include "../base/fds.h"
#include "../base/file.h"
#include "../base/message.h"
#include "../base/proc.h"
#include "../base/self.h"
#include "../base/str.h"
#include "../kernel/host.h"
#include "criu.h"
#include "criu_log.h"
#include "criu_shim.h"
#include "criu_yard.h"
#include "walk.h"

#define MESSAGE_MAX 65536
#define FIRST_FD    3 /* criu's end of the socket; what it inherits follows */
#define LOOK_MS     10
#define VERSION_MS  1000
#define GONE_MS     3000
#define LOG_LEVEL   2
#define SHIM        "isle-criu.so"

static const char *const enabled_fs[] = {"hugetlbfs", "ramfs"};

int criu_find(struct criu_program *ret, struct err *err)
{
	static const char *const places[] = {CRIU_PRIVATE "/criu", "/usr/local/sbin/criu", "/usr/sbin/criu", "/usr/bin/criu"};
	const char *chosen = getenv("ISLE_CRIU");

	for (size_t i = 0; !chosen && i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			chosen = places[i];
	*ret = (struct criu_program){0};
	if (!chosen || access(chosen, X_OK) < 0) {
		(void)err_num(err, ENOENT, "run criu%s%s", chosen ? ": " : "", chosen ? chosen : "");
		return err_hint(err, "apt-get install criu, or isle's own: %s/install-criu", ISLE_LIBEXECDIR);
	}
	ret->private = chosen == places[0];
	return str_copy(ret->path, sizeof(ret->path), chosen);
}

void criu_version(const struct criu_program *program, char *ret, size_t size)
{
	static const char before[] = "Version: ";
	const char *const argv[] = {program->path, "--version", NULL};
	auto_free char *said = NULL;
	const struct proc proc = {.argv = argv, .timeout_ms = VERSION_MS, .ret_output = &said};
	char *at = proc_run(&proc, NULL) == 0 && said ? strstr(said, before) : NULL;

	ret[0] = '\0';
	if (!at)
		return;
	at += strlen(before);
	at[strcspn(at, " \n")] = '\0';
	if (str_printable(at))
		(void)str_copy(ret, size, at);
}

/* One running `criu swrk`. */
struct talk {
	const struct criu_job *job;
	int socket;
	int pidfd;
	pid_t pid;
	uint64_t deadline;
	int config;        /* lines for criu's reader of config files, -1 for none */
	int yard;          /* of criu_yard_open */
	bool given_up;     /* it is to be killed */
	int status;        /* how criu ended, of wait(2) */
	char message[256]; /* criu's own first error, when it told one */
};

static int send_request(struct talk *talk, const CriuRequest *request, struct err *err)
{
	size_t size = criu_request__get_packed_size(request);
	auto_free uint8_t *bytes = malloc(size ? size : 1);

	if (!bytes)
		return err_num(err, ENOMEM, "talk to criu");
	criu_request__pack(request, bytes);
	if (send(talk->socket, bytes, size, MSG_NOSIGNAL) < 0)
		return err_sys(err, "talk to criu");
	return 0;
}

/* Until criu says something or has ended: 0; -errno with err for a deadline that is over and for what job->look does not like. */
static int await_word(struct talk *talk, struct pollfd ready[2], struct err *err)
{
	const struct criu_job *job = talk->job;

	for (;;) {
		uint64_t now = proc_now_ms();
		uint64_t left = now < talk->deadline ? talk->deadline - now : 0;
		int r = job->look ? job->look(job->arg, err) : 0;

		if (r < 0)
			return r;
		r = left ? poll(ready, 2, (int)(job->look && left > LOOK_MS ? LOOK_MS : left)) : 0;
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return err_sys(err, "wait for criu");
		if (!left) {
			(void)err_set(err, ERR_TIMEOUT, "wait for criu: it has not answered in %u%s",
				      job->timeout_ms < 1000 ? job->timeout_ms : job->timeout_ms / 1000,
				      job->timeout_ms < 1000 ? " ms" : " s");
			return err_hint(err, "%s--timeout gives it more time", job->restore ? "isle restore " : "");
		}
	}
}

/* NULL at its end, at the deadline, and for what cannot be read; err says which. */
static CriuResponse *receive(struct talk *talk, struct err *err)
{
	auto_free uint8_t *bytes = malloc(MESSAGE_MAX);
	/* Helpers of a criu that was killed hold the socket's other end. */
	struct pollfd ready[2] = {{.fd = talk->socket, .events = POLLIN}, {.fd = talk->pidfd, .events = POLLIN}};

	if (!bytes) {
		(void)err_num(err, ENOMEM, "wait for criu");
		return NULL;
	}
	if (await_word(talk, ready, err) < 0) {
		talk->given_up = true;
		return NULL;
	}
	ssize_t len = ready[0].revents ? recv(talk->socket, bytes, MESSAGE_MAX, 0) : 0;

	if (len <= 0)
		return NULL; /* it ended: its log knows more */
	CriuResponse *response = criu_response__unpack(NULL, (size_t)len, bytes);

	if (!response) {
		(void)err_num(err, EPROTO, "read criu's answer");
		talk->given_up = talk->job->restore;
	}
	return response;
}

/* criu before 4.0 takes the wish to leave processes stopped from a config file only: it would kill them. */
static int make_config(struct talk *talk, char path[48], struct err *err)
{
	static const char text[] = "leave-stopped\n";

	talk->config = memfd_create("criu.conf", MFD_CLOEXEC);
	if (talk->config < 0)
		return err_sys(err, "make criu's config");
	int r = file_write_all(talk->config, text, strlen(text));

	return r < 0 ? err_num(err, r, "write criu's config") : str_print(path, 48, "/proc/%d/fd/%d", getpid(), talk->config);
}

#define SET(field, value) (options->has_##field = true, options->field = (value))

static void ask_restore(const struct criu_job *job, CriuOptions *options)
{
	SET(cgroups, CRIU_CGROUPS__SOFT);
	SET(work_fd, job->work_fd);
	SET(sibling, true);
	SET(tcp_close, job->close_tcp);
	options->lsm_profile = (char *)job->profile;
}

static void ask_dump(const struct criu_job *job, CriuOptions *options)
{
	SET(cgroups, CRIU_CGROUPS__FULL);
	SET(pid, job->pid);
	SET(leave_running, job->leave_running || job->memory_only);
	SET(leave_stopped, !job->leave_running && !job->memory_only);
	SET(track_memory, job->memory_only || job->earlier);
	SET(force_irmap, job->force_irmap);
	options->parent = (char *)job->earlier;
	options->enable_fs = (char **)enabled_fs;
	options->n_enable_fs = sizeof(enabled_fs) / sizeof(enabled_fs[0]);
}

static void ask_both(const struct criu_job *job, CriuOptions *options)
{
	options->images_fd = job->images_fd;
	options->log_file = (char *)job->log;
	options->root = (char *)job->root;
	options->external = (char **)job->external;
	options->n_external = job->external_count;
	SET(log_level, LOG_LEVEL);
	SET(notify, true);
	SET(tcp_established, !job->close_tcp);
	SET(file_locks, true);
	SET(link_remap, true);
	SET(ghost_limit, CRIU_GHOST_LIMIT);
	SET(network_lock, CRIU_NETWORK_LOCK__NFTABLES);
}
#undef SET

static int send_options(struct talk *talk, struct err *err)
{
	const struct criu_job *job = talk->job;
	CriuOptions options = CRIU_OPTIONS__INIT;
	CriuCgroupRoot root[CRIU_GROUPS_MAX], *roots[CRIU_GROUPS_MAX];
	char *controllers[CRIU_GROUPS_MAX], config[48], yard[48];
	CriuInherit inherit[CRIU_INHERIT_MAX], *inherits[CRIU_INHERIT_MAX];
	size_t told = 0;
	CriuRequest request = CRIU_REQUEST__INIT;

	if (!job->restore && !job->leave_running && !job->memory_only) {
		int r = make_config(talk, config, err);

		if (r < 0)
			return r;
		options.config_file = config;
	}
	for (size_t i = 0; i < job->group_count; i++) {
		root[i] = (CriuCgroupRoot)CRIU_CGROUP_ROOT__INIT;
		root[i].controller = (char *)job->groups[i].controller;
		root[i].path = (char *)job->groups[i].path;
		roots[i] = &root[i];
		controllers[i] = root[i].controller;
	}
	for (size_t i = 0; i < job->inherit_count; i++) {
		if (!job->inherit[i].key)
			continue;
		inherit[i] = (CriuInherit)CRIU_INHERIT__INIT;
		inherit[i].key = (char *)job->inherit[i].key;
		inherit[i].fd = FIRST_FD + 1 + (int)i;
		inherits[told++] = &inherit[i];
	}
	ask_both(job, &options);
	if (job->restore)
		ask_restore(job, &options);
	else
		ask_dump(job, &options);
	options.cgroup_root = roots;
	options.n_cgroup_root = job->group_count;
	/* In other hierarchies the guest is in the host's root: all that is below, which is the host's, would be saved with it, and
	 * written back by the restore. */
	options.cgroup_dump_controller = controllers;
	options.n_cgroup_dump_controller = job->restore ? 0 : job->group_count;
	if (!job->yard) {
		talk->yard = criu_yard_open(err);
		if (talk->yard < 0)
			return talk->yard;
		(void)str_print(yard, sizeof(yard), "/proc/%d/fd/%d", getpid(), talk->yard);
	}
	options.cgroup_yard = job->yard ? (char *)job->yard : yard;
	options.inherit = inherits;
	options.n_inherit = told;
	request.kind = job->restore ? CRIU_KIND__RESTORE : job->memory_only ? CRIU_KIND__ONE_PRE_DUMP : CRIU_KIND__DUMP;
	request.options = &options;
	return send_request(talk, &request, err);
}

static int answer_notice(struct talk *talk, const CriuNotice *notice, struct err *err)
{
	CriuRequest request = CRIU_REQUEST__INIT;
	pid_t pid = !talk->job->restore ? talk->pid : notice->has_pid ? notice->pid : 0;
	uint64_t begun = proc_now_ms();
	char step[48];

	(void)str_print(step, sizeof(step), "criu %s", notice->script ? notice->script : "");
	walk_hold(step, getpid());
	int r = talk->job->notice ? talk->job->notice(talk->job->arg, notice->script ? notice->script : "", pid, err) : 0;

	talk->deadline += proc_now_ms() - begun; /* criu waits for us: the copy of a large guest's files takes its time */
	request.kind = CRIU_KIND__NOTIFY;
	request.has_notify_success = true;
	request.notify_success = r == 0;
	int sent = send_request(talk, &request, NULL); /* that it has ended is told better by how it did */

	return r < 0 ? r : sent;
}

/* Until the final answer. -EIO when criu failed: its log tells why. */
static int converse(struct talk *talk, struct err *err)
{
	int r = send_options(talk, err), refused = 0;

	if (r < 0)
		talk->given_up = talk->job->restore;
	while (r == 0) {
		CriuResponse *response = receive(talk, refused ? NULL : err);

		if (!response)
			return refused ? refused : err && err->code != ERR_NONE ? -EIO : -EPIPE;
		if (response->kind == CRIU_KIND__NOTIFY && response->notice) {
			/* A refusal makes a dump undo its work; its own answer follows. */
			int said = answer_notice(talk, response->notice, refused ? NULL : err);

			if (said < 0 && !refused)
				refused = said;
			criu_response__free_unpacked(response, NULL);
			/* Of a restore nothing is to be kept, and it would wait for processes that were killed; whatever it
			 * leaves is in the guest's groups, and goes with them. */
			talk->given_up = refused && talk->job->restore;
			if (talk->given_up)
				return refused;
			continue;
		}
		r = response->success ? 1 : -EIO;
		if (!response->success && response->message)
			(void)str_copy(talk->message, sizeof(talk->message), response->message);
		criu_response__free_unpacked(response, NULL);
	}
	return refused ? refused : r > 0 ? 0 : r;
}

/* The socket at FIRST_FD, what is inherited behind it, what is to stay open as long as criu, nothing else. */
static int place_fds(const struct criu_job *job, int socket, int held)
{
	int own[CRIU_INHERIT_MAX + 1], keep[CRIU_INHERIT_MAX + 2];

	/* Marked close-on-exec it was; a copy is not. */
	keep[job->inherit_count + 1] = fcntl(held, F_DUPFD, FIRST_FD + CRIU_INHERIT_MAX + 1);
	if (keep[job->inherit_count + 1] < 0)
		return -errno;
	own[0] = fcntl(socket, F_DUPFD, FIRST_FD + CRIU_INHERIT_MAX + 1);
	for (size_t i = 0; i < job->inherit_count; i++)
		own[i + 1] = fcntl(job->inherit[i].fd, F_DUPFD, FIRST_FD + CRIU_INHERIT_MAX + 1);
	for (size_t i = 0; i <= job->inherit_count; i++) {
		if (own[i] < 0 || dup2(own[i], FIRST_FD + (int)i) < 0)
			return -errno;
		keep[i] = FIRST_FD + (int)i;
	}
	return fds_close_others(keep, job->inherit_count + 2, 0);
}

/* As an environment variable: the one beside the running program, else the installed one. The private criu's starter hands it to
 * its own loader. */
static bool find_shim(const struct criu_program *program, char *ret, size_t size)
{
	const char *name = program->private ? "ISLE_CRIU_PRELOAD" : "LD_PRELOAD";
	char self[PATH_MAX];
	char *slash = self_path(self, sizeof(self)) == 0 ? strrchr(self, '/') : NULL;

	if (slash && str_print(ret, size, "%s=%.*s/" SHIM, name, (int)(slash - self), self) == 0 &&
	    access(strchr(ret, '=') + 1, R_OK) == 0)
		return true;
	return str_print(ret, size, "%s=" ISLE_LIBEXECDIR "/" SHIM, name) == 0 && access(strchr(ret, '=') + 1, R_OK) == 0;
}

static _Noreturn void become_criu(const struct talk *talk, const struct criu_program *program, int socket, int report)
{
	const struct criu_job *job = talk->job;
	struct err err = {0};
	char preload[PATH_MAX + 24], owner[sizeof(CRIU_SHIM_OWNER) + 24], join[sizeof(CRIU_SHIM_JOIN) + 24];
	char *const argv[] = {(char *)program->path, "swrk", "3", NULL};
	char *env[6] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	size_t count = 1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* A dump that loses us fails at its next word, and mends what it did to the guest; killed, it could not. So the terminal's
	 * Ctrl-C is not for it either. */
	if (job->restore)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	else
		(void)setsid();
	if (find_shim(program, preload, sizeof(preload)))
		env[count++] = preload;
	env[count++] = job->restore ? CRIU_SHIM_RESTORES "=1" : CRIU_SHIM_DUMPS "=1";
	if (job->owner && str_print(owner, sizeof(owner), CRIU_SHIM_OWNER "=%u", job->owner) == 0)
		env[count++] = owner;
	for (size_t i = 0; i < job->inherit_count; i++)
		if (!job->inherit[i].key && str_print(join, sizeof(join), CRIU_SHIM_JOIN "=%zu", FIRST_FD + 1 + i) == 0)
			env[count++] = join;
	if (job->in_child && job->in_child(job->arg, &err) < 0) {
		(void)!write(report, &err, sizeof(err));
		_exit(127);
	}
	/* A restore that loses us is killed, and must not take the end of our words for an answer before that: it has our end too.
	 */
	int held = job->restore ? talk->socket : job->hold_fd;

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || place_fds(job, socket, held) < 0)
		_exit(127);
	execve(argv[0], argv, env);
	_exit(127);
}

static int spawn(struct talk *talk, const struct criu_program *program, int *ret_report, struct err *err)
{
	int pair[2], report[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "make a socket pair");
	talk->socket = pair[0];
	auto_close int theirs = pair[1];

	if (pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, "make a pipe");
	*ret_report = report[0];
	auto_close int told = report[1];

	fflush(NULL);
	talk->pid = fork();
	if (talk->pid == 0)
		become_criu(talk, program, theirs, told);
	if (talk->pid < 0)
		return err_sys(err, "fork criu");
	talk->pidfd = (int)syscall(SYS_pidfd_open, talk->pid, 0);
	return talk->pidfd < 0 ? err_sys(err, "watch criu") : 0;
}

/* criu looks at files by the guest's mounts, and an overlay there may lead it into a FUSE of the guest's, which no signal can free
 * it from as long as its daemon holds the request. */
static bool has_ended(const struct talk *talk)
{
	const struct criu_job *job = talk->job;

	for (unsigned n = 0; talk->pidfd >= 0 && proc_wait_gone(talk->pidfd, GONE_MS) < 0; n++)
		if (job->release && !job->release(job->arg, n))
			return false;
	return true;
}

static void end(struct talk *talk)
{
	clean_close(&talk->config);
	clean_close(&talk->yard);
	if (talk->socket >= 0)
		close(take_fd(&talk->socket)); /* a dump ends when its client is gone */
	if (talk->pid <= 0)
		return;
	uint64_t now = proc_now_ms();
	bool ended = true;

	if (talk->pidfd < 0 || proc_wait_gone(talk->pidfd, now < talk->deadline ? (int)(talk->deadline - now) : 0) < 0) {
		(void)kill(talk->pid, SIGKILL); /* our child, not yet reaped */
		ended = has_ended(talk);
	}
	if (!talk->job->restore)
		(void)kill(-talk->pid,
			   SIGKILL); /* its helpers, such as tar: of a session of their own, as long as it is not reaped */
	while (ended && waitpid(talk->pid, &talk->status, 0) < 0 && errno == EINTR)
		;
	if (talk->pidfd >= 0)
		close(take_fd(&talk->pidfd));
}

int criu_run(const struct criu_job *job, struct err *err)
{
	struct criu_program program;
	struct talk talk = {
		.job = job, .socket = -1, .pidfd = -1, .config = -1, .yard = -1, .deadline = proc_now_ms() + job->timeout_ms};
	auto_close int report = -1;
	struct err said = {0};
	int r = criu_find(&program, err);

	if (r == 0)
		r = spawn(&talk, &program, &report, err);
	if (r == 0)
		r = converse(&talk, &said);
	bool died = talk.pidfd >= 0 && proc_wait_gone(talk.pidfd, 0) == 0;

	if (talk.given_up && talk.pid > 0)
		(void)kill(talk.pid, SIGKILL); /* our child, not yet reaped */
	end(&talk);
	if (r == 0)
		return 0;
	if (said.code == ERR_NONE && report >= 0 && read(report, &said, sizeof(said)) == (ssize_t)sizeof(said))
		err_seal(&said);
	/* What it took along is missed by whoever looks for it, which is not the cause. */
	bool killed = WIFSIGNALED(talk.status) && (died || said.code == ERR_NONE);

	if (said.code != ERR_NONE && !killed) {
		if (err)
			*err = said;
		return r;
	}
	if (killed)
		return err_set(err, ERR_FAILED, "%s its processes: criu was killed by signal %d", job->restore ? "restore" : "dump",
			       WTERMSIG(talk.status));
	return talk.pid > 0
		       ? criu_log_explain(job->restore ? job->work_fd : job->images_fd, job->log, job->restore, talk.message, err)
		       : r;
}
