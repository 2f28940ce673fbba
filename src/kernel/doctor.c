/* The examination of a host: walks the topics and collects the findings. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "doctor.h"

#define TRY_MS 5000

static void cut_copy(char *dst, size_t size, const char *src)
{
	snprintf(dst, size, "%s", src ? src : "");
}

void doctor_add(struct doctor *d, const struct doctor_note *note)
{
	if (d->count == d->room) {
		size_t room = d->room ? 2 * d->room : 32;
		struct host_finding *list = reallocarray(d->list, room, sizeof(*list));

		if (!list) {
			d->failed = true;
			return;
		}
		d->list = list;
		d->room = room;
	}
	struct host_finding *finding = &d->list[d->count++];

	*finding = (struct host_finding){.topic = note->topic, .name = note->name, .level = note->level};
	cut_copy(finding->found, sizeof(finding->found), note->found);
	cut_copy(finding->means, sizeof(finding->means), note->level == HOST_GOOD ? NULL : note->means);
	cut_copy(finding->fix, sizeof(finding->fix), note->level == HOST_GOOD ? NULL : note->fix);
}

void doctor_result(struct doctor *d, const struct doctor_note *note, int rc)
{
	struct doctor_note copy = *note;

	if (rc == 0) {
		copy.level = HOST_GOOD;
		copy.found = note->found ? note->found : "yes";
	} else {
		copy.found = rc == -ENOSYS || rc == -EOPNOTSUPP || rc == -EINVAL ? "not in this kernel" : strerror(-rc);
	}
	doctor_add(d, &copy);
}

int doctor_try(int (*fn)(void *arg), void *arg)
{
	pid_t parent = getpid();

	fflush(NULL);
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Nothing that a probe makes outlives an interrupted examination. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(ECANCELED);
		int rc = fn(arg);

		_exit(rc < 0 && rc > -256 ? -rc : rc == 0 ? 0 : EIO);
	}
	uint64_t end = proc_now_ms() + TRY_MS;
	int status;

	for (;;) {
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid)
			break;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (proc_now_ms() > end) {
			kill(pid, SIGKILL); /* our child and not reaped yet: the pid is still its own */
			while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
				;
			return -ETIMEDOUT;
		}
		nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
	}
	if (!WIFEXITED(status))
		return -EINTR;
	return -WEXITSTATUS(status);
}

int doctor_read(const char *path, char *out, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, out, size - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

int doctor_number(const char *path, long long *ret)
{
	char text[64];
	uint64_t number;
	int rc = doctor_read(path, text, sizeof(text));

	if (rc < 0)
		return rc;
	text[strcspn(text, "\t ")] = '\0';
	rc = str_to_u64(text, 0, INT64_MAX, &number);
	if (rc == 0)
		*ret = (long long)number;
	return rc;
}

bool doctor_has_program(const char *program)
{
	const char *path = getenv("PATH");
	auto_free char *all = str_format("%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "/usr/bin");

	for (const char *at = all; at && *at; at += *at == ':') {
		size_t len = strcspn(at, ":");
		auto_free char *file = str_format("%.*s/%s", (int)len, at, program);

		if (len > 0 && file && access(file, X_OK) == 0)
			return true;
		at += len;
	}
	return false;
}

int host_examine(const char *guests_dir, unsigned long guests, struct host_finding **ret, size_t *ret_count, struct err *err)
{
	struct doctor d = {.guests_dir = guests_dir, .guests = guests, .root = geteuid() == 0};

	doctor_kernel(&d);
	doctor_security(&d);
	doctor_modules(&d);
	doctor_cgroup(&d);
	doctor_network(&d);
	doctor_storage(&d);
	doctor_programs(&d);
	doctor_limits(&d);
	if (d.failed) {
		free(d.list);
		return err_num(err, ENOMEM, "examine the host");
	}
	*ret = d.list;
	*ret_count = d.count;
	return 0;
}
