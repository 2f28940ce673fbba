/* isle metrics: figures of all guests for Prometheus and whoever else reads OpenMetrics. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "metrics.h"
#include "verbs.h"

#define REQUEST_MOST 8192
#define REQUEST_MS   5000

static int load(struct call *call, enum metrics_form form, struct buf *out, struct err *err)
{
	auto_free struct figures *guests = NULL;
	const struct store *store;
	struct netlink *nl = NULL;
	char **names = NULL;
	size_t count = 0, loaded = 0;
	int r = call_store(call, &store, err);

	if (r == 0)
		r = store_names(store, &names, err);
	while (r == 0 && names[count])
		count++;
	guests = calloc(count + 1, sizeof(*guests));
	if (r == 0 && !guests)
		r = err_num(err, ENOMEM, "show metrics");
	if (r == 0)
		r = netlink_open(-1, &nl, err);
	for (size_t i = 0; r == 0 && i < count; i++)
		loaded += figures_load(store, names[i], nl, true, &guests[loaded]) == 0; /* else it has just been destroyed */
	if (r == 0) {
		metrics_format(guests, loaded, form, out);
		r = out->failed ? err_num(err, ENOMEM, "show metrics") : 0;
	}
	netlink_free(nl);
	store_names_free(names);
	return r;
}

/* A reader sees the old file or the new one. */
static int replace(const char *path, const struct buf *text, struct err *err)
{
	int r = file_replace(AT_FDCWD, path, text->data, text->len, 0644, err);

	return r < 0 ? err_hint(err, "its folder must be there; node_exporter's is often /var/lib/prometheus/node-exporter") : r;
}

/* HTTP */

/* Reads to the empty line that ends a request. False: it was none, or took too long. */
static bool read_request(char *request, size_t size)
{
	uint64_t end = proc_now_ms() + REQUEST_MS;
	size_t len = 0;

	for (;;) {
		struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
		uint64_t now = proc_now_ms();

		if (now >= end || len + 1 >= size || poll(&in, 1, (int)(end - now)) <= 0)
			return false;
		ssize_t n = read(STDIN_FILENO, request + len, size - 1 - len);

		if (n <= 0)
			return false;
		len += (size_t)n;
		request[len] = '\0';
		if (strstr(request, "\r\n\r\n") || strstr(request, "\n\n"))
			return true;
	}
}

static bool asks_for(const char *request, const char *path)
{
	const char *at = strchr(request, ' ');
	size_t len = at ? strcspn(at + 1, " ?\r\n") : 0;

	return at && len == strlen(path) && memcmp(at + 1, path, len) == 0;
}

static int answer(const char *status, const char *type, const char *body, size_t len, bool with_body, struct err *err)
{
	auto_buf struct buf out = {0};

	buf_addf(&out, "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status, type, len);
	if (with_body)
		buf_add_bytes(&out, body, len);
	int r = out.failed ? -ENOMEM : file_write_waiting(STDOUT_FILENO, out.data, out.len);

	return r < 0 ? err_num(err, r, "answer the scrape") : 0;
}

static int refuse(const char *status, struct err *err)
{
	auto_free char *body = str_format("%s\n", status);

	return body ? answer(status, "text/plain; charset=utf-8", body, strlen(body), true, err) : err_num(err, ENOMEM, "answer");
}

static int serve(struct call *call, struct err *err)
{
	auto_buf struct buf text = {0};
	char request[REQUEST_MOST];

	if (!read_request(request, sizeof(request)))
		return refuse("400 Bad Request", err);
	bool head = str_starts(request, "HEAD ");

	if (!head && !str_starts(request, "GET "))
		return refuse("405 Method Not Allowed", err);
	if (asks_for(request, "/")) {
		static const char page[] = "isle: see /metrics\n";

		return answer("200 OK", "text/plain; charset=utf-8", page, strlen(page), !head, err);
	}
	if (!asks_for(request, "/metrics"))
		return refuse("404 Not Found", err);
	enum metrics_form form = strstr(request, "application/openmetrics-text") ? METRICS_OPEN : METRICS_PROMETHEUS;
	int r = load(call, form, &text, err);

	if (r < 0) {
		(void)refuse("500 Internal Server Error", NULL);
		return r;
	}
	return answer("200 OK",
		      form == METRICS_OPEN ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
					   : "text/plain; version=0.0.4; charset=utf-8",
		      text.data, text.len, !head, err);
}

static int run_metrics(struct call *call, struct err *err)
{
	const char *output = call_value(call, "output");
	auto_buf struct buf text = {0};

	if (call_has(call, "http"))
		return output ? call_usage(call, err, "--http and --output exclude each other") : serve(call, err);
	enum metrics_form form = output ? METRICS_PROMETHEUS : METRICS_OPEN;
	const char *wanted = call_value(call, "format");

	if (wanted && strcmp(wanted, "openmetrics") != 0 && strcmp(wanted, "prometheus") != 0)
		return call_usage(call, err, "--format is openmetrics or prometheus, not '%s'", wanted);
	if (wanted)
		form = strcmp(wanted, "openmetrics") == 0 ? METRICS_OPEN : METRICS_PROMETHEUS;
	int r = load(call, form, &text, err);

	if (r == 0 && output)
		return replace(output, &text, err);
	if (r == 0)
		r = fwrite(text.data, 1, text.len, stdout) == text.len ? 0 : err_sys(err, "write the metrics");
	return r;
}

static const struct option_row options[] = {
	{.name = "output",
	 .letter = 'o',
	 .arg = "FILE",
	 .doc = "Write to that file, which is replaced as a whole: for the textfile collector of node_exporter, whose files end in .prom.",
	 .complete = COMPLETE_FILE},
	{.name = "format",
	 .arg = "FORMAT",
	 .doc = "openmetrics, or prometheus for its older text format (0.0.4), which --output has unless told otherwise."},
	{.name = "http",
	 .doc = "Answer one request of HTTP on standard input and output: what isle-metrics.socket runs for each scrape."},
	{NULL},
};

const struct verb verb_metrics = {
	.name = "metrics",
	.group = GROUP_HOST,
	.synopsis = "[OPTIONS]",
	.summary = "Show figures of all guests as OpenMetrics text.",
	.headline = "show metrics",
	.text = "For Prometheus and others that read OpenMetrics or Prometheus's older text format (a scrape is answered as it asks), by a scrape of 127.0.0.1:9767/metrics (systemctl enable --now isle-metrics.socket), or by node_exporter's "
		"textfile collector and a timer that runs isle metrics --output. Each sample has the label guest. What a kernel does not "
		"tell, and what a stopped guest has not, has no sample.\n\n"
		"isle_guest_cpu_seconds_total, isle_guest_oom_kills_total and isle_guest_starts_total count from the guest's making and go "
		"on over its starts; other counters begin at each start. isle_guest_state is 1 for the state that the guest is in. "
		"isle_guest_memory_bytes has the kinds anon, file, shmem, kernel and swap; isle_guest_disk_used_bytes is there once isle usage "
		"--record (isle-usage.timer) has counted. The # HELP lines of the output explain all others: processor time by mode, throttling, "
		"limits, pressure, disk and network traffic, processes.",
	.examples = "isle metrics\nisle metrics --output /var/lib/prometheus/node-exporter/isle.prom\n"
		    "curl -s 127.0.0.1:9767/metrics",
	.options = options,
	.needs_root = true,
	.run = run_metrics,
};
