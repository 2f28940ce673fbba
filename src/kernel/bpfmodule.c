/* The module program: which modules the kernel may load because a process of a group asked for something, as a BPF program on the
 * group. */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "bpf.h"
#include "bpfmodule.h"
#include "btf.h"

/* Many requests need no privilege, or one that a guest's root has over its own namespaces: mount(2) with any name of a file system,
 * links of any type, formats of programs. What is not here is refused as if it were not installed; what the host has loaded
 * already, guests can use as ever: that is how an administrator gives them more. */
const char *const bpfmodule_usual[] = {
	/* File systems that a user namespace may mount. */
	"fs-autofs",
	"fs-binfmt_misc",
	"fs-fuse",
	"fs-fusectl",
	"fs-overlay",
	/* Devices that every guest may open: net/tun, fuse. */
	"char-major-10-200",
	"char-major-10-229",
	/* Sockets that default.list allows, where they are modules; what ss(8) asks about those. */
	"net-pf-10",
	"net-pf-17",
	"net-pf-16-proto-4-type-1",
	"net-pf-16-proto-4-type-10",
	"net-pf-16-proto-4-type-10-255",
	"net-pf-16-proto-4-type-16",
	"net-pf-16-proto-4-type-17",
	"net-pf-16-proto-4-type-2",
	"net-pf-16-proto-4-type-2-6",
	"net-pf-16-proto-4-type-2-17",
	"net-pf-16-proto-4-type-2-136",
	"net-pf-16-proto-4-type-2-255",
	"net-pf-16-proto-4-type-2-262",
	/* Links that guests make for guests, containers and VPNs of their own. None of these puts one into every network namespace.
	 */
	"rtnl-link-bridge",
	"rtnl-link-dummy",
	"rtnl-link-ipvlan",
	"rtnl-link-macvlan",
	"rtnl-link-veth",
	"rtnl-link-vlan",
	"rtnl-link-wireguard",
	"net-pf-16-proto-16-family-wireguard",
	/* Packet filters: nft, iptables, ipset, and logging. */
	"net-pf-16-proto-12",
	"nfnetlink-subsys-*",
	"nft-*",
	"nfct-helper-*",
	"nf_*",
	"nf-*",
	"ip_nat_*",
	"ip_set_*",
	"ipt_*",
	"ip6t_*",
	"iptable_*",
	"ip6table_*",
	"xt_*",
};
const size_t bpfmodule_usual_count = sizeof(bpfmodule_usual) / sizeof(bpfmodule_usual[0]);

/* The program */

enum {
	WORD = 8,
	NAME_SIZE = 64,          /* MODULE_NAME_LEN is less on every kernel */
	FIRST_WORD = BPF_REG_2,  /* the name in eight registers, from this one on */
	PROBE_READ_STRING = 115, /* BPF_FUNC_probe_read_kernel_str */
};

static size_t emit_constant(struct bpf_insn *code, unsigned to, uint64_t value)
{
	code[0] = (struct bpf_insn){.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = to & 15, .imm = (int32_t)(uint32_t)value};
	code[1] = (struct bpf_insn){.imm = (int32_t)(uint32_t)(value >> 32)};
	return 2;
}

static struct bpf_insn operate(unsigned operation, unsigned to, int32_t value)
{
	return (struct bpf_insn){.code = (uint8_t)(BPF_ALU64 | operation | BPF_K), .dst_reg = to & 15, .imm = value};
}

static struct bpf_insn copy(unsigned to, unsigned from)
{
	return (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to & 15, .src_reg = from & 15};
}

/* r2..r9 become the name, copied out of the kernel's memory; what is behind its end stays undefined. */
static size_t emit_fetch(struct bpf_insn *code)
{
	size_t n = 0;

	code[n++] = (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_1};
	code[n++] = copy(BPF_REG_1, BPF_REG_10);
	code[n++] = operate(BPF_ADD, BPF_REG_1, -NAME_SIZE);
	code[n++] = operate(BPF_MOV, BPF_REG_2, NAME_SIZE);
	code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = PROBE_READ_STRING};
	for (int i = 0; i < NAME_SIZE / WORD; i++)
		code[n++] = (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_DW,
					      .dst_reg = (FIRST_WORD + (unsigned)i) & 15,
					      .src_reg = BPF_REG_10,
					      .off = (int16_t)(i * WORD - NAME_SIZE)};
	return n;
}

/* Allows one name: word by word, the last cut to the bytes that count. The jumps of a mismatch are filled in at the end. */
static size_t emit_name(const char *name, struct bpf_insn *code)
{
	size_t len = strlen(name), n = 0, jumps[NAME_SIZE / WORD], jump_count = 0;
	const bool all = len > 0 && name[len - 1] == '*';
	const size_t compared = all ? len - 1 : len + 1; /* with the NUL that ends it */

	for (size_t at = 0; at < compared && at < NAME_SIZE; at += WORD) {
		const size_t bytes = compared - at < WORD ? compared - at : WORD;
		const int unused = (int)(8 * (WORD - bytes));
		unsigned reg = FIRST_WORD + (unsigned)(at / WORD);
		uint64_t wanted = 0;

		memcpy(&wanted, name + at, bytes);
		if (unused) {
			/* The last bytes in memory are the high ones of the register, or the low ones on big-endian machines. */
			const bool little = __BYTE_ORDER == __LITTLE_ENDIAN;

			code[n++] = copy(BPF_REG_0, reg);
			code[n++] = operate(little ? BPF_LSH : BPF_RSH, BPF_REG_0, unused);
			wanted = little ? wanted << unused : wanted >> unused;
			reg = BPF_REG_0;
		}
		n += emit_constant(code + n, BPF_REG_1, wanted);
		jumps[jump_count++] = n;
		code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = reg & 15, .src_reg = BPF_REG_1};
	}
	code[n++] = operate(BPF_MOV, BPF_REG_0, 1);
	code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	for (size_t i = 0; i < jump_count; i++)
		code[jumps[i]].off = (int16_t)(n - jumps[i] - 1);
	return n;
}

size_t bpfmodule_emit(const char *const *names, size_t count, struct bpf_insn code[BPFMODULE_CODE])
{
	size_t n = emit_fetch(code);

	for (size_t i = 0; i < count && i < BPFMODULE_NAMES; i++)
		n += emit_name(names[i], code + n);
	code[n++] = operate(BPF_MOV, BPF_REG_0, 0);
	code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	return n;
}

/* The kernel's side */

#define HOOK_NAME   "bpf_lsm_kernel_module_request"
#define CACHE_NAME  "module-hook"
#define UNSUPPORTED 524 /* the kernel's own ENOTSUPP, which it should not show and does */

static const struct bpf_kind kind = {"isle_modules", "module program", BPF_PROG_TYPE_LSM, BPF_LSM_CGROUP};

/* Programs can be loaded for a hook that nobody calls: only the list of modules tells. */
static bool hooks_are_called(void)
{
	enum { LIST_MODULES = 461, ID_BPF = 110 }; /* lsm_list_modules(2), Linux 6.8; enum in linux/lsm.h */
	uint64_t ids[64];
	uint32_t size = sizeof(ids);
	auto_free char *list = NULL;

	if (file_read(AT_FDCWD, "/sys/kernel/security/lsm", 4096, &list, NULL) == 0) {
		char *rest = list;

		for (char *word; (word = strsep(&rest, ",\n"));)
			if (!strcmp(word, "bpf"))
				return true;
		return false;
	}
	long count = syscall(LIST_MODULES, ids, &size, 0);

	for (long i = 0; i < count && i < (long)(sizeof(ids) / sizeof(ids[0])); i++)
		if (ids[i] == ID_BPF)
			return true;
	return false;
}

/* The file in the cache: the boot's id and the number. Another kernel comes with another boot. */
static int find_hook(const char *cache, uint32_t *ret)
{
	char boot[37];
	auto_free char *text = NULL;
	uint64_t number;
	auto_close int dir = cache ? open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	const bool cached = dir >= 0 && proc_boot_id(boot) == 0;

	if (cached && file_read(dir, CACHE_NAME, 128, &text, NULL) == 0 && strlen(text) > 37 && strncmp(text, boot, 36) == 0 &&
	    text[36] == ' ' && str_to_u64(text + 37, 1, UINT32_MAX, &number) == 0) {
		*ret = (uint32_t)number;
		return 0;
	}
	int r = btf_function(BTF_KERNEL, HOOK_NAME, ret);
	auto_free char *line = r == 0 && cached ? str_format("%s %u", boot, *ret) : NULL;

	if (line)
		(void)file_replace_quick(dir, CACHE_NAME, line, strlen(line), 0600, NULL); /* else it is looked up again */
	return r;
}

static int cannot(struct err *err, const char *lacks, const char *hint)
{
	(void)err_num(err, EOPNOTSUPP, "keep modules from being loaded at a guest's wish: %s", lacks);
	(void)err_hint(err, "%s", hint);
	return -EOPNOTSUPP;
}

int bpfmodule_attach(const char *cgroup, const char *cache, struct err *err)
{
	static const char other[] = "boot with bpf in the list lsm=, Linux 6.0 or later; or modprobe.d: security.md, Modules";
	static const char newer[] = "Linux 6.0 or later, with CONFIG_BPF_LSM and CONFIG_DEBUG_INFO_BTF";
	struct bpf_insn code[BPFMODULE_CODE];
	struct err why = {0};
	uint32_t hook;

	if (!hooks_are_called())
		return cannot(err, "the kernel does not ask BPF programs", other);
	if (find_hook(cache, &hook) < 0)
		return cannot(err, "the kernel does not describe its hooks", newer);
	auto_close int program = bpf_load(&kind, hook, code, bpfmodule_emit(bpfmodule_usual, bpfmodule_usual_count, code));

	if (program < 0)
		return cannot(err, strerror(-program), newer);
	int r = bpf_put(cgroup, &kind, program, &why);

	if (r == -EINVAL || r == -EOPNOTSUPP || r == -UNSUPPORTED) /* an architecture whose hooks cannot be patched */
		return cannot(err, "the kernel cannot attach programs to its hooks", newer);
	if (r < 0 && err)
		*err = why;
	return r;
}
