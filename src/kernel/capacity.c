/* How much a host has of what guests are promised: memory, swap, CPUs, processes, disk. */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "capacity.h"

static uint64_t number_in(const char *path)
{
	auto_free char *text = NULL;
	uint64_t number = 0;

	if (file_read(AT_FDCWD, path, 64, &text, NULL) < 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, 0, UINT64_MAX, &number) == 0 ? number : 0;
}

void capacity_read(const char *folder, struct capacity *ret)
{
	uint64_t pids = number_in("/proc/sys/kernel/pid_max"), threads = number_in("/proc/sys/kernel/threads-max");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct sysinfo info;
	struct statvfs fs;

	*ret = (struct capacity){.cpus = cpus > 0 ? (uint64_t)cpus * 1000 : 0, .processes = pids < threads ? pids : threads};
	if (sysinfo(&info) == 0) {
		ret->memory = (uint64_t)info.totalram * info.mem_unit;
		ret->swap = (uint64_t)info.totalswap * info.mem_unit;
	}
	if (statvfs(folder, &fs) == 0) {
		ret->disk = (uint64_t)fs.f_blocks * fs.f_frsize;
		ret->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	}
}
