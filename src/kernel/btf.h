/* The kernel's description of its own types (BTF), as far as isle asks it: the number of a function. */
#pragma once

#include <stdint.h>

/* 0, -ENOENT: this kernel describes nothing, or has no such function; else -errno. It reads some megabytes: a dozen milliseconds.
 */
int btf_function(const char *path, const char *name, uint32_t *ret);
#define BTF_KERNEL "/sys/kernel/btf/vmlinux"
