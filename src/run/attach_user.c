/* Who a program runs as in a guest: its /etc/passwd and /etc/group, read without NSS. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "attach_user.h"

#define TABLE_MAX (4 << 20)

static size_t split(char *line, char *field[], size_t max)
{
	size_t count = 0;

	while (line && count < max)
		field[count++] = strsep(&line, ":");
	return count;
}

static bool to_id(const char *text, uint32_t *ret)
{
	uint64_t value;

	if (str_to_u64(text, 0, UINT32_MAX - 1, &value) < 0)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* passwd(5): name:x:uid:gid:gecos:home:shell */
static bool take_entry(char *line, const char *name, const uint32_t *uid, struct attach_user *ret)
{
	char *field[7] = {NULL};
	uint32_t own, group;

	if (split(line, field, 7) < 7 || !to_id(field[2], &own) || !to_id(field[3], &group))
		return false;
	if (strcmp(field[0], name) != 0 && !(uid && *uid == own))
		return false;
	ret->uid = own;
	ret->gid = group;
	return str_copy(ret->name, sizeof(ret->name), field[0]) == 0 && str_copy(ret->home, sizeof(ret->home), field[5]) == 0 &&
	       str_copy(ret->shell, sizeof(ret->shell), field[6]) == 0;
}

/* group(5): name:x:gid:member,member */
static void take_groups(struct attach_user *user, char *table)
{
	user->groups[user->group_count++] = user->gid;
	for (char *line; (line = strsep(&table, "\n")) && user->group_count < ATTACH_GROUPS_MAX;) {
		char *field[4] = {NULL};
		uint32_t gid;

		if (split(line, field, 4) < 4 || !to_id(field[2], &gid))
			continue;
		for (char *member; (member = strsep(&field[3], ","));)
			if (strcmp(member, user->name) == 0) {
				user->groups[user->group_count++] = gid;
				break;
			}
	}
}

int attach_user_choose(const char *wanted, char *passwd, char *group, struct attach_user *ret, struct err *err)
{
	struct attach_user user = {.home = "/", .shell = "/bin/sh"};
	const char *name = wanted ? wanted : "root";
	uint32_t number = 0;
	bool by_number = to_id(name, &number), found = false;

	for (char *line; !found && (line = strsep(&passwd, "\n"));)
		found = take_entry(line, name, by_number ? &number : NULL, &user);
	if (!found && wanted && !by_number) {
		(void)err_set(err, ERR_FAILED, "run as user '%.60s': the guest has no such user", wanted);
		return err_hint(err, "the guest's /etc/passwd lists its users; a number is taken as it is");
	}
	if (!found) {
		user.uid = user.gid = number;
		(void)str_copy(user.name, sizeof(user.name), by_number && number ? wanted : "root");
	}
	if (!user.shell[0])
		(void)str_copy(user.shell, sizeof(user.shell), "/bin/sh");
	take_groups(&user, group);
	*ret = user;
	return 0;
}

int attach_user_find(const char *wanted, struct attach_user *ret, struct err *err)
{
	auto_free char *passwd = NULL, *group = NULL;
	int r = file_read(AT_FDCWD, "/etc/passwd", TABLE_MAX, &passwd, NULL);

	if (r < 0 && r != -ENOENT && wanted)
		return err_num(err, r, "read the guest's /etc/passwd");
	(void)file_read(AT_FDCWD, "/etc/group", TABLE_MAX, &group, NULL); /* without it there is the user's own group */
	return attach_user_choose(wanted, passwd, group, ret, err);
}

int attach_user_become(const struct attach_user *user, struct err *err)
{
	if (setgroups((size_t)user->group_count, user->groups) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return err_sys(err, "become user %u in the guest", user->uid);
	return 0;
}
