/* Reads LXC's seccomp profiles of version 2 (lxc.container.conf(5), SECCOMP CONFIGURATION). */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>

#include "../base/str.h"
#include "seccomp_rules.h"

#define BLANKS " \t\r"

/* Where the parser stands. */
struct profile {
	const char *shown;
	int line;
	int stage;            /* 0: version, 1: policy, 2: rules */
	uint32_t rule_action; /* of a rule that names none */
	uint8_t arch;         /* enum seccomp_arch of the section */
	bool skip;            /* the section is for another machine */
	struct seccomp_rules *rules;
	struct err *err;
};

static int bad(const struct profile *profile, const char *what, const char *word)
{
	auto_free char *safe = str_escape(word);

	(void)err_set(profile->err, ERR_FAILED, "read LXC seccomp profile: %s '%.100s'", what, safe ? safe : "?");
	(void)err_where(profile->err, profile->shown, profile->line);
	return -EINVAL;
}

/* Cuts the next word off *at; "" at the end. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, BLANKS);
	size_t len = strcspn(word, BLANKS "[");

	if (len == 0 && *word == '[') {
		*at = word;
		return word + strlen(word);
	}
	*at = word + len;
	if (**at && **at != '[') {
		**at = '\0';
		(*at)++;
	}
	return word;
}

/* *at stands behind the call's or the policy's name. An argument's '[' or the end leaves *ret as it is. */
static int parse_action(const struct profile *profile, char **at, uint32_t *ret)
{
	*at += strspn(*at, BLANKS);
	if (**at == '\0' || **at == '[')
		return 0;

	char *start = *at;
	size_t len = strcspn(start, BLANKS "[");

	*at += len;
	if (len == 5 && strncmp(start, "errno", 5) == 0) {
		char number[16] = "";

		*at += strspn(*at, BLANKS);
		len = strcspn(*at, BLANKS "[");
		if (len < sizeof(number))
			(void)str_print(number, sizeof(number), "%.*s", (int)len, *at);

		int value = seccomp_errno(number);

		if (value < 0)
			return bad(profile, "bad number after errno:", *at);
		*at += len;
		*ret = SECCOMP_RET_ERRNO | (uint32_t)value;
		return 0;
	}
	if (len == 5 && strncmp(start, "allow", 5) == 0)
		*ret = SECCOMP_RET_ALLOW;
	else if (len == 4 && strncmp(start, "kill", 4) == 0)
		*ret = SECCOMP_RET_KILL_PROCESS;
	else if (len == 4 && strncmp(start, "trap", 4) == 0)
		*ret = SECCOMP_RET_TRAP;
	else if (len == 3 && strncmp(start, "log", 3) == 0)
		*ret = SECCOMP_RET_LOG;
	else if (len == 6 && strncmp(start, "notify", 6) == 0)
		return bad(profile, "isle has no seccomp agent to ask, use errno or allow instead of", "notify");
	else
		return bad(profile, "unknown action", start);
	return 0;
}

static int parse_number(const struct profile *profile, const char *word, uint64_t *ret)
{
	bool hex = strncasecmp(word, "0x", 2) == 0;
	size_t digits = strspn(word + (hex ? 2 : 0), hex ? "0123456789abcdefABCDEF" : "0123456789");

	if (digits == 0 || word[digits + (hex ? 2 : 0)])
		return bad(profile, "this is no number:", word);
	errno = 0;
	*ret = strtoull(word, NULL, 0);
	return errno ? bad(profile, "this number is too large:", word) : 0;
}

/* "index,value,op" or "index,value,op,mask", without the brackets; op by libseccomp's name or sign. */
static int parse_argument(const struct profile *profile, char *text, struct seccomp_cond *ret)
{
	static const struct {
		const char *name, *sign;
		int op;
	} ops[] = {
		{"SCMP_CMP_NE", "!=", SECCOMP_NE}, {"SCMP_CMP_LT", "<", SECCOMP_LT},  {"SCMP_CMP_LE", "<=", SECCOMP_LE},
		{"SCMP_CMP_EQ", "==", SECCOMP_EQ}, {"SCMP_CMP_GE", ">=", SECCOMP_GE}, {"SCMP_CMP_GT", ">", SECCOMP_GT},
		{"SCMP_CMP_MASKED_EQ", "&=", -1},
	};
	char *field[4] = {text};
	size_t fields = 1, known = 0;
	uint64_t index, mask = 0;

	for (char *at = text; (at = strchr(at, ',')); fields++) {
		*at++ = '\0';
		if (fields == 4)
			return bad(profile, "too many fields in an argument, at", at);
		field[fields] = at;
	}
	if (fields < 3)
		return bad(profile, "an argument reads [index,value,op] or [index,value,op,mask], not", text);
	for (size_t i = 0; i < fields; i++) {
		field[i] += strspn(field[i], BLANKS);
		field[i][strcspn(field[i], BLANKS)] = '\0';
	}
	while (known < sizeof(ops) / sizeof(ops[0]) && strcmp(field[2], ops[known].name) != 0 &&
	       strcmp(field[2], ops[known].sign) != 0)
		known++;
	if (known == sizeof(ops) / sizeof(ops[0]))
		return bad(profile, "unknown comparison", field[2]);
	if (parse_number(profile, field[0], &index) < 0 || parse_number(profile, field[1], &ret->value) < 0 ||
	    (fields == 4 && parse_number(profile, field[3], &mask) < 0))
		return -EINVAL;
	if (index > 5)
		return bad(profile, "a system call has arguments 0 to 5, not", field[0]);
	ret->arg = (uint8_t)index;
	ret->op = ops[known].op < 0 ? SECCOMP_EQ : (uint8_t)ops[known].op;
	ret->mask = ops[known].op < 0 ? mask : UINT64_MAX; /* LXC reads a mask for every comparison and uses it for this one */
	if (ret->value & ~ret->mask)
		return bad(profile, "the value has bits that its mask does not:", field[1]);
	return 0;
}

static int parse_section(struct profile *profile, const char *name)
{
	static const struct {
		const char *name;
		uint8_t arch;
	} here[] = {
		{"[all]", SECCOMP_ARCH_ALL},
#if defined(__x86_64__)
		{"[x86_64]", SECCOMP_ARCH_NATIVE},
		{"[amd64]", SECCOMP_ARCH_NATIVE},
		{"[x86]", SECCOMP_ARCH_COMPAT},
#elif defined(__aarch64__)
		{"[arm64]", SECCOMP_ARCH_NATIVE},
		{"[arm]", SECCOMP_ARCH_COMPAT},
#elif defined(__i386__)
		{"[x86]", SECCOMP_ARCH_NATIVE},
#elif defined(__arm__)
		{"[arm]", SECCOMP_ARCH_NATIVE},
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		{"[ppc64le]", SECCOMP_ARCH_NATIVE},
#elif defined(__s390x__)
		{"[s390x]", SECCOMP_ARCH_NATIVE},
#endif
	};
	static const char *const others[] = {
		"[x86]",         "[x32]",     "[x86_64]", "[amd64]",   "[arm]",         "[arm64]",  "[ppc]",
		"[ppc64]",       "[ppc64le]", "[mips]",   "[mips64]",  "[mips64n32]",   "[mipsel]", "[mipsel64]",
		"[mipsel64n32]", "[s390]",    "[s390x]",  "[riscv64]", "[loongarch64]",
	};

	for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++) {
		if (strcasecmp(name, here[i].name) == 0) {
			profile->arch = here[i].arch;
			profile->skip = false;
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (strcasecmp(name, others[i]) == 0) {
			profile->skip = true;
			return 0;
		}
	}
	return bad(profile, "unknown section", name);
}

static int add(const struct profile *profile, const struct seccomp_rule *rule)
{
	int r = seccomp_rules_add(profile->rules, rule);

	return r < 0 ? err_num(profile->err, r, "read LXC seccomp profile %s", profile->shown) : 0;
}

static int parse_rule(const struct profile *profile, char *text)
{
	struct seccomp_rule rule = {.action = profile->rule_action, .arch = profile->arch};
	char *at = text;
	char *name = next_word(&at);

	if (strcmp(name, "reject_force_umount") == 0) {
		rule.action = SECCOMP_RET_ERRNO | EACCES;
		rule.cond_count = 1;
		rule.conds[0] = (struct seccomp_cond){.arg = 1, .op = SECCOMP_EQ, .mask = MNT_FORCE, .value = MNT_FORCE};
		(void)str_copy(rule.name, sizeof(rule.name), "umount2"); /* it fits */
		return add(profile, &rule);
	}
	if (!*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] ||
	    str_copy(rule.name, sizeof(rule.name), name) < 0)
		return bad(profile, "this is no system call's name:", name);

	int r = parse_action(profile, &at, &rule.action);

	while (r == 0 && *(at += strspn(at, BLANKS))) {
		char *end = strchr(at, ']');

		if (*at != '[' || !end)
			return bad(profile, "an argument reads [index,value,op] or [index,value,op,mask], not", at);
		if (rule.cond_count == SECCOMP_CONDS_MAX)
			return bad(profile, "too many arguments, at", at);
		*end = '\0';
		r = parse_argument(profile, at + 1, &rule.conds[rule.cond_count++]);
		at = end + 1;
	}
	return r < 0 ? r : add(profile, &rule);
}

static int parse_policy(struct profile *profile, char *text)
{
	char *at = text;
	const char *type = next_word(&at);
	bool deny = strcmp(type, "denylist") == 0 || strcmp(type, "blacklist") == 0;

	if (!deny && strcmp(type, "allowlist") != 0 && strcmp(type, "whitelist") != 0)
		return bad(profile, "the second line is denylist or allowlist, not", type);
	profile->rules->fallback = deny ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS;
	profile->rule_action = deny ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW;

	int r = parse_action(profile, &at, &profile->rules->fallback);

	at += strspn(at, BLANKS);
	return r == 0 && *at ? bad(profile, "stray word", at) : r;
}

static int parse_line(struct profile *profile, char *text)
{
	text[strcspn(text, "#")] = '\0';
	text += strspn(text, BLANKS);
	for (size_t len = strlen(text); len && strchr(BLANKS, text[len - 1]); len--)
		text[len - 1] = '\0';
	if (!*text)
		return 0;
	switch (profile->stage) {
	case 0:
		if (strcmp(text, "2") != 0)
			return bad(profile, "isle reads profiles of version 2, not", text);
		profile->stage = 1;
		return 0;
	case 1:
		profile->stage = 2;
		return parse_policy(profile, text);
	default:
		if (*text == '[')
			return parse_section(profile, text);
		return profile->skip ? 0 : parse_rule(profile, text);
	}
}

bool seccomp_lxc_is(const char *text)
{
	for (const char *at = text; *at; at++) {
		at += strspn(at, BLANKS);
		if (*at >= '0' && *at <= '9')
			return true; /* a version number begins no list of isle's */
		if (*at != '#' && *at != '\n')
			return false;
		at += strcspn(at, "\n");
		if (!*at)
			break;
	}
	return false;
}

int seccomp_lxc_parse(const char *text, const char *shown, struct seccomp_rules *rules, struct err *err)
{
	auto_free char *copy = strdup(text);
	struct profile profile = {.shown = shown, .rules = rules, .err = err};

	if (!copy)
		return err_num(err, ENOMEM, "read LXC seccomp profile %s", shown);
	for (char *at = copy, *next; at; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		profile.line++;

		int r = parse_line(&profile, at);

		if (r < 0)
			return r;
	}
	return profile.stage == 2 ? 0 : bad(&profile, "the version or policy line is missing in", shown);
}
