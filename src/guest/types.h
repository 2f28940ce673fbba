/* One vtable per kind of value: how a config value is parsed, checked, printed and documented. */
#pragma once

#include <json-c/json_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"
#include "../base/str.h"

struct key; /* keys.h */

struct type {
	const char *name;  /* as the manual calls it: "size" */
	const char *shape; /* what a value looks like: "BYTES, with K, M, G or T" */
	/* Parses text into the field of the key. err says what is wrong with the value only; the loader
	 * adds the key and the line. Returns 0 or a negative errno; on failure the field is unchanged. */
	int (*parse)(const struct key *key, const char *text, void *field, struct err *err);
	/* Appends text that parse() reads back to the same field. Nothing is appended for "not set". */
	void (*format)(const struct key *key, const void *field, struct buf *out);
	struct json_object *(*json)(const struct key *key, const void *field); /* NULL object = null */
	bool (*is_set)(const struct key *key, const void *field);
	void (*clear)(const struct key *key, void *field); /* frees, then "not set" */
};

/* Fields: bool; char * (NULL = not set); char[N] via .size; uint64_t with UINT64_MAX = not set; ... */
extern const struct type type_bool;      /* bool: yes/no/true/false/on/off/1/0; formats yes, no */
extern const struct type type_string;    /* char *, printable, at most 4000 bytes */
extern const struct type type_name;      /* char *: letters, digits, '.', '_', '-', not leading '-' or '.' */
extern const struct type type_path;      /* char *: absolute, no "..", printable */
extern const struct type type_words;     /* char *: list separated by blanks or commas, kept as text */
extern const struct type type_number;    /* uint64_t, .min .max of the key; UINT64_MAX = not set */
extern const struct type type_size;      /* uint64_t bytes; "unlimited" = UINT64_MAX = not set */
extern const struct type type_duration;  /* uint64_t milliseconds */
extern const struct type type_cpus;      /* uint64_t thousandths of a CPU: "1.5" -> 1500 */
extern const struct type type_rate;      /* uint64_t bits per second: "100mbit" */
extern const struct type type_choice;    /* int, index into the key's .choices (NULL-ended) */
extern const struct type type_mac;       /* struct mac_value */
extern const struct type type_address;   /* struct address_value: auto | none | ADDRESS/LENGTH, family from the key's .max: 4 or 6 */
extern const struct type type_ip;        /* struct ip_value: a plain address, .max: 4 or 6 */
extern const struct type type_command;   /* char *: a path followed by arguments, blanks separate, "..." quotes */
extern const struct type type_signal;    /* int: SIGRTMIN+3, TERM, 15; 0 = not set */

struct mac_value { uint8_t byte[6]; bool set; };
enum address_mode { ADDRESS_AUTO, ADDRESS_NONE, ADDRESS_STATIC };
struct address_value { enum address_mode mode; uint8_t byte[16]; uint8_t prefix; };
struct ip_value { uint8_t byte[16]; bool set; };
