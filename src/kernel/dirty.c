/* Whether the kernel can tell which pages of a process were written (soft-dirty bits). */
#include "config.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "dirty.h"

#define SOFT_DIRTY (UINT64_C(1) << 55) /* Documentation/admin-guide/mm/soft-dirty.rst */

static bool is_dirty(int pagemap, const volatile char *page, long size)
{
	uint64_t entry = 0;
	off_t at = (off_t)((uintptr_t)page / (uintptr_t)size * sizeof(entry));

	return pread(pagemap, &entry, sizeof(entry), at) == (ssize_t)sizeof(entry) && (entry & SOFT_DIRTY);
}

/* A kernel without it takes the request to forget, and shows no page as written ever. */
bool dirty_tracked(void)
{
	long size = sysconf(_SC_PAGESIZE);
	auto_close int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *mapped = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *page = mapped;
	bool tracked = false;

	if (mapped == MAP_FAILED)
		return false;
	page[0] = 1;
	if (pagemap >= 0 && file_poke(AT_FDCWD, "/proc/self/clear_refs", "4") == 0 && !is_dirty(pagemap, page, size)) {
		page[0] = 2;
		tracked = is_dirty(pagemap, page, size);
	}
	(void)munmap(mapped, (size_t)size);
	return tracked;
}
