/* The environment of what isle executes in a guest. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include "../base/str.h"
#include "environment.h"

#define OWN_MAX 12

static char *uuid_of(const char *id)
{
	return str_format("container_uuid=%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20);
}

/* systemd since 254 watches memory pressure, since 261 that of the others too, by triggers that no checkpoint carries, unless told
 * not to. */
static const char *const watches[] = {"MEMORY_PRESSURE_WATCH=/dev/null", "CPU_PRESSURE_WATCH=/dev/null",
				      "IO_PRESSURE_WATCH=/dev/null"};

char **environment_init(const struct run *run)
{
	const struct spec *spec = run->spec;
	char **asked = NULL;
	size_t count = 0, more = 0;

	if (types_split(spec->guest.environment ? spec->guest.environment : "", &asked) < 0)
		return NULL;

	while (asked && asked[more])
		more++;
	char **all = asked ? calloc(OWN_MAX + more + 1, sizeof(*all)) : NULL;

	if (!all)
		return NULL;
	all[count++] = strdup(ENVIRONMENT_PATH);
	all[count++] = strdup("container=isle");
	all[count++] = strdup("TERM=linux");
	all[count++] = strdup("HOME=/root");
	if (spec->guest.id && strlen(spec->guest.id) == 32)
		all[count++] = uuid_of(spec->guest.id);
	if (run->want_notify)
		all[count++] = strdup("NOTIFY_SOCKET=/run/host/notify");
	for (size_t i = 0; spec->guest.checkpoint_ready && i < sizeof(watches) / sizeof(watches[0]); i++)
		all[count++] = strdup(watches[i]);
	for (size_t i = 0; i < count; i++)
		if (!all[i])
			return NULL;
	memcpy(all + count, asked, more * sizeof(*all));
	return all;
}

/* What of the caller's environment may come along: how its terminal and language are. */
static bool comes_along(const char *entry)
{
	static const char *const names[] = {"TERM=", "COLORTERM=", "LANG=", "LC_", "NO_COLOR="};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_starts(entry, names[i]) && str_printable(entry))
			return true;
	return false;
}

/* Sets NAME=VALUE in a list with room; false when memory ran out. */
static bool put(char **list, size_t *count, const char *entry)
{
	size_t name = strcspn(entry, "=");
	char *copy = strdup(entry);

	if (!copy)
		return false;
	for (size_t i = 0; i < *count; i++)
		if (strncmp(list[i], entry, name + 1) == 0) {
			free(list[i]);
			list[i] = copy;
			return true;
		}
	list[(*count)++] = copy;
	return true;
}

static bool put_pair(char **list, size_t *count, const char *name, const char *value)
{
	auto_free char *entry = str_format("%s=%s", name, value);

	return entry && put(list, count, entry);
}

char **environment_attach(const struct attach_request *request, const struct attach_user *user)
{
	size_t count = 0, room = OWN_MAX;

	for (char **entry = environ; entry && *entry; entry++)
		room++;
	for (size_t i = 0; request->env && request->env[i]; i++)
		room++;
	char **list = calloc(room + 1, sizeof(*list));
	bool ok = list != NULL;

	ok = ok && put(list, &count, ENVIRONMENT_PATH) && put(list, &count, "container=isle");
	ok = ok && put_pair(list, &count, "HOME", user->home) && put_pair(list, &count, "USER", user->name);
	ok = ok && put_pair(list, &count, "LOGNAME", user->name) && put_pair(list, &count, "SHELL", user->shell);
	for (char **entry = environ; ok && !request->clear_env && entry && *entry; entry++)
		if (comes_along(*entry))
			ok = put(list, &count, *entry);
	for (size_t i = 0; ok && request->env && request->env[i]; i++)
		ok = put(list, &count, request->env[i]);
	return ok ? list : NULL;
}
