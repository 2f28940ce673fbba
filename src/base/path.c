/* path */
#include "config.h"
#include "path.h"
