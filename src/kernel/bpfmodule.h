/* The module program: which modules the kernel may load because a process of a group asked for something, as a BPF program on the
 * group. */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>

#include "../base/err.h"

/* What a guest may have loaded, by the names under which the kernel asks modprobe; one that ends in * stands for all that begin so.
 */
extern const char *const bpfmodule_usual[];
extern const size_t bpfmodule_usual_count;

/* The program for the names; returns its length, at most BPFMODULE_CODE. For bpfmodule_attach and its test. */
#define BPFMODULE_NAMES 64
#define BPFMODULE_CODE  (16 + BPFMODULE_NAMES * 28)
size_t bpfmodule_emit(const char *const *names, size_t count, struct bpf_insn code[BPFMODULE_CODE]);

/* Puts the program for bpfmodule_usual on the group `cgroup` (as in cgroup.h). cache: a folder of root's, which keeps what takes
 * long to look up. -EOPNOTSUPP: this kernel cannot ask, and err says what it lacks. */
int bpfmodule_attach(const char *cgroup, const char *cache, struct err *err);
