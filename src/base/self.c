/* The running program's own file: where it is, and a sealed copy to run from where it would be in reach of a hostile root. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clean.h"
#include "self.h"
#include "str.h"

#define SEALED_NAME "isle-sealed"
#define SEALED_LINK "/memfd:" SEALED_NAME
#define PATH_NAME   "ISLE_SELF" /* believed in a sealed copy only, which nobody else makes */

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

static int own_link(char *ret, size_t size)
{
	ssize_t len = readlink("/proc/self/exe", ret, size - 1);

	if (len < 0)
		return -errno;
	ret[len] = '\0';
	return 0;
}

bool self_is_sealed(void)
{
	char link[PATH_MAX];

	return own_link(link, sizeof(link)) == 0 && str_starts(link, SEALED_LINK);
}

int self_path(char *ret, size_t size)
{
	int r = own_link(ret, size);

	if (r < 0 || !str_starts(ret, SEALED_LINK))
		return r;
	const char *path = getenv(PATH_NAME);

	return path && path[0] == '/' ? str_copy(ret, size, path) : -ENOENT;
}

static int copy_sealed(int from, int to)
{
	struct stat st;

	if (fstat(from, &st) < 0)
		return -errno;
	for (off_t left = st.st_size; left > 0;) {
		ssize_t len = sendfile(to, from, NULL, (size_t)left);

		if (len <= 0)
			return len < 0 ? -errno : -EIO;
		left -= len;
	}
	return fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0 ? -errno : 0;
}

int self_seal(char *const argv[], struct err *err)
{
	char path[PATH_MAX];
	int r = self_path(path, sizeof(path));

	if (r < 0 || setenv(PATH_NAME, path, 1) < 0)
		return err_num(err, r < 0 ? r : ENOMEM, "find isle's own program");
	auto_close int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	auto_close int to = memfd_create(SEALED_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (to < 0 && errno == EINVAL)
		to = memfd_create(SEALED_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (from < 0 || to < 0)
		return err_sys(err, "copy isle's own program");
	r = copy_sealed(from, to);
	if (r < 0)
		return err_num(err, r, "copy isle's own program");
	(void)fexecve(to, argv, environ);
	(void)err_sys(err, "run a sealed copy of isle");
	return err_hint(err, "privileged guests need it: set the host's vm.memfd_noexec to 0 or 1");
}
