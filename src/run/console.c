/* The terminal side of attached sessions. */
#include "config.h"

#include "console.h"
