/* Reads isle's own lists of system calls, whose form config/seccomp/default.list explains. */
#include "config.h"

#include <errno.h>
#include <linux/fanotify.h>
#include <linux/keyctl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "../base/str.h"
#include "seccomp_rules.h"

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif
#ifndef IPPROTO_L2TP
#define IPPROTO_L2TP 115
#endif
#ifndef IPPROTO_SMC
#define IPPROTO_SMC 256
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

struct word_value {
	const char *word;
	uint64_t value;
};
#define WORD(name)                      \
	{                               \
#name, (uint64_t)(name) \
	}

static const struct word_value errnos[] = {
	WORD(EPERM),      WORD(ENOENT),  WORD(EIO),          WORD(ENOEXEC),      WORD(EAGAIN),          WORD(ENOMEM),
	WORD(EACCES),     WORD(EBUSY),   WORD(EEXIST),       WORD(ENODEV),       WORD(EINVAL),          WORD(ENFILE),
	WORD(EMFILE),     WORD(ENOTTY),  WORD(ENOSPC),       WORD(EROFS),        WORD(ENOSYS),          WORD(ENODATA),
	WORD(ENOLINK),    WORD(EPROTO),  WORD(EUSERS),       WORD(ENOPROTOOPT),  WORD(EPROTONOSUPPORT), WORD(ESOCKTNOSUPPORT),
	WORD(EOPNOTSUPP), WORD(ENOTSUP), WORD(EPFNOSUPPORT), WORD(EAFNOSUPPORT), WORD(ENOKEY),          WORD(EDQUOT),
	WORD(ECANCELED),
};

static const struct word_value constants[] = {
	WORD(AF_UNIX),
	WORD(AF_INET),
	WORD(AF_INET6),
	WORD(AF_NETLINK),
	WORD(AF_PACKET),
	WORD(AF_KEY),
	WORD(AF_ALG),
	WORD(AF_VSOCK),
	WORD(AF_BLUETOOTH),
	WORD(AF_CAN),
	WORD(AF_TIPC),
	WORD(AF_XDP),
	WORD(IPPROTO_ICMP),
	WORD(IPPROTO_TCP),
	WORD(IPPROTO_UDP),
	WORD(IPPROTO_ICMPV6),
	WORD(IPPROTO_UDPLITE),
	WORD(IPPROTO_SCTP),
	WORD(IPPROTO_DCCP),
	WORD(IPPROTO_L2TP),
	WORD(IPPROTO_SMC),
	WORD(IPPROTO_MPTCP),
	WORD(NETLINK_ROUTE),
	WORD(NETLINK_USERSOCK),
	WORD(NETLINK_SOCK_DIAG),
	WORD(NETLINK_XFRM),
	WORD(NETLINK_SELINUX),
	WORD(NETLINK_AUDIT),
	WORD(NETLINK_FIB_LOOKUP),
	WORD(NETLINK_CONNECTOR),
	WORD(NETLINK_NETFILTER),
	WORD(NETLINK_KOBJECT_UEVENT),
	WORD(NETLINK_GENERIC),
	WORD(NETLINK_CRYPTO),
	WORD(NETLINK_RDMA),
	WORD(CLONE_NEWNS),
	WORD(CLONE_NEWUTS),
	WORD(CLONE_NEWIPC),
	WORD(CLONE_NEWUSER),
	WORD(CLONE_NEWPID),
	WORD(CLONE_NEWNET),
	WORD(CLONE_NEWCGROUP),
	WORD(CLONE_NEWTIME),
	WORD(TIOCSTI),
	WORD(TIOCLINUX),
	WORD(TIOCSETD),
	WORD(MNT_FORCE),
	WORD(MNT_DETACH),
	WORD(RLIMIT_CORE),
	WORD(FAN_CLASS_CONTENT),
	WORD(FAN_CLASS_PRE_CONTENT),
	WORD(FAN_UNLIMITED_QUEUE),
	WORD(FAN_UNLIMITED_MARKS),
	WORD(FAN_ENABLE_AUDIT),
	WORD(KEYCTL_DH_COMPUTE),
	WORD(KEYCTL_PKEY_QUERY),
	WORD(KEYCTL_PKEY_ENCRYPT),
	WORD(KEYCTL_PKEY_DECRYPT),
	WORD(KEYCTL_PKEY_SIGN),
	WORD(KEYCTL_PKEY_VERIFY),
};

#define COUNT(table)   (sizeof(table) / sizeof((table)[0]))
#define ERRNO_MAX      4095
#define LINE_WORDS_MAX 256
#define BLANKS         " \t\r"

static const struct word_value *word_find(const struct word_value *table, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(table[i].word, word) == 0)
			return &table[i];
	return NULL;
}

int seccomp_errno(const char *word)
{
	const struct word_value *known = word_find(errnos, COUNT(errnos), word);
	uint64_t number;

	if (known)
		return (int)known->value;
	return str_to_u64(word, 0, ERRNO_MAX, &number) < 0 ? -EINVAL : (int)number;
}

/* One line taken apart; words point into the list's copy. */
struct line {
	const char *shown;
	int number;
	char *words[LINE_WORDS_MAX];
	size_t count;
};

static int bad_line(const struct line *line, struct err *err, const char *what, const char *word)
{
	auto_free char *safe = str_escape(word);

	(void)err_set(err, ERR_FAILED, "read system call list: %s '%.100s'", what, safe ? safe : "?");
	(void)err_where(err, line->shown, line->number);
	return -EINVAL;
}

static int split_line(char *text, struct line *line, struct err *err)
{
	char *comment = strchr(text, '#');

	if (comment)
		*comment = '\0';
	line->count = 0;
	for (char *at = text; *(at += strspn(at, BLANKS));) {
		size_t len = strcspn(at, BLANKS);
		bool last = at[len] == '\0';

		if (line->count == LINE_WORDS_MAX)
			return bad_line(line, err, "too many words on one line, at", at);
		at[len] = '\0';
		line->words[line->count++] = at;
		at += last ? len : len + 1;
	}
	return 0;
}

/* The action that begins a line; *ret_used is how many words it took. */
static int parse_action(const struct line *line, size_t from, uint32_t *ret, size_t *ret_used, struct err *err)
{
	static const struct {
		const char *word;
		uint32_t action;
	} actions[] = {
		{"allow", SECCOMP_RET_ALLOW},
		{"kill", SECCOMP_RET_KILL_PROCESS},
		{"log", SECCOMP_RET_LOG},
		{"pretend", SECCOMP_RET_ERRNO},
	};
	const char *word = line->words[from];

	if (strcmp(word, "errno") == 0) {
		if (from + 1 >= line->count)
			return bad_line(line, err, "an error name is missing after", word);

		int number = seccomp_errno(line->words[from + 1]);

		if (number <= 0)
			return bad_line(line, err, "unknown error", line->words[from + 1]);
		*ret = SECCOMP_RET_ERRNO | (uint32_t)number;
		*ret_used = 2;
		return 0;
	}
	/* `default ENOSYS` and `default errno ENOSYS` are one */
	if (from > 0 && word_find(errnos, COUNT(errnos), word)) {
		*ret = SECCOMP_RET_ERRNO | (uint32_t)seccomp_errno(word);
		*ret_used = 1;
		return 0;
	}
	for (size_t i = 0; i < COUNT(actions); i++) {
		if (strcmp(word, actions[i].word) == 0) {
			*ret = actions[i].action;
			*ret_used = 1;
			return 0;
		}
	}
	return bad_line(line, err, "unknown action", word);
}

static bool name_valid(const char *word)
{
	return strlen(word) < SECCOMP_NAME_MAX && word[0] >= '_' && word[0] <= 'z' && word[0] != '`' &&
	       word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static bool word_is_argument(const char *word)
{
	return strncmp(word, "arg", 3) == 0 && word[3] >= '0' && word[3] <= '9';
}

/* Numbers in decimal or 0x..., names of constants, joined by '|'. */
static int parse_value(const struct line *line, char *word, uint64_t *ret, struct err *err)
{
	uint64_t value = 0;

	for (char *part = word, *next; part; part = next) {
		next = strchr(part, '|');
		if (next)
			*next++ = '\0';

		const struct word_value *known = word_find(constants, COUNT(constants), part);
		uint64_t number = 0;
		char *end = part;

		if (known)
			number = known->value;
		else if (str_starts(part, "0x") && strspn(part + 2, "0123456789abcdefABCDEF") >= 1 && strlen(part) <= 18)
			number = strtoull(part, &end, 16);
		else if (str_to_u64(part, 0, UINT64_MAX, &number) == 0)
			end = part + strlen(part);
		if (!known && (end == part || *end))
			return bad_line(line, err, "unknown value", part);
		value |= number;
	}
	*ret = value;
	return 0;
}

static int parse_op(const char *word)
{
	static const char *const ops[] = {
		[SECCOMP_EQ] = "==", [SECCOMP_NE] = "!=", [SECCOMP_LT] = "<",
		[SECCOMP_LE] = "<=", [SECCOMP_GT] = ">",  [SECCOMP_GE] = ">=",
	};

	for (size_t i = 0; i < COUNT(ops); i++)
		if (strcmp(word, ops[i]) == 0)
			return (int)i;
	return -EINVAL;
}

/* "arg1 == X", "arg0 & X" (any of X's bits), "arg0 & X == Y"; "arg2:64" for the whole register. */
static int parse_cond(const struct line *line, size_t *at, struct seccomp_cond *ret, struct err *err)
{
	char *word = line->words[*at];
	bool wide = strcmp(word + 4, ":64") == 0;
	struct seccomp_cond cond = {.arg = (uint8_t)(word[3] - '0'), .mask = wide ? UINT64_MAX : UINT32_MAX};
	uint64_t full = cond.mask;

	if (word[3] > '5' || (!wide && word[4]))
		return bad_line(line, err, "bad argument, arg0 to arg5 with or without :64, not", word);
	if (*at + 2 >= line->count)
		return bad_line(line, err, "a comparison is missing after", word);

	bool masked = strcmp(line->words[*at + 1], "&") == 0;

	*at += 1;
	if (masked) {
		int r = parse_value(line, line->words[*at + 1], &cond.mask, err);

		if (r < 0)
			return r;
		if (cond.mask == 0 || cond.mask & ~full)
			return bad_line(line, err, "a mask of no bits, or of more than 32 without :64, for", word);
		*at += 2;
	}
	if (masked && (*at >= line->count || word_is_argument(line->words[*at]))) {
		cond.op = SECCOMP_NE;
	} else {
		int op = parse_op(line->words[*at]);

		if (op < 0)
			return bad_line(line, err, "unknown comparison", line->words[*at]);
		if (*at + 1 >= line->count)
			return bad_line(line, err, "a value is missing after", line->words[*at]);

		int r = parse_value(line, line->words[*at + 1], &cond.value, err);

		if (r < 0)
			return r;
		if (cond.value & ~(masked && (op == SECCOMP_EQ || op == SECCOMP_NE) ? cond.mask : full))
			return bad_line(line, err, "the value has bits that its mask or 32 bits do not, in the condition on", word);
		cond.op = (uint8_t)op;
		*at += 2;
	}
	*ret = cond;
	return 0;
}

static int parse_rule(const struct line *line, struct seccomp_rules *rules, struct err *err)
{
	struct seccomp_rule rule = {.arch = SECCOMP_ARCH_ALL};
	size_t at, first, names;
	int r = parse_action(line, 0, &rule.action, &at, err);

	if (r < 0)
		return r;
	for (first = at; at < line->count && !word_is_argument(line->words[at]); at++)
		if (!name_valid(line->words[at]))
			return bad_line(line, err, "this is no system call's name:", line->words[at]);
	names = at - first;
	if (names == 0)
		return bad_line(line, err, "a system call's name is missing after", line->words[first - 1]);
	while (at < line->count) {
		if (!word_is_argument(line->words[at]))
			return bad_line(line, err, "a condition begins with arg0 to arg5, not", line->words[at]);
		if (rule.cond_count == SECCOMP_CONDS_MAX)
			return bad_line(line, err, "too many conditions, at", line->words[at]);
		r = parse_cond(line, &at, &rule.conds[rule.cond_count++], err);
		if (r < 0)
			return r;
	}
	for (size_t i = first; i < first + names; i++) {
		if (rule.cond_count == 0)
			for (size_t j = 0; j < rules->count; j++)
				if (rules->list[j].layer == rules->layer && !rules->list[j].cond_count &&
				    strcmp(rules->list[j].name, line->words[i]) == 0)
					return bad_line(line, err, "the list already said what happens to", line->words[i]);
		(void)str_copy(rule.name, sizeof(rule.name), line->words[i]); /* name_valid has measured it */
		r = seccomp_rules_add(rules, &rule);
		if (r < 0)
			return err_num(err, r, "read system call list %s", line->shown);
	}
	return 0;
}

static int parse_line(const struct line *line, struct seccomp_rules *rules, bool *ret_include, struct err *err)
{
	size_t used;

	if (line->count == 0)
		return 0;
	if (strcmp(line->words[0], "include") == 0) {
		if (line->count != 2 || strcmp(line->words[1], "default") != 0)
			return bad_line(line, err, "the one list to include is 'default', not",
					line->count > 1 ? line->words[1] : "");
		*ret_include = true;
		return 0;
	}
	if (strcmp(line->words[0], "default") == 0) {
		if (line->count < 2)
			return bad_line(line, err, "an action is missing after", line->words[0]);

		int r = parse_action(line, 1, &rules->fallback, &used, err);

		if (r == 0 && used + 1 != line->count)
			return bad_line(line, err, "stray word", line->words[used + 1]);
		return r;
	}
	return parse_rule(line, rules, err);
}

int seccomp_list_parse(const char *text, const char *shown, struct seccomp_rules *rules, bool *ret_include, struct err *err)
{
	auto_free char *copy = strdup(text);
	auto_free struct line *line = calloc(1, sizeof(*line));
	bool include = false;

	if (!copy || !line)
		return err_num(err, ENOMEM, "read system call list %s", shown);
	line->shown = shown;
	for (char *at = copy, *next; at; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		line->number++;

		int r = split_line(at, line, err);

		if (r == 0)
			r = parse_line(line, rules, &include, err);
		if (r < 0)
			return r;
	}
	*ret_include = include;
	return 0;
}
