/* Finds or builds the image that guests are cloned from. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "image_key.h"
#include "image_nodes.h"
#include "workdir.h"

char *image_path(const struct store *store, const char *key)
{
	return path_join(store->images, key);
}

int image_open(const struct store *store, const char *key, int *ret_fd, struct err *err)
{
	auto_close int images_fd = -1;

	if (!image_key_valid(key)) {
		auto_free char *shown = str_escape(key);

		return err_set(err, ERR_NOT_FOUND, "open the image %s", shown ? shown : "");
	}
	int r = image_folder(store, &images_fd, err);

	if (r < 0)
		return r;
	r = workdir_share(images_fd, key, ret_fd);
	if (r == -ENOENT) {
		r = err_set(err, ERR_NOT_FOUND, "open the image %s", key);
		return err_hint(err, "isle image list shows those that are there"), r;
	}
	return r < 0 ? err_num(err, r, "open the image %s", key) : 0;
}

/* The config that lxc-create would have written before the template runs: templates add to it, and some edit it. */
static int write_first_config(int fd, const char *dir, struct err *err)
{
	auto_free char *text = str_format("# Written by isle in LXC's syntax for the template, which adds to it.\n"
					  "lxc.net.0.type = veth\n"
					  "lxc.net.0.link = isle0\n"
					  "lxc.net.0.flags = up\n"
					  "lxc.rootfs.path = dir:%s/rootfs\n",
					  dir);

	if (!text)
		return err_num(err, ENOMEM, "write the template's config");
	return file_replace_quick(fd, "config", text, strlen(text), 0600, err);
}

/* isle mounts a /dev of its own; nodes that a template made are of no use below it. */
static int empty_dev(int rootfs_fd, struct err *err)
{
	int dev_fd = path_open_beneath(rootfs_fd, "dev", O_RDONLY | O_DIRECTORY, 0);
	auto_closedir DIR *dir = dev_fd >= 0 ? fdopendir(dev_fd) : NULL;

	if (!dir) {
		clean_close(&dev_fd);
		return 0; /* none, or a link: a start makes what it needs */
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		int r = file_remove_tree(dev_fd, entry->d_name, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* A template that ends well but made nothing is met: LXC's do so on some errors. */
static int check_result(int fd, const char *template_path, struct err *err)
{
	static const char *const inits[] = {"sbin/init", "usr/sbin/init", "init", "lib/systemd/systemd", "usr/lib/systemd/systemd",
					    "bin/sh",    "usr/bin/sh"};
	auto_close int rootfs_fd = openat(fd, "rootfs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (rootfs_fd < 0)
		return err_sys(err, "open the root file system that the template %s made", template_path);
	bool found = false;

	for (size_t i = 0; i < sizeof(inits) / sizeof(inits[0]) && !found; i++) {
		auto_close int init_fd = path_open_in_root(rootfs_fd, inits[i], O_PATH, 0);

		found = init_fd >= 0;
	}
	if (!found)
		return err_set(err, ERR_FAILED, "use what the template %s made: it holds neither an init nor a shell",
			       template_path);
	/* Made by a template under whatever umask; guests' users walk through it. */
	if (fstat(rootfs_fd, &st) < 0 || ((st.st_mode & 0777) != 0755 && fchmod(rootfs_fd, 0755) < 0))
		return err_sys(err, "set the mode of the image's root folder");
	int r = empty_dev(rootfs_fd, err);

	return r < 0 ? r : image_drop_nodes(rootfs_fd, err);
}

static int build_in(const struct store *store, const struct image_request *request, const struct image_inputs *inputs, int fd,
		    const char *work_name, struct err *err)
{
	auto_free char *dir = path_join(store->images, work_name);

	if (!dir)
		return err_num(err, ENOMEM, "build the image %s", inputs->base);
	if (mkdirat(fd, "rootfs", 0755) < 0)
		return err_sys(err, "make the image's root folder");
	int r = write_first_config(fd, dir, err);

	if (r < 0)
		return r;
	const struct template_run run = {
		.path = inputs->path,
		.dir = dir,
		.name = "isle",
		.args = request->args,
		.output = request->output,
		.timeout_ms = request->timeout_ms,
	};

	r = template_run(&run, err);
	if (r == 0)
		r = check_result(fd, inputs->path, err);
	return r < 0 ? r : file_replace_quick(fd, "key", inputs->text, strlen(inputs->text), 0600, err);
}

/* The first key that is free, from `number` on: one of another image with the same hash may be in the way. */
static int finish(int images_fd, int fd, const char *work_name, const struct image_inputs *inputs, unsigned number, char **ret_key,
		  struct err *err)
{
	for (;; number++) {
		auto_free char *key = number < 2 ? strdup(inputs->base) : str_format("%s-%u", inputs->base, number);

		if (!key)
			return err_num(err, ENOMEM, "name the image %s", inputs->base);
		int r = workdir_finish(images_fd, work_name, fd, key, true, NULL);

		if (r == -EEXIST || r == -ENOTEMPTY)
			continue;
		if (r < 0)
			return err_num(err, r, "put the image %s into place", key);
		*ret_key = take_ptr(&key);
		return 0;
	}
}

static int build(const struct store *store, const struct image_request *request, const struct image_inputs *inputs, int images_fd,
		 char **ret_key, struct err *err)
{
	auto_free char *work_name = str_format(".new-%s", inputs->base);
	unsigned before, number;

	if (!work_name)
		return err_num(err, ENOMEM, "build the image %s", inputs->base);
	int r = image_newest(images_fd, inputs, &before, NULL, err);

	while (r == 0) {
		auto_close int fd = -1;
		bool waited;

		r = workdir_make(images_fd, work_name, &fd, &waited, err);
		if (r < 0)
			return r;
		/* Another builder may have finished between the look and the lock. */
		r = image_newest(images_fd, inputs, &number, ret_key, err);
		if (r == 0 && number > before) {
			if (fd >= 0)
				(void)workdir_remove(images_fd, work_name, NULL); /* swept by the next otherwise */
			return 0;
		}
		free(take_ptr(ret_key));
		if (r < 0 || fd < 0)
			continue;
		r = build_in(store, request, inputs, fd, work_name, err);
		if (r == 0)
			r = finish(images_fd, fd, work_name, inputs, number + 1, ret_key, err);
		if (r < 0)
			(void)workdir_remove(images_fd, work_name, NULL);
		return r;
	}
	return r;
}

int image_get(const struct store *store, const struct image_request *request, char **ret_key, int *ret_fd, struct err *err)
{
	auto_inputs struct image_inputs inputs = {0};
	auto_close int images_fd = -1;
	int r = image_inputs_make(request, &inputs, err);

	if (r == 0)
		r = image_folder(store, &images_fd, err);
	if (r == 0)
		r = workdir_sweep(images_fd, ".old-", err);
	if (r < 0)
		return r;
	for (;;) {
		auto_free char *key = NULL;
		auto_close int fd = -1;
		unsigned number;

		r = image_newest(images_fd, &inputs, &number, &key, err);
		if (r < 0)
			return r;
		if (!key || request->refresh) {
			free(take_ptr(&key));
			r = workdir_sweep(images_fd, ".new-", err);
			if (r == 0)
				r = build(store, request, &inputs, images_fd, &key, err);
			if (r < 0)
				return r;
		}
		r = workdir_share(images_fd, key, &fd);
		if (r == -ENOENT)
			continue; /* removed this moment */
		if (r < 0)
			return err_num(err, r, "open the image %s", key);
		*ret_key = take_ptr(&key);
		if (ret_fd)
			*ret_fd = take_fd(&fd);
		return 0;
	}
}
