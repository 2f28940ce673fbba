/* err */
#include "config.h"
#include "err.h"
