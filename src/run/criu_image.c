/* Another image in the place of one of criu's, for one restore. */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../kernel/mount.h"
#include "criu_image.h"

size_t criu_image_number(uint8_t *at, unsigned field, uint64_t value)
{
	size_t len = 0;

	at[len++] = (uint8_t)(field << 3);
	for (; value >= 0x80; value >>= 7)
		at[len++] = (uint8_t)(value | 0x80);
	at[len++] = (uint8_t)value;
	return len;
}

int criu_image_replace(const char *path, int images, const char *name, struct err *err)
{
	auto_close int tree = mount_copy(AT_FDCWD, path, false, err);
	auto_close int target = tree < 0 ? -1 : openat(images, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (tree < 0)
		return tree;
	return target < 0 ? err_sys(err, "open the image %s", name) : mount_attach(tree, target, name, err);
}
