/* Option parsing: from a verb's table and an argument vector to a call. */
#pragma once

#include "verbs.h"

/* Rows that many verbs share; each ends with a row without a name. */
extern const struct option_row option_global[]; /* every verb, before the verb or after it */
extern const struct option_row option_names[];  /* verbs with takes_all */
extern const struct option_row option_lxc[];    /* every isle-VERB */

/* Parses argv[0..argc-1] (what follows the verb) into call, whose path, json, quiet and verbose may be set already. argv must
 * outlive call. With --help or --version (see call_has) the number of arguments is not checked. Free with call_free, also on
 * failure. */
int call_parse(const struct verb *verb, bool lxc, int argc, char **argv, struct call *call, struct err *err);
void call_free(struct call *call);

/* The row that a long name or a letter (text, len 1) means in this call; NULL: none. First the verb's own, then the shared ones;
 * in the isle-VERB form LXC's meaning of a letter comes before isle's. */
const struct option_row *option_find(const struct call *call, bool is_long, const char *text, size_t len);

/* The words of an option row's .lxc or a verb's .aliases, one at a time: returns the next word's length (0 at the end) and moves
 * *words to it; call again with *words + length. */
size_t option_word(const char **words);
