/* Processes that have ended and whom the guest's init has yet to collect. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/status.h"
#include "../base/str.h"
#include "zombies.h"

#define CHILDREN_MAX (1u << 20)
#define AWAIT_MS     3000
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

pid_t zombies_find(pid_t init)
{
	auto_free struct zombie *zombies = NULL;
	size_t count = 0;
	int r = read_zombies(init, &zombies, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (has_leader(zombies, count, &zombies[i]))
			return zombies[i].pid;
	return r;
}

int zombies_await(pid_t init, struct err *err)
{
	uint64_t deadline = proc_now_ms() + AWAIT_MS;
	pid_t one = zombies_find(init);

	while (one > 0 && proc_now_ms() < deadline) {
		(void)poll(NULL, 0, LOOK_MS); /* no one tells when somebody else's child is collected */
		one = zombies_find(init);
	}
	if (one < 0)
		return err_num(err, one, "look at what init has to collect");
	if (one == 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "carry process %d: it has ended, the leader of its session too, and init collects neither",
		      one);
	return err_hint(err, "an init that waits for its children is needed");
}
