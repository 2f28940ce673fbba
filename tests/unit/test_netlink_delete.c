/* Links that are removed by netlink: at once, many, by callers of every kind, and never one that has taken the name. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include <cmocka.h>

#include "../../src/base/str.h"
#include "netlink_world.h"

static void delete_takes_both_ends(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
	assert_int_equal(index_of(w->host, "web1"), 0);
	assert_int_equal(index_of(w->guest, "eth0"), 0);
	assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
	assert_true(netlink_delete(w->host, "lo", &err) < 0);
	assert_non_null(strstr(err.what, "lo"));
	/* The names are free at once. */
	assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
}

static void delete_many(void **state)
{
	struct world *w = *state;
	const char *names[20];
	char name[20][IFNAMSIZ], inside[IFNAMSIZ];
	struct err err = {0};

	for (int i = 0; i < 20; i++) {
		assert_int_equal(str_print(name[i], IFNAMSIZ, "web%d", i), 0);
		assert_int_equal(str_print(inside, IFNAMSIZ, "eth%d", i), 0);
		names[i] = name[i];
		if (i != 7) /* one that is gone already */
			assert_int_equal(add_pair(w, name[i], inside, "br0", &err), 0);
	}
	assert_int_equal(no_error(netlink_delete_all(w->host, names, 20, &err), &err), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(index_of(w->host, name[i]), 0);
	names[0] = "lo";
	names[1] = "br0";
	assert_true(netlink_delete_all(w->host, names, 2, &err) < 0);
	assert_int_equal(index_of(w->host, "br0"), 0);
}

/* A caller that ignores its children's ends cannot wait for them. */
static void delete_without_children(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_ptr_not_equal(signal(SIGCHLD, SIG_IGN), SIG_ERR);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
		assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
		assert_int_equal(index_of(w->host, "web1"), 0);
		assert_int_equal(index_of(w->guest, "eth0"), 0);
	}
	(void)signal(SIGCHLD, SIG_DFL);
}

/* More deletions than there is room for waiting children, each at once followed by the same name. */
static void delete_and_add_again(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	for (int i = 0; i < 40; i++) {
		assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
		assert_int_equal(no_error(netlink_delete(w->host, "web1", &err), &err), 0);
	}
	/* The socket still answers to the point: late answers to deletions are no one's. */
	assert_int_equal(index_of(w->host, "web1"), 0);
	assert_true(index_of(w->host, "br0") > 0);
}

/* A process that deletes web1, traced with its children; stopped at its start. */
static pid_t begin_removal(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct netlink *nl;

		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || netlink_open(-1, &nl, NULL) < 0)
			_exit(1);
		(void)raise(SIGSTOP);
		_exit(netlink_delete(nl, "web1", NULL) == 0 ? 42 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL)), 0);
	assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	return pid;
}

/* Lets a traced process go on to its end; its status. */
static int end_traced(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status))
		(void)ptrace(PTRACE_CONT, pid, NULL, (void *)(long)(WSTOPSIG(status) == SIGCHLD ? SIGCHLD : 0));
	return status;
}

/* The kernel may be quicker than the child that asks it: with the guest's network the link goes by itself, and the next start has
 * made the next one before the child comes to ask. */
static void late_removal_spares_the_next_link(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	unsigned long asker = 0;
	int status;

	assert_int_equal(add_pair(w, "web1", "eth0", "br0", &err), 0);
	pid_t pid = begin_removal();

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status >> 8, SIGTRAP | PTRACE_EVENT_FORK << 8);
	assert_int_equal(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &asker), 0);
	assert_int_equal(waitpid((pid_t)asker, &status, __WALL), asker); /* held before its first instruction */
	assert_int_equal(netlink_delete(w->guest, "eth0", &err), 0);
	assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	assert_int_equal(WEXITSTATUS(end_traced(pid)), 42);

	assert_int_equal(no_error(add_pair(w, "web1", "eth0", "br0", &err), &err), 0);
	int index = index_of(w->host, "web1");

	assert_true(index > 0);
	assert_int_equal(ptrace(PTRACE_CONT, (pid_t)asker, NULL, NULL), 0);
	assert_true(WIFEXITED(end_traced((pid_t)asker)));
	assert_int_equal(index_of(w->host, "web1"), index);
}

static void delete_refused(void **state)
{
	struct world *w = *state;
	struct err *err = mmap(NULL, sizeof(*err), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	assert_ptr_not_equal(err, MAP_FAILED);
	child = fork();
	if (child == 0) {
		struct netlink *nl;

		if (setuid(65534) < 0 || netlink_open(-1, &nl, err) < 0)
			_exit(1);
		_exit(netlink_delete(nl, "br0", err) == -EPERM ? 42 : 2);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_non_null(strstr(err->what, "br0"));
	assert_true(index_of(w->host, "br0") > 0);
	munmap(err, sizeof(*err));
}

int main(void)
{
	struct CMUnitTest tests[] = {
		IN_WORLD(delete_takes_both_ends),
		IN_WORLD(delete_many),
		IN_WORLD(delete_without_children),
		IN_WORLD(delete_and_add_again),
		IN_WORLD(late_removal_spares_the_next_link),
		IN_WORLD(delete_refused),
	};

	netns_skip_unless_root(tests, sizeof(tests) / sizeof(tests[0]), make_world);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
