/* A guest's output made safe for a terminal, or for JSON. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../base/str.h"

/* Adds data to out so that it cannot drive a terminal: colour sequences are left out, carriage returns before a line's end too,
 * every other control byte, C1 control character or byte that is no UTF-8 is written as \xNN. Returns how many bytes were taken:
 * the rest is an unfinished sequence, to be given again with what follows it (final: there is nothing to follow, all is taken). */
size_t logview_escape(struct buf *out, const char *data, size_t len, bool final);

/* Adds a line to out with every byte that is no UTF-8 replaced by U+FFFD. */
void logview_utf8(struct buf *out, const char *line, size_t len);
