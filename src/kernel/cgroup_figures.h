/* What a group's processes have used and suffered, for who draws or counts it. */
#pragma once

#include "cgroup.h"

enum cgroup_pressure { CGROUP_PRESSURE_CPU, CGROUP_PRESSURE_MEMORY, CGROUP_PRESSURE_IO, CGROUP_PRESSURES };

/* UINT64_MAX: the kernel does not say. Of memory: bytes; kinds may overlap (what is shmem is in file too). */
struct cgroup_figures {
	struct cgroup_stat stat;
	uint64_t user_usec, system_usec;
	uint64_t periods, throttled, throttled_usec; /* of a limit of CPUs: all periods, those in which it was met */
	uint64_t memory_high, swap, swap_limit;
	uint64_t anon, file, shmem, kernel;  /* kernel: with what it keeps for itself on v1 (kmem) */
	uint64_t processes_limit, cpu_limit; /* thousandths of a CPU */
	uint64_t io[CGROUP_IO_KINDS];        /* bytes read and written, reads and writes */
	struct {
		uint64_t some_usec, full_usec; /* in which some, or all, of its processes waited */
		unsigned some_10, full_10;     /* the last ten seconds' share, in hundredths of a percent */
	} pressure[CGROUP_PRESSURES];          /* some_usec UINT64_MAX: no PSI */
};

/* -ENOENT when there is no such group. */
int cgroup_figures(const char *cgroup, struct cgroup_figures *ret);
