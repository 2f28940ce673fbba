/* loop */
#include "config.h"
#include "loop.h"
