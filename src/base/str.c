/* str */
#include "config.h"
#include "str.h"
