/* Compiles rules into a BPF program; libseccomp knows the system calls' numbers.
 *
 * libseccomp's own rules cannot say "errno for these two values of an argument, allow for every other" (one comparison for
 * each argument, and an unconditional rule swallows the conditional ones), so the program is written here: for each
 * architecture a binary search over ranges of call numbers with the same answer. Calls that are always allowed depend on
 * nothing but their number, so since 5.11 the kernel answers them from a bitmap without running the program. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/str.h"
#include "seccomp_rules.h"

#define OFFSET_NR     ((uint32_t)offsetof(struct seccomp_data, nr))
#define OFFSET_ARCH   ((uint32_t)offsetof(struct seccomp_data, arch))
#define OFFSET_ARG(n) ((uint32_t)(offsetof(struct seccomp_data, args) + 8 * (n)))
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OFFSET_LOW(n)  OFFSET_ARG(n)
#define OFFSET_HIGH(n) (OFFSET_ARG(n) + 4)
#else
#define OFFSET_LOW(n)  (OFFSET_ARG(n) + 4)
#define OFFSET_HIGH(n) OFFSET_ARG(n)
#endif

#define X32_BIT 0x40000000u
#define NO_CALL 0xffffffffu /* a tracer makes the kernel skip a call by setting its number to -1 */
#define LIBRARY "libseccomp.so.2"

/* libseccomp is loaded at compile time only: linking it would cost every start of isle 45 us. */
struct library {
	void *handle;
	__typeof__(&seccomp_syscall_resolve_name_arch) resolve;
	__typeof__(&seccomp_arch_native) native;
};

static void library_close(struct library *library)
{
	if (library->handle)
		dlclose(library->handle);
}

static int library_open(struct library *ret, struct err *err)
{
	struct library library = {.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL)};

	if (library.handle) {
		*(void **)&library.resolve = dlsym(library.handle, "seccomp_syscall_resolve_name_arch");
		*(void **)&library.native = dlsym(library.handle, "seccomp_arch_native");
	}
	if (!library.handle || !library.resolve || !library.native) {
		library_close(&library);
		(void)err_num(err, EOPNOTSUPP, "load %s for the system call filter", LIBRARY);
		err_hint(err, "install the package libseccomp2");
		return -EOPNOTSUPP;
	}
	*ret = library;
	return 0;
}

int seccomp_library_find(struct seccomp_library *ret, struct err *err)
{
	__attribute__((cleanup(library_close))) struct library library = {0};
	struct seccomp_library found = {0};
	struct stat st;
	Dl_info info;
	int r = library_open(&library, err);

	if (r < 0)
		return r;
	if (!dladdr(*(void **)&library.resolve, &info) || !info.dli_fname || stat(info.dli_fname, &st) < 0 ||
	    str_copy(found.path, sizeof(found.path), info.dli_fname) < 0)
		return err_num(err, ENOENT, "find the file of %s", LIBRARY);
	found.size = (uint64_t)st.st_size;
	found.mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	*ret = found;
	return 0;
}

/* Code that grows; failed stays set once memory or the kernel's bound ran out. */
struct code {
	struct sock_filter *at;
	size_t count, space;
	bool failed;
};

static void code_free(struct code *code)
{
	free(code->at);
}
#define auto_code __attribute__((cleanup(code_free)))

static void emit(struct code *code, struct sock_filter instruction)
{
	if (code->count == code->space) {
		size_t space = code->space ? code->space * 2 : 64;
		struct sock_filter *at = reallocarray(code->at, space, sizeof(*at));

		if (!at) {
			code->failed = true;
			return;
		}
		code->at = at;
		code->space = space;
	}
	code->at[code->count++] = instruction;
}

static void emit_load(struct code *code, uint32_t offset)
{
	emit(code, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void emit_jump(struct code *code, unsigned op, uint32_t value, uint8_t yes, uint8_t no)
{
	emit(code, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | op | BPF_K), value, yes, no));
}

static void emit_return(struct code *code, uint32_t action)
{
	emit(code, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* Jump targets that are not known yet: the end of the condition (it holds) and of the rule (it does not). A rule is far
 * shorter than either number. */
enum { TO_HELD = 0xfe, TO_FAILED = 0xff };

static void patch(struct code *code, size_t from, uint8_t target)
{
	for (size_t i = from; i < code->count; i++) {
		struct sock_filter *in = &code->at[i];

		if (BPF_CLASS(in->code) != BPF_JMP)
			continue;
		if (in->jt == target)
			in->jt = (uint8_t)(code->count - i - 1);
		if (in->jf == target)
			in->jf = (uint8_t)(code->count - i - 1);
	}
}

static void emit_load_masked(struct code *code, uint32_t offset, uint32_t mask)
{
	emit_load(code, offset);
	if (mask != UINT32_MAX)
		emit(code, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
}

/* The upper half decides unless it is equal. */
static void emit_high(struct code *code, const struct seccomp_cond *cond)
{
	uint32_t value = (uint32_t)(cond->value >> 32), mask = (uint32_t)(cond->mask >> 32);

	if (mask == 0 && value == 0)
		return;
	emit_load_masked(code, OFFSET_HIGH(cond->arg), mask);
	switch (cond->op) {
	case SECCOMP_EQ:
		emit_jump(code, BPF_JEQ, value, 0, TO_FAILED);
		break;
	case SECCOMP_NE:
		emit_jump(code, BPF_JEQ, value, 0, TO_HELD);
		break;
	case SECCOMP_GT:
	case SECCOMP_GE:
		emit_jump(code, BPF_JGT, value, TO_HELD, 0);
		emit_jump(code, BPF_JEQ, value, 0, TO_FAILED);
		break;
	default: /* LT, LE */
		emit_jump(code, BPF_JGT, value, TO_FAILED, 0);
		emit_jump(code, BPF_JEQ, value, 0, TO_HELD);
		break;
	}
}

static void emit_cond(struct code *code, const struct seccomp_cond *cond)
{
	static const struct {
		uint16_t op;
		uint8_t yes, no;
	} low[] = {
		[SECCOMP_EQ] = {BPF_JEQ, 0, TO_FAILED}, [SECCOMP_NE] = {BPF_JEQ, TO_FAILED, 0},
		[SECCOMP_GT] = {BPF_JGT, 0, TO_FAILED}, [SECCOMP_GE] = {BPF_JGE, 0, TO_FAILED},
		[SECCOMP_LT] = {BPF_JGE, TO_FAILED, 0}, [SECCOMP_LE] = {BPF_JGT, TO_FAILED, 0},
	};
	size_t start = code->count;

	emit_high(code, cond);
	emit_load_masked(code, OFFSET_LOW(cond->arg), (uint32_t)cond->mask);
	emit_jump(code, low[cond->op].op, (uint32_t)cond->value, low[cond->op].yes, low[cond->op].no);
	if (!code->failed)
		patch(code, start, TO_HELD);
}

static void emit_rule(struct code *code, const struct seccomp_rule *rule)
{
	size_t start = code->count;

	for (unsigned i = 0; i < rule->cond_count; i++)
		emit_cond(code, &rule->conds[i]);
	emit_return(code, rule->action);
	if (!code->failed)
		patch(code, start, TO_FAILED);
}

/* One rule of one call. */
struct entry {
	uint32_t nr;
	size_t order;
	const struct seccomp_rule *rule;
};

static int entry_compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	if (x->rule->layer != y->rule->layer)
		return x->rule->layer > y->rule->layer ? -1 : 1;
	if (!x->rule->cond_count != !y->rule->cond_count)
		return x->rule->cond_count ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Call numbers from `start` up to the next range's start have this answer: an action, or code where arguments decide. */
struct range {
	uint32_t start;
	uint32_t action;
	size_t code_at, code_count; /* in table.code; 0: action */
};

struct table {
	struct range *ranges;
	size_t count;
	struct code code;
};

static void table_free(struct table *table)
{
	free(table->ranges);
	code_free(&table->code);
}

static void add_range(struct table *table, struct range range)
{
	struct range *last = table->count ? &table->ranges[table->count - 1] : NULL;

	if (last && last->start == range.start)
		*last = range; /* the gap before it was empty */
	else
		table->ranges[table->count++] = range;

	size_t n = table->count;

	if (n > 1 && !table->ranges[n - 1].code_count && !table->ranges[n - 2].code_count &&
	    table->ranges[n - 1].action == table->ranges[n - 2].action)
		table->count--;
}

/* The answer to the calls of entries[0..count), which all have one number. */
static struct range range_of(struct table *table, const struct entry *entries, size_t count, uint32_t fallback)
{
	struct range range = {.start = entries[0].nr, .action = fallback, .code_at = table->code.count};
	size_t i = 0;

	for (; i < count && entries[i].rule->cond_count; i++)
		emit_rule(&table->code, entries[i].rule);
	/* An upper layer's rules come first, a lower one's behind them; one without conditions ends it all. */
	if (i < count)
		range.action = entries[i].rule->action;
	if (i > 0)
		emit_return(&table->code, range.action);
	range.code_count = table->code.count - range.code_at;
	return range;
}

/* libseccomp gives pseudo numbers for the calls that i386 had through socketcall and ipc before it had them directly. */
static int i386_number(const char *name)
{
	static const struct {
		const char *name;
		int nr;
	} calls[] = {
		{"socket", 359},  {"socketpair", 360}, {"bind", 361},       {"connect", 362},     {"listen", 363},
		{"accept4", 364}, {"getsockopt", 365}, {"setsockopt", 366}, {"getsockname", 367}, {"getpeername", 368},
		{"sendto", 369},  {"sendmsg", 370},    {"recvfrom", 371},   {"recvmsg", 372},     {"shutdown", 373},
		{"semget", 393},  {"semctl", 394},     {"shmget", 395},     {"shmctl", 396},      {"shmat", 397},
		{"shmdt", 398},   {"msgget", 399},     {"msgsnd", 400},     {"msgrcv", 401},      {"msgctl", 402},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(name, calls[i].name) == 0)
			return calls[i].nr;
	return -1;
}

static int resolve(const struct library *library, uint32_t arch, const char *name)
{
	int nr = arch == SCMP_ARCH_X86 ? i386_number(name) : -1;

	return nr >= 0 ? nr : library->resolve(arch, name);
}

struct compile {
	const struct library *library;
	const struct seccomp_rules *rules;
	uint32_t arch[2]; /* native, its 32-bit one or 0 */
};

static int build_table(const struct compile *compile, int which, struct table *table)
{
	const struct seccomp_rules *rules = compile->rules;
	auto_free struct entry *entries = calloc(rules->count + 1, sizeof(*entries));
	size_t count = 0;

	table->ranges = calloc(2 * rules->count + 2, sizeof(*table->ranges));
	if (!entries || !table->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < rules->count; i++) {
		const struct seccomp_rule *rule = &rules->list[i];

		if (rule->arch != SECCOMP_ARCH_ALL && (rule->arch == SECCOMP_ARCH_COMPAT) != (which == 1))
			continue;

		int nr = resolve(compile->library, compile->arch[which], rule->name);

		if (nr >= 0)
			entries[count++] = (struct entry){.nr = (uint32_t)nr, .order = i, .rule = rule};
	}
	qsort(entries, count, sizeof(*entries), entry_compare);

	struct range gap = {.action = rules->fallback};

	add_range(table, gap);
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && entries[end].nr == entries[i].nr;)
			end++;
		add_range(table, range_of(table, entries + i, end - i, rules->fallback));
		gap.start = entries[i].nr + 1;
		add_range(table, gap);
	}
	return table->code.failed ? -ENOMEM : 0;
}

static size_t tree_size(const struct table *table, size_t from, size_t to)
{
	if (to - from == 1)
		return table->ranges[from].code_count ? table->ranges[from].code_count : 1;

	size_t middle = from + (to - from) / 2;
	size_t left = tree_size(table, from, middle);

	return (left > UINT8_MAX ? 2 : 1) + left + tree_size(table, middle, to);
}

static void emit_tree(struct code *code, const struct table *table, size_t from, size_t to)
{
	if (to - from == 1) {
		const struct range *range = &table->ranges[from];

		for (size_t i = 0; i < range->code_count; i++)
			emit(code, table->code.at[range->code_at + i]);
		if (range->code_count == 0)
			emit_return(code, range->action);
		return;
	}

	size_t middle = from + (to - from) / 2;
	size_t left = tree_size(table, from, middle);

	if (left > UINT8_MAX) { /* further away than the 8 bits of a conditional jump reach */
		emit_jump(code, BPF_JGE, table->ranges[middle].start, 0, 1);
		emit(code, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)left));
	} else {
		emit_jump(code, BPF_JGE, table->ranges[middle].start, (uint8_t)left, 0);
	}
	emit_tree(code, table, from, middle);
	emit_tree(code, table, middle, to);
}

/* Behind the check of the architecture: the search for the call. */
static int emit_arch(struct code *code, const struct compile *compile, int which)
{
	__attribute__((cleanup(table_free))) struct table table = {0};
	int r = build_table(compile, which, &table);

	if (r < 0)
		return r;
	emit_load(code, OFFSET_NR);
	if (compile->arch[which] == SCMP_ARCH_X86_64) {
		emit_jump(code, BPF_JGE, X32_BIT, 0, 2);
		emit_jump(code, BPF_JEQ, NO_CALL, 1, 0);
		emit_return(code, SECCOMP_RET_KILL_PROCESS);
	}
	emit_tree(code, &table, 0, table.count);
	return 0;
}

/* The native architecture falls through its check, and every other but its 32-bit one is killed. */
static int emit_program(struct code *code, const struct compile *compile)
{
	emit_load(code, OFFSET_ARCH);
	emit_jump(code, BPF_JEQ, compile->arch[0], 1, 0);

	size_t jump = code->count;

	emit(code, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));

	int r = emit_arch(code, compile, 0);

	if (r < 0 || code->failed)
		return -ENOMEM;
	code->at[jump].k = (uint32_t)(code->count - jump - 1);
	if (compile->arch[1]) {
		emit_jump(code, BPF_JEQ, compile->arch[1], 1, 0);
		emit_return(code, SECCOMP_RET_KILL_PROCESS);
		r = emit_arch(code, compile, 1);
	} else {
		emit_return(code, SECCOMP_RET_KILL_PROCESS);
	}
	return r < 0 || code->failed ? -ENOMEM : 0;
}

static void record_unknown(struct seccomp_rules *rules, const struct library *library, uint32_t arch)
{
	auto_buf struct buf names = {0};

	rules->unknown = 0;
	for (size_t i = 0; i < rules->count; i++) {
		const char *name = rules->list[i].name;

		if (rules->list[i].layer < rules->report_from || library->resolve(arch, name) != __NR_SCMP_ERROR)
			continue;
		rules->unknown++;
		if (names.len + strlen(name) + 2 < sizeof(rules->unknown_names))
			buf_addf(&names, "%s%s", names.len ? " " : "", name);
	}
	(void)str_copy(rules->unknown_names, sizeof(rules->unknown_names), names.data ? names.data : "");
}

static uint32_t compat_arch(uint32_t native)
{
	switch (native) {
	case SCMP_ARCH_X86_64:
		return SCMP_ARCH_X86;
	case SCMP_ARCH_AARCH64:
		return SCMP_ARCH_ARM;
	default:
		return 0;
	}
}

int seccomp_compile(struct seccomp_rules *rules, struct seccomp_program *ret, struct err *err)
{
	__attribute__((cleanup(library_close))) struct library library = {0};
	auto_code struct code code = {0};
	int r = library_open(&library, err);

	if (r < 0)
		return r;

	uint32_t native = library.native();
	struct compile compile = {.library = &library, .rules = rules, .arch = {native, compat_arch(native)}};

	r = emit_program(&code, &compile);
	if (r < 0)
		return err_num(err, r, "compile the system call filter");
	if (code.count > BPF_MAXINSNS) {
		(void)err_num(err, E2BIG, "compile the system call filter: %zu instructions", code.count);
		err_hint(err, "the kernel takes %d: name fewer calls with argument conditions", BPF_MAXINSNS);
		return -E2BIG;
	}
	record_unknown(rules, &library, native);
	ret->filter = take_ptr(&code.at);
	ret->count = (unsigned short)code.count;
	return 0;
}

int seccomp_rules_add(struct seccomp_rules *rules, const struct seccomp_rule *rule)
{
	if (rules->count == SECCOMP_RULES_MAX)
		return -E2BIG;
	if (rules->count == rules->space) {
		size_t space = rules->space ? rules->space * 2 : 512;
		struct seccomp_rule *list = reallocarray(rules->list, space, sizeof(*list));

		if (!list)
			return -ENOMEM;
		rules->list = list;
		rules->space = space;
	}
	rules->list[rules->count] = *rule;
	rules->list[rules->count++].layer = rules->layer;
	return 0;
}

void seccomp_rules_free(struct seccomp_rules *rules)
{
	free(rules->list);
	*rules = (struct seccomp_rules){0};
}
