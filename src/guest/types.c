/* Types of values that are numbers underneath: yes and no, counts, sizes, times, choices, signals. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "keys.h"

static const uint64_t unset = UINT64_MAX;

/* bool */

static const struct {
	const char *text;
	bool value;
} bool_words[] = {
	{"yes", true}, {"no", false}, {"true", true}, {"false", false}, {"on", true}, {"off", false}, {"1", true}, {"0", false},
};

static int bool_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	for (size_t i = 0; i < sizeof bool_words / sizeof bool_words[0]; i++)
		if (!strcasecmp(text, bool_words[i].text)) {
			*(bool *)field = bool_words[i].value;
			return 0;
		}
	return err_set(err, ERR_FAILED, "'%s' is neither yes nor no", text);
}

static void bool_format(const struct key *key, const void *field, struct buf *out)
{
	buf_add(out, *(const bool *)field ? "yes" : "no");
}

static struct json_object *bool_json(const struct key *key, const void *field)
{
	return json_object_new_boolean(*(const bool *)field);
}

static bool always_set(const struct key *key, const void *field)
{
	return true;
}

static void bool_clear(const struct key *key, void *field)
{
	*(bool *)field = false;
}

const struct type type_bool = {"switch", "yes or no", bool_parse, bool_format, bool_json, always_set, bool_clear};

/* uint64_t */

static bool u64_is_set(const struct key *key, const void *field)
{
	return *(const uint64_t *)field != unset;
}

static void u64_clear(const struct key *key, void *field)
{
	*(uint64_t *)field = unset;
}

static struct json_object *u64_json(const struct key *key, const void *field)
{
	return u64_is_set(key, field) ? json_object_new_uint64(*(const uint64_t *)field) : NULL;
}

/* Applies the key's bounds, which a complaint shows in the type's own words. */
static int u64_store(const struct key *key, uint64_t value, const char *text, void *field, struct err *err)
{
	uint64_t bound = value < key->min ? key->min : key->max;

	if (value < key->min || (key->max && value > key->max)) {
		auto_buf struct buf shown = {0};

		key->type->format(key, &bound, &shown);
		return err_set(err, ERR_FAILED, "'%s' is %s than %s, the %s", text, value < key->min ? "less" : "more",
			       shown.data ? shown.data : "?", value < key->min ? "least" : "most");
	}
	if (value == unset)
		return err_set(err, ERR_FAILED, "'%s' is too large", text);
	*(uint64_t *)field = value;
	return 0;
}

/* A key with a default has a bound always: the default would come back for "not set". */
static bool is_unlimited(const struct key *key, const char *text, void *field)
{
	if (key->fallback || strcasecmp(text, "unlimited"))
		return false;
	*(uint64_t *)field = unset;
	return true;
}

/* People who come from elsewhere write max, none or -1. */
static const char *or_unlimited(const struct key *key)
{
	return key->fallback || key->type == &type_number ? "" : ", nor the word unlimited";
}

static int number_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t value;
	int r = str_to_u64(text, 0, UINT64_MAX - 1, &value);

	if (r == -ERANGE)
		return err_set(err, ERR_FAILED, "'%s' is too large", text);
	if (r < 0)
		return err_set(err, ERR_FAILED, "'%s' is not a whole number%s", text, or_unlimited(key));
	return u64_store(key, value, text, field, err);
}

static void number_format(const struct key *key, const void *field, struct buf *out)
{
	if (u64_is_set(key, field))
		buf_addf(out, "%" PRIu64, *(const uint64_t *)field);
}

static int count_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return is_unlimited(key, text, field) ? 0 : number_parse(key, text, field, err);
}

const struct type type_number = {"number", "a whole number", number_parse, number_format, u64_json, u64_is_set, u64_clear};

static int mode_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t value = 0;
	size_t len = strspn(text, "01234567");

	if (!len || text[len] || len > 4)
		return err_set(err, ERR_FAILED, "'%s' is not a file's permissions (octal, 0 to 0777)", text);
	for (const char *at = text; *at; at++)
		value = value * 8 + (uint64_t)(*at - '0');
	if (value > 0777)
		return err_set(err, ERR_FAILED, "'%s' is more than 0777, read and write for everybody", text);
	return u64_store(key, value, text, field, err);
}

static void mode_format(const struct key *key, const void *field, struct buf *out)
{
	if (u64_is_set(key, field))
		buf_addf(out, "%04" PRIo64, *(const uint64_t *)field);
}

static struct json_object *mode_json(const struct key *key, const void *field)
{
	auto_buf struct buf text = {0};

	mode_format(key, field, &text);
	return text.data ? json_object_new_string(text.data) : NULL;
}

const struct type type_mode = {
	"permissions", "octal: 0 to 0777", mode_parse, mode_format, mode_json, u64_is_set, u64_clear,
};
const struct type type_count = {
	"count", "a whole number", count_parse, number_format, u64_json, u64_is_set, u64_clear,
};

static int size_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t value;

	if (is_unlimited(key, text, field))
		return 0;
	if (str_to_size(text, &value) < 0)
		return err_set(err, ERR_FAILED, "'%s' is not a size (bytes, or with K, M, G, T or P: 512M)%s", text,
			       or_unlimited(key));
	return u64_store(key, value, text, field, err);
}

static void size_format(const struct key *key, const void *field, struct buf *out)
{
	char text[24];

	if (!u64_is_set(key, field))
		return;
	str_from_size(*(const uint64_t *)field, text);
	buf_add(out, text);
}

const struct type type_size = {
	"size",    "bytes, or a number with K, M, G, T or P (powers of 1024)", size_parse, size_format, u64_json, u64_is_set,
	u64_clear,
};

static int duration_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t value;

	if (str_to_duration(text, &value) < 0)
		return err_set(err, ERR_FAILED, "'%s' is not a time (seconds, or with ms, s, m or h: 90s)", text);
	return u64_store(key, value, text, field, err);
}

static void duration_format(const struct key *key, const void *field, struct buf *out)
{
	uint64_t value = *(const uint64_t *)field;

	if (!u64_is_set(key, field))
		return;
	if (value % 1000)
		buf_addf(out, "%" PRIu64 "ms", value);
	else
		buf_addf(out, "%" PRIu64 "s", value / 1000);
}

static struct json_object *duration_json(const struct key *key, const void *field)
{
	uint64_t value = *(const uint64_t *)field;

	if (!u64_is_set(key, field))
		return NULL;
	return value % 1000 ? json_object_new_double((double)value / 1000) : json_object_new_uint64(value / 1000);
}

const struct type type_duration = {
	"time", "seconds, or a number with ms, s, m or h", duration_parse, duration_format, duration_json, u64_is_set, u64_clear,
};

/* Reads DIGITS[.DIGITS] with at most three places as thousandths; *end is behind it. */
static int read_thousandths(const char *text, uint64_t *ret, const char **end)
{
	uint64_t value = 0, unit = 1000;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (value > UINT64_MAX / 100000)
			return -ERANGE;
		value = value * 10 + (uint64_t)(*text - '0') * 1000;
	}
	if (*text == '.') {
		if (text[1] < '0' || text[1] > '9')
			return -EINVAL;
		for (text++; *text >= '0' && *text <= '9'; text++) {
			unit /= 10;
			if (!unit && *text != '0')
				return -EINVAL;
			value += (uint64_t)(*text - '0') * unit;
		}
	}
	*ret = value;
	*end = text;
	return 0;
}

static int cpus_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t value;
	const char *end;

	if (is_unlimited(key, text, field))
		return 0;
	if (read_thousandths(text, &value, &end) < 0 || *end)
		return err_set(err, ERR_FAILED, "'%s' is not a number of CPUs (1.5; at most three decimal places)%s", text,
			       or_unlimited(key));
	return u64_store(key, value, text, field, err);
}

static void add_thousandths(struct buf *out, uint64_t value)
{
	buf_addf(out, "%" PRIu64, value / 1000);
	if (value % 100)
		buf_addf(out, value % 10 ? ".%03u" : ".%02u", (unsigned)(value % 10 ? value % 1000 : value % 1000 / 10));
	else if (value % 1000)
		buf_addf(out, ".%u", (unsigned)(value % 1000 / 100));
}

static void cpus_format(const struct key *key, const void *field, struct buf *out)
{
	if (u64_is_set(key, field))
		add_thousandths(out, *(const uint64_t *)field);
}

static struct json_object *cpus_json(const struct key *key, const void *field)
{
	auto_buf struct buf text = {0};

	if (!u64_is_set(key, field))
		return NULL;
	cpus_format(key, field, &text);
	/* The text is kept so that 0.1 is printed as 0.1. */
	return text.failed ? NULL : json_object_new_double_s((double)*(const uint64_t *)field / 1000, text.data);
}

const struct type type_cpus = {
	"CPUs", "a number of CPUs with up to three decimal places", cpus_parse, cpus_format, cpus_json, u64_is_set, u64_clear,
};

static const struct {
	const char *suffix;
	uint64_t factor;
} rate_units[] = {{"gbit", 1000000000}, {"mbit", 1000000}, {"kbit", 1000}, {"bit", 1}};

static int rate_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	uint64_t value;
	const char *end;

	if (is_unlimited(key, text, field))
		return 0;
	if (!read_thousandths(text, &value, &end))
		for (size_t i = 0; i < sizeof rate_units / sizeof rate_units[0]; i++) {
			if (strcasecmp(end, rate_units[i].suffix))
				continue;
			if (value > UINT64_MAX / rate_units[i].factor)
				return err_set(err, ERR_FAILED, "'%s' is too large", text);
			return u64_store(key, value * rate_units[i].factor / 1000, text, field, err);
		}
	return err_set(err, ERR_FAILED, "'%s' is not a rate (a number with bit, kbit, mbit or gbit: 100mbit)", text);
}

static void rate_format(const struct key *key, const void *field, struct buf *out)
{
	uint64_t value = *(const uint64_t *)field;

	if (!u64_is_set(key, field))
		return;
	for (size_t i = 0; i < sizeof rate_units / sizeof rate_units[0]; i++)
		if (value % rate_units[i].factor == 0 && (value || rate_units[i].factor == 1)) {
			buf_addf(out, "%" PRIu64 "%s", value / rate_units[i].factor, rate_units[i].suffix);
			return;
		}
}

const struct type type_rate = {
	"rate", "a number with bit, kbit, mbit or gbit (per second)", rate_parse, rate_format, u64_json, u64_is_set, u64_clear,
};

/* int */

static int choice_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	auto_buf struct buf list = {0};
	size_t count = 0;

	for (; key->choices[count]; count++) {
		if (!strcmp(text, key->choices[count])) {
			*(int *)field = (int)count;
			return 0;
		}
		buf_addf(&list, "%s%s", count ? ", " : "", key->choices[count]);
	}
	int r = err_set(err, ERR_FAILED, "'%s' is none of: %s", text, list.data ? list.data : "");
	const char *near = str_near(text, key->choices, count);

	if (near)
		(void)err_hint(err, "did you mean '%s'?", near);
	return r;
}

static void choice_format(const struct key *key, const void *field, struct buf *out)
{
	buf_add(out, key->choices[*(const int *)field]);
}

static struct json_object *choice_json(const struct key *key, const void *field)
{
	return json_object_new_string(key->choices[*(const int *)field]);
}

static void int_clear(const struct key *key, void *field)
{
	*(int *)field = 0;
}

const struct type type_choice = {"choice", "one word", choice_parse, choice_format, choice_json, always_set, int_clear};

static const struct {
	const char *name;
	int number;
} signals[] = {
	{"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT}, {"ILL", SIGILL},     {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
	{"BUS", SIGBUS},   {"FPE", SIGFPE},       {"KILL", SIGKILL}, {"USR1", SIGUSR1},   {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
	{"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM}, {"STKFLT", 16},      {"CHLD", SIGCHLD}, {"CONT", SIGCONT},
	{"STOP", SIGSTOP}, {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},   {"URG", SIGURG},   {"XCPU", SIGXCPU},
	{"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"PWR", SIGPWR},
	{"SYS", SIGSYS},   {"IOT", SIGABRT},      {"CLD", SIGCHLD},  {"POLL", SIGIO},
};

static int signal_number(const char *text)
{
	uint64_t n;

	if (!str_to_u64(text, 1, (uint64_t)SIGRTMAX, &n))
		/* The two between belong to the C library's threads. */
		return n > 31 && n < (uint64_t)SIGRTMIN ? 0 : (int)n;
	if (!strncasecmp(text, "SIG", 3))
		text += 3;
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (!strcasecmp(text, signals[i].name))
			return signals[i].number;
	int span = SIGRTMAX - SIGRTMIN;

	if (!strcasecmp(text, "RTMIN"))
		return SIGRTMIN;
	if (!strcasecmp(text, "RTMAX"))
		return SIGRTMAX;
	if (!strncasecmp(text, "RTMIN+", 6) && !str_to_u64(text + 6, 0, (uint64_t)span, &n))
		return SIGRTMIN + (int)n;
	if (!strncasecmp(text, "RTMAX-", 6) && !str_to_u64(text + 6, 0, (uint64_t)span, &n))
		return SIGRTMAX - (int)n;
	return 0;
}

static int signal_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	int number = signal_number(text);

	if (!number)
		return err_set(err, ERR_FAILED, "'%s' is not a signal (a name or number: TERM, SIGRTMIN+3, 15)", text);
	*(int *)field = number;
	return 0;
}

static void signal_format(const struct key *key, const void *field, struct buf *out)
{
	int number = *(const int *)field;

	if (number >= SIGRTMIN)
		buf_addf(out, number == SIGRTMIN ? "SIGRTMIN" : "SIGRTMIN+%d", number - SIGRTMIN);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (signals[i].number == number) {
			buf_addf(out, "SIG%s", signals[i].name);
			return;
		}
}

static bool signal_is_set(const struct key *key, const void *field)
{
	return *(const int *)field != 0;
}

static struct json_object *signal_json(const struct key *key, const void *field)
{
	auto_buf struct buf text = {0};

	signal_format(key, field, &text);
	return text.len ? json_object_new_string(text.data) : NULL;
}

const struct type type_signal = {
	"signal", "a signal's name or number", signal_parse, signal_format, signal_json, signal_is_set, int_clear,
};
