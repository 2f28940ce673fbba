/* The system call filter: lists in config/seccomp compiled by libseccomp once, then loaded from the cache. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "../base/err.h"

struct seccomp_request {
	const char *list; /* NULL or "default": isle's; "none": no filter; else a path: isle's or LXC's version 2 format,
			   * which then is the whole filter unless it says `include default` */
	bool nesting;
	bool checkpoint_ready; /* adds what checkpoint asks: no unshare of uts, ipc, time, pid, cgroup namespaces ... */
	bool privileged;
	bool arch32;       /* the guest's own architecture is the 32-bit one (guest.arch): see config/seccomp/arch32.list */
	const char *cache; /* store->cache: compiled programs are kept in cache/seccomp-HASH.bpf (root, 0700) */
};

struct seccomp_program {
	void *filter; /* struct sock_filter[] */
	unsigned short count;
};

/* Host side: reads the cached program or compiles it (libseccomp knows the numbers) and keeps it. HASH covers the lists' inodes,
 * sizes and times, the options, the kernel's release and architecture; another libseccomp makes the file void. A cached file that
 * is damaged, or not a regular file of root's alone, is made anew. *ret: free with seccomp_free. count 0: no filter. Malformed
 * lists are errors with file:line. */
int seccomp_prepare(const struct seccomp_request *request, struct seccomp_program *ret, struct err *err);

/* Guest side, last before exec: seccomp(SECCOMP_SET_MODE_FILTER). Needs CAP_SYS_ADMIN in the guest's user namespace; the default
 * filter lets a later privs_apply through, but no change of RLIMIT_CORE. */
int seccomp_apply(const struct seccomp_program *program, struct err *err);
void seccomp_free(struct seccomp_program *program);
