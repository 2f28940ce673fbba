/* The device program: which device nodes a group of cgroup2 may open and make, as a BPF program on the group. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "../base/clean.h"
#include "bpf.h"
#include "bpfdev.h"

#define ALL  (BPFDEV_READ | BPFDEV_WRITE | BPFDEV_MKNOD)
#define OPEN (BPFDEV_READ | BPFDEV_WRITE)

/* Not 5:1, the host's own console: a guest's /dev/console is a terminal. 5:2 and 136 are those of the devpts that the node is
 * opened on, whichever devpts that is. */
const struct bpfdev_rule bpfdev_usual[] = {
	{BPFDEV_CHAR, ALL, 1, 3},             /* null */
	{BPFDEV_CHAR, ALL, 1, 5},             /* zero */
	{BPFDEV_CHAR, ALL, 1, 7},             /* full */
	{BPFDEV_CHAR, ALL, 1, 8},             /* random */
	{BPFDEV_CHAR, ALL, 1, 9},             /* urandom */
	{BPFDEV_CHAR, ALL, 5, 0},             /* tty */
	{BPFDEV_CHAR, ALL, 5, 2},             /* ptmx */
	{BPFDEV_CHAR, OPEN, 136, BPFDEV_ANY}, /* pts */
	{BPFDEV_CHAR, ALL, 10, 200},          /* net/tun */
	{BPFDEV_CHAR, ALL, 10, 229},          /* fuse */
};
const size_t bpfdev_usual_count = sizeof(bpfdev_usual) / sizeof(bpfdev_usual[0]);

bool bpfdev_allows(const struct bpfdev_rule *rules, size_t count, const struct bpfdev_rule *wanted)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].kind == wanted->kind && rules[i].major == wanted->major &&
		    (rules[i].minor == BPFDEV_ANY || rules[i].minor == wanted->minor) && !(wanted->access & ~rules[i].access))
			return true;
	return false;
}

/* The program */

static struct bpf_insn load_field(unsigned to, size_t offset)
{
	return (struct bpf_insn){
		.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = to & 15, .src_reg = BPF_REG_1, .off = (int16_t)offset};
}

static struct bpf_insn copy(unsigned to, unsigned from)
{
	return (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to & 15, .src_reg = from & 15};
}

static struct bpf_insn compute(unsigned operation, unsigned to, uint32_t value)
{
	return (struct bpf_insn){.code = (uint8_t)(BPF_ALU64 | operation | BPF_K), .dst_reg = to & 15, .imm = (int32_t)value};
}

/* Over `skip` instructions when the register is something else. */
static struct bpf_insn unless(unsigned reg, uint32_t value, size_t skip)
{
	return (struct bpf_insn){
		.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg & 15, .off = (int16_t)skip, .imm = (int32_t)value};
}

static struct bpf_insn leave(void)
{
	return (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
}

enum { KIND = BPF_REG_2, ACCESS = BPF_REG_3, MAJOR = BPF_REG_4, MINOR = BPF_REG_5, ANSWER = BPF_REG_0 };

static size_t emit_rule(const struct bpfdev_rule *rule, struct bpf_insn *code)
{
	const bool one_minor = rule->minor != BPFDEV_ANY;
	size_t n = 0, length = one_minor ? 8 : 7;

	code[n] = unless(KIND, rule->kind, length - n - 1), n++;
	code[n] = unless(MAJOR, rule->major, length - n - 1), n++;
	if (one_minor)
		code[n] = unless(MINOR, rule->minor, length - n - 1), n++;
	code[n++] = copy(ANSWER, ACCESS);
	code[n++] = compute(BPF_AND, ANSWER, ALL & ~rule->access);
	code[n] = unless(ANSWER, 0, length - n - 1), n++;
	code[n++] = compute(BPF_MOV, ANSWER, 1);
	code[n++] = leave();
	return n;
}

#define CODE_MAX (8 + BPFDEV_RULES * 8)

/* The program for the rules; returns its length. It is given access << 16 | kind, major, minor (struct bpf_cgroup_dev_ctx,
 * linux/bpf.h). */
static size_t emit(const struct bpfdev_rule *rules, size_t count, struct bpf_insn code[CODE_MAX])
{
	size_t n = 0;

	code[n++] = load_field(ACCESS, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	code[n++] = load_field(MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	code[n++] = load_field(MINOR, offsetof(struct bpf_cgroup_dev_ctx, minor));
	code[n++] = copy(KIND, ACCESS);
	code[n++] = compute(BPF_AND, KIND, 0xffff);
	code[n++] = compute(BPF_RSH, ACCESS, 16);
	for (size_t i = 0; i < count && i < BPFDEV_RULES; i++)
		n += emit_rule(&rules[i], code + n);
	code[n++] = compute(BPF_MOV, ANSWER, 0);
	code[n++] = leave();
	return n;
}

/* Loading it */

static const struct bpf_kind kind = {"isle_devices", "device program", BPF_PROG_TYPE_CGROUP_DEVICE, BPF_CGROUP_DEVICE};

static int load(const struct bpfdev_rule *rules, size_t count)
{
	struct bpf_insn code[CODE_MAX];

	return bpf_load(&kind, 0, code, emit(rules, count, code));
}

int bpfdev_probe(void)
{
	auto_close int program = load(NULL, 0);

	return program < 0 ? program : 0;
}

/* A kernel without CONFIG_CGROUP_BPF does not know the type; a host that is a guest itself may not load programs. */
static int cannot_load(int r, struct err *err)
{
	if (r != -EINVAL && r != -ENOSYS && r != -EPERM && r != -EACCES)
		return err_num(err, r, "load the guest's device program");
	(void)err_num(err, EOPNOTSUPP, "load the guest's device program (%s)", strerror(-r));
	return err_hint(err, "a kernel with CONFIG_CGROUP_BPF; isle doctor says what it finds");
}

int bpfdev_attach(const char *cgroup, const struct bpfdev_rule *rules, size_t count, struct err *err)
{
	if (count > BPFDEV_RULES)
		return err_num(err, E2BIG, "allow more than %d devices", BPFDEV_RULES);
	auto_close int program = load(rules, count);

	if (program < 0)
		return cannot_load(program, err);
	return bpf_put(cgroup, &kind, program, err);
}
