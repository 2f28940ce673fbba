/* isle list: the guests, one a line. */
#include "config.h"

#include <errno.h>
#include <fnmatch.h>
#include <json-c/json.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "columns.h"
#include "promised.h"
#include "verbs.h"
#include "../base/str.h"

#define COLUMNS_MAX 32

struct shown {
	const struct column *column; /* NULL: a config key */
	char key[128];
	int width;
};

/* What is shown of a guest; the facts themselves hold a descriptor and are let go at once. */
struct row {
	char name[STORE_NAME_MAX + 1];
	enum state state;
	struct json_object *json;
	struct cell cells[COLUMNS_MAX];
};

struct list {
	struct call *call;
	struct shown shown[COLUMNS_MAX];
	size_t shown_count;
	unsigned want;
	size_t sort; /* index in shown; shown_count: by name */
	bool reverse;
	unsigned states; /* bits by enum state; 0: any */
	bool has_regex;
	regex_t regex;
	struct row *rows;
	size_t count;
};

static int add_column(struct list *list, const char *name, struct err *err)
{
	struct shown *shown = &list->shown[list->shown_count];
	const char *candidates[64];
	size_t count = 0;

	if (list->shown_count + 1 >= COLUMNS_MAX) /* one is left for sorting */
		return call_usage(list->call, err, "more than %d columns", COLUMNS_MAX - 1);
	*shown = (struct shown){.column = column_find(name)};
	if (!shown->column && strchr(name, '.') && str_copy(shown->key, sizeof(shown->key), name) == 0) {
		list->want |= FACTS_CONFIG;
		list->shown_count++;
		return 0;
	}
	if (shown->column) {
		list->want |= shown->column->want;
		list->shown_count++;
		return 0;
	}
	for (const struct column *column = column_table; column->name; column++)
		candidates[count++] = column->name;
	const char *near = str_near(name, candidates, count);

	return call_usage(list->call, err, "there is no column '%s'%s%s%s", name, near ? ", did you mean '" : "", near ? near : "",
			  near ? "'?" : "");
}

static int add_columns(struct list *list, const char *names, struct err *err)
{
	while (*names) {
		size_t len = strcspn(names, ", ");
		char name[128];

		if (len > 0) {
			if (str_print(name, sizeof(name), "%.*s", (int)(len < 1000 ? len : 1000), names) < 0)
				return call_usage(list->call, err, "there is no column '%.40s...'", names);
			int rc = add_column(list, name, err);

			if (rc < 0)
				return rc;
		}
		names += len;
		names += *names != '\0';
	}
	return list->shown_count ? 0 : call_usage(list->call, err, "--columns names no column");
}

static int choose_sort(struct list *list, struct err *err)
{
	const char *name = call_value(list->call, "sort");

	list->sort = list->shown_count;
	if (!name)
		return 0;
	list->reverse = *name == '-';
	name += list->reverse;
	for (size_t i = 0; i < list->shown_count; i++) {
		const char *shown = list->shown[i].column ? list->shown[i].column->name : list->shown[i].key;

		if (!strcasecmp(shown, name)) {
			list->sort = i;
			return 0;
		}
	}
	int rc = add_column(list, name, err); /* computed like a shown one, but not counted as shown */

	if (rc == 0)
		list->shown_count--;
	return rc;
}

static bool names_only(const struct list *list)
{
	const struct call *call = list->call;

	return call_has(call, "names") || (call->lxc && !call_has(call, "long") && !call_has(call, "columns"));
}

static int choose_columns(struct list *list, struct err *err)
{
	const struct call *call = list->call;
	const char *names = call_value(call, "columns");

	if (!names && (call_has(call, "long") || call_has(call, "fancy")))
		names = call->lxc ? "name,state,autostart,ipv4,ipv6,unprivileged"
				  : "name,state,pid,address,memory,memory_limit,processes,cpu,storage,plan,started,image";
	if (!names)
		names = names_only(list) ? "name" : "name,state,pid,address";
	int rc = add_columns(list, names, err);

	return rc < 0 ? rc : choose_sort(list, err);
}

static int choose_states(struct list *list, struct err *err)
{
	const struct call *call = list->call;
	const char *const *values;
	size_t count = call_values(call, "state", &values);

	if (call_has(call, "running"))
		list->states |= 1u << STATE_RUNNING;
	if (call_has(call, "frozen"))
		list->states |= 1u << STATE_FROZEN;
	if (call_has(call, "stopped"))
		list->states |= 1u << STATE_STOPPED;
	if (call_has(call, "active"))
		list->states |= 1u << STATE_RUNNING | 1u << STATE_FROZEN | 1u << STATE_STARTING | 1u << STATE_STOPPING;
	for (size_t i = 0; i < count; i++) {
		int state = 0;

		while (state < STATE_COUNT && strcasecmp(state_names[state], values[i]))
			state++;
		if (state == STATE_COUNT)
			return call_usage(call, err, "there is no state '%s'", values[i]);
		list->states |= 1u << state;
	}
	return 0;
}

static int choose_names(struct list *list, struct err *err)
{
	const struct call *call = list->call;
	const char *pattern = call_value(call, "filter");

	/* lxc-ls takes a regular expression as its argument; isle list takes names and shell patterns. */
	if (!pattern && call->lxc && call->argc == 1)
		pattern = call->argv[0];
	if (!pattern)
		return 0;
	int rc = regcomp(&list->regex, pattern, REG_EXTENDED | REG_NOSUB);

	if (rc) {
		char why[128];

		regerror(rc, &list->regex, why, sizeof(why));
		return call_usage(call, err, "'%s' is no regular expression: %s", pattern, why);
	}
	list->has_regex = true;
	return 0;
}

static bool wanted_name(const struct list *list, const char *name, bool *seen)
{
	const struct call *call = list->call;

	if (list->has_regex)
		return regexec(&list->regex, name, 0, NULL, 0) == 0;
	if (call->argc == 0)
		return true;
	bool wanted = false;

	for (int i = 0; i < call->argc; i++) {
		if (fnmatch(call->argv[i], name, 0) == 0)
			wanted = seen[i] = true;
	}
	return wanted;
}

static void fill_row(struct list *list, const struct facts *facts)
{
	struct row *row = &list->rows[list->count++];

	memcpy(row->name, facts->name, sizeof(row->name));
	row->state = facts->state;
	if (list->call->json)
		row->json = facts_json(facts);
	for (size_t i = 0; i <= list->shown_count && i < COLUMNS_MAX; i++) {
		struct shown *shown = &list->shown[i];

		if (shown->column)
			shown->column->show(facts, &row->cells[i]);
		else if (*shown->key) {
			auto_free char *value = facts_config(facts, shown->key);

			if (value && *value)
				row->cells[i].text = str_escape(value);
		}
	}
}

static int load_rows(struct list *list, const struct store *store, char *const *names, struct err *err)
{
	size_t count = 0;
	auto_free bool *seen = calloc((size_t)list->call->argc + 1, sizeof(*seen));

	while (names[count])
		count++;
	list->rows = calloc(count + 1, sizeof(*list->rows));
	if (!list->rows || !seen)
		return err_num(err, ENOMEM, "list the guests");
	for (size_t i = 0; i < count; i++) {
		struct facts facts;

		if (!wanted_name(list, names[i], seen))
			continue;
		int rc = facts_load(store, names[i], list->want, &facts);

		if (rc == -ENOENT)
			continue; /* destroyed since the names were read */
		if (rc < 0)
			return err_num(err, rc, "read the state of guest '%s'", names[i]);
		if (!list->states || (list->states & 1u << facts.state))
			fill_row(list, &facts);
		facts_free(&facts);
	}
	for (int i = 0; !list->has_regex && i < list->call->argc; i++) {
		if (!seen[i] && !strpbrk(list->call->argv[i], "*?[\\"))
			return err_set(err, ERR_NOT_FOUND, "there is no guest '%s'", list->call->argv[i]);
	}
	return 0;
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct list *list = arg;
	const struct row *one = a, *two = b;
	const struct cell *c1 = &one->cells[list->sort], *c2 = &two->cells[list->sort];
	const struct column *column = list->shown[list->sort].column;
	int order = 0;

	if (column && column->numbers)
		order = c1->number < c2->number ? -1 : c1->number > c2->number;
	else if (column || *list->shown[list->sort].key)
		order = strverscmp(c1->text ? c1->text : "", c2->text ? c2->text : "");
	if (list->reverse)
		order = -order;
	return order ? order : strcmp(one->name, two->name);
}

static int text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80; /* continuation bytes of UTF-8 take no room */
	return width;
}

static const char *state_color(const struct list *list, const struct row *row, const struct shown *shown)
{
	static const char *const colors[STATE_COUNT] = {
		[STATE_RUNNING] = "\033[32m",
		[STATE_FROZEN] = "\033[36m",
		[STATE_BROKEN] = "\033[31m",
	};

	if (!list->call->color || !shown->column || strcmp(shown->column->name, "state"))
		return NULL;
	return colors[row->state];
}

static void print_cell(const struct list *list, size_t at, const char *text, const char *color)
{
	const struct shown *shown = &list->shown[at];
	int pad = shown->width - text_width(text);
	bool right = shown->column && shown->column->numbers, last = at + 1 == list->shown_count;

	printf("%*s%s%s%s%*s%s", right ? pad : 0, "", color ? color : "", text, color ? "\033[0m" : "", right || last ? 0 : pad, "",
	       last ? "\n" : "  ");
}

static const char *shown_title(const struct shown *shown)
{
	return shown->column ? shown->column->title : shown->key;
}

static void print_table(struct list *list)
{
	for (size_t c = 0; c < list->shown_count; c++) {
		list->shown[c].width = text_width(shown_title(&list->shown[c]));
		for (size_t r = 0; r < list->count; r++) {
			const char *text = list->rows[r].cells[c].text;
			int width = text ? text_width(text) : 1;

			if (width > list->shown[c].width)
				list->shown[c].width = width;
		}
	}
	for (size_t c = 0; c < list->shown_count && !list->call->quiet; c++)
		print_cell(list, c, shown_title(&list->shown[c]), NULL);
	for (size_t r = 0; r < list->count; r++) {
		for (size_t c = 0; c < list->shown_count; c++) {
			const char *text = list->rows[r].cells[c].text;

			print_cell(list, c, text ? text : "-", state_color(list, &list->rows[r], &list->shown[c]));
		}
	}
}

/* lxc-ls without -1 puts several names on a line of a terminal. */
static void print_names(const struct list *list)
{
	struct winsize size = {0};
	size_t widest = 1, columns = 1;

	for (size_t r = 0; r < list->count; r++) {
		size_t len = strlen(list->rows[r].name);

		widest = len > widest ? len : widest;
	}
	if (list->call->lxc && !call_has(list->call, "names") && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
	    size.ws_col > widest)
		columns = size.ws_col / (widest + 1);
	for (size_t r = 0; r < list->count; r++) {
		bool last = (r + 1) % columns == 0 || r + 1 == list->count;

		printf("%-*s%s", last ? 0 : (int)widest, list->rows[r].name, last ? "\n" : " ");
	}
}

static int print_json(const struct list *list, struct err *err)
{
	struct json_object *array = json_object_new_array();

	if (!array)
		return err_num(err, ENOMEM, "list the guests");
	for (size_t r = 0; r < list->count; r++)
		json_object_array_add(array, take_ptr(&list->rows[r].json));
	puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
	return 0;
}

static int print(struct list *list, struct err *err)
{
	qsort_r(list->rows, list->count, sizeof(*list->rows), compare, list);
	if (list->call->json)
		return print_json(list, err);
	if (names_only(list))
		print_names(list);
	else if (list->count)
		print_table(list);
	else if (!list->call->quiet && isatty(STDOUT_FILENO))
		fputs("no guests\n", stderr);
	return 0;
}

static void list_free(struct list *list)
{
	for (size_t r = 0; r < list->count; r++) {
		json_object_put(list->rows[r].json);
		for (size_t c = 0; c < COLUMNS_MAX; c++)
			free(list->rows[r].cells[c].text);
	}
	free(list->rows);
	if (list->has_regex)
		regfree(&list->regex);
}

/* What is promised to some of the guests says nothing against what the host has. */
static int check_totals(struct call *call, struct err *err)
{
	static const char *const others[] = {"names",  "long",    "columns", "sort",  "running",
					     "frozen", "stopped", "active",  "state", "filter"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (call_has(call, others[i]))
			return call_usage(call, err, "--totals is of all guests: --%s does not go with it", others[i]);
	return call->argc ? call_usage(call, err, "--totals is of all guests: it takes no names") : 0;
}

static int print_totals(struct call *call, struct err *err)
{
	const struct store *store;
	struct promised promised;
	int rc = check_totals(call, err);

	if (rc == 0)
		rc = call_store(call, &store, err);

	if (rc == 0)
		rc = promised_load(store, &promised, err);
	if (rc == 0 && call->json) {
		struct json_object *o = promised_json(&promised);

		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else if (rc == 0) {
		promised_print(&promised);
	}
	return rc;
}

static int run_list(struct call *call, struct err *err)
{
	struct list list = {.call = call};
	const struct store *store;
	char **names = NULL;

	if (call_has(call, "totals"))
		return print_totals(call, err);
	int rc = choose_columns(&list, err);

	if (rc == 0)
		rc = choose_states(&list, err);
	if (rc == 0)
		rc = choose_names(&list, err);
	if (rc == 0)
		rc = call_store(call, &store, err);
	if (rc == 0)
		rc = store_names(store, &names, err);
	if (call->json)
		list.want |= FACTS_CONFIG | FACTS_STATS;
	if (rc == 0)
		rc = load_rows(&list, store, names, err);
	if (rc == 0)
		rc = print(&list, err);
	store_names_free(names);
	list_free(&list);
	return rc;
}

static const struct option_row list_options[] = {
	{.name = "names", .letter = '1', .doc = "Names only, one a line.", .lxc = "-1 --line"},
	{.name = "long",
	 .letter = 'l',
	 .doc = "More columns: memory and its limit, processes, processor time, storage, plan, start and image.",
	 .lxc = "-f --fancy"},
	{.name = "fancy", .letter = 'f'},
	{.name = "columns",
	 .letter = 'c',
	 .arg = "COLUMN,...",
	 .doc = "These columns; see below. A config key such as limits.memory is a column too.",
	 .lxc = "-F --fancy-format"},
	{.name = "totals",
	 .letter = 't',
	 .doc = "Instead of guests, what is promised to all of them and to those that run, against what the host has."},
	{.name = "sort", .letter = 's', .arg = "COLUMN", .doc = "Sort by this column instead of the name; -COLUMN: in reverse."},
	{.name = "running", .doc = "Only running guests.", .lxc = "--running"},
	{.name = "frozen", .doc = "Only frozen guests.", .lxc = "--frozen"},
	{.name = "stopped", .doc = "Only stopped guests.", .lxc = "--stopped"},
	{.name = "active", .doc = "Only guests that have processes: starting, running, frozen, stopping.", .lxc = "--active"},
	{.name = "state", .arg = "STATE", .doc = "Only guests in this state; may be given several times.", .repeats = true},
	{.name = "defined", .lxc = "--defined"},
	{.name = "filter",
	 .arg = "REGEX",
	 .doc = "Only guests whose name matches the extended regular expression.",
	 .lxc = "--filter"},
	{NULL},
};

const struct verb verb_list = {
	.name = "list",
	.aliases = "ls",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] [NAME|PATTERN]...",
	.summary = "List the guests with their state.",
	.headline = "list guests",
	.text = "Without arguments every guest is listed; a PATTERN is one of the shell's (web*). State and process id come from "
		"the kernel, "
		"addresses from the record of the guest's start: no process is made and no guest is entered, so listing hundreds "
		"is cheap. A "
		"name that no guest has is an error (exit status 3); a pattern that matches none is not.\n\n"
		"Columns are name, state, pid, monitor_pid, address, addresses, ipv4, ipv6, memory, memory_peak, memory_limit, oom_kills, cpu, processes, plan, "
		"storage, image, "
		"started, uptime, ids, autostart, unprivileged, hostname, init, description, and every key of isle.conf(5).\n\n"
		"With --json the result is an array of objects with the keys name, state, pid, monitor_pid, addresses, storage, "
		"image, ids, "
		"started (seconds since 1970), memory and memory_peak (bytes), cpu_usec, processes, oom_kills, plan, autostart, privileged and "
		"config_error. What is "
		"absent is null.\n\n"
		"With --totals and --json it is an object with memory, swap, cpus, processes and disk, each an object of running (the sum of the limits "
		"of guests that run; of disk, what their files took when isle usage --record last counted), all, host and unlimited (guests "
		"that run without such a limit), and memory_guaranteed, memory_used, disk_uncounted (guests whose files were never counted), guests and running.\n\n"
		"Called as isle-ls or isle-list it prints names only unless -f or -F is given, and its argument is a regular "
		"expression, as with "
		"lxc-ls(1).",
	.examples = "isle list\nisle list --long --sort -memory\nisle list --running -1 'web*'\nisle list --columns "
		    "name,address,limits.memory\n"
		    "isle list --json | jq -r '.[] | select(.state == \"running\") | .name'\nisle-ls -f",
	.options = list_options,
	.max = -1,
	.complete = COMPLETE_GUEST,
	.needs_root = true,
	.run = run_list,
};
