/* Whether the kernel can tell which pages of a process were written (soft-dirty bits). */
#pragma once

#include <stdbool.h>

/* Tried on a page of the caller's own. Forgets what the caller itself has written so far, which nobody else asks for. */
bool dirty_tracked(void);
