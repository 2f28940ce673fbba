/* What isle top shows: rows made of two looks at each guest, and how they become lines. */
#pragma once

#include "../base/str.h"
#include "../run/figures.h"

#define TOP_FILTER_MAX 64 /* a whole name */

enum top_column {
	TOP_NAME,
	TOP_STATE,
	TOP_CPU,
	TOP_MEMORY,
	TOP_PROCESSES,
	TOP_PRESSURE_CPU,
	TOP_PRESSURE_MEMORY,
	TOP_PRESSURE_IO,
	TOP_RECEIVED,
	TOP_SENT,
	TOP_READ,
	TOP_WRITTEN,
	TOP_COLUMNS
};

/* One look at all guests. */
struct top_look {
	struct top_guest {
		struct figures figures;
		uint64_t at_us; /* CLOCK_MONOTONIC */
	} * guests;
	size_t count;
	char clock[16]; /* "14:30:05" */
	uint64_t time;  /* seconds since 1970 */
};

/* Numbers below nought: not known. */
struct top_row {
	const struct figures *figures;
	double value[TOP_COLUMNS]; /* percent of one CPU, bytes, a number, percent of time, bytes a second */
	double limit[TOP_COLUMNS]; /* of those that have one */
};

struct top_rows {
	struct top_row *rows;
	size_t count, running;
};

/* How it is to be shown. */
struct top_view {
	enum top_column sort;
	bool reverse;
	char filter[TOP_FILTER_MAX]; /* a part of the name; "" shows all */
	size_t scroll;               /* rows passed over; made to fit by top_draw */
	unsigned width, height;      /* of the terminal; height 0: none, all rows and columns */
	bool color;
	const char *bottom; /* a line below, NULL: none */
	double delay;       /* seconds, for the first line */
};

int top_look(const struct store *store, struct top_look *ret, struct err *err);
void top_look_free(struct top_look *look);

/* Rows of those that the filter lets through, in order. before may be empty. Points into now. */
int top_compare(const struct top_look *before, const struct top_look *now, const struct top_view *view, struct top_rows *ret,
		struct err *err);

/* Lines with ends of line, no longer than a terminal is wide. */
void top_draw(const struct top_look *now, const struct top_rows *rows, struct top_view *view, struct buf *out);

struct json_object *top_json(const struct top_look *now, const struct top_rows *rows);

/* By its name in the table ("cpu"), or its key; TOP_COLUMNS: there is none. */
enum top_column top_column_named(const char *name);
enum top_column top_column_of_key(char key);
