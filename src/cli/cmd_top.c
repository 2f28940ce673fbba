/* isle top: a screen of guests and what they use, that refreshes. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "top.h"
#include "verbs.h"

#define FIRST_MS   300 /* until rates are known */
#define PAGE       10
#define FAR        1000000 /* rows: to the first or the last */
#define DELAY_MOST 3600000UL
#define KEYS \
	"q quit  c cpu  m memory  p processes  1 2 3 pressure  r rx  t tx  d read  w write  n name  R reverse  / filter  + - delay"

struct top {
	struct call *call;
	const struct store *store;
	struct top_view view;
	struct top_look before, now;
	unsigned long delay_ms;
	bool typing; /* a filter */
	bool quit;
	struct termios saved;
	int signals; /* signalfd */
};

static int next_look(struct top *top, struct err *err)
{
	struct top_look look;
	int r = top_look(top->store, &look, err);

	if (r < 0)
		return r;
	top_look_free(&top->before);
	top->before = top->now;
	top->now = look;
	return 0;
}

/* Batch */

static int print_once(struct top *top, struct err *err)
{
	struct top_rows rows;
	auto_buf struct buf out = {0};
	int r = top_compare(&top->before, &top->now, &top->view, &rows, err);

	if (r < 0)
		return r;
	if (top->call->json) {
		struct json_object *o = top_json(&top->now, &rows);

		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
	} else {
		top_draw(&top->now, &rows, &top->view, &out);
		printf("%s\n", out.data ? out.data : "");
	}
	free(rows.rows);
	return fflush(stdout) == 0 ? 0 : err_sys(err, "write what guests use");
}

static int batch(struct top *top, unsigned long count, struct err *err)
{
	unsigned long wait = top->delay_ms < FIRST_MS ? top->delay_ms : FIRST_MS;
	int r = next_look(top, err);

	for (unsigned long i = 0; r == 0 && (count == 0 || i < count); i++) {
		(void)poll(NULL, 0, (int)wait); /* the time that rates are of */
		wait = top->delay_ms;
		r = next_look(top, err);
		if (r == 0)
			r = print_once(top, err);
	}
	return r;
}

/* Screen */

static int raw_terminal(struct top *top, struct err *err)
{
	struct termios raw;
	sigset_t set;

	if (tcgetattr(STDIN_FILENO, &top->saved) < 0)
		return err_sys(err, "look at the terminal");
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	top->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (top->signals < 0)
		return err_sys(err, "wait for signals");
	raw = top->saved;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return err_sys(err, "set the terminal");
	/* The other screen, without a cursor: what was there before comes back. */
	static const char begin[] = "\033[?1049h\033[?25l";

	(void)file_write_waiting(STDOUT_FILENO, begin, sizeof(begin) - 1);
	return 0;
}

static void restore_terminal(struct top *top)
{
	static const char end[] = "\033[?25h\033[?1049l";

	(void)file_write_waiting(STDOUT_FILENO, end, sizeof(end) - 1);
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &top->saved);
	close(top->signals);
}

static int draw(struct top *top, struct err *err)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	auto_buf struct buf lines = {0}, out = {0};
	auto_free char *asking = str_format("filter: %s_", top->view.filter);
	struct top_rows rows;

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size); /* else what terminals used to be */
	top->view.width = size.ws_col ? size.ws_col : 80;
	top->view.height = size.ws_row ? size.ws_row : 24;
	top->view.bottom = top->typing ? asking : KEYS;
	top->view.delay = (double)top->delay_ms / 1000;
	int r = top_compare(&top->before, &top->now, &top->view, &rows, err);

	if (r < 0)
		return r;
	top_draw(&top->now, &rows, &top->view, &lines);
	free(rows.rows);
	/* Line by line over what is there, each cleared to its end: nothing flickers. */
	buf_add(&out, "\033[H");
	for (char *at = lines.data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
		buf_add_bytes(&out, at, (size_t)(end - at));
		buf_add(&out, end[1] ? "\033[K\r\n" : "\033[K");
	}
	buf_add(&out, "\033[J");
	r = out.failed ? -ENOMEM : file_write_waiting(STDOUT_FILENO, out.data, out.len);
	return r < 0 ? err_num(err, r, "draw the screen") : 0;
}

static void type_filter(struct top *top, char key)
{
	size_t len = strlen(top->view.filter);

	if (key == '\n' || key == '\r')
		top->typing = false;
	else if ((key == 0x7f || key == '\b') && len > 0)
		top->view.filter[len - 1] = '\0';
	else if (key == 0x15) /* ^U */
		top->view.filter[0] = '\0';
	else if (key > ' ' && key < 0x7f && len + 1 < sizeof(top->view.filter)) {
		top->view.filter[len] = key;
		top->view.filter[len + 1] = '\0';
	}
}

static void scroll(struct top *top, long by)
{
	long to = (long)top->view.scroll + by;

	top->view.scroll = to > 0 ? (size_t)to : 0;
}

/* True: the figures are wanted anew. */
static bool press(struct top *top, char key)
{
	enum top_column column = top_column_of_key(key);

	if (key == 'q' || key == 0x03)
		top->quit = true;
	else if (key == '/')
		top->typing = true;
	else if (key == 'R')
		top->view.reverse = !top->view.reverse;
	else if (key == '+' && top->delay_ms < DELAY_MOST)
		top->delay_ms += top->delay_ms < 1000 ? 250 : 1000;
	else if (key == '-' && top->delay_ms > 250)
		top->delay_ms -= top->delay_ms <= 1000 ? 250 : 1000;
	else if (key == 'j' || key == 'k')
		scroll(top, key == 'j' ? 1 : -1);
	else if (column < TOP_COLUMNS)
		top->view.sort = column;
	return key == ' ';
}

static const struct {
	const char *sequence;
	long rows;
} arrows[] = {
	{"\033[A", -1},   {"\033[B", 1},    {"\033OA", -1},    {"\033OB", 1},   {"\033[5~", -PAGE}, {"\033[6~", PAGE},
	{"\033[H", -FAR}, {"\033OH", -FAR}, {"\033[1~", -FAR}, {"\033[F", FAR}, {"\033OF", FAR},    {"\033[4~", FAR},
};
#define ARROWS (sizeof(arrows) / sizeof(arrows[0]))

/* Keys that terminals send as several bytes; the rest one by one. */
static bool take_keys(struct top *top, const char *text, size_t len)
{
	bool wanted = false;

	if (len == 1 && text[0] == '\033') { /* Esc itself: all guests again */
		top->view.filter[0] = '\0';
		top->typing = false;
		return false;
	}
	for (size_t i = 0; i < len && !top->quit;) {
		size_t row = 0;

		while (row < ARROWS && !str_starts(text + i, arrows[row].sequence))
			row++;
		if (row < ARROWS) {
			scroll(top, arrows[row].rows);
			i += strlen(arrows[row].sequence);
		} else if (text[i] == '\033') {
			break; /* some other key that nobody waits for */
		} else if (top->typing) {
			type_filter(top, text[i++]);
		} else {
			wanted = press(top, text[i++]) || wanted;
		}
	}
	return wanted;
}

/* Waits for a key, a signal, or the time; true: the figures are wanted anew. */
static bool wait_for(struct top *top, uint64_t until)
{
	struct pollfd watch[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = top->signals, .events = POLLIN}};
	uint64_t now = proc_now_ms();
	struct signalfd_siginfo info;
	char text[32];

	if (now >= until)
		return true;
	if (poll(watch, 2, (int)(until - now)) <= 0)
		return proc_now_ms() >= until;
	while (read(top->signals, &info, sizeof(info)) == sizeof(info))
		top->quit = top->quit || info.ssi_signo != SIGWINCH;
	if (!watch[0].revents)
		return false;
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (n <= 0) { /* the terminal is gone */
		top->quit = true;
		return false;
	}
	text[n] = '\0';
	return take_keys(top, text, (size_t)n);
}

static int screen(struct top *top, struct err *err)
{
	int r = raw_terminal(top, err);

	if (r < 0)
		return r;
	top->view.color = top->call->color;
	r = next_look(top, err);
	uint64_t until = proc_now_ms() + FIRST_MS;

	while (r == 0 && !top->quit) {
		r = draw(top, err);
		if (r < 0 || !wait_for(top, until) || top->quit)
			continue;
		r = next_look(top, err);
		until = proc_now_ms() + top->delay_ms;
	}
	restore_terminal(top);
	return r;
}

static int run_top(struct call *call, struct err *err)
{
	struct top top = {.call = call, .view = {.sort = TOP_CPU}};
	const char *sort = call_value(call, "sort"), *filter = call_value(call, "filter");
	bool in_batch = call_has(call, "batch") || call->json;
	unsigned long count = 0;
	int r = call_duration(call, "delay", 2000, &top.delay_ms, err);

	if (r == 0)
		r = call_number(call, "iterations", 0, 1, 1000000000, &count, err);
	if (r == 0 && (top.delay_ms < 100 || top.delay_ms > DELAY_MOST))
		r = call_usage(call, err, "--delay is from 100ms to 1h");
	if (r == 0 && sort && (top.view.sort = top_column_named(sort)) == TOP_COLUMNS)
		r = call_usage(call, err, "there is no column '%s' to sort by", sort);
	if (r == 0 && filter && str_copy(top.view.filter, sizeof(top.view.filter), filter) < 0)
		r = call_usage(call, err, "--filter is too long");
	if (r == 0 && !in_batch && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)))
		r = call_usage(call, err, "this is no terminal: --batch prints lines");
	if (r == 0)
		r = call_store(call, &top.store, err);
	top.view.delay = (double)top.delay_ms / 1000;
	if (r == 0)
		r = in_batch ? batch(&top, count, err) : screen(&top, err);
	top_look_free(&top.before);
	top_look_free(&top.now);
	return r;
}

static const struct option_row options[] = {
	{.name = "batch", .letter = 'b', .doc = "Print lines instead of a screen, until it is ended or --iterations are done."},
	{.name = "iterations", .letter = 'n', .arg = "NUMBER", .doc = "With --batch, how often to print."},
	{.name = "delay", .letter = 'd', .arg = "DURATION", .doc = "Time between two looks; 2s without it."},
	{.name = "sort",
	 .letter = 's',
	 .arg = "COLUMN",
	 .doc = "Sort by name, state, cpu (the default), memory, processes, cpu-pressure, "
		"memory-pressure, io-pressure, received, sent, read or written."},
	{.name = "filter", .letter = 'f', .arg = "TEXT", .doc = "Only guests whose name has that in it."},
	{NULL},
};

const struct verb verb_top = {
	.name = "top",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS]",
	.summary = "Show on a screen that refreshes what guests use.",
	.headline = "show what guests use",
	.text = "CPU is in percent of one CPU; bars show processor time and memory against the limit, where there is one. PSI-C, PSI-M and PSI-I "
		"are the share of time in which some process of the guest waited for a processor, memory or a disk (PSI). RX, TX, READ "
		"and WRITE are bytes a second, RX being what the guest receives. What does not fit the terminal's width is left out, and a name that is "
		"cut ends in +. No guest is entered.\n\n"
		"Keys: q quits; c, m, p, 1, 2, 3, r, t, d, w, n and s sort by processor time, memory, processes, the three pressures, what is "
		"received, sent, read and written, name, and state; R reverses; / asks for a part of the name and Escape shows all again; + and - "
		"change the delay; space looks at once; arrows, j and k, the page keys, Home and End scroll.\n\n"
		"With --json each look is one line, an object with time (seconds since 1970) and guests, an array of objects with name, "
		"state, cpu_percent, memory, processes, cpu_pressure_percent, memory_pressure_percent, io_pressure_percent, "
		"received_per_second, sent_per_second, read_per_second, written_per_second, cpu_limit_percent, memory_limit and "
		"processes_limit; what is not known, and no limit, is null.",
	.examples = "isle top\nisle top --sort memory --filter web\nisle top -b -n 1\nisle top --json -n 1 -d 5",
	.options = options,
	.needs_root = true,
	.run = run_top,
};
