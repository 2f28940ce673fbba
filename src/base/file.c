/* file */
#include "config.h"
#include "file.h"
