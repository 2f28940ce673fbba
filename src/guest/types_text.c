/* Types of values that are kept as text: names, paths, lists, commands. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "../kernel/privs.h"
#include "keys.h"
#include "types_parts.h"

#define TEXT_MAX         4000
#define NAME_MAX_DEFAULT 63

/* Bytes of the UTF-8 character at s, 0 when it is none; len bytes are there. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
	size_t need = s[0] < 0x80                   ? 1
		      : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		      : (s[0] & 0xf0) == 0xe0       ? 3
		      : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						    : 0;

	if (!need || need > len)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than needed, a surrogate, or beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return need;
}

int types_check_text(const char *text, size_t len, struct err *err)
{
	const unsigned char *s = (const unsigned char *)text;

	for (size_t i = 0, step; i < len; i += step) {
		step = utf8_length(s + i, len - i);
		if (!step) {
			(void)err_set(err, ERR_FAILED, "byte %zu (0x%02x) is not UTF-8 text", i + 1, s[i]);
			return -EINVAL;
		}
		/* Terminals obey C1 controls (U+0080 to U+009F) too. */
		if ((s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f || (s[i] == 0xc2 && s[i + 1] < 0xa0)) {
			(void)err_set(err, ERR_FAILED, "byte %zu (0x%02x) is a control character", i + 1, s[i]);
			return -EINVAL;
		}
	}
	return 0;
}

/* What every text type does first: blanks around it are cut, then length and bytes are checked. Caller frees *ret. */
static int text_read(const struct key *key, const char *text, size_t max, char **ret, struct err *err)
{
	text += strspn(text, " \t");
	size_t len = strlen(text);

	while (len && strchr(" \t", text[len - 1]))
		len--;
	if (!len)
		return err_set(err, ERR_FAILED, "the value is empty");
	if (len > max)
		return err_set(err, ERR_FAILED, "the value has %zu bytes, %zu is the most", len, max);
	int r = types_check_text(text, len, err);

	if (r < 0)
		return r;
	*ret = strndup(text, len);
	return *ret ? 0 : err_num(err, ENOMEM, "read a value");
}

/* Reads, checks with check, and replaces the field. */
static int text_store(const struct key *key, const char *text, void *field, size_t max,
		      int (*check)(const struct key *key, const char *text, struct err *err), struct err *err)
{
	auto_free char *value = NULL;
	int r = text_read(key, text, max, &value, err);

	if (!r && check)
		r = check(key, value, err);
	if (r < 0)
		return r;
	free(*(char **)field);
	*(char **)field = take_ptr(&value);
	return 0;
}

static size_t max_of(const struct key *key, size_t fallback)
{
	return key->max ? (size_t)key->max : fallback;
}

void types_text_format(const struct key *key, const void *field, struct buf *out)
{
	const char *text = *(char *const *)field;

	if (text)
		buf_add(out, text);
}

struct json_object *types_text_json(const struct key *key, const void *field)
{
	const char *text = *(char *const *)field;

	return text ? json_object_new_string(text) : NULL;
}

bool types_text_is_set(const struct key *key, const void *field)
{
	return *(char *const *)field;
}

void types_text_clear(const struct key *key, void *field)
{
	free(*(char **)field);
	*(char **)field = NULL;
}

#define TEXT_TYPE(type_name_, shape_, parse_)                                                                                     \
	{                                                                                                                         \
		.name = (type_name_), .shape = (shape_), .parse = (parse_), .format = types_text_format, .json = types_text_json, \
		.is_set = types_text_is_set, .clear = types_text_clear                                                            \
	}

/* Plain text */

static int string_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, max_of(key, TEXT_MAX), NULL, err);
}

const struct type type_string = TEXT_TYPE("text", "any text of one line", string_parse);

/* Names */

static bool is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

int types_check_name(const char *what, const char *text, size_t max, struct err *err)
{
	size_t len = strlen(text);

	if (!len)
		return err_set(err, ERR_FAILED, "%s is empty", what);
	if (len > max)
		return err_set(err, ERR_FAILED, "%s has %zu bytes, %zu is the most", what, len, max);
	if (*text == '-' || *text == '.')
		return err_set(err, ERR_FAILED, "%s '%s' begins with '%c'", what, text, *text);
	for (; *text; text++)
		if (!is_name_byte(*text))
			return err_set(err, ERR_FAILED, "%s has a byte (0x%02x) that is no letter, digit, '.', '_' or '-'", what,
				       (unsigned char)*text);
	return 0;
}

static int name_check(const struct key *key, const char *text, struct err *err)
{
	size_t count = 0;

	if (!key->choices)
		return types_check_name("the name", text, max_of(key, NAME_MAX_DEFAULT), err);
	for (; key->choices[count]; count++)
		if (!strcmp(text, key->choices[count]))
			return 0;
	int r = err_set(err, ERR_FAILED, "'%s' is not known here", text);
	const char *near = str_near(text, key->choices, count);

	if (near)
		(void)err_hint(err, "did you mean '%s'?", near);
	return r;
}

static int name_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, name_check, err);
}

const struct type type_name = TEXT_TYPE("name", "letters, digits, '.', '_' and '-'", name_parse);

static int hostname_check(const struct key *key, const char *text, struct err *err)
{
	for (const char *label = text;;) {
		size_t len = strcspn(label, ".");

		if (!len || len > 63 || label[0] == '-' || label[len - 1] == '-')
			return err_set(err, ERR_FAILED,
				       "'%s' is not a host name: each part has 1 to 63 bytes and neither begins nor ends with '-'",
				       text);
		for (size_t i = 0; i < len; i++)
			if (!is_name_byte(label[i]) || label[i] == '_')
				return err_set(err, ERR_FAILED, "'%s' is not a host name: it may hold letters, digits, '-' and '.'",
					       text);
		if (!label[len])
			return 0;
		label += len + 1;
	}
}

static int hostname_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, 64, hostname_check, err); /* HOST_NAME_MAX of Linux */
}

const struct type type_hostname = TEXT_TYPE("host name", "letters, digits, '-' and '.', 64 bytes at most", hostname_parse);

static int id_check(const struct key *key, const char *text, struct err *err)
{
	if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
		return err_set(err, ERR_FAILED, "'%s' does not have 32 hexadecimal digits in small letters", text);
	return 0;
}

static int id_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, id_check, err);
}

const struct type type_id = TEXT_TYPE("id", "32 hexadecimal digits", id_parse);

/* Paths */

static int path_check(const struct key *key, const char *text, struct err *err)
{
	if (*text != '/')
		return err_set(err, ERR_FAILED, "'%s' is not an absolute path", text);
	if (strlen(text) >= PATH_MAX)
		return err_set(err, ERR_FAILED, "the path is longer than %d bytes", PATH_MAX - 1);
	for (const char *part = text; *part; part += strcspn(part, "/")) {
		part += strspn(part, "/");
		size_t len = strcspn(part, "/");

		if (len == 2 && part[0] == '.' && part[1] == '.')
			return err_set(err, ERR_FAILED, "'%s' has '..' in it", text);
		if (len > NAME_MAX)
			return err_set(err, ERR_FAILED, "a part of the path is longer than %d bytes", NAME_MAX);
	}
	return 0;
}

static int path_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, path_check, err);
}

const struct type type_path = TEXT_TYPE("path", "an absolute path without '..'", path_parse);

static int profile_check(const struct key *key, const char *text, struct err *err)
{
	if (!strcmp(text, "default") || !strcmp(text, "none"))
		return 0;
	if (*text != '/')
		return err_set(err, ERR_FAILED, "'%s' is neither default, none nor an absolute path", text);
	return path_check(key, text, err);
}

static int profile_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, profile_check, err);
}

const struct type type_profile = TEXT_TYPE("profile", "default, none or an absolute path", profile_parse);

/* Lists */

const char *types_next_word(const char **at, size_t *ret_len)
{
	const char *word = *at + strspn(*at, " \t,");

	*ret_len = strcspn(word, " \t,");
	*at = word + *ret_len;
	return *ret_len ? word : NULL;
}

static int words_check(const struct key *key, const char *text, struct err *err)
{
	size_t len;

	if (!types_next_word(&text, &len))
		return err_set(err, ERR_FAILED, "the list has no word");
	return 0;
}

static int words_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, max_of(key, TEXT_MAX), words_check, err);
}

const struct type type_words = TEXT_TYPE("list", "words between blanks or commas", words_parse);

static int caps_check(const struct key *key, const char *text, struct err *err)
{
	uint64_t mask;
	int r = words_check(key, text, err);

	return r < 0 ? r : privs_keep_mask(text, NULL, false, &mask, err);
}

static int caps_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, caps_check, err);
}

const struct type type_caps = TEXT_TYPE("capabilities", "names of capabilities(7) without CAP_, in small letters", caps_parse);

static int access_check(const struct key *key, const char *text, struct err *err)
{
	(void)key;
	for (const char *at = text; *at; at++)
		if (!strchr("rwm", *at) || strchr(at + 1, *at))
			return err_set(err, ERR_FAILED, "'%s' is not made of the letters r, w and m, each once at most", text);
	return 0;
}

static int access_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, 3, access_check, err);
}

const struct type type_access = TEXT_TYPE("access", "letters of rwm: read, write, make nodes", access_parse);

/* Commands and environments */

static int add_word(char ***list, size_t *count, char *word)
{
	char **more = word ? realloc(*list, (*count + 2) * sizeof *more) : NULL;

	if (!more) {
		free(word);
		return -ENOMEM;
	}
	more[(*count)++] = word;
	more[*count] = NULL;
	*list = more;
	return 0;
}

/* Reads one word that begins at *at. */
static int read_word(const char **at, struct buf *word)
{
	char quote = '\0';
	const char *p = *at;

	for (; *p && (quote || !strchr(" \t", *p)); p++) {
		if (*p == '\\' && quote != '\'') {
			if (!*++p)
				return -EINVAL;
			buf_add_bytes(word, p, 1);
		} else if (quote ? *p == quote : *p == '"' || *p == '\'') {
			quote = quote ? '\0' : *p;
		} else {
			buf_add_bytes(word, p, 1);
		}
	}
	*at = p;
	return quote ? -EINVAL : 0;
}

int types_split(const char *text, char ***ret)
{
	char **list = calloc(1, sizeof *list);
	size_t count = 0;
	int r = list ? 0 : -ENOMEM;

	while (!r && *(text += strspn(text, " \t"))) {
		struct buf word = {0};

		r = read_word(&text, &word);
		if (!r)
			r = add_word(&list, &count, buf_take(&word));
		buf_free(&word);
	}
	if (r < 0) {
		types_split_free(list);
		return r;
	}
	*ret = list;
	return 0;
}

void types_split_free(char **words)
{
	for (char **word = words; word && *word; word++)
		free(*word);
	free(words);
}

static int split_checked(const char *text, char ***ret, struct err *err)
{
	int r = types_split(text, ret);

	if (r == -EINVAL)
		return err_set(err, ERR_FAILED, "a quote is not closed, or a backslash is the last byte");
	return r < 0 ? err_num(err, r, "read words") : 0;
}

static int command_check(const struct key *key, const char *text, struct err *err)
{
	char **words;
	int r = split_checked(text, &words, err);

	if (r < 0)
		return r;
	r = words[0] ? path_check(key, words[0], err) : err_set(err, ERR_FAILED, "the command is empty");
	types_split_free(words);
	return r;
}

static int command_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, command_check, err);
}

const struct type type_command = TEXT_TYPE("command", "an absolute path and arguments; \"...\" keeps blanks", command_parse);

static int variable_check(const char *word, struct err *err)
{
	size_t len = strcspn(word, "=");

	if (!word[len])
		return err_set(err, ERR_FAILED, "'%s' is not NAME=VALUE", word);
	if (!len || (*word >= '0' && *word <= '9'))
		return err_set(err, ERR_FAILED, "'%s' has no name of a variable before '='", word);
	for (size_t i = 0; i < len; i++)
		if (!is_name_byte(word[i]) || word[i] == '-' || word[i] == '.')
			return err_set(err, ERR_FAILED, "the variable's name in '%s' may hold letters, digits and '_'", word);
	return 0;
}

static int environment_check(const struct key *key, const char *text, struct err *err)
{
	char **words;
	int r = split_checked(text, &words, err);

	if (r < 0)
		return r;
	for (char **word = words; !r && *word; word++) {
		size_t len = strcspn(*word, "=");

		r = variable_check(*word, err);
		for (char **before = words; !r && before < word; before++)
			if (!strncmp(*before, *word, len + 1))
				r = err_set(err, ERR_FAILED, "the variable '%.*s' is set twice", (int)len, *word);
	}
	types_split_free(words);
	return r;
}

static int environment_parse(const struct key *key, const char *text, void *field, struct err *err)
{
	return text_store(key, text, field, TEXT_MAX, environment_check, err);
}

const struct type type_environment = TEXT_TYPE("environment", "NAME=VALUE words; \"...\" keeps blanks", environment_parse);
