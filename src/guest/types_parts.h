/* What types share whose values are kept as text (char *); for the types*.c files only. */
#pragma once

#include <stdbool.h>

#include "keys.h"

void types_text_format(const struct key *key, const void *field, struct buf *out);
struct json_object *types_text_json(const struct key *key, const void *field);
bool types_text_is_set(const struct key *key, const void *field);
void types_text_clear(const struct key *key, void *field);
