/* What tests of isle's own programs share that compute an answer as the kernel would. */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does the instruction when it is one that every program has: a move, or a jump, for which `at` becomes the place of the last one
 * that is passed over. False: it is another. */
static inline bool ebpf_step(const struct bpf_insn *in, uint64_t reg[11], size_t *at)
{
	switch (in->code) {
	case BPF_ALU64 | BPF_MOV | BPF_X:
		reg[in->dst_reg] = reg[in->src_reg];
		return true;
	case BPF_ALU64 | BPF_MOV | BPF_K:
		reg[in->dst_reg] = (uint64_t)(int64_t)in->imm;
		return true;
	case BPF_JMP | BPF_JNE | BPF_X:
		if (reg[in->dst_reg] != reg[in->src_reg])
			*at += (size_t)in->off;
		return true;
	default:
		return false;
	}
}
