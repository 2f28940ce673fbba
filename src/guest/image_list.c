/* Looks at images, removes and renews them. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../storage/measure.h"
#include "image_key.h"
#include "workdir.h"

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A list that is NULL-ended at any time. */
static int add_name(char ***list, size_t *count, const char *name)
{
	char **more = realloc(*list, (*count + 2) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	*list = more;
	more[*count + 1] = NULL;
	more[*count] = name ? strdup(name) : NULL;
	if (!name)
		return 0;
	return more[*count] ? (++*count, 0) : -ENOMEM;
}

static void free_names(char ***list)
{
	if (*list)
		store_names_free(*list);
}
#define auto_names __attribute__((cleanup(free_names)))

int image_list(const struct store *store, char ***ret, struct err *err)
{
	auto_names char **list = NULL;
	size_t count = 0;
	int images_fd = -1;
	int r = image_folder(store, &images_fd, err);

	if (r < 0)
		return r;
	auto_closedir DIR *dir = fdopendir(images_fd);

	if (!dir) {
		r = err_sys(err, "read %s", store->images);
		close(images_fd);
		return r;
	}
	r = add_name(&list, &count, NULL);
	for (const struct dirent *entry; r == 0 && (entry = readdir(dir));) {
		auto_free char *key = str_format("%s/key", entry->d_name);

		if (key && image_key_valid(entry->d_name) && faccessat(images_fd, key, F_OK, 0) == 0)
			r = add_name(&list, &count, entry->d_name);
	}
	if (r < 0)
		return err_num(err, r, "list the images");
	qsort(list, count, sizeof(*list), compare_names);
	*ret = take_ptr(&list);
	return 0;
}

/* Guests made from key; `standing` only those that need it to be there. A guest whose config cannot be read counts as standing on
 * every image: better an image too many than a guest without its files. */
static int find_guests(const struct store *store, const char *key, bool standing, char ***ret, struct err *err)
{
	auto_names char **all = NULL, **list = NULL;
	size_t count = 0;
	int r = store_names(store, &all, err);

	if (r < 0)
		return r;
	r = add_name(&list, &count, NULL);
	for (size_t i = 0; r == 0 && all[i]; i++) {
		struct guest *guest = NULL;
		bool meant = guest_open(store, all[i], &guest, NULL) < 0
				     ? standing
				     : guest->spec->guest.image && !strcmp(guest->spec->guest.image, key) &&
					       (!standing || guest->spec->guest.storage == STORAGE_OVERLAY);

		guest_free(guest);
		if (meant)
			r = add_name(&list, &count, all[i]);
	}
	if (r < 0)
		return err_num(err, r, "list the guests of the image %s", key);
	*ret = take_ptr(&list);
	return 0;
}

void image_info_free(struct image_info *info)
{
	free(info->template_path);
	free(info->arch);
	if (info->args)
		store_names_free(info->args);
	if (info->guests)
		store_names_free(info->guests);
	*info = (struct image_info){0};
}

static char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value = json_object_object_get(object, name);

	return value && json_object_is_type(value, json_type_string) ? strdup(json_object_get_string(value)) : NULL;
}

int image_inputs_parse(const char *text, struct image_info *info)
{
	size_t count = 0;
	struct json_object *object = json_tokener_parse(text);

	info->template_path = object ? text_of(object, "template") : NULL;
	info->arch = object ? text_of(object, "machine") : NULL;
	int r = add_name(&info->args, &count, NULL);
	struct json_object *args = object ? json_object_object_get(object, "args") : NULL;

	/* json-c ends the program that asks anything else for its length. */
	if (args && !json_object_is_type(args, json_type_array))
		r = -EINVAL;
	for (size_t i = 0; r == 0 && args && i < json_object_array_length(args); i++) {
		struct json_object *word = json_object_array_get_idx(args, i);

		r = -EINVAL;
		if (json_object_is_type(word, json_type_string))
			r = add_name(&info->args, &count, json_object_get_string(word));
	}
	json_object_put(object);
	return r == 0 && (!info->template_path || !info->arch) ? -EINVAL : r;
}

static int read_inputs(int fd, const char *key, struct image_info *info, struct err *err)
{
	auto_free char *text = NULL;
	int r = file_read(fd, "key", 256u << 10, &text, NULL);

	if (r == 0)
		r = image_inputs_parse(text, info);
	return r < 0 ? err_num(err, r, "read what the image %s was made from", key) : 0;
}

int image_info(const struct store *store, const char *key, struct image_info *ret, struct err *err)
{
	__attribute__((cleanup(image_info_free))) struct image_info info = {0};
	auto_close int fd = -1;
	struct stat st;
	int r = image_open(store, key, &fd, err);

	if (r == 0)
		r = read_inputs(fd, key, &info, err);
	if (r == 0)
		r = measure_folder(fd, "rootfs", &info.bytes, err);
	if (r == 0)
		r = find_guests(store, key, false, &info.guests, err);
	if (r < 0)
		return r;
	if (fstatat(fd, "key", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at the image %s", key);
	info.created = (uint64_t)st.st_mtime;
	*ret = info;
	info = (struct image_info){0};
	return 0;
}

int image_remove(const struct store *store, const char *key, struct err *err)
{
	auto_names char **guests = NULL;
	auto_close int images_fd = -1, fd = -1;
	/* Only to tell a wrong name well. */
	int r = image_open(store, key, &fd, err);

	if (r < 0)
		return r;
	close(take_fd(&fd));
	r = image_folder(store, &images_fd, err);
	if (r == 0)
		r = workdir_sweep(images_fd, ".old-", err);
	if (r < 0)
		return r;
	/* Claimed before the look: a create shares the image until its guest is there to be seen. */
	r = workdir_claim(images_fd, key, &fd);
	if (r == -EBUSY)
		return err_set(err, ERR_STATE, "remove the image %s: a create uses it", key);
	if (r < 0)
		return err_num(err, r, "remove the image %s", key);
	r = find_guests(store, key, true, &guests, err);
	if (r < 0)
		return r;
	if (guests[0]) {
		r = err_set(err, ERR_STATE, "remove the image %s: guest '%s' stands on it", key, guests[0]);
		return err_hint(err, "destroy the guest first"), r;
	}
	return workdir_discard(images_fd, key, err);
}

int image_refresh(const struct store *store, const char *key, enum template_output output, char **ret_key, struct err *err)
{
	__attribute__((cleanup(image_info_free))) struct image_info info = {0};
	auto_close int fd = -1;
	int r = image_open(store, key, &fd, err);

	if (r == 0)
		r = read_inputs(fd, key, &info, err);
	if (r < 0)
		return r;
	const struct image_request request = {
		.template_name = info.template_path,
		.args = (const char *const *)info.args,
		.refresh = true,
		.output = output,
	};

	return image_get(store, &request, ret_key, NULL, err);
}
