/* The core program: keeps memory of a guest's processes that crash from the host's core handler, as a BPF program on the group.
 *
 * A handler that kernel.core_pattern names as a program is held off by RLIMIT_CORE (see privs.c). One that is a socket is not: the
 * kernel, in the crashing process, makes a Unix socket in the host's network namespace and connects it, whatever the limit is. No
 * process of a guest has a socket of that namespace otherwise. So the program refuses to connect those. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "bpf.h"
#include "bpfcore.h"

enum {
	ATTACH_UNIX_CONNECT = 49, /* enum bpf_attach_type since Linux 6.7 */
	GET_NETNS_COOKIE = 122,   /* enum bpf_func_id since Linux 5.7; of no context: the first namespace's */
};

#define PATTERN "/proc/sys/kernel/core_pattern"

static const struct bpf_kind kind = {"isle_cores", "core program", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, ATTACH_UNIX_CONNECT};

static struct bpf_insn set(unsigned to, int32_t value)
{
	return (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = to & 15, .imm = value};
}

size_t bpfcore_emit(struct bpf_insn code[BPFCORE_CODE])
{
	const struct bpf_insn cookie = {.code = BPF_JMP | BPF_CALL, .imm = GET_NETNS_COOKIE};
	const struct bpf_insn leave = {.code = BPF_JMP | BPF_EXIT};
	size_t n = 0;

	code[n++] = cookie; /* the context is in r1 */
	code[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_0};
	code[n++] = set(BPF_REG_1, 0);
	code[n++] = cookie;
	code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_6, .off = 2};
	code[n++] = set(BPF_REG_0, 0);
	code[n++] = leave;
	code[n++] = set(BPF_REG_0, 1);
	code[n++] = leave;
	return n;
}

static int load(void)
{
	struct bpf_insn code[BPFCORE_CODE];

	return bpf_load(&kind, 0, code, bpfcore_emit(code));
}

int bpfcore_probe(void)
{
	auto_close int program = load();

	return program < 0 ? program : 0;
}

int bpfcore_attach(const char *cgroup, struct err *err)
{
	auto_close int program = load();

	if (program < 0) {
		(void)err_num(err, EOPNOTSUPP, "keep crashes of a guest's from the host's core handler (%s)", strerror(-program));
		(void)err_hint(err, "Linux 6.7 or later, with CONFIG_CGROUP_BPF");
		return -EOPNOTSUPP;
	}
	return bpf_put(cgroup, &kind, program, err);
}

bool bpfcore_needed(void)
{
	auto_free char *pattern = NULL;

	return file_read(AT_FDCWD, PATTERN, 4096, &pattern, NULL) == 0 && pattern[0] == '@';
}
