/* The module program: what it answers for a name, computed as the kernel would; and where the kernel describes its hooks. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/kernel/bpfmodule.h"
#include "../../src/kernel/btf.h"
#include "ebpf_run.h"

#define BROKEN (-1)

/* The instructions that the program is made of, and no others. The stack has rubbish in it, as the kernel's may. */
static int answer(const struct bpf_insn *code, size_t count, const char *name)
{
	uint64_t reg[11] = {0}, stack[8];

	memset(stack, 0xa5, sizeof stack);
	for (size_t at = 0, done = 0; at < count && done < 100000; at++, done++) {
		const struct bpf_insn *in = &code[at];

		switch (in->code) {
		case BPF_LDX | BPF_MEM | BPF_DW:
			if (in->src_reg == 10 && (in->off < -64 || in->off > -8 || in->off % 8))
				return BROKEN;
			reg[in->dst_reg] = in->src_reg == 10 ? stack[(in->off + 64) / 8] : 1234;
			break;
		case BPF_ALU64 | BPF_ADD | BPF_K:
			reg[in->dst_reg] += (uint64_t)(int64_t)in->imm;
			break;
		case BPF_ALU64 | BPF_LSH | BPF_K:
			reg[in->dst_reg] <<= in->imm;
			break;
		case BPF_ALU64 | BPF_RSH | BPF_K:
			reg[in->dst_reg] >>= in->imm;
			break;
		case BPF_LD | BPF_DW | BPF_IMM:
			reg[in->dst_reg] = (uint32_t)in->imm | (uint64_t)(uint32_t)code[at + 1].imm << 32;
			at++;
			break;
		case BPF_JMP | BPF_CALL:
			if (in->imm != 115 || reg[1] != (uint64_t)-64 || reg[2] != 64 || reg[3] != 1234)
				return BROKEN;
			memcpy(stack, name, strlen(name) + 1);
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

static void check(const char *const *names, size_t count, const char *name, int wanted)
{
	struct bpf_insn code[BPFMODULE_CODE];
	size_t length = bpfmodule_emit(names, count, code);

	assert_in_range(length, 2, BPFMODULE_CODE);
	if (answer(code, length, name) != wanted)
		fail_msg("%s is answered %d", name, answer(code, length, name));
}

static void names_are_compared_whole_or_by_their_beginning(void **state)
{
	const char *const names[] = {"fs-fuse", "rtnl-link-veth", "net-pf-16-proto-4-type-2", "nft-*", "nfnetlink-subsys-*"};
	const char *const good[] = {"fs-fuse", "rtnl-link-veth",  "net-pf-16-proto-4-type-2",
				    "nft-",    "nft-chain-2-nat", "nfnetlink-subsys-10"};
	const char *const bad[] = {"",
				   "f",
				   "fs-fus",
				   "fs-fusectl",
				   "fs-xfs",
				   "rtnl-link-vet",
				   "rtnl-link-vethx",
				   "rtnl-link-gre",
				   "net-pf-16-proto-4-type-2-132",
				   "net-pf-16-proto-4-type-",
				   "nft",
				   "nfnetlink-subsys",
				   "xnft-",
				   "a-name-as-long-as-the-kernel-has-room-for-and-not-a-byte-more1"};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		check(names, 5, good[i], 1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		check(names, 5, bad[i], 0);
	check(NULL, 0, "fs-fuse", 0);
}

static void the_usual_ones_are_what_a_guest_needs(void **state)
{
	const char *const good[] = {"fs-overlay",    "nf_nat_ftp",        "nf-logger-2-0",
				    "xt_MASQUERADE", "char-major-10-200", "rtnl-link-wireguard"};
	const char *const bad[] = {
		"fs-xfs",     "fs-overlay2", "rtnl-link-sit", "net-pf-2-proto-132", "net-sch-cake",
		"crypto-xts", "binfmt-1234", "tty-ldisc-21",  "char-major-10-20",   "net-pf-16-proto-4-type-2-132"};

	(void)state;
	assert_in_range(bpfmodule_usual_count, 1, BPFMODULE_NAMES);
	for (size_t i = 0; i < bpfmodule_usual_count; i++)
		assert_in_range(strlen(bpfmodule_usual[i]), 3, 55);
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		check(bpfmodule_usual, bpfmodule_usual_count, good[i], 1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		check(bpfmodule_usual, bpfmodule_usual_count, bad[i], 0);
}

static void a_full_table_fits(void **state)
{
	const char *names[BPFMODULE_NAMES];

	(void)state;
	for (size_t i = 0; i < BPFMODULE_NAMES; i++)
		names[i] = "net-pf-16-proto-16-family-a-long-name-of-48-bytes";
	check(names, BPFMODULE_NAMES, "net-pf-16-proto-16-family-a-long-name-of-48-bytes", 1);
	check(names, BPFMODULE_NAMES, "net-pf-16-proto-16-family-a-long-name-of-48-byte", 0);
}

static void functions_of_this_kernel_are_found(void **state)
{
	uint32_t first = 0, second = 0;

	(void)state;
	assert_int_equal(btf_function("/proc/self/nothing", "x", &first), -ENOENT);
	assert_true(btf_function("/proc/self/status", "x", &first) < 0);
	if (access(BTF_KERNEL, R_OK) < 0) {
		print_message("skipped: this kernel does not describe itself\n");
		skip();
	}
	assert_int_equal(btf_function(BTF_KERNEL, "vfs_read", &first), 0);
	assert_int_equal(btf_function(BTF_KERNEL, "vfs_write", &second), 0);
	assert_int_not_equal(first, second);
	assert_int_equal(btf_function(BTF_KERNEL, "vfs_rea", &first), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_compared_whole_or_by_their_beginning),
		cmocka_unit_test(the_usual_ones_are_what_a_guest_needs),
		cmocka_unit_test(a_full_table_fits),
		cmocka_unit_test(functions_of_this_kernel_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
