/* How much a host has of what guests are promised. */
#pragma once

#include <stdint.h>

struct capacity {
	uint64_t memory; /* bytes */
	uint64_t swap;
	uint64_t cpus;            /* thousandths of those online */
	uint64_t processes;       /* that the kernel lets there be at once */
	uint64_t disk, disk_free; /* bytes of the file system that `folder` is on */
};

/* 0: not known. */
void capacity_read(const char *folder, struct capacity *ret);
