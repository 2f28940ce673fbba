/* The core program: what it answers, computed as the kernel would; and that the kernel asks it when a process of the group
 * connects. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/kernel/bpfcore.h"
#include "../../src/kernel/cgroup_layout.h"
#include "ebpf_run.h"

#define BROKEN (-1)

/* The instructions that the program is made of, and no others. */
static int answer(uint64_t own, uint64_t first)
{
	struct bpf_insn code[BPFCORE_CODE];
	size_t count = bpfcore_emit(code);
	uint64_t reg[11] = {[1] = 1234}; /* the context */

	assert_in_range(count, 2, BPFCORE_CODE);
	for (size_t at = 0; at < count; at++) {
		const struct bpf_insn *in = &code[at];

		switch (in->code) {
		case BPF_JMP | BPF_CALL:
			if (in->imm != 122 || (reg[1] != 1234 && reg[1] != 0))
				return BROKEN;
			reg[0] = reg[1] ? own : first;
			reg[1] = 99; /* a call leaves nothing in it */
			break;
		case BPF_JMP | BPF_EXIT:
			return (int)reg[0];
		default:
			if (!ebpf_step(in, reg, &at))
				return BROKEN;
		}
	}
	return BROKEN;
}

static void only_the_first_namespaces_sockets_are_refused(void **state)
{
	(void)state;
	assert_int_equal(answer(1, 1), 0);
	assert_int_equal(answer(2, 1), 1);
	assert_int_equal(answer(UINT64_C(1) << 32 | 1, 1), 1);
}

/* As the kernel does for a crash: a socket made and connected in the group. The errno of a stream's connection, and of a
 * datagram's. */
static int connects(const char *group, const struct sockaddr_un *to, int type, bool own_network)
{
	char path[256];
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
		int procs = open(path, O_WRONLY | O_CLOEXEC);

		if (procs < 0 || write(procs, "0", 1) != 1 || (own_network && unshare(CLONE_NEWNET) < 0))
			_exit(255);
		int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

		_exit(connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static int listen_at(const struct sockaddr_un *at, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	(void)unlink(at->sun_path);
	assert_int_equal(bind(fd, (const struct sockaddr *)at, sizeof(*at)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* Into the first network namespace, or that it is there already: since Linux 6.18 that one has a number of its own. */
static bool go_home(void)
{
	struct stat st;
	int home = open("/proc/1/ns/net", O_RDONLY | O_CLOEXEC);
	bool there = home >= 0 && setns(home, CLONE_NEWNET) == 0;

	if (home >= 0)
		close(home);
	return there || (stat("/proc/self/ns/net", &st) == 0 && st.st_ino == 0xeffffff9);
}

static void the_kernel_asks(void **state)
{
	char name[48], group[256];
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct err err = {0};

	(void)state;
	(void)snprintf(name, sizeof(name), "isle-test-core-%d", (int)getpid());
	(void)snprintf(group, sizeof(group), "%s/%s", cgroup_layout()->unified, name);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/var/tmp/isle-test-core-%d", (int)getpid());
	if (geteuid() != 0 || !go_home() || mkdir(group, 0700) < 0) {
		print_message("skipped: only root may make groups, in the first network namespace\n");
		skip();
	}
	int r = bpfcore_attach(name, &err), results[4] = {0};
	int stream = listen_at(&at, SOCK_STREAM);

	if (r == 0) {
		results[0] = connects(group, &at, SOCK_STREAM, false);
		results[1] = connects(group, &at, SOCK_STREAM, true);
		results[2] = bpfcore_attach(name, &err); /* in place of the first */
		results[3] = connects(group, &at, SOCK_STREAM, false);
	}
	close(stream);
	(void)unlink(at.sun_path);
	assert_int_equal(rmdir(group), 0);
	if (r == -EOPNOTSUPP) {
		assert_non_null(strstr(err.what, "core handler"));
		print_message("skipped: this kernel has no such programs\n");
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(results[0], EPERM);
	assert_int_equal(results[1], 0);
	assert_int_equal(results[2], 0);
	assert_int_equal(results[3], EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_first_namespaces_sockets_are_refused),
		cmocka_unit_test(the_kernel_asks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
