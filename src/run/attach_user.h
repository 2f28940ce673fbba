/* Who a program runs as in a guest: its /etc/passwd and /etc/group, read without NSS. */
#pragma once

#include <sys/types.h>

#include "../base/err.h"

#define ATTACH_GROUPS_MAX 64

struct attach_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[ATTACH_GROUPS_MAX];
	int group_count;
	char name[64], home[256], shell[256];
};

/* Called inside the guest. wanted: a name, a number or NULL for root; without an entry root is 0:0 with /bin/sh, a number is
 * itself. */
int attach_user_find(const char *wanted, struct attach_user *ret, struct err *err);
/* The same from the two files' texts, which are cut to pieces; NULL for one that is not there. */
int attach_user_choose(const char *wanted, char *passwd, char *group, struct attach_user *ret, struct err *err);
/* Groups, gid, uid, in this order, for good. */
int attach_user_become(const struct attach_user *user, struct err *err);
