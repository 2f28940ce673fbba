/* Says in words that help why criu failed: the first real error of its log, its cause and its remedy. */
#pragma once

#include <stdbool.h>

#include "../base/err.h"

/* Reads images_fd/log. own: the message that criu's answer carried, "" for none. Always a failure: sets err, returns -errno;
 * -EAGAIN for what will have passed in a moment. */
int criu_log_explain(int images_fd, const char *log, bool restore, const char *own, struct err *err);

/* Keeps the log of a criu that failed as guests/NAME/log/criu, for whoever wants to know more than isle tells. */
void criu_log_keep(int folder, const char *log, int guest_fd);

#define CRIU_LOG_AGAIN "try again in a moment"

/* What one line of criu's log means; NULL for one that isle has no better words for. */
struct criu_meaning {
	const char *sign; /* part of criu's line */
	const char *cause;
	const char *remedy; /* "" when there is none, CRIU_LOG_AGAIN for what passes by itself */
};
const struct criu_meaning *criu_log_meaning(const char *line);

/* The text of a log's line without its place in criu's source; false for lines that are no errors, and for noise. */
bool criu_log_is_error(const char *line, const char **ret_text);
