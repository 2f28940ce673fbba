/* Storage `dir`: the guest's root is a plain folder, copied from the image. */
#include "config.h"

#include <unistd.h>

#include "layer.h"
#include "storage.h"
#include "copy.h"
#include "measure.h"

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
	return measure_folder(guest_fd, "rootfs", ret, err);
}

static int dir_save(int guest_fd, int into_fd, struct err *err)
{
	return copy_tree(guest_fd, into_fd, "rootfs", err);
}

static int dir_copy(int from_fd, int guest_fd, bool take, struct err *err)
{
	return take ? copy_take(from_fd, guest_fd, "rootfs", err) : copy_tree(from_fd, guest_fd, "rootfs", err);
}

static int dir_load(int guest_fd, int from_fd, const struct copy_moment *moment, struct err *err)
{
	return copy_replace(from_fd, guest_fd, "rootfs", moment, err);
}

const struct storage storage_dir = {
	.name = "dir",
	.usable = dir_usable,
	.clone = dir_clone,
	.copy = dir_copy,
	.mount = dir_mount,
	.save = dir_save,
	.load = dir_load,
	.usage = dir_usage,
};
