/* Types of values that are limits with a shape of their own: sets of CPUs, rates of disks. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <strings.h>

#include "keys.h"
#include "types_parts.h"

#define CPUS_MAX    8192 /* NR_CPUS of the largest kernels */
#define RATES_MAX   8
#define AUTO_PREFIX "auto:"

/* Kept as text */

static int text_store(struct buf *text, void *field, struct err *err)
{
	char *taken = buf_take(text);

	if (!taken)
		return err_num(err, ENOMEM, "read a value");
	free(*(char **)field);
	*(char **)field = taken;
	return 0;
}

/* CPUs */

/* Marks the CPUs of a list: numbers and ranges. */
static int cpuset_read(const char *text, bool cpus[CPUS_MAX], struct err *err)
{
	const char *word;
	size_t len;
	bool some = false;

	for (; (word = types_next_word(&text, &len)); some = true) {
		auto_free char *range = strndup(word, len);
		char *dash = range ? strchr(range, '-') : NULL;
		uint64_t first, last;

		if (!range)
			return err_num(err, ENOMEM, "read a list of CPUs");
		if (dash)
			*dash++ = '\0';
		bool good = !str_to_u64(range, 0, CPUS_MAX - 1, &first);

		last = first;
		if (!good || (dash && (str_to_u64(dash, 0, CPUS_MAX - 1, &last) < 0 || last < first)))
			return err_set(err, ERR_FAILED,
				       "'%.*s' is neither a CPU's number nor a range of them (0-3), nor auto:NUMBER, auto or all",
				       (int)len, word);
		for (; first <= last; first++)
			cpus[first] = true;
	}
	return some ? 0 : err_set(err, ERR_FAILED, "the list has no CPU");
}

static void cpuset_write(const bool cpus[CPUS_MAX], struct buf *list)
{
	for (unsigned first = 0, last; first < CPUS_MAX; first = last + 1) {
		for (last = first; cpus[first] && last + 1 < CPUS_MAX && cpus[last + 1]; last++)
			;
		if (!cpus[first])
			continue;
		buf_addf(list, first == last ? "%s%u" : "%s%u-%u", list->len ? "," : "", first, last);
	}
}

/* The list as the kernel writes it: in order, neighbours as ranges. What was written can then be compared with what is read. */
static int cpuset_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	auto_free bool *cpus = calloc(CPUS_MAX, sizeof *cpus);
	auto_buf struct buf list = {0};
	uint64_t count;
	int r;

	text += strspn(text, " \t");
	if (str_starts(text, AUTO_PREFIX)) {
		if (str_to_u64(text + strlen(AUTO_PREFIX), 1, CPUS_MAX, &count) < 0)
			return err_set(err, ERR_FAILED, "'%s' is not auto: and a number of CPUs (auto:2)", text);
		buf_addf(&list, AUTO_PREFIX "%" PRIu64, count);
		return text_store(&list, field, err);
	}
	if (!strcmp(text, "auto") || !strcmp(text, "all")) {
		buf_add(&list, text);
		return text_store(&list, field, err);
	}
	r = cpus ? cpuset_read(text, cpus, err) : err_num(err, ENOMEM, "read a list of CPUs");
	if (r < 0)
		return r;
	cpuset_write(cpus, &list);
	return text_store(&list, field, err);
}

uint64_t types_cpuset_count(const char *cpuset)
{
	uint64_t count = 0;

	if (cpuset && str_starts(cpuset, AUTO_PREFIX))
		(void)str_to_u64(cpuset + strlen(AUTO_PREFIX), 1, CPUS_MAX, &count); /* checked when it was read */
	return count;
}

int types_cpuset_read(const char *text, bool *cpus, size_t max)
{
	auto_free bool *all = calloc(CPUS_MAX, sizeof *all);
	int r = all ? cpuset_read(text, all, NULL) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < max; i++)
		cpus[i] = i < CPUS_MAX && all[i];
	return r;
}

char *types_cpuset_format(const bool *cpus, size_t count)
{
	auto_free bool *all = calloc(CPUS_MAX, sizeof *all);
	auto_buf struct buf list = {0};

	if (!all)
		return NULL;
	memcpy(all, cpus, (count < CPUS_MAX ? count : CPUS_MAX) * sizeof *all);
	cpuset_write(all, &list);
	return buf_take(&list);
}

#define LIMIT_TYPE(type_name_, shape_, parse_)                                                                                    \
	{                                                                                                                         \
		.name = (type_name_), .shape = (shape_), .parse = (parse_), .format = types_text_format, .json = types_text_json, \
		.is_set = types_text_is_set, .clear = types_text_clear                                                            \
	}

const struct type type_cpuset = LIMIT_TYPE("CPU list", "numbers and ranges, 0-3,8, or auto:NUMBER, auto or all", cpuset_parse);

/* Rates of disks */

bool types_next_rate(const char **at, bool bytes, char device[TYPES_DEVICE_SIZE], uint64_t *ret)
{
	char number[32];
	size_t len;
	const char *word = types_next_word(at, &len);
	const char *colon = word ? memrchr(word, ':', len) : NULL;

	if (!word)
		return false;
	if (colon && str_print(device, TYPES_DEVICE_SIZE, "%.*s", (int)(colon - word), word) < 0)
		return false;
	if (!colon)
		device[0] = '\0';
	const char *from = colon ? colon + 1 : word;

	if (str_print(number, sizeof number, "%.*s", (int)(word + len - from), from) < 0)
		return false;
	return (bytes ? str_to_size(number, ret) : str_to_u64(number, 0, UINT64_MAX - 1, ret)) == 0;
}

static int rates_parse(const struct key *key, const char *text, void *field, bool bytes, struct err *err)
{
	auto_buf struct buf list = {0};
	char device[TYPES_DEVICE_SIZE], seen[RATES_MAX][TYPES_DEVICE_SIZE];
	size_t count = 0, len;
	uint64_t rate;

	if (!strcasecmp(text, "unlimited")) {
		types_text_clear(key, field);
		return 0;
	}
	int r = types_check_text(text, strlen(text), err);

	if (r < 0)
		return r;
	for (const char *at = text, *peek = at; types_next_word(&peek, &len); peek = at) {
		char shown[24];

		if (!types_next_rate(&at, bytes, device, &rate) || (*device && *device != '/') || (bytes && rate > INT64_MAX))
			return err_set(err, ERR_FAILED,
				       bytes ? "'%s' is neither a size (10M) nor DEVICE:SIZE (/dev/vdb:10M)"
					     : "'%s' is neither a number (500) nor DEVICE:NUMBER (/dev/vdb:500)",
				       text);
		if (rate < key->min)
			return err_set(err, ERR_FAILED, "'%s' has less than %" PRIu64 ", the least", text, key->min);
		if (count == RATES_MAX)
			return err_set(err, ERR_FAILED, "more than %d devices", RATES_MAX);
		for (size_t i = 0; i < count; i++)
			if (!strcmp(seen[i], device))
				return err_set(err, ERR_FAILED, "%s is there twice", *device ? device : "the root's device");
		(void)str_copy(seen[count++], TYPES_DEVICE_SIZE, device); /* the same size */
		if (bytes)
			str_from_size(rate, shown);
		else
			(void)str_print(shown, sizeof shown, "%" PRIu64, rate);
		buf_addf(&list, "%s%s%s%s", list.len ? ", " : "", device, *device ? ":" : "", shown);
	}
	return count ? text_store(&list, field, err) : err_set(err, ERR_FAILED, "the value is empty");
}

static int sizes_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return rates_parse(key, text, field, true, err);
}

static int counts_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return rates_parse(key, text, field, false, err);
}

const struct type type_disk_bytes = LIMIT_TYPE(
	"disk rate", "bytes a second, 10M, or DEVICE:BYTES for each of several, 10M, /dev/vdb:50M; or unlimited", sizes_parse);
const struct type type_disk_ops =
	LIMIT_TYPE("disk operations", "a number a second, or DEVICE:NUMBER for each of several, 500, /dev/vdb:2000; or unlimited",
		   counts_parse);
