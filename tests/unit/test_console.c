/* The terminal side: attached to a fake guest's console, and the pump of `isle exec`. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int main(void)
{
	return cmocka_run_group_tests(((const struct CMUnitTest[]){{0}}), NULL, NULL);
}
