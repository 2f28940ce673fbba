/* What criu sees of mounts when it dumps. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

/* systemd has credentials in the one where the kernel lets it not have the other. The words are of one length. */
static void call_ramfs_tmpfs(char *text)
{
	static const char from[] = " - ramfs ", to[] = " - tmpfs ";

	for (char *at = text; (at = strstr(at, from)); at += sizeof(to) - 1)
		__builtin_memcpy(at, to, sizeof(to) - 1);
}

/* The whole file, NUL-terminated; NULL when it cannot be had. *ret_len: of the text. */
static char *read_whole(int fd, size_t *ret_len)
{
	size_t size = 65536, len = 0;
	char *text = malloc(size);

	while (text) {
		ssize_t n = read(fd, text + len, size - len - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			free(text);
			return NULL;
		}
		if (n == 0)
			break;
		len += (size_t)n;
		if (size - len > 1)
			continue;
		char *more = realloc(text, size *= 2);

		if (!more)
			free(text);
		text = more;
	}
	if (text)
		text[len] = '\0';
	*ret_len = len;
	return text;
}

/* A copy of the list of mounts that says so. Where that cannot be made, none: criu then ends, and says that it could not open it.
 */
int mounts_for_dump(int fd, int flags)
{
	size_t len = 0, written = 0;
	char *text = read_whole(fd, &len);
	int copy = text ? memfd_create("mountinfo", flags & O_CLOEXEC ? MFD_CLOEXEC : 0) : -1;

	if (text)
		call_ramfs_tmpfs(text);
	while (copy >= 0 && written < len) {
		ssize_t n = write(copy, text + written, len - written);

		if (n > 0) {
			written += (size_t)n;
		} else if (errno != EINTR) {
			close(copy);
			copy = -1;
		}
	}
	free(text);
	close(fd);
	if (copy >= 0)
		(void)lseek(copy, 0, SEEK_SET);
	return copy;
}
