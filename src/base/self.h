/* The running program's own file: where it is, and a sealed copy to run from where it would be in reach of a hostile root. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "err.h"

/* The program's path as it was installed or built, also in a sealed copy. -errno. */
int self_path(char *ret, size_t size);

bool self_is_sealed(void);

/* Executes this program anew, with argv and the environment as they are, from a sealed memfd (memfd_create(2)): nobody can change
 * bytes of it, and no process leads to the file that it was copied from. Returns on failure only. Nothing may have been begun: no
 * lock is kept. */
int self_seal(char *const argv[], struct err *err);
