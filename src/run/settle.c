/* Processes at a moment that passes by itself, and at which criu could not make them again. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/status.h"
#include "../base/str.h"
#include "../kernel/cgroup.h"
#include "settle.h"

#define CHILDREN_MAX (1u << 20)
#define EXECUTOR     "/systemd-executor"
#define LOOK_MS      20

struct zombie {
	int pid, session; /* in the guest */
};

/* One of init's children, when it has ended. */
static bool read_zombie(pid_t pid, struct zombie *ret)
{
	auto_free char *status = NULL;

	if (status_read(pid, pid, &status) < 0)
		return false; /* it is collected */
	const char *now = status_field(status, "State");

	*ret = (struct zombie){status_last(status, "NSpid"), status_last(status, "NSsid")};
	return now && now[0] == 'Z';
}

/* *ret, which the caller frees, has *ret_count. */
static int read_zombies(pid_t init, struct zombie **ret, size_t *ret_count)
{
	char path[64];
	auto_free char *text = NULL;
	size_t count = 0;

	(void)str_print(path, sizeof(path), "/proc/%d/task/%d/children", init, init);
	int r = file_read(AT_FDCWD, path, CHILDREN_MAX, &text, NULL);

	if (r < 0)
		return r;
	for (const char *c = text; *c; c++)
		count += *c == ' ';
	struct zombie *found = calloc(count + 1, sizeof(*found));
	char *rest = text;
	uint64_t pid;

	if (!found)
		return -ENOMEM;
	*ret_count = 0;
	for (char *word; (word = strsep(&rest, " ")) && *ret_count < count;)
		if (str_to_u64(word, 1, INT32_MAX, &pid) == 0 && read_zombie((pid_t)pid, &found[*ret_count]))
			++*ret_count;
	*ret = found;
	return 0;
}

static bool has_leader(const struct zombie *zombies, size_t count, const struct zombie *one)
{
	for (size_t i = 0; i < count; i++)
		if (zombies[i].pid == one->session && zombies[i].pid != one->pid)
			return true;
	return false;
}

static int look_at_zombies(pid_t init, struct unsettled_process *ret)
{
	auto_free struct zombie *zombies = NULL;
	size_t count = 0;
	int r = read_zombies(init, &zombies, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (has_leader(zombies, count, &zombies[i])) {
			*ret = (struct unsettled_process){UNSETTLED_ZOMBIE, zombies[i].pid};
			return 1;
		}
	return r;
}

static int look_at_program(void *arg, pid_t pid)
{
	struct unsettled_process *found = arg;
	char path[32], program[PATH_MAX];
	auto_free char *status = NULL;

	(void)str_print(path, sizeof(path), "/proc/%d/exe", pid);
	ssize_t len = readlink(path, program, sizeof(program) - 1);

	if (len < (ssize_t)strlen(EXECUTOR))
		return 0; /* it has ended */
	program[len] = '\0';
	if (strcmp(program + len - strlen(EXECUTOR), EXECUTOR) == 0 && status_read(pid, pid, &status) == 0)
		*found = (struct unsettled_process){UNSETTLED_EXECUTOR, status_last(status, "NSpid")};
	return 0;
}

int settle_look(const struct record *record, struct unsettled_process *ret)
{
	int r = look_at_zombies(record->init_pid, ret);

	if (r != 0)
		return r;
	ret->pid = 0;
	r = cgroup_each_pid(record->cgroup, look_at_program, ret);
	return r < 0 ? r : ret->pid > 0;
}

int settle_await(const struct record *record, unsigned timeout_ms, struct err *err)
{
	uint64_t deadline = proc_now_ms() + timeout_ms;
	struct unsettled_process one;
	int r = settle_look(record, &one);

	while (r > 0 && proc_now_ms() < deadline) {
		(void)poll(NULL, 0, LOOK_MS); /* nobody tells when somebody else's child is collected */
		r = settle_look(record, &one);
	}
	if (r < 0)
		return err_num(err, r, "look at the guest's processes");
	if (r == 0)
		return 0;
	if (one.kind == UNSETTLED_EXECUTOR) {
		(void)err_set(err, ERR_FAILED, "carry process %d: systemd is about to start a unit by it", one.pid);
		return err_hint(err, "try again when the unit has started");
	}
	(void)err_set(err, ERR_FAILED, "carry process %d: it has ended, the leader of its session too, and init collects neither",
		      one.pid);
	return err_hint(err, "an init that waits for its children is needed");
}
