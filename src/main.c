/* The isle program. */
#include "config.h"

int main(void)
{
	return 0;
}
