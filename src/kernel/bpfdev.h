/* The device program: which device nodes a group of cgroup2 may open and make, as a BPF program on the group. */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

enum bpfdev_access { BPFDEV_MKNOD = BPF_DEVCG_ACC_MKNOD, BPFDEV_READ = BPF_DEVCG_ACC_READ, BPFDEV_WRITE = BPF_DEVCG_ACC_WRITE };
enum bpfdev_kind { BPFDEV_BLOCK = BPF_DEVCG_DEV_BLOCK, BPFDEV_CHAR = BPF_DEVCG_DEV_CHAR };

#define BPFDEV_ANY   UINT32_MAX /* every minor number */
#define BPFDEV_RULES 64         /* most of a program */

/* What is allowed; everything else is not. */
struct bpfdev_rule {
	uint32_t kind;   /* enum bpfdev_kind */
	uint32_t access; /* enum bpfdev_access bits */
	uint32_t major, minor;
};

/* What every guest may use: what hangs on its own namespaces or is the same for everybody. */
extern const struct bpfdev_rule bpfdev_usual[];
extern const size_t bpfdev_usual_count;

/* True when a rule allows all of access. */
bool bpfdev_allows(const struct bpfdev_rule *rules, size_t count, const struct bpfdev_rule *wanted);

/* Puts the rules on the group `cgroup` (as in cgroup.h) in place of those that isle put there before, at one stroke. The programs
 * of groups above it hold as well. It goes with the group. -EOPNOTSUPP: this kernel has no device programs, or isle may load none;
 * -E2BIG: more than BPFDEV_RULES. */
int bpfdev_attach(const char *cgroup, const struct bpfdev_rule *rules, size_t count, struct err *err);

/* Whether a program can be loaded: 0 or -errno. */
int bpfdev_probe(void);
