/* Storage `dir`: the guest's root is a plain folder, copied from the image. */
#include "config.h"

#include <unistd.h>

#include "layer.h"
#include "storage.h"
#include "copy.h"

static int dir_usable(int dir_fd, struct err *err)
{
	(void)dir_fd;
	(void)err;
	return 0;
}

static int dir_clone(int guest_fd, int image_fd, struct err *err)
{
	int r = copy_tree(image_fd, guest_fd, "rootfs", err);

	if (r < 0)
		return r;
	return syncfs(guest_fd) < 0 ? err_sys(err, "write the guest's files to disk") : 0;
}

static int dir_mount(const struct storage_place *place, int userns_fd, int *ret_fd, struct err *err)
{
	return layer_open(place->guest_fd, "rootfs", userns_fd, ret_fd, err);
}

static int dir_usage(int guest_fd, uint64_t *ret, struct err *err)
{
	return copy_usage(guest_fd, "rootfs", ret, err);
}

const struct storage storage_dir = {
	.name = "dir",
	.doc = "a plain folder: shares no file with other guests, takes the image's size",
	.usable = dir_usable,
	.clone = dir_clone,
	.mount = dir_mount,
	.usage = dir_usage,
};
