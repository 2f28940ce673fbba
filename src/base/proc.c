/* proc */
#include "config.h"
#include "proc.h"
