/* How a command's failure is shown: for people, or as JSON. */
#include "config.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "../base/str.h"
#include "report.h"

static const char *const code_names[] = {
	[ERR_FAILED] = "failed",     [ERR_USAGE] = "usage",     [ERR_NOT_FOUND] = "not_found",
	[ERR_STATE] = "wrong_state", [ERR_TIMEOUT] = "timeout",
};

int report_status(const struct err *err)
{
	return err->code > ERR_NONE && err->code <= ERR_TIMEOUT ? err->code : ERR_FAILED;
}

char *report_headline(const struct call *call, const struct err *err, const char *name)
{
	const struct verb *verb = call->verb;

	if (!verb || !verb->name || !*verb->name)
		return strdup("wrong usage");
	if (err->code == ERR_USAGE && !name)
		return str_format("wrong usage of 'isle%s%s'", call->lxc ? "-" : " ", verb->name);

	auto_free char *made = verb->headline || !verb->takes_all ? NULL : str_format("%s guest %%", verb->name);
	const char *text = verb->headline ? verb->headline : made;

	if (!text)
		return str_format("'isle %s' failed", verb->name);
	const char *mark = strchr(text, '%');

	if (!name && call->argc > 0)
		name = call->argv[0];
	if (!mark)
		return str_format("cannot %s", text);
	if (name)
		return str_format("cannot %.*s'%s'%s", (int)(mark - text), text, name, mark + 1);
	size_t len = (size_t)(mark - text);

	while (len > 0 && text[len - 1] == ' ')
		len--;
	/* "start guest %" of all guests, or of none that was named. */
	return str_format("cannot %.*ss%s", (int)len, text, mark + 1);
}

static void add_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, text && *text ? json_object_new_string(text) : NULL);
}

static void print_json(const struct err *err, const char *headline, const char *name)
{
	struct json_object *top = json_object_new_object(), *o = json_object_new_object();

	if (!top || !o)
		return;
	add_text(o, "code", code_names[report_status(err)]);
	json_object_object_add(o, "exit_status", json_object_new_int(report_status(err)));
	add_text(o, "message", headline);
	add_text(o, "guest", name);
	add_text(o, "step", err->step);
	add_text(o, "where", err->where);
	add_text(o, "failed", err->what);
	add_text(o, "reason", err->sys ? strerror(err->sys) : NULL);
	json_object_object_add(o, "errno", err->sys ? json_object_new_int(err->sys) : NULL);
	add_text(o, "fix", err->hint);
	json_object_object_add(top, "error", o);
	fprintf(stderr, "%s\n", json_object_to_json_string_ext(top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
}

void report_error(const struct call *call, const struct err *err, const char *name)
{
	auto_free char *headline = report_headline(call, err, name);

	/* A headline about a guest is about the first one named. */
	if (!name && call->argc > 0 && headline && strstr(headline, " guest '"))
		name = call->argv[0];
	fflush(stdout);
	if (call->json)
		print_json(err, headline ? headline : "", name);
	else
		err_print(err, headline ? headline : "failed");
}
