/* The system call filter: lists in config/seccomp compiled by libseccomp once, then loaded from the cache. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"

struct seccomp_request {
	const char *list;       /* NULL or "default": isle's; "none": no filter; else a path: isle's or LXC's version 2 format */
	bool nesting;
	bool checkpoint_ready;  /* adds what checkpoint asks: no unshare of uts, ipc, time, pid, cgroup namespaces ... */
	bool privileged;
	const char *cache;      /* store->cache: compiled programs are kept in cache/seccomp-HASH.bpf (root, 0700) */
};

struct seccomp_program {
	void *filter;           /* struct sock_filter[] */
	unsigned short count;
};

/* Host side: reads the cached program or compiles it (libseccomp) and keeps it. HASH covers the lists' text, the options, the kernel
 * release, libseccomp's version and architecture. *ret: free with seccomp_free. count 0: no filter. */
int seccomp_prepare(const struct seccomp_request *request, struct seccomp_program *ret, struct err *err);

/* Guest side, last before exec: seccomp(SECCOMP_SET_MODE_FILTER). */
int seccomp_apply(const struct seccomp_program *program, struct err *err);
void seccomp_free(struct seccomp_program *program);
