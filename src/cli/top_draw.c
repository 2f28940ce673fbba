/* isle top: rows become lines of a screen. */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "../base/clean.h"
#include "top.h"

#define BAR   10 /* cells of a bar */
#define HEADS 3  /* lines above the rows */
#define CELL  40

#define NAME_LEAST 20 /* cells of a name; more where names are longer and the width is there */

struct layout {
	int name;   /* cells of names */
	size_t fit; /* columns that fit the width */
};

static void show_state(const struct top_row *row, enum top_column column, char ret[CELL])
{
	(void)column;
	(void)str_copy(ret, CELL, state_names[row->figures->state]);
}

/* Use against the limit: "[#####     ]"; without a limit there is nothing to be full of. */
static void bar(double value, double limit, char ret[BAR + 3])
{
	int full = limit > 0 && value > 0 ? (int)(value * BAR / limit + 0.5) : 0;

	if (limit <= 0) {
		(void)str_print(ret, BAR + 3, "%*s", BAR + 2, "");
		return;
	}
	full = full > BAR ? BAR : full;
	(void)str_print(ret, BAR + 3, "[%.*s%*s]", full, "##########", BAR - full, "");
}

static void show_cpu(const struct top_row *row, enum top_column column, char ret[CELL])
{
	char drawn[BAR + 3];

	bar(row->value[column], row->limit[column], drawn);
	(void)str_print(ret, CELL, "%6.1f %s", row->value[column], drawn);
}

static void show_memory(const struct top_row *row, enum top_column column, char ret[CELL])
{
	char drawn[BAR + 3], size[16];

	bar(row->value[column], row->limit[column], drawn);
	str_show_size((uint64_t)row->value[column], size);
	(void)str_print(ret, CELL, "%9s %s", size, drawn);
}

static void show_number(const struct top_row *row, enum top_column column, char ret[CELL])
{
	(void)str_print(ret, CELL, "%.0f", row->value[column]);
}

static void show_percent(const struct top_row *row, enum top_column column, char ret[CELL])
{
	(void)str_print(ret, CELL, "%.1f", row->value[column]);
}

static void show_rate(const struct top_row *row, enum top_column column, char ret[CELL])
{
	char size[16];

	str_show_size((uint64_t)row->value[column], size);
	(void)str_copy(ret, CELL, size);
}

/* What does not fit the width is left out from the end. */
static const struct column {
	const char *name; /* for --sort */
	char key;
	const char *title;
	int width;
	bool left;
	void (*show)(const struct top_row *row, enum top_column column, char ret[CELL]);
} columns[TOP_COLUMNS] = {
	[TOP_NAME] = {"name", 'n', "NAME", NAME_LEAST, true, NULL},
	[TOP_STATE] = {"state", 's', "STATE", 12, true, show_state},
	[TOP_CPU] = {"cpu", 'c', "CPU% OF LIMIT", 19, false, show_cpu},
	[TOP_MEMORY] = {"memory", 'm', "MEMORY OF LIMIT", 22, false, show_memory},
	[TOP_PROCESSES] = {"processes", 'p', "PROCS", 6, false, show_number},
	[TOP_PRESSURE_CPU] = {"cpu-pressure", '1', "PSI-C", 6, false, show_percent},
	[TOP_PRESSURE_MEMORY] = {"memory-pressure", '2', "PSI-M", 6, false, show_percent},
	[TOP_PRESSURE_IO] = {"io-pressure", '3', "PSI-I", 6, false, show_percent},
	[TOP_RECEIVED] = {"received", 'r', "RX/S", 9, false, show_rate},
	[TOP_SENT] = {"sent", 't', "TX/S", 9, false, show_rate},
	[TOP_READ] = {"read", 'd', "READ/S", 9, false, show_rate},
	[TOP_WRITTEN] = {"written", 'w', "WRITE/S", 9, false, show_rate},
};

enum top_column top_column_named(const char *name)
{
	enum top_column i = 0;

	while (i < TOP_COLUMNS && strcasecmp(columns[i].name, name) != 0)
		i++;
	return i;
}

enum top_column top_column_of_key(char key)
{
	enum top_column i = 0;

	while (i < TOP_COLUMNS && columns[i].key != key)
		i++;
	return i;
}

static int width_of(const struct layout *layout, size_t column)
{
	return column == TOP_NAME ? layout->name : columns[column].width;
}

static struct layout lay_out(const struct top_rows *rows, const struct top_view *view)
{
	struct layout layout = {.name = NAME_LEAST};
	int used = 0, most = (int)view->width;

	for (size_t i = 0; i < rows->count; i++) {
		int len = (int)strlen(rows->rows[i].figures->name);

		layout.name = len > layout.name ? len : layout.name;
	}
	if (view->height == 0) { /* lines of a batch are as long as they need to be */
		layout.fit = TOP_COLUMNS;
		return layout;
	}
	/* Longer names push out rates and pressure, but neither memory nor processor time. */
	for (size_t i = TOP_STATE; i <= TOP_MEMORY; i++)
		most -= columns[i].width + 1;
	layout.name = layout.name > most ? (most > NAME_LEAST ? most : NAME_LEAST) : layout.name;
	for (; layout.fit < TOP_COLUMNS; layout.fit++) {
		used += width_of(&layout, layout.fit) + (layout.fit ? 1 : 0);
		if (used > (int)view->width)
			break;
	}
	layout.fit = layout.fit ? layout.fit : 1;
	return layout;
}

static int most_of_line(const struct top_view *view)
{
	return view->height == 0 ? -1 : (int)view->width;
}

static void add_line(struct buf *out, const struct top_view *view, const char *text)
{
	buf_addf(out, "%.*s\n", most_of_line(view), text);
}

static void draw_heads(const struct top_look *now, const struct top_rows *rows, const struct top_view *view,
		       const struct layout *layout, struct buf *out)
{
	auto_free char *first = str_format("isle top  %s  %zu guests, %zu running, every %g s, by %s%s%s%s", now->clock, now->count,
					   rows->running, view->delay, columns[view->sort].name, view->reverse ? " reversed" : "",
					   view->filter[0] ? ", with " : "", view->filter);
	auto_buf struct buf titles = {0};

	add_line(out, view, first ? first : "isle top");
	add_line(out, view, "");
	for (size_t i = 0; i < layout->fit; i++) {
		const struct column *column = &columns[i];
		int width = width_of(layout, i);
		char title[CELL];

		(void)str_print(title, sizeof(title), "%s%s", column->title, i == view->sort ? (view->reverse ? "^" : "v") : "");
		buf_addf(&titles, "%s%*.*s", i ? " " : "", column->left ? -width : width, width, title);
	}
	buf_addf(out, "%s%.*s%s\n", view->color ? "\033[7m" : "", most_of_line(view), titles.data ? titles.data : "",
		 view->color ? "\033[0m" : "");
}

/* Nearly full, or held up for much of the time. */
static const char *color_of(const struct top_row *row, size_t at)
{
	double part = row->limit[at] > 0 && row->value[at] >= 0 ? row->value[at] / row->limit[at] : 0;

	if (at >= TOP_PRESSURE_CPU && at <= TOP_PRESSURE_IO)
		part = row->value[at] / 50;
	return part >= 0.95 ? "\033[31m" : part >= 0.8 ? "\033[33m" : NULL;
}

static void draw_name(const struct top_row *row, const struct top_view *view, int width, struct buf *out)
{
	const char *name = row->figures->name;

	/* A name that is cut says so: two guests must not look like one. */
	if (view->height && (int)view->width < width)
		width = (int)view->width;
	if ((int)strlen(name) > width)
		buf_addf(out, "%.*s+", width - 1, name);
	else
		buf_addf(out, "%-*s", width, name);
}

static void draw_row(const struct top_row *row, const struct top_view *view, const struct layout *layout, struct buf *out)
{
	draw_name(row, view, layout->name, out);
	for (size_t i = TOP_NAME + 1; i < layout->fit; i++) {
		const struct column *column = &columns[i];
		const char *color = view->color ? color_of(row, i) : NULL;
		char cell[CELL] = "-";

		if (column->left || row->value[i] >= 0)
			column->show(row, (enum top_column)i, cell);
		else if (i == TOP_CPU || i == TOP_MEMORY) /* in the place of the number, not of the bar */
			(void)str_print(cell, sizeof(cell), "-%*s", BAR + 3, "");
		buf_addf(out, " %s%*.*s%s", color ? color : "", column->left ? -column->width : column->width, column->width, cell,
			 color ? "\033[0m" : "");
	}
	buf_add(out, "\n");
}

void top_draw(const struct top_look *now, const struct top_rows *rows, struct top_view *view, struct buf *out)
{
	const struct layout layout = lay_out(rows, view);
	size_t below = view->bottom ? 1 : 0;
	size_t room = view->height == 0 ? rows->count : view->height > HEADS + below ? view->height - HEADS - below : 1;

	if (view->scroll + room > rows->count)
		view->scroll = rows->count > room ? rows->count - room : 0;
	draw_heads(now, rows, view, &layout, out);
	for (size_t i = view->scroll; i < rows->count && i < view->scroll + room; i++)
		draw_row(&rows->rows[i], view, &layout, out);
	for (size_t i = rows->count - view->scroll; view->bottom && i < room; i++)
		buf_add(out, "\n");
	if (view->bottom)
		add_line(out, view, view->bottom);
}
