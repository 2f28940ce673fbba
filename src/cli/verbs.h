/* Verbs: each is one const struct beside its code; help, manual, completion and option parsing read it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"
#include "../guest/store.h"

enum complete {
	COMPLETE_NOTHING,
	COMPLETE_GUEST,
	COMPLETE_RUNNING,
	COMPLETE_STOPPED,
	COMPLETE_FILE,
	COMPLETE_TEMPLATE,
	COMPLETE_KEY,
	COMPLETE_IMAGE,
	COMPLETE_DEVICE,     /* of the guest that is named before */
	COMPLETE_CHECKPOINT, /* likewise */
	COMPLETE_PLAN,
	COMPLETE_LIMIT,
	COMPLETE_VERB
};

enum verb_group { GROUP_LIFE, GROUP_LOOK, GROUP_INSIDE, GROUP_SETTINGS, GROUP_STORAGE, GROUP_STATE, GROUP_HOST, GROUP_INTERNAL };

struct option_row {
	const char *name; /* "timeout"; NULL ends the table */
	char letter;      /* isle's short form, 0: none */
	const char *arg;  /* "SECONDS"; NULL: a flag */
	const char *doc;  /* NULL: taken, but not shown in help */
	const char *lxc;  /* LXC's other spellings for the isle-VERB form, words: "-k --nokill"; NULL: none */
	bool repeats;     /* may be given several times */
	enum complete complete;
};

struct call;

struct verb {
	const char *name;
	const char *aliases; /* words: "attach"; NULL */
	enum verb_group group;
	const char *synopsis; /* "[OPTIONS] NAME... " */
	const char *summary;  /* one line */
	const char *headline; /* after "cannot": "start guest %", % is the quoted first argument; NULL: made from the name */
	const char *text;     /* paragraphs for the manual (blank line between) */
	const char *examples; /* lines for the manual */
	const struct option_row *options;
	int min, max;           /* positional arguments; max -1: any number */
	enum complete complete; /* what positional arguments are */
	const char *args;   /* for completion, where they differ, a word each, the last one repeats: "GUEST get|set|unset KEY" */
	bool takes_all;     /* offers --all beside names, and -n NAME */
	bool takes_words;   /* arguments that are no names too: with --all it is left to run what they are */
	bool rest;          /* arguments after "--" (or after the first positional: see stop_at_first) are handed on */
	bool stop_at_first; /* options end at the first argument after `max` positional ones, which begins the rest: exec */
	bool needs_root;
	bool enters_guests;                             /* has a process of its own inside one: see sealed.h */
	bool makes_guests;                              /* that its arguments name but are not there yet */
	bool makes_store;                               /* makes the folder that -P or ISLE_PATH names when there is none */
	int (*run)(struct call *call, struct err *err); /* 0, -errno with err set, or a positive exit status */
};

/* One invocation, after parsing. */
struct call {
	const struct verb *verb;
	bool lxc;            /* called as isle-VERB */
	const char *path;    /* -P, NULL */
	struct store *store; /* opened on demand by call_store */
	int argc;            /* positional arguments: names and so on */
	char **argv;
	int rest_argc; /* after "--" */
	char **rest;
	bool json, quiet;
	int color;                     /* terminal and no NO_COLOR */
	int verbose;                   /* how often -v was given */
	struct option_values *options; /* parsed values */
	void *data;                    /* the verb's own, for call_each */
};

/* A usage error that carries the verb's synopsis as its hint. Returns -EINVAL. */
int call_usage(const struct call *call, struct err *err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

bool call_has(const struct call *call, const char *option);
const char *call_value(const struct call *call, const char *option);                      /* last given, NULL when not */
size_t call_values(const struct call *call, const char *option, const char *const **ret); /* all, in order, for repeats */
/* Duration option in ms (fallback when not given); -EINVAL with usage error. */
int call_duration(const struct call *call, const char *option, unsigned long fallback_ms, unsigned long *ret, struct err *err);
int call_number(const struct call *call, const char *option, unsigned long fallback, unsigned long min, unsigned long max,
		unsigned long *ret, struct err *err);
int call_store(struct call *call, const struct store **ret, struct err *err);
/* Opens the guest that the command is to change, and takes its lock. *ret, which is NULL before, is the caller's to free, after a
 * failure as well. */
int call_guest(struct call *call, const char *name, struct guest **ret, struct err *err);

/* The names a command is for: the positional arguments, or every guest with --all (in one of `states`, bits of enum state).
 * Names are checked, duplicates refused. *ret NULL-ended, free with store_names_free. */
int call_names(struct call *call, unsigned states, char ***ret, struct err *err);
#define CALL_ANY_STATE    (~0u) /* without a look at any */
#define CALL_STATE(state) (1u << (state))

/* Does fn for every name, in parallel children (at most --jobs, default twice the CPUs; a single name is done in-process), prints
 * each failure as its own error record, returns 0, or the worst exit code as a positive status. SIGINT, SIGTERM and SIGHUP are
 * passed on to the children, which are awaited (a second one kills them), and make the status 128+n. */
int call_each(struct call *call, char *const *names, int (*fn)(struct call *call, const char *name, struct err *err),
	      struct err *err);

extern const struct verb *const verb_table[];   /* NULL-ended, in the order of help */
const struct verb *verb_find(const char *name); /* by name or alias, NULL when there is none */
bool verb_is(const struct verb *verb, const char *name);
