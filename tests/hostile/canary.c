/* Stands in a hostile image as this or that program, and as a library: whoever runs or loads it where the host's files can be seen
 * leaves a file in the bait folder, and an isle that loads it inside leaves one in the guest. tests/hostile/run writes into it where that
 * folder is. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile const char bait[128] = "@BAIT@";

static void leave(const char *folder, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (fd >= 0)
		close(fd);
}

__attribute__((constructor)) static void sing(void)
{
	char name[32] = "unknown";
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, name, sizeof(name) - 1) : 0;

	if (fd >= 0)
		close(fd);
	if (len > 0)
		name[len] = '\0';
	name[strcspn(name, "\n/")] = '\0';
	leave((const char *)bait, name);
	if (!strncmp(name, "isle", 4))
		leave("/loaded", name);
}

#ifndef LIBRARY
int main(void)
{
	return 0;
}
#endif
