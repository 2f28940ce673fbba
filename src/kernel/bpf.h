/* BPF programs of isle's own on groups of cgroup2: loading one, and putting it in the place of the one before. */
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

#ifndef BPF_LSM_CGROUP
#define BPF_LSM_CGROUP 43 /* enum bpf_attach_type since Linux 6.0 */
#endif

struct bpf_kind {
	const char *name; /* by which isle knows its own again; at most 15 characters */
	const char *what; /* for errors: "device program" */
	uint32_t type;    /* enum bpf_prog_type */
	uint32_t attach;  /* enum bpf_attach_type */
};

/* hook: for BPF_LSM_CGROUP the kernel function, see btf_function; else 0. A descriptor or -errno. */
int bpf_load(const struct bpf_kind *kind, uint32_t hook, const struct bpf_insn *code, size_t length);

/* Puts the program on the group `cgroup` (as in cgroup.h) in place of isle's own of this kind, at one stroke: there is no moment
 * with neither. Programs of groups above it hold as well. It goes with the group. */
int bpf_put(const char *cgroup, const struct bpf_kind *kind, int program, struct err *err);
