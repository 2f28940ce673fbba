/* The last process of a guest that the kernel killed for want of memory, as its monitor noted it. */
#include "config.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "oom.h"

void oom_last_load(int run_fd, const char *name, struct oom_last *ret)
{
	auto_free char *path = str_format("%s/oom", name);
	auto_free char *text = NULL;
	uint64_t when, pid;

	*ret = (struct oom_last){0};
	if (!path || file_read(run_fd, path, 256, &text, NULL) < 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	char *rest = text, *first = strsep(&rest, " "), *second = strsep(&rest, " ");

	if (!rest || str_to_u64(first, 1, INT64_MAX, &when) < 0 || str_to_u64(second, 1, INT32_MAX, &pid) < 0 ||
	    str_copy(ret->name, sizeof(ret->name), rest) < 0)
		return;
	ret->time = when;
	ret->pid = (pid_t)pid;
}

char *oom_last_text(const struct oom_last *last)
{
	time_t now = time(NULL);
	char ago[32];

	if (!last->time)
		return NULL;
	auto_free char *name = str_escape(last->name);

	str_show_duration(now > (time_t)last->time ? (uint64_t)now - last->time : 0, ago);
	return name ? str_format("%s (process %d) %s ago", name, last->pid, ago) : NULL;
}

struct json_object *oom_last_json(const struct oom_last *last)
{
	if (!last->time)
		return NULL;
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "time", json_object_new_uint64(last->time));
	json_object_object_add(object, "pid", json_object_new_int(last->pid));
	json_object_object_add(object, "name", json_object_new_string(last->name));
	return object;
}
