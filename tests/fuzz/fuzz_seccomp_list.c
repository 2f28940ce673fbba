/* Lists of system calls by chance: isle's form and LXC's. What is accepted must compile, or be refused as too big. */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/kernel/seccomp_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seccomp_rules rules = {0};
	struct seccomp_program program = {0};
	struct err err = {0};
	bool include;
	char *text = malloc(size + 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';

	int r = seccomp_lxc_is(text) ? seccomp_lxc_parse(text, "fuzz", &rules, &err)
	                             : seccomp_list_parse(text, "fuzz", &rules, &include, &err);

	if (r < 0 && !err.what[0])
		abort(); /* a refusal without a reason */
	if (r == 0) {
		r = seccomp_compile(&rules, &program, &err);
		if (r < 0 && r != -E2BIG)
			abort();
		if (r == 0 && (program.count == 0 || !program.filter))
			abort();
	}
	seccomp_free(&program);
	seccomp_rules_free(&rules);
	free(text);
	return 0;
}
