/* The columns that isle list can show. */
#pragma once

#include "facts.h"

struct cell {
	char *text;      /* as shown; NULL: "-" */
	uint64_t number; /* what sorting compares when the column is one of numbers */
};

struct column {
	const char *name;
	const char *title;
	unsigned want; /* enum facts_want */
	bool numbers;  /* sorted by number, shown right-aligned */
	void (*show)(const struct facts *facts, struct cell *ret);
	const char *doc;
};

extern const struct column column_table[]; /* ends with a column without a name */

/* A column by name in any case; NULL when there is none. */
const struct column *column_find(const char *name);
