/* The environment of what isle executes in a guest. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "../base/str.h"
#include "command.h"
#include "environment.h"

#define OWN_MAX 12

static char *uuid_of(const char *id)
{
	return str_format("container_uuid=%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20);
}

char **environment_init(const struct run *run)
{
	const struct spec *spec = run->spec;
	char **asked = command_split(spec->guest.environment ? spec->guest.environment : "");
	size_t count = 0, more = 0;

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
	/* systemd 254 and later watches memory pressure by a trigger that no checkpoint carries, unless told not to. */
	if (spec->guest.checkpoint_ready)
		all[count++] = strdup("MEMORY_PRESSURE_WATCH=/dev/null");
	for (size_t i = 0; i < count; i++)
		if (!all[i])
			return NULL;
	memcpy(all + count, asked, more * sizeof(*all));
	return all;
}
