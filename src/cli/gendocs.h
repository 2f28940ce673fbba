/* The manual's pages that are made from tables. */
#pragma once

#include "verbs.h"

/* Writes isle.1 and isle-VERB.1 into dir. */
int gendocs_verbs(const char *dir, struct err *err);

/* isle.conf(5), and the commented example of every key. Caller frees; NULL when memory ran out. */
char *gendocs_conf(void);
char *gendocs_example(void);
