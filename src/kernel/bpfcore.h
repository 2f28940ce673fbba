/* The core program: keeps memory of a guest's processes that crash from the host's core handler, as a BPF program on the group. */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"

/* The program; returns its length. For bpfcore_attach and its test. */
#define BPFCORE_CODE 16
size_t bpfcore_emit(struct bpf_insn code[BPFCORE_CODE]);

/* Puts the program on the group `cgroup` (as in cgroup.h). Its processes must have a network namespace of their own. -EOPNOTSUPP:
 * this kernel has no such programs (before Linux 6.7), and err says so. */
int bpfcore_attach(const char *cgroup, struct err *err);

/* Whether this kernel takes such a program: 0 or -errno. */
int bpfcore_probe(void);

/* Whether kernel.core_pattern names a socket ("@/path", Linux 6.16), which RLIMIT_CORE does not hold a crash from. */
bool bpfcore_needed(void);
