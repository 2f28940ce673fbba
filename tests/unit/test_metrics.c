/* Metrics as text, and the rows of isle top. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/cli/metrics.h"
#include "../../src/cli/top.h"

static struct figures running(const char *name)
{
	struct figures figures = {.state = STATE_RUNNING, .up = true};

	(void)str_copy(figures.name, sizeof(figures.name), name);
	memset(&figures.cgroup, 0xff, sizeof(figures.cgroup));
	figures.record.init_start = 7;
	return figures;
}

static void labels_are_escaped(void **state)
{
	auto_buf struct buf out = {0};

	(void)state;
	metrics_label(&out, "l", "a\"b\\c\nd");
	assert_string_equal(out.data, ",l=\"a\\\"b\\\\c\\nd\"");
}

static void what_is_not_known_has_no_sample(void **state)
{
	struct figures guests[2] = {running("one"), {.name = "two", .state = STATE_STOPPED}};
	auto_buf struct buf open = {0}, older = {0};

	(void)state;
	guests[0].cgroup.stat.memory = 4096;
	guests[0].cgroup.throttled_usec = 1500000;
	guests[0].cgroup.cpu_limit = 1500;
	metrics_format(guests, 2, METRICS_OPEN, &open);
	assert_non_null(strstr(open.data, "\nisle_guest_memory_used_bytes{guest=\"one\"} 4096\n"));
	assert_non_null(strstr(open.data, "\nisle_guest_cpu_throttled_seconds_total{guest=\"one\"} 1.500000\n"));
	assert_non_null(strstr(open.data, "\nisle_guest_cpu_limit{guest=\"one\"} 1.500\n"));
	assert_non_null(strstr(open.data, "\nisle_guest_state{guest=\"two\",state=\"stopped\"} 1\n"));
	assert_null(strstr(open.data, "isle_guest_memory_used_bytes{guest=\"two\""));
	assert_null(strstr(open.data, "isle_guest_memory_peak_bytes{"));
	assert_null(strstr(open.data, "18446744073709551615"));
	assert_non_null(strstr(open.data, "# TYPE isle_guest_cpu_seconds counter\n"));
	assert_string_equal(open.data + open.len - 6, "# EOF\n");
	metrics_format(guests, 2, METRICS_PROMETHEUS, &older);
	assert_non_null(strstr(older.data, "# TYPE isle_guest_cpu_seconds_total counter\n"));
	assert_null(strstr(older.data, "# UNIT"));
	assert_null(strstr(older.data, "# EOF"));
}

static struct top_guest at(const char *name, uint64_t at_us, uint64_t cpu, uint64_t memory)
{
	struct top_guest guest = {.figures = running(name), .at_us = at_us};

	guest.figures.cgroup.stat.cpu_usec = cpu;
	guest.figures.cgroup.stat.memory = memory;
	guest.figures.cgroup.stat.memory_limit = 1000;
	return guest;
}

static void rows_are_rates_in_order(void **state)
{
	struct top_guest before[] = {at("a", 1000000, 500000, 10), at("b", 1000000, 0, 10)};
	struct top_guest now[] = {at("a", 3000000, 1500000, 100), at("b", 3000000, 1900000, 50), at("new", 3000000, 5, 900)};
	struct top_look then = {.guests = before, .count = 2}, look = {.guests = now, .count = 3};
	struct top_view view = {.sort = TOP_CPU, .width = 200};
	struct top_rows rows;
	auto_buf struct buf out = {0};

	(void)state;
	assert_int_equal(top_compare(&then, &look, &view, &rows, NULL), 0);
	assert_int_equal(rows.count, 3);
	assert_string_equal(rows.rows[0].figures->name, "b");
	assert_int_equal((int)(rows.rows[0].value[TOP_CPU] + 0.5), 95);
	assert_int_equal((int)(rows.rows[1].value[TOP_CPU] + 0.5), 50);
	assert_true(rows.rows[2].value[TOP_CPU] < 0); /* there is nothing to compare it with */
	top_draw(&look, &rows, &view, &out);
	assert_non_null(strstr(out.data, "900 B [#########  ]") ? "" : strstr(out.data, "[#########"));
	free(rows.rows);
	/* A guest of the same name that was started anew. */
	before[0].figures.record.init_start = 6;
	view = (struct top_view){.sort = TOP_MEMORY, .reverse = true, .filter = "a"};
	assert_int_equal(top_compare(&then, &look, &view, &rows, NULL), 0);
	assert_int_equal(rows.count, 1);
	assert_true(rows.rows[0].value[TOP_CPU] < 0);
	free(rows.rows);
}

static void a_small_terminal_is_kept_to(void **state)
{
	struct top_guest now[30];
	struct top_look then = {0}, look = {.guests = now, .count = 30};
	struct top_view view = {
		.sort = TOP_NAME, .width = 30, .height = 10, .scroll = 1000, .bottom = "keys and more keys, more than fit here"};
	struct top_rows rows;
	auto_buf struct buf out = {0};
	size_t lines = 0;

	(void)state;
	for (size_t i = 0; i < 30; i++)
		now[i] = at("guest", 1, 1, 1);
	assert_int_equal(top_compare(&then, &look, &view, &rows, NULL), 0);
	top_draw(&look, &rows, &view, &out);
	free(rows.rows);
	assert_int_equal(view.scroll, 24);
	for (char *line = out.data, *end; (end = strchr(line, '\n')); line = end + 1, lines++)
		assert_true(end - line <= 33); /* its columns may be wider than thirty by their padding at most */
	assert_int_equal(lines, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(what_is_not_known_has_no_sample),
		cmocka_unit_test(rows_are_rates_in_order),
		cmocka_unit_test(a_small_terminal_is_kept_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
