/* BPF programs of isle's own on groups of cgroup2: loading one, and putting it in the place of the one before. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "bpf.h"
#include "cgroup_layout.h"

#define PROGRAMS_MAX 64 /* BPF_CGROUP_MAX_PROGS: the kernel takes no more on one group */

static int call(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

int bpf_load(const struct bpf_kind *kind, uint32_t hook, const struct bpf_insn *code, size_t length)
{
	union bpf_attr attr = {0};

	attr.prog_type = kind->type;
	attr.expected_attach_type = kind->attach;
	attr.attach_btf_id = hook;
	attr.insn_cnt = (uint32_t)length;
	attr.insns = (uint64_t)(uintptr_t)code;
	attr.license = (uint64_t)(uintptr_t) "GPL"; /* isle's own; programs on hooks of security modules must have it */
	(void)str_copy(attr.prog_name, sizeof(attr.prog_name), kind->name);
	return call(BPF_PROG_LOAD, &attr);
}

/* A descriptor of the program if it is one of isle's of this kind, -ENOENT if not. */
static int open_ours(const struct bpf_kind *kind, uint32_t id)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {0};

	attr.prog_id = id;
	auto_close int program = call(BPF_PROG_GET_FD_BY_ID, &attr);

	if (program < 0)
		return program;
	attr = (union bpf_attr){0};
	attr.info.bpf_fd = (uint32_t)program;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uint64_t)(uintptr_t)&info;
	int r = call(BPF_OBJ_GET_INFO_BY_FD, &attr);

	return r < 0 ? r : strcmp(info.name, kind->name) == 0 ? take_fd(&program) : -ENOENT;
}

/* The program of this kind that isle has on the group; -ENOENT when there is none. */
static int find_ours(const struct bpf_kind *kind, int group)
{
	uint32_t ids[PROGRAMS_MAX], flags[PROGRAMS_MAX];
	union bpf_attr attr = {0};

	attr.query.target_fd = (uint32_t)group;
	attr.query.attach_type = kind->attach;
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = PROGRAMS_MAX;
	if (kind->attach == BPF_LSM_CGROUP) /* must be asked for there; kernels that have no such hooks do not know the field */
		attr.query.prog_attach_flags = (uint64_t)(uintptr_t)flags;
	int r = call(BPF_PROG_QUERY, &attr);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < attr.query.prog_cnt && i < PROGRAMS_MAX; i++) {
		int program = open_ours(kind, ids[i]);

		if (program != -ENOENT)
			return program;
	}
	return -ENOENT;
}

/* BPF_F_REPLACE (Linux 5.6) exchanges one program of the group for another. */
static int attach(const struct bpf_kind *kind, int group, int program, int old)
{
	union bpf_attr attr = {0};

	attr.target_fd = (uint32_t)group;
	attr.attach_bpf_fd = (uint32_t)program;
	attr.attach_type = kind->attach;
	attr.attach_flags = BPF_F_ALLOW_MULTI; /* beside those above, and below */
	if (old >= 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)old;
	}
	return call(BPF_PROG_ATTACH, &attr);
}

int bpf_put(const char *cgroup, const struct bpf_kind *kind, int program, struct err *err)
{
	char path[PATH_MAX];

	if (!cgroup_is_name(cgroup) || str_print(path, sizeof(path), "%s/%s", cgroup_layout()->unified, cgroup) < 0)
		return err_num(err, EINVAL, "name cgroup '%s'", cgroup);
	auto_close int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (group < 0)
		return err_sys(err, "open %s", path);
	auto_close int old = find_ours(kind, group);

	if (old < 0 && old != -ENOENT)
		return err_num(err, old, "find the %s of %s", kind->what, path);
	int r = attach(kind, group, program, old);

	if (r == -EPERM) {
		(void)err_num(err, r, "put a %s on %s", kind->what, path);
		return err_hint(err, "a group above it has one that allows none below: bpftool cgroup tree shows it");
	}
	return r < 0 ? err_num(err, r, "put a %s on %s", kind->what, path) : 0;
}
