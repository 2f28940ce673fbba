/* Plans: named sets of keys that many guests share, below a guest's own config; and the host's defaults below those. */
#pragma once

#include "store.h"

#define PLAN_NONE "none" /* guest.plan = none: not even the one that the host's defaults name */

/* Reads a guest's config file as spec_load does, over the plan that it names and the host's defaults: built-in defaults, then
 * isle.conf, then plans/NAME, then the file. Faults carry the file and line that they are in; a plan that does not exist is
 * ERR_NOT_FOUND with those there are. */
int plan_load(const struct store *store, int dir_fd, const char *name, const char *shown, struct spec **ret, struct err *err);

/* The same for text in memory. */
int plan_parse(const struct store *store, const char *text, size_t len, const char *shown, struct spec **ret, struct err *err);

/* The plan alone, over the host's defaults: what a guest has that says nothing itself. name NULL: the host's defaults. */
int plan_open(const struct store *store, const char *name, struct spec **ret, struct err *err);

/* All plans' names, sorted, NULL-ended; caller frees with store_names_free. */
int plan_names(const struct store *store, char ***ret, struct err *err);
