/* What the files spec_*.c share: sections, fields and defaults of a struct spec. */
#pragma once

#include "spec.h"

/* Takes "network eth0" (the text between the brackets) apart and checks it; ret->key is NULL. */
int spec_section_parse(const char *text, struct spec_name *ret, struct err *err);

/* The element of a section of many; NULL when there is none. For other sections spec itself. */
void *spec_element(struct spec *spec, enum section section, const char *member);

/* Appends an element with every key's default; name is valid and new. line 0: from no file. */
int spec_element_add(struct spec *spec, enum section section, const char *member, int line, void **ret, struct err *err);

/* Parses a value into the key's field of element (spec itself for sections that are there once). The fault's text begins
 * with the key's dotted name. */
int spec_value_set(void *element, const struct spec_name *name, const char *value, struct err *err);

static inline void *spec_field(void *element, const struct key *key)
{
	return (char *)element + key->offset;
}

static inline const void *spec_field_const(const void *element, const struct key *key)
{
	return (const char *)element + key->offset;
}

/* Brings a key's default back. index: the element's place in its section. -ENOMEM. */
int spec_field_reset(const struct key *key, void *field, size_t index);

/* How many elements a section has (1 for those that are there once) and the one at index. */
size_t spec_element_count(const struct spec *spec, enum section section);
const void *spec_element_at(const struct spec *spec, enum section section, size_t index);
const char *spec_element_name(const struct spec *spec, enum section section, size_t index); /* "" where it has none */

/* The line that an element of a section of many began at, 0: no file's. */
int spec_element_line(const void *element, enum section section);

/* Adds the hint for a key that is not in the table: another section's, or the nearest name. section SECTION_COUNT: none. member:
 * NULL in a file, where the section is known; else the section's member, "" for none, and the hint names the key with its section.
 */
void spec_key_hint(enum section section, const char *key, const char *member, struct err *err);
