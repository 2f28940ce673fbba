/* guests/NAME/log/isle: what isle did to a guest, one line an event. */
#pragma once

#include <stddef.h>

#define EVENTLOG_MAX (256 * 1024) /* bytes, then isle becomes isle.1 */

/* Appends "2025-01-31T12:00:00Z WHO: TEXT\n"; control bytes in text become '?', text beyond 900 bytes is cut. Best effort:
 * a full disk must not stop a guest from stopping. guest_fd: guests/NAME. Neither allocates nor uses stdio. */
void eventlog_write(int guest_fd, const char *who, const char *text);

/* Opens name ("log/isle") in guest_fd for appending, 0600, making the folder log when it is missing. Fd or -errno. */
int eventlog_open(int guest_fd, const char *name);

/* Adds text to the string in out as far as it fits. */
void eventlog_add(char *out, size_t size, const char *text);

/* Decimal digits, in out. Returns out's first digit. */
#define EVENTLOG_NUMBER 21
const char *eventlog_number(char out[EVENTLOG_NUMBER], unsigned long long n);
