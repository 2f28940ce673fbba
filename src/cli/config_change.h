/* A change of a guest's config: text is edited, checked, made good in a running guest, and only then saved. */
#pragma once

#include "verbs.h"

struct config_change {
	struct call *call;
	struct guest guest; /* locked; its spec is the one before, NULL when the file has a fault */
	char *text;         /* the file as it is */
};

/* Takes the guest's lock and reads its config; a config with a fault is no failure, since a change may mend it. */
int config_change_begin(struct call *call, const char *name, struct config_change *ret, struct err *err);
void config_change_end(struct config_change *change);

/* Replaces the config by text: all of it or nothing. Tells on stderr which keys wait for the next start. */
int config_change_apply(struct config_change *change, const char *text, struct err *err);

/* isle config NAME edit: runs the administrator's editor on a copy. */
int config_edit(struct call *call, const char *name, struct err *err);
