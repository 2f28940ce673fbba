/* A change of a guest's config: text is edited, checked, made good in a running guest, and only then saved. */
#pragma once

#include "verbs.h"

enum change_when {
	CHANGE_BOTH,    /* in the running guest and for good */
	CHANGE_RUNTIME, /* in the running guest only */
	CHANGE_NEXT,    /* only for good */
};

/* The rows of a verb's options that say so, and what a call has of them; -EINVAL for both at once. */
#define CHANGE_OPTIONS                                                                                                            \
	{"runtime",       'r', NULL, "Change the running guest only: the next start has the config as it is.", NULL, false,       \
	 COMPLETE_NOTHING},                                                                                                       \
	{                                                                                                                         \
		"next", 'N', NULL, "Change the config only: a running guest goes on as it is until its next start.", NULL, false, \
			COMPLETE_NOTHING                                                                                          \
	}
int change_when(const struct call *call, enum change_when *ret, struct err *err);

struct config_change {
	struct call *call;
	struct guest guest; /* locked; its spec is the one before, NULL when the file has a fault */
	char *text;         /* the file as it is */
	enum change_when when;
	unsigned kinds; /* limits (CGROUP_BIT) that are set anew even where the config does not change: they were named */
};

/* Takes the guest's lock and reads its config; a config with a fault is no failure, since a change may mend it. */
int config_change_begin(struct call *call, const char *name, struct config_change *ret, struct err *err);
void config_change_end(struct config_change *change);

/* Replaces the config by text, and makes it good in a running guest, as change->when says: all of it or nothing. Tells on stderr
 * which keys wait for the next start, and what lowered limits meant. */
int config_change_apply(struct config_change *change, const char *text, struct err *err);

/* "KEY=VALUE" (set) or "KEY" words of a command line as one change of a guest's config. prefix stands before each key: "limits.",
 * "". force: also what isle notes for itself. */
struct config_words {
	char *const *words;
	int count;
	bool set, force, empty_unsets;
	const char *prefix;
	enum change_when when;
};
int config_change_words(struct call *call, const char *name, const struct config_words *words, struct err *err);

/* isle config NAME edit: runs the administrator's editor on a copy. */
int config_edit(struct call *call, const char *name, struct err *err);
