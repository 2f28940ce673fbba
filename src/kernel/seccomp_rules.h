/* A filter before it is compiled: rules by system call name, for the seccomp_*.c files alone. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "seccomp.h"

enum seccomp_op { SECCOMP_EQ, SECCOMP_NE, SECCOMP_LT, SECCOMP_LE, SECCOMP_GT, SECCOMP_GE };

/* (argument & mask) OP value, unsigned, on 64 bits. */
struct seccomp_cond {
	uint8_t arg;
	uint8_t op; /* enum seccomp_op */
	uint64_t mask;
	uint64_t value;
};

#define SECCOMP_CONDS_MAX  6
#define SECCOMP_NAME_MAX   48
#define SECCOMP_LAYERS_MAX 8
#define SECCOMP_LIST_MAX   (256 << 10) /* bytes of a list */
#define SECCOMP_RULES_MAX  16384

/* Which architectures a rule is for. */
enum seccomp_arch { SECCOMP_ARCH_ALL, SECCOMP_ARCH_NATIVE, SECCOMP_ARCH_COMPAT };

/* For one call the rules of the highest layer decide first; within a layer those with conditions in their order (all of a
 * rule's conditions must hold), then the one without. What no rule decides gets the default. */
struct seccomp_rule {
	char name[SECCOMP_NAME_MAX];
	uint32_t action; /* SECCOMP_RET_* with data */
	uint8_t arch;    /* enum seccomp_arch */
	uint8_t layer;
	uint8_t cond_count;
	struct seccomp_cond conds[SECCOMP_CONDS_MAX];
};

struct seccomp_rules {
	struct seccomp_rule *list;
	size_t count, space;
	uint32_t fallback;       /* for calls that no rule decides */
	uint8_t layer;           /* of the rules being added */
	uint8_t report_from;     /* from this layer on, unknown calls are recorded: */
	unsigned unknown;        /* rules passed over because this libseccomp does not know their call */
	char unknown_names[128]; /* the first of them, for messages */
};

int seccomp_rules_add(struct seccomp_rules *rules, const struct seccomp_rule *rule); /* 0, -ENOMEM, -E2BIG */
void seccomp_rules_free(struct seccomp_rules *rules);

/* Text of a list in isle's form, or LXC's version 2, into rules. shown: the file's name in messages. *ret_include (isle's form
 * only, may not be NULL) is set when the text says `include default`, whose layers come below the text's own. */
int seccomp_list_parse(const char *text, const char *shown, struct seccomp_rules *rules, bool *ret_include, struct err *err);
int seccomp_lxc_parse(const char *text, const char *shown, struct seccomp_rules *rules, struct err *err);
bool seccomp_lxc_is(const char *text);

/* "EPERM" or "1" to 1; -EINVAL. */
int seccomp_errno(const char *word);

/* Compiles for this machine's architecture and its 32-bit one. Fills rules->unknown. */
int seccomp_compile(struct seccomp_rules *rules, struct seccomp_program *ret, struct err *err);

/* What a compiled program depends on beside its lists. */
struct seccomp_library {
	char path[192]; /* of the libseccomp that gave the numbers */
	uint64_t size, mtime;
};
int seccomp_library_find(struct seccomp_library *ret, struct err *err);
