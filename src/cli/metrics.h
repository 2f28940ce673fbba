/* Figures of guests as OpenMetrics text. */
#pragma once

#include "../base/str.h"
#include "../run/figures.h"

/* The older one, text format 0.0.4, is all that node_exporter's textfile collector reads. */
enum metrics_form { METRICS_OPEN, METRICS_PROMETHEUS };

/* Adds the whole exposition. */
void metrics_format(const struct figures *guests, size_t count, enum metrics_form form, struct buf *out);

/* A label's value with what OpenMetrics wants escaped. */
void metrics_label(struct buf *out, const char *name, const char *value);
