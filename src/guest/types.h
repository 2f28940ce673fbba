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

/* Fields: bool; char * (NULL = not set); uint64_t with UINT64_MAX = not set; int. "unlimited" reads as not set, and only where
 * the key has no default. */
extern const struct type type_bool;     /* bool: yes/no/true/false/on/off/1/0; formats yes, no */
extern const struct type type_number;   /* uint64_t, .min .max of the key */
extern const struct type type_count;    /* the same, and "unlimited" */
extern const struct type type_size;     /* uint64_t bytes, and "unlimited" */
extern const struct type type_duration; /* uint64_t milliseconds */
extern const struct type type_cpus;     /* uint64_t thousandths of a CPU: "1.5" -> 1500; "unlimited" */
extern const struct type type_rate;     /* uint64_t bits per second: "100mbit"; "unlimited" */
extern const struct type type_mode;     /* uint64_t: permission bits of a file, octal: "0660" */
extern const struct type type_choice;   /* int, index into the key's .choices (NULL-ended) */
extern const struct type type_signal;   /* int: SIGRTMIN+3, TERM, 15; 0 = not set */

extern const struct type type_string; /* char *, printable UTF-8, at most 4000 bytes or the key's .max; blanks around are cut */
extern const struct type
	type_name; /* char *: letters, digits, '.', '_', '-', not leading '-' or '.'; .max bytes; or one of .choices */
extern const struct type type_path;        /* char *: absolute, no "..", printable */
extern const struct type type_profile;     /* char *: "default", "none" or a path */
extern const struct type type_words;       /* char *: list separated by blanks or commas, kept as text */
extern const struct type type_cpuset;      /* char *: "0-3,8", as the kernel writes it, or "auto:2", "auto", "all" */
extern const struct type type_disk_bytes;  /* char *: "10M, /dev/vdb:50M"; types_next_rate reads it */
extern const struct type type_disk_ops;    /* char *: "500, /dev/vdb:2000" */
extern const struct type type_access;      /* char *: letters of "rwm", each once */
extern const struct type type_caps;        /* char *: words, each a capability's name */
extern const struct type type_command;     /* char *: an absolute path and arguments; types_split reads it */
extern const struct type type_environment; /* char *: NAME=VALUE ...; types_split reads it */
extern const struct type type_hostname;    /* char *: labels of letters, digits and '-', 64 bytes */
extern const struct type type_id;          /* char *: 32 hexadecimal digits */

extern const struct type type_mac;     /* struct mac_value */
extern const struct type type_address; /* struct address_value: auto | none | ADDRESS/LENGTH, family from the key's .max: 4 or 6 */
extern const struct type type_ip;      /* struct ip_value: a plain address, .max: 4 or 6 */

/* Splits a command or an environment into words: blanks separate, "..." or '...' keep blanks, a backslash outside '...' takes
 * the next byte as it is. *ret is NULL-ended; free it with types_split_free. -EINVAL: a quote is not closed. */
int types_split(const char *text, char ***ret);
void types_split_free(char **words);

/* The next word of a list separated by blanks or commas: *at moves behind it; *ret_len is its length. NULL at the end. */
const char *types_next_word(const char **at, size_t *ret_len);

/* The number of "auto:NUMBER"; 0 for a list, and for NULL. */
uint64_t types_cpuset_count(const char *cpuset);

/* Marks in cpus[0..max-1] the CPUs of a list. -EIO for what is none. */
int types_cpuset_read(const char *text, bool *cpus, size_t max);
/* The opposite; caller frees, NULL when memory ran out. */
char *types_cpuset_format(const bool *cpus, size_t count);

/* The next device and rate of a disk rate: *at moves behind it. device is "" for the disk of the guest's root. False at the end. */
#define TYPES_DEVICE_SIZE 128
bool types_next_rate(const char **at, bool bytes, char device[TYPES_DEVICE_SIZE], uint64_t *ret);

/* 0, or -EINVAL and the fault in err: control bytes, C1 controls, bytes that are not UTF-8. */
int types_check_text(const char *text, size_t len, struct err *err);

/* A name's rules, as type_name: "network name 'x' ..." is what err says, `what` being the first words. */
int types_check_name(const char *what, const char *text, size_t max, struct err *err);

struct mac_value {
	uint8_t byte[6];
	bool set;
};
enum address_mode { ADDRESS_AUTO, ADDRESS_NONE, ADDRESS_STATIC };
struct address_value {
	enum address_mode mode;
	uint8_t byte[16];
	uint8_t prefix;
};
struct ip_value {
	uint8_t byte[16];
	bool set;
};
